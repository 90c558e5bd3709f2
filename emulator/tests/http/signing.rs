//! Making shared access signatures apart from the server's code, and a lake to use them on.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakestage_emulator::clock::Clock;
use lakestage_emulator::{DEFAULT_ACCOUNT_KEY, Store, StoreOptions, TENANT_DEFAULT};

use crate::bearer::with_roles;
use crate::client::{Answer, Lake, Port, sign_with};

pub const NOW: &str = "2026-11-22T12:00:00Z";
/// The time in the form of headers.
pub const TODAY: (&str, &str) = ("x-ms-date", "Sun, 22 Nov 2026 12:00:00 GMT");
/// Who has the delegation key of the recorded signatures.
pub const OWNER: &str = "0d3aa7c4-41a1-4a8c-9a3b-2f4f1f0d9c01";
pub const DENIED: &str = "AuthorizationPermissionMismatch";

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_unix_ns(&self) -> i64 {
        let now: jiff::Timestamp = NOW.parse().unwrap();
        i64::try_from(now.as_nanosecond()).unwrap()
    }
}

/// A lake at noon that speaks TLS, with a file, an access policy and, besides `roles`, a reader who delegates.
pub fn lake(roles: &[&str]) -> Lake {
    let options = StoreOptions {
        clock: Arc::new(Noon),
        ..StoreOptions::default()
    };
    let owner = format!("{OWNER}=Storage Blob Data Reader");
    let roles = [&[owner.as_str()], roles].concat();
    let lake = Lake::secure_over(Store::open(options).unwrap(), with_roles(&roles));
    let put = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let headers = [&[TODAY], headers].concat();
        lake.blob("PUT", target, &headers, body).expect(201)
    };
    put("/raw?restype=container", &[], b"");
    for path in ["/raw/dir/f", "/raw/dir/g", "/raw/else"] {
        put(path, &[("x-ms-blob-type", "BlockBlob")], b"text");
    }
    let policy = "<SignedIdentifiers><SignedIdentifier><Id>reading</Id><AccessPolicy>\
        <Expiry>2026-11-27T00:00:00Z</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier></SignedIdentifiers>";
    lake.blob(
        "PUT",
        "/raw?restype=container&comp=acl",
        &[TODAY],
        policy.as_bytes(),
    )
    .expect(200);
    lake
}

/// Sends a request that has nothing but a signature.
pub fn send(
    lake: &Lake,
    method: &str,
    target: &str,
    sas: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut all: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.entry("x-ms-version".into())
        .or_insert("2023-11-03".into());
    if method == "PUT" {
        all.insert("content-length".into(), "0".into());
    }
    let mark = if target.contains('?') { '&' } else { '?' };
    let target = format!("/devstoreaccount1{target}{mark}{sas}");
    lake.send(Port::Dfs, method, &target, &all, b"")
}

fn key_of_the_account() -> Vec<u8> {
    STANDARD.decode(DEFAULT_ACCOUNT_KEY).unwrap()
}

/// The key that the server derives for the owner.
pub fn delegation_key(oid: &str, expiry: &str) -> Vec<u8> {
    let text = [
        "lakestage user delegation key",
        "devstoreaccount1",
        oid,
        TENANT_DEFAULT,
        "2026-11-20T00:00:00Z",
        expiry,
        "b",
        "2023-11-03",
        "",
    ]
    .join("\n");
    STANDARD
        .decode(sign_with(&key_of_the_account(), &text))
        .unwrap()
}

pub const ANSWER: &str = "rscc rscd rsce rscl rsct";

