//! Signs requests with the well-known key.

use std::collections::BTreeMap;
use std::time::SystemTime;

use lakestage_emulator::DEFAULT_ACCOUNT_NAME;

use crate::client::sign;

/// The headers of a request, signed. The paths start with the account.
pub fn signed_headers(
    method: &str,
    over: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let now = httpdate::fmt_http_date(SystemTime::now());
    all.entry("x-ms-date".into()).or_insert(now);
    all.entry("x-ms-version".into())
        .or_insert("2023-11-03".into());
    if !body.is_empty() || method == "PUT" {
        all.insert("content-length".into(), body.len().to_string());
    }
    let signature = sign(&text_to_sign(method, over, &all));
    let authorization = format!("SharedKey {DEFAULT_ACCOUNT_NAME}:{signature}");
    all.insert("authorization".into(), authorization);
    all
}

/// The text that a client signs.
fn text_to_sign(method: &str, target: &str, headers: &BTreeMap<String, String>) -> String {
    let value = |name: &str| headers.get(name).map_or("", String::as_str);
    let length = Some(value("content-length"))
        .filter(|l| *l != "0")
        .unwrap_or("");
    let mut text = [
        method,
        value("content-encoding"),
        value("content-language"),
        length,
        value("content-md5"),
        value("content-type"),
        "",
        value("if-modified-since"),
        value("if-match"),
        value("if-none-match"),
        value("if-unmodified-since"),
        value("range"),
    ]
    .join("\n");
    text.push('\n');
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        text.push_str(&format!("{name}:{value}\n"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // In the emulator's address the account stands in the path, and so it is there twice.
    text.push_str(&format!("/{DEFAULT_ACCOUNT_NAME}{path}"));
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .unwrap();
            (name.to_lowercase(), value.into_owned())
        })
        .collect();
    parameters.sort();
    for (name, value) in parameters {
        text.push_str(&format!("\n{name}:{value}"));
    }
    text
}
