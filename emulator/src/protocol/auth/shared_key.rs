//! `Authorization: SharedKey <account>:<signature>`.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::{is_signed, refused};
use crate::protocol::request::Request;

/// How far a client's clock may be off.
const SKEW_MAX_S: i64 = 15 * 60;

const STANDARD_HEADERS: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// Checks the signature, and that the request is not older than a request may be at `now_unix_ns`.
pub(super) fn check(
    account: &Account,
    request: &Request,
    given: &str,
    now_unix_ns: i64,
) -> Result<()> {
    let Some((scheme, rest)) = given.split_once(' ') else {
        return Err(ErrorCode::InvalidAuthenticationInfo.into());
    };
    let is_lite = scheme.eq_ignore_ascii_case("SharedKeyLite");
    if !is_lite && !scheme.eq_ignore_ascii_case("SharedKey") {
        return Err(ErrorCode::InvalidAuthenticationInfo.into());
    }
    let Some((name, signature)) = rest.split_once(':') else {
        return Err(ErrorCode::InvalidAuthenticationInfo.into());
    };
    if name != account.name {
        return Err(ErrorCode::AuthenticationFailed.into());
    }
    let texts = strings_to_sign(request, &account.name, is_lite);
    if !texts
        .iter()
        .any(|text| is_signed(&account.keys, text, signature))
    {
        return Err(refused(texts.first().map_or("", String::as_str)));
    }
    check_clock(request, now_unix_ns)
}

fn check_clock(request: &Request, now_unix_ns: i64) -> Result<()> {
    let Some(text) = request.header("x-ms-date")?.or(request.header("date")?) else {
        return Err(StoreError::missing_header("x-ms-date"));
    };
    let Ok(date) = httpdate::parse_http_date(text) else {
        return Err(StoreError::invalid_header("x-ms-date", text));
    };
    let now = UNIX_EPOCH + Duration::from_nanos(u64::try_from(now_unix_ns).unwrap_or(0));
    let skew = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now))
        .map_or(0, |skew| skew.as_secs());
    if i64::try_from(skew).unwrap_or(i64::MAX) > SKEW_MAX_S {
        return Err(StoreError::code(ErrorCode::AuthenticationFailed).element(
            "AuthenticationErrorDetail",
            &format!("The date {text} is more than 15 minutes off."),
        ));
    }
    Ok(())
}

/// The texts that a client may have signed: clients sort header names in two ways, and read a plus in two.
pub(super) fn strings_to_sign(request: &Request, account: &str, is_lite: bool) -> Vec<String> {
    let orders: [fn(&str) -> String; 2] = [|name| name.to_owned(), |name| name.replace('-', "")];
    let mut texts: Vec<String> = match is_lite {
        true => orders.map(|order| lite(request, account, order)).into(),
        false => {
            let readings = request.query.readings();
            let resources: Vec<String> = readings
                .map(|parameters| resource(request, account, parameters))
                .collect();
            let each = resources.iter().flat_map(|resource| {
                orders.map(|order| full(&request.sent_method, &request.headers, order) + resource)
            });
            each.collect()
        }
    };
    texts.dedup();
    texts
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// All but the resource.
fn full(method: &http::Method, headers: &HeaderMap, order: fn(&str) -> String) -> String {
    let mut text = format!("{method}\n");
    for name in STANDARD_HEADERS {
        let shown = match (name, value(headers, name)) {
            ("content-length", "0") => "",
            ("date", _) if headers.contains_key("x-ms-date") => "",
            (_, shown) => shown,
        };
        text.push_str(shown);
        text.push('\n');
    }
    text.push_str(&own_headers(headers, order));
    text
}

fn lite(request: &Request, account: &str, order: fn(&str) -> String) -> String {
    let headers = &request.headers;
    let date = if headers.contains_key("x-ms-date") {
        ""
    } else {
        value(headers, "date")
    };
    let mut text = format!(
        "{}\n{}\n{}\n{date}\n{}/{account}{}",
        request.sent_method,
        value(headers, "content-md5"),
        value(headers, "content-type"),
        own_headers(headers, order),
        request.raw_path
    );
    if let Some(comp) = request.query.get("comp") {
        text.push_str(&format!("?comp={comp}"));
    }
    text
}

/// The `x-ms-` headers. Their values are bytes: metadata may hold any.
fn own_headers(headers: &HeaderMap, order: fn(&str) -> String) -> String {
    let mut own: Vec<(String, &str, String)> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
            (order(name.as_str()), name.as_str(), text)
        })
        .collect();
    own.sort();
    own.into_iter()
        .map(|(_, name, value)| format!("{name}:{value}\n"))
        .collect()
}

fn resource(request: &Request, account: &str, parameters: &[(String, String)]) -> String {
    let mut text = format!("/{account}{}", request.raw_path);
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in parameters {
        by_name.entry(name).or_default().push(value);
    }
    for (name, mut values) in by_name {
        values.sort_unstable();
        text.push_str(&format!("\n{name}:{}", values.join(",")));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;
    use crate::protocol::request::{Arrival, Face};

    fn recorded(line: &str) -> Request {
        let recorded: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in recorded["headers"].as_object().unwrap() {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(
                name,
                HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap(),
            );
        }
        let url = recorded["url"].as_str().unwrap();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let arrival = Arrival {
            method: Method::from_bytes(recorded["method"].as_str().unwrap().as_bytes()).unwrap(),
            raw_path: path.to_owned(),
            raw_query: query.to_owned(),
            headers,
            port_face: Face::Blob,
            client_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            is_https: false,
            gate: std::sync::Arc::default(),
        };
        Request::new(arrival, |name| name == "devstoreaccount1")
    }

    #[test]
    fn every_signature_of_a_real_client_verifies() {
        let account = Account::well_known();
        let lines = include_str!("../../../tests/data/signed_requests.jsonl").lines();
        let mut wrong = Vec::new();
        for line in lines {
            let request = recorded(line);
            let given = request.header("authorization").unwrap().unwrap();
            let signature = given.split_once(':').unwrap().1;
            let texts = strings_to_sign(&request, &account.name, false);
            if !texts
                .iter()
                .any(|text| is_signed(&account.keys, text, signature))
            {
                wrong.push(format!("{line}\n{texts:?}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of them: {}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[test]
    fn a_changed_request_is_refused_with_what_the_server_signed() {
        let line = include_str!("../../../tests/data/signed_requests.jsonl")
            .lines()
            .next()
            .unwrap();
        let mut request = recorded(line);
        let given = request.header("authorization").unwrap().unwrap().to_owned();
        request.raw_path.push('x');
        let error = check(&Account::well_known(), &request, &given, 0).unwrap_err();
        assert!(error.is(ErrorCode::AuthenticationFailed));
        let StoreError::Service(service) = error else {
            panic!("no refusal")
        };
        assert!(
            service.elements[0].1.contains("x-ms-date:"),
            "{:?}",
            service.elements
        );
    }
}
