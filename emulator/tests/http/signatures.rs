//! Shared access signatures: an account's, a service's and a user delegation's, in every layout there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakestage_emulator::clock::Clock;
use lakestage_emulator::{Account, Store, StoreOptions, Token, bearer_token};
use lakestage_emulator::{DEFAULT_ACCOUNT_KEY, TENANT_DEFAULT};

use crate::bearer::with_roles;
use crate::client::{Answer, Bearer, Lake, Port, sign_with};

const NOW: &str = "2026-11-22T12:00:00Z";
/// The time in the form of headers.
const TODAY: (&str, &str) = ("x-ms-date", "Sun, 22 Nov 2026 12:00:00 GMT");
/// Who has the delegation key of the recorded signatures.
pub const OWNER: &str = "0d3aa7c4-41a1-4a8c-9a3b-2f4f1f0d9c01";
const DENIED: &str = "AuthorizationPermissionMismatch";

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
fn send(lake: &Lake, method: &str, target: &str, sas: &str, headers: &[(&str, &str)]) -> Answer {
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
fn delegation_key(oid: &str, expiry: &str) -> Vec<u8> {
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

const ANSWER: &str = "rscc rscd rsce rscl rsct";

/// What is signed, in its order, by kind and by the version that begins with it. `@` is the resource, `#` a snapshot.
const LAYOUTS: [(&str, &str, &str); 10] = [
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
fn sign_fields(
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
    let key = match kind {
        "delegation" => delegation_key(&value("skoid"), &value("ske")),
        _ => key_of_the_account(),
    };
    sign_with(&key, &(lines.join("\n") + end))
}

fn query(fields: &BTreeMap<&str, String>, signature: &str) -> String {
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
    let signature = sign_fields(kind, "2026-04-06", &resource, &all);
    query(&all, &signature)
}

#[test]
fn signatures_of_the_sdks_are_taken() {
    let lake = lake(&[]);
    let lines = include_str!("../data/sdk_signatures.jsonl").lines();
    for line in lines {
        let made: serde_json::Value = serde_json::from_str(line).unwrap();
        let what = format!("{} of {}", made["what"], made["sdk"]);
        let headers: Vec<(&str, &str)> = made["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let target = format!("{}?timeout=30", made["target"].as_str().unwrap());
        let sas = made["sas"].as_str().unwrap();
        let answer = send(&lake, "GET", &target, sas, &headers);
        assert!(
            [200, 206].contains(&answer.status),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(answer.text(), "text", "{what}");
        if sas.contains("rsct=") {
            assert_eq!(answer.header("content-type"), "text/x-note", "{what}");
            assert_eq!(answer.header("cache-control"), "no-cache", "{what}");
        }
        let wrong = sas.replacen("sig=", "sig=A", 1);
        send(&lake, "GET", &target, &wrong, &headers).expect_error(403, "AuthenticationFailed");
    }
}

#[test]
fn every_signed_field_is_signed_in_every_layout() {
    let lake = lake(&[]);
    for (kind, version, layout) in LAYOUTS {
        let mut fields: BTreeMap<&str, String> = BTreeMap::new();
        let names = layout
            .split(' ')
            .filter(|name| !["account", "@", "#"].contains(name));
        let answered = ANSWER.split(' ').filter(|_| kind != "account");
        for name in names.clone().chain(answered.clone()) {
            fields.insert(name, first_value(name, version).to_owned());
        }
        let get = |fields: &BTreeMap<&str, String>,
                   signature: &str,
                   path: &str,
                   note: &str,
                   timeout: u8| {
            let target = format!("{path}?timeout={timeout}");
            send(
                &lake,
                "GET",
                &target,
                &query(fields, signature),
                &[("x-note", note)],
            )
        };
        let resource = "/blob/devstoreaccount1/raw/dir/f";
        let signature = sign_fields(kind, version, resource, &fields);
        let good = get(&fields, &signature, "/raw/dir/f", "hello", 30);
        assert_eq!(good.status, 200, "{kind} {version}: {}", good.text());
        for name in names.chain(answered) {
            let mut flipped = fields.clone();
            flipped.insert(name, other_value(name).to_owned());
            let answer = get(&flipped, &signature, "/raw/dir/f", "hello", 30);
            let told = (answer.status, answer.code());
            assert_eq!(
                told,
                (403, "AuthenticationFailed"),
                "{kind} {version} {name}"
            );
            flipped.remove(name);
            if !fields[name].is_empty() {
                let answer = get(&flipped, &signature, "/raw/dir/f", "hello", 30);
                assert_eq!(answer.status, 403, "{kind} {version} without {name}");
            }
        }
        if kind != "account" {
            let elsewhere = get(&fields, &signature, "/raw/dir/g", "hello", 30);
            elsewhere.expect_error(403, "AuthenticationFailed");
        }
        if version >= "2026-04-06" {
            let refused = get(&fields, &signature, "/raw/dir/f", "other", 30)
                .expect_error(403, "AuthenticationFailed");
            // The server says what it signed.
            assert!(
                refused.text().contains("x-note:other"),
                "{}",
                refused.text()
            );
            get(&fields, &signature, "/raw/dir/f", "hello", 31)
                .expect_error(403, "AuthenticationFailed");
        }
    }
}

fn first_value(name: &str, version: &'static str) -> &'static str {
    match name {
        "sp" => "r",
        "st" | "skt" => "2026-11-20T00:00:00Z",
        "se" | "ske" => "2026-11-27T00:00:00Z",
        "sip" => "127.0.0.1",
        "spr" => "https",
        "sv" => version,
        "sr" | "ss" | "sks" => "b",
        "srt" => "o",
        "ses" => "own",
        "skoid" => OWNER,
        "sktid" => TENANT_DEFAULT,
        "skv" => "2023-11-03",
        "saoid" => "11111111-0000-4000-8000-000000000001",
        "scid" => "22222222-0000-4000-8000-000000000002",
        "srh" => "x-note",
        "srq" => "timeout",
        // One of them cannot be together with the others.
        "si" | "suoid" | "sduoid" | "skdutid" => "",
        _ => "text/plain",
    }
}

fn other_value(name: &str) -> &'static str {
    match name {
        "sp" => "rw",
        "st" | "skt" => "2026-11-20T00:00:01Z",
        "se" | "ske" => "2026-11-26T23:59:59Z",
        "sip" => "127.0.0.0-127.0.0.9",
        "spr" => "https,http",
        "sv" => "2017-11-09",
        "sr" => "c",
        "ss" | "sks" => "bf",
        "srt" => "sco",
        "srh" => "x-note,x-ms-version",
        "srq" => "timeout,sp",
        _ => "33333333-0000-4000-8000-000000000003",
    }
}

#[test]
fn a_signature_is_bound_to_time_address_and_protocol() {
    let lake = lake(&[]);
    let get = |fields: &[(&'static str, &str)]| {
        send(
            &lake,
            "GET",
            "/raw/dir/f",
            &sas("service", "/raw", fields),
            &[],
        )
    };
    get(&[]).expect(200);
    get(&[("se", "2026-11-22T11:59:59Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("st", "2026-11-22T12:00:01Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("sip", "127.0.0.1"), ("spr", "https")]).expect(200);
    let refused =
        get(&[("sip", "10.0.0.1-10.0.0.9")]).expect_error(403, "AuthorizationSourceIPMismatch");
    assert!(refused.text().contains("127.0.0.1"), "{}", refused.text());
    // A stored policy gives what the signature leaves out, and nothing twice.
    let by_policy = [("si", "reading"), ("sp", ""), ("se", "")];
    get(&by_policy).expect(200);
    get(&[("si", "reading")]).expect_error(403, "AuthenticationFailed");
    get(&[("si", "none")]).expect_error(403, "AuthenticationFailed");
    // What would be written with an encryption scope is not.
    let scoped = sas("service", "/raw", &[("sp", "rw"), ("ses", "own")]);
    send(&lake, "GET", "/raw/dir/f", &scoped, &[]).expect(200);
    send(&lake, "PUT", "/raw/new?resource=file", &scoped, &[])
        .expect_error(400, "UnsupportedQueryParameter");
    let lake = lake.plain();
    send(
        &lake,
        "GET",
        "/raw/dir/f",
        &sas("service", "/raw", &[("spr", "https")]),
        &[],
    )
    .expect_error(403, "AuthorizationProtocolMismatch");
}

#[test]
fn a_signature_opens_its_services_resources_and_letters() {
    let lake = lake(&[]);
    let account = |fields: &[(&'static str, &str)]| sas("account", "", fields);
    let get = |sas: &str| send(&lake, "GET", "/raw/dir/f", sas, &[]);
    get(&account(&[])).expect(200);
    get(&account(&[("ss", "fqt")])).expect_error(403, "AuthorizationServiceMismatch");
    get(&account(&[("srt", "sc")])).expect_error(403, "AuthorizationResourceTypeMismatch");
    get(&account(&[("sp", "wl")])).expect_error(403, DENIED);
    let list = |sas: &str| send(&lake, "GET", "/raw?restype=container&comp=list", sas, &[]);
    list(&account(&[("sp", "l"), ("srt", "c")])).expect(200);
    list(&account(&[("sp", "l"), ("srt", "o")]))
        .expect_error(403, "AuthorizationResourceTypeMismatch");
    list(&sas("service", "/raw", &[("sp", "l")])).expect(200);
    // To list is not to read, however the request is dressed up.
    let listing = sas("service", "/raw", &[("sp", "l")]);
    for target in [
        "/raw/dir/f",
        "/raw/dir/f?resource=filesystem&comp=",
        "/raw/dir/f?comp=list",
    ] {
        send(&lake, "GET", target, &listing, &[]).expect_error(403, DENIED);
    }
    // What is the account's, and policies, no signature of a container opens.
    let all = sas("service", "/raw", &[("sp", "racwdxltmeop")]);
    for (method, target) in [
        ("HEAD", "/raw?resource=filesystem"),
        ("DELETE", "/raw?restype=container"),
        ("GET", "/raw?restype=container&comp=acl"),
        ("PUT", "/raw?restype=container&comp=metadata"),
    ] {
        send(&lake, method, target, &all, &[]).expect_error(403, "AuthorizationFailure");
    }
    send(
        &lake,
        "GET",
        "/raw?restype=container&comp=acl",
        &account(&[("sp", "rwdlacup")]),
        &[],
    )
    .expect_error(403, "AuthorizationFailure");
    // Permissions, owners and tags have letters of their own.
    let change = |letters: &str, header: (&str, &str)| {
        let sas = sas("service", "/raw", &[("sp", letters)]);
        send(
            &lake,
            "PATCH",
            "/raw/dir/f?action=setAccessControl",
            &sas,
            &[header],
        )
    };
    change("rw", ("x-ms-permissions", "0640")).expect_error(403, DENIED);
    change("p", ("x-ms-permissions", "0640")).expect(200);
    change("p", ("x-ms-owner", "alice")).expect_error(403, DENIED);
    change("o", ("x-ms-owner", "alice")).expect(200);
    send(
        &lake,
        "GET",
        "/raw/dir/f?comp=tags",
        &sas("service", "/raw", &[]),
        &[],
    )
    .expect_error(403, DENIED);
}

#[test]
fn whoever_may_only_create_replaces_nothing() {
    let lake = lake(&[]);
    let create = sas("service", "/raw", &[("sp", "c")]);
    let blob = [("x-ms-blob-type", "BlockBlob")];
    send(&lake, "PUT", "/raw/new?resource=file", &create, &[]).expect(201);
    send(&lake, "PUT", "/raw/blob", &create, &blob).expect(201);
    for target in ["/raw/new?resource=file", "/raw/dir?resource=directory"] {
        send(&lake, "PUT", target, &create, &[]).expect_error(403, "UnauthorizedBlobOverwrite");
    }
    send(&lake, "PUT", "/raw/blob", &create, &blob).expect_error(403, "UnauthorizedBlobOverwrite");
    let write = sas("service", "/raw", &[("sp", "w")]);
    send(&lake, "PUT", "/raw/blob", &write, &blob).expect(201);
}

#[test]
fn a_directorys_signature_ends_at_the_directory() {
    let lake = lake(&[]);
    let fields = [("sr", "d"), ("sdd", "1"), ("sp", "rlmcwd")];
    let sas_dir = sas("service", "/raw/dir", &fields);
    let list = |directory: &str| {
        let target = format!("/raw?resource=filesystem&recursive=true&directory={directory}");
        send(&lake, "GET", &target, &sas_dir, &[])
    };
    list("dir").expect(200);
    list("").expect_error(403, "AuthorizationFailure");
    let blobs = |prefix: &str| {
        let target = format!("/raw?restype=container&comp=list&prefix={prefix}");
        send(&lake, "GET", &target, &sas_dir, &[])
    };
    blobs("dir/").expect(200);
    blobs("di").expect_error(403, "AuthorizationFailure");
    send(&lake, "GET", "/raw/else", &sas_dir, &[]).expect_error(403, "AuthenticationFailed");
    // Neither a rename nor a copy brings in what is outside.
    let rename = |from: &str| {
        let source = [("x-ms-rename-source", from)];
        send(&lake, "PUT", "/raw/dir/taken", &sas_dir, &source)
    };
    rename("/devstoreaccount1/raw/else").expect_error(403, "AuthenticationFailed");
    rename("/devstoreaccount1/raw/dir/g").expect(201);
    let own = sas("service", "/raw", &[("sp", "d")]);
    rename(&format!("/devstoreaccount1/raw/else?{own}")).expect(201);
    let copy = |from: &str| {
        let url = format!(
            "https://{}/devstoreaccount1/raw/{from}",
            lake.address(Port::Blob)
        );
        send(
            &lake,
            "PUT",
            "/raw/dir/copy",
            &sas_dir,
            &[("x-ms-copy-source", &url)],
        )
    };
    copy("dir/f").expect(202);
    copy("else2").expect_error(403, "CannotVerifyCopySource");
    let read = sas("service", "/raw", &[]);
    copy(&format!("dir/taken?{read}")).expect(202);
}

/// Asks for a delegation key.
fn ask_key(lake: &Lake, oid: &str, start: &str, expiry: &str) -> Answer {
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let token = Token {
        oid,
        groups: &[],
        tenant: TENANT_DEFAULT,
        issued_unix_s: now.as_second(),
        lifetime_s: 600,
    };
    let token = bearer_token(&Account::well_known(), &token).unwrap();
    let body = format!("<KeyInfo><Start>{start}</Start><Expiry>{expiry}</Expiry></KeyInfo>");
    let target = "/?restype=service&comp=userdelegationkey";
    Bearer { lake, token }.ask(Port::Blob, "POST", target, &[], body.as_bytes())
}

#[test]
fn a_delegation_key_is_given_to_whoever_has_a_role_for_it_and_for_seven_days_at_most() {
    let lake = lake(&[
        "dan=Storage Blob Delegator",
        "raw=Storage Blob Data Owner@devstoreaccount1/raw",
    ]);
    let (start, end) = ("2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z");
    let key = ask_key(&lake, OWNER, start, end).expect(200);
    assert_eq!(
        [
            "SignedOid",
            "SignedTid",
            "SignedStart",
            "SignedExpiry",
            "SignedService",
            "SignedVersion"
        ]
        .map(|name| key.element(name)),
        [OWNER, TENANT_DEFAULT, start, end, "b", "2023-11-03"]
    );
    assert_eq!(
        key.element("Value"),
        STANDARD.encode(delegation_key(OWNER, end))
    );
    ask_key(&lake, "dan", NOW, end).expect(200);
    // Keys are the account's, so a role in one filesystem is not enough.
    ask_key(&lake, "raw", NOW, end).expect_error(403, DENIED);
    ask_key(&lake, "nobody", NOW, end).expect_error(403, DENIED);
    for (start, expiry) in [
        (NOW, "2026-11-29T12:00:01Z"),
        ("2026-11-14T00:00:00Z", "2026-11-23T00:00:00Z"),
        (start, "2026-11-22T11:59:59Z"),
        ("2026-11-26T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("soon", end),
        (NOW, ""),
    ] {
        ask_key(&lake, OWNER, start, expiry).expect_error(400, "InvalidXmlNodeValue");
    }
    let with_key = lake.blob(
        "POST",
        "/?restype=service&comp=userdelegationkey",
        &[TODAY],
        b"<a/>",
    );
    let refused = with_key.expect_error(403, "AuthenticationFailed");
    assert!(refused.text().contains("Only authentication scheme Bearer"));
}

#[test]
fn a_delegations_signature_opens_what_its_owner_may_and_no_more() {
    let lake = lake(&["dan=Storage Blob Delegator"]);
    let sas = |fields: &[(&'static str, &str)]| sas("delegation", "/raw", fields);
    let get = |fields: &[(&'static str, &str)]| send(&lake, "GET", "/raw/dir/f", &sas(fields), &[]);
    get(&[]).expect(200);
    get(&[("sp", "w")]).expect_error(403, DENIED);
    // The letters say write, but the owner only reads.
    let create = "/raw/dir/new?resource=file";
    send(&lake, "PUT", create, &sas(&[("sp", "rcw")]), &[]).expect_error(403, DENIED);
    get(&[("skoid", "dan")]).expect_error(403, DENIED);
    get(&[("ske", "2026-11-22T11:00:00Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("ske", "2026-12-22T11:00:00Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("sks", "f")]).expect_error(403, "AuthenticationFailed");
    get(&[("si", "reading")]).expect_error(403, "AuthenticationFailed");
    // One user's signature is good beside that user's token only.
    get(&[("sduoid", "alice")]).expect_error(403, "AuthenticationFailed");
    let token = |oid: &str| {
        let now: jiff::Timestamp = NOW.parse().unwrap();
        let token = Token {
            oid,
            groups: &[],
            tenant: TENANT_DEFAULT,
            issued_unix_s: now.as_second(),
            lifetime_s: 600,
        };
        format!(
            "Bearer {}",
            bearer_token(&Account::well_known(), &token).unwrap()
        )
    };
    let as_user = |oid: &str| {
        let sas = sas(&[("sduoid", "alice")]);
        send(
            &lake,
            "GET",
            "/raw/dir/f",
            &sas,
            &[("authorization", &token(oid))],
        )
    };
    as_user("alice").expect(200);
    as_user("bob").expect_error(403, "AuthenticationFailed");
}

#[test]
fn a_delegation_for_an_agent_is_checked_or_vouched_for() {
    let lake = lake(&["carol=Storage Blob Data Contributor"]);
    let own = [("skoid", "carol"), ("sp", "rcw")];
    let sas =
        |fields: &[(&'static str, &str)]| sas("delegation", "/raw", &[&own[..], fields].concat());
    let put = |path: &str, fields: &[(&'static str, &str)]| {
        send(
            &lake,
            "PUT",
            &format!("{path}?resource=file"),
            &sas(fields),
            &[],
        )
    };
    let owner = |path: &str| {
        let target = format!("{path}?action=getAccessControl");
        let told = lake.dfs("HEAD", &target, &[TODAY], b"").expect(200);
        told.header("x-ms-owner").to_owned()
    };
    put("/raw/dir/one", &[]).expect(201);
    assert_eq!(owner("/raw/dir/one"), "carol");
    put("/raw/dir/two", &[("saoid", "agent")]).expect(201);
    assert_eq!(owner("/raw/dir/two"), "agent");
    // For whom nobody vouches, access control decides.
    put("/raw/dir/three", &[("suoid", "agent")]).expect_error(403, DENIED);
    for path in ["/raw/", "/raw/dir"] {
        let acl = [
            TODAY,
            ("x-ms-acl", "user::rwx,group::r-x,user:agent:rwx,other::---"),
        ];
        lake.dfs(
            "PATCH",
            &format!("{path}?action=setAccessControl"),
            &acl,
            b"",
        )
        .expect(200);
    }
    put("/raw/dir/three", &[("suoid", "agent")]).expect(201);
    assert_eq!(owner("/raw/dir/three"), "agent");
    put("/raw/dir/four", &[("suoid", "agent"), ("saoid", "agent")])
        .expect_error(403, "AuthorizationFailure");
}