/// What is signed, in its order, by kind and by the version that begins with it. `@` is the resource, `#` a snapshot.
pub const LAYOUTS: [(&str, &str, &str); 10] = [
    (
        "account",
        "2015-04-05",
        "account sp ss srt st se sip spr sv",
    ),
    (
        "account",
        "2020-12-06",
        "account sp ss srt st se sip spr sv ses",
    ),
    ("service", "2015-04-05", "sp st se @ si sip spr sv"),
    ("service", "2018-11-09", "sp st se @ si sip spr sv sr #"),
    ("service", "2020-12-06", "sp st se @ si sip spr sv sr # ses"),
    (
        "delegation",
        "2018-11-09",
        "sp st se @ skoid sktid skt ske sks skv sip spr sv sr #",
    ),
    (
        "delegation",
        "2020-02-10",
        "sp st se @ skoid sktid skt ske sks skv saoid suoid scid sip spr sv sr #",
    ),
    (
        "delegation",
        "2020-12-06",
        "sp st se @ skoid sktid skt ske sks skv saoid suoid scid sip spr sv sr # ses",
    ),
    (
        "delegation",
        "2025-07-05",
        "sp st se @ skoid sktid skt ske sks skv saoid suoid scid skdutid sduoid sip spr sv sr # ses",
    ),
    (
        "delegation",
        "2026-04-06",
        "sp st se @ skoid sktid skt ske sks skv saoid suoid scid skdutid sduoid sip spr sv sr # ses srh srq",
    ),
];

/// Signs fields in the layout of a kind and a version.
pub fn sign_fields(
    kind: &str,
    version: &str,
    resource: &str,
    fields: &BTreeMap<&str, String>,
) -> String {
    sign_fields_by(None, kind, version, resource, fields)
}

/// The same by another key than the usual one.
fn sign_fields_by(
    key: Option<&[u8]>,
    kind: &str,
    version: &str,
    resource: &str,
    fields: &BTreeMap<&str, String>,
) -> String {
    let (_, _, names) = LAYOUTS
        .iter()
        .rfind(|(own, since, _)| *own == kind && version >= *since)
        .unwrap();
    let value = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    let tail = if kind == "account" { "" } else { ANSWER };
    for name in names
        .split(' ')
        .chain(tail.split(' ').filter(|name| !name.is_empty()))
    {
        lines.push(match name {
            "account" => "devstoreaccount1".to_owned(),
            "@" => resource.to_owned(),
            "#" => String::new(),
            "srh" if fields.contains_key("srh") => "x-note:hello\n".to_owned(),
            "srq" if fields.contains_key("srq") => "\ntimeout:30".to_owned(),
            name => value(name),
        });
    }
    let end = if kind == "account" { "\n" } else { "" };
    let key = match (kind, key) {
        (_, Some(key)) => key.to_vec(),
        ("delegation", None) => delegation_key(&value("skoid"), &value("ske")),
        _ => key_of_the_account(),
    };
    sign_with(&key, &(lines.join("\n") + end))
}

pub fn query(fields: &BTreeMap<&str, String>, signature: &str) -> String {
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let mut query = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        query.push_str(&format!("{name}={}&", encoded(value)));
    }
    query + &format!("sig={}", encoded(signature))
}

/// A signature of a kind in its newest layout: what it is about, and fields besides the usual ones.
pub fn sas(kind: &str, resource: &str, fields: &[(&'static str, &str)]) -> String {
    made(None, kind, resource, fields)
}

/// A delegation's by the value of its key.
pub fn sas_by(key: &[u8], resource: &str, fields: &[(&'static str, &str)]) -> String {
    made(Some(key), "delegation", resource, fields)
}

fn made(key: Option<&[u8]>, kind: &str, resource: &str, fields: &[(&'static str, &str)]) -> String {
    let mut all: BTreeMap<&str, String> = BTreeMap::from([
        ("sv", "2026-04-06".to_owned()),
        ("se", "2026-11-27T00:00:00Z".to_owned()),
        ("sp", "r".to_owned()),
    ]);
    match kind {
        "account" => {
            all.insert("ss", "b".to_owned());
            all.insert("srt", "sco".to_owned());
        }
        _ => {
            all.insert("sr", "c".to_owned());
        }
    }
    if kind == "delegation" {
        for (name, value) in [
            ("skoid", OWNER),
            ("sktid", TENANT_DEFAULT),
            ("skt", "2026-11-20T00:00:00Z"),
            ("ske", "2026-11-27T00:00:00Z"),
            ("sks", "b"),
            ("skv", "2023-11-03"),
        ] {
            all.insert(name, value.to_owned());
        }
    }
    for (name, value) in fields {
        all.insert(name, (*value).to_owned());
    }
    let resource = format!("/blob/devstoreaccount1{resource}");
    let signature = sign_fields_by(key, kind, "2026-04-06", &resource, &all);
    query(&all, &signature)
}
