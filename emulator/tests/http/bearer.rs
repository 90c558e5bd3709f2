//! Bearer tokens, and what those who bear them may do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lakestage_emulator::{AccessOptions, Account, OAuth, TENANT_DEFAULT, Token, bearer_token};
use serde_json::{Value, json};

use crate::client::{Bearer, Lake, Port};

const DENIED: &str = "AuthorizationPermissionMismatch";
const CHALLENGE: &str = "Bearer authorization_uri=https://login.microsoftonline.com/1a4e57a9-0000-4000-8000-000000000000/oauth2/authorize resource_id=https://storage.azure.com";

pub fn with_roles(roles: &[&str]) -> AccessOptions {
    let mut options = AccessOptions::default();
    options.roles.assignments = roles.iter().map(|role| role.parse().unwrap()).collect();
    options
}

fn lists(bearer: &Bearer<'_>) -> crate::client::Answer {
    bearer.dfs("GET", "/raw?resource=filesystem&recursive=true")
}

/// A token with other claims, which the account's key signs as `lakestage token` has it.
fn token_with(change: impl Fn(&mut Value)) -> String {
    let token = Lake::new().bearer("alice", &[]).token;
    let payload = token.split('.').nth(1).unwrap();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    change(&mut claims);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!(
        "{}.{}",
        part(json!({"typ": "JWT", "alg": "HS256"})),
        part(claims)
    );
    // As README.md tells those who issue tokens of their own.
    let key = crate::client::sign("lakestage bearer token");
    let key = base64::engine::general_purpose::STANDARD
        .decode(key)
        .unwrap();
    let signature = crate::client::sign_with(&key, &text);
    let signature = base64::engine::general_purpose::STANDARD
        .decode(signature)
        .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_is_taken_until_it_expires_and_only_as_it_was_issued() {
    let lake = Lake::secure(with_roles(&["alice=Storage Blob Data Reader"]));
    let alice = lake.bearer("alice", &[]);
    lists(&alice).expect(200);
    let own = token_with(|_| {});
    let with = |token: String| Bearer { lake: &lake, token };
    lists(&with(own)).expect(200);
    let refused = |token: String, detail: &str| {
        let answer = lists(&with(token)).expect_error(401, "InvalidAuthenticationInfo");
        assert_eq!(answer.header("www-authenticate"), CHALLENGE);
        assert!(answer.text().contains(detail), "{}", answer.text());
    };
    let now = jiff::Timestamp::now().as_second();
    refused(
        token_with(|claims| claims["exp"] = (now - 1).into()),
        "Lifetime",
    );
    refused(
        token_with(|claims| claims["nbf"] = (now + 900).into()),
        "Lifetime",
    );
    refused(
        token_with(|claims| claims["aud"] = "https://graph.microsoft.com".into()),
        "Audience",
    );
    refused(
        token_with(|claims| claims["tid"] = "another".into()),
        "Issuer",
    );
    refused(
        token_with(|claims| claims["iss"] = "https://evil/".into()),
        "Issuer",
    );
    refused(
        token_with(|claims| claims["oid"] = "a b".into()),
        "object id",
    );
    let (text, signature) = alice.token.rsplit_once('.').unwrap();
    let flipped = match signature.strip_prefix('A') {
        Some(rest) => format!("{text}.B{rest}"),
        None => format!("{text}.A{}", &signature[1..]),
    };
    refused(flipped, "Signature");
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
    let (_, rest) = text.split_once('.').unwrap();
    refused(format!("{none}.{rest}."), "Signature");
    refused("no token".to_owned(), "no JSON web token");
    // By another account's key.
    let other = Account::from_base64("contoso", "c2VjcmV0").unwrap();
    let token = Token {
        oid: "alice",
        groups: &[],
        tenant: TENANT_DEFAULT,
        issued_unix_s: now,
        lifetime_s: 600,
    };
    refused(bearer_token(&other, &token).unwrap(), "Signature");
    refused(
        bearer_token(
            &Account::well_known(),
            &Token {
                tenant: "other",
                ..token
            },
        )
        .unwrap(),
        "Issuer",
    );
}

#[test]
fn a_token_is_not_taken_over_plain_http() {
    let lake = Lake::secure(with_roles(&["alice=Storage Blob Data Reader"])).plain();
    let refused = lists(&lake.bearer("alice", &[])).expect_error(403, "AuthenticationFailed");
    assert!(refused.text().contains("not allowed with HTTP"));
}

#[test]
fn a_request_without_credentials_is_told_where_tokens_are_had() {
    let lake = Lake::with_raw();
    let none = std::collections::BTreeMap::new();
    let answer = lake
        .send(
            Port::Blob,
            "GET",
            "/devstoreaccount1/?comp=list",
            &none,
            b"",
        )
        .expect_error(401, "NoAuthenticationInformation");
    assert_eq!(answer.header("www-authenticate"), CHALLENGE);
}

#[test]
fn tokens_of_others_are_taken_only_where_that_is_switched_on() {
    let foreign = {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"oid": "alice", "exp": 4_000_000_000_i64, "aud": "anything"});
        format!("{}.{}.c2ln", part(json!({"alg": "RS256"})), part(claims))
    };
    let roles = || with_roles(&["alice=Storage Blob Data Reader"]);
    let verifying = Lake::secure(roles());
    let with = |lake, token| Bearer { lake, token };
    lists(&with(&verifying, foreign.clone())).expect_error(401, "InvalidAuthenticationInfo");
    let accepting = Lake::secure(AccessOptions {
        oauth: OAuth::Accept,
        ..roles()
    });
    lists(&with(&accepting, foreign)).expect(200);
    lists(&with(&accepting, "opaque".to_owned())).expect_error(401, "InvalidAuthenticationInfo");
}

#[test]
fn what_is_created_by_a_role_belongs_to_whoever_has_it() {
    let lake = Lake::secure(with_roles(&[
        "carol=Storage Blob Data Contributor",
        "olga=Storage Blob Data Owner",
    ]));
    let access = |path: &str| {
        let told = lake.dfs("HEAD", &format!("{path}?action=getAccessControl"), &[], b"");
        (
            told.header("x-ms-owner").to_owned(),
            told.header("x-ms-group").to_owned(),
        )
    };
    let of = |owner: &str, group: &str| (owner.to_owned(), group.to_owned());
    let carol = lake.bearer("carol", &[]);
    carol.dfs("PUT", "/new?resource=filesystem").expect(201);
    assert_eq!(access("/new/"), of("carol", "carol"));
    carol.dfs("PUT", "/raw/dir/f?resource=file").expect(201);
    assert_eq!(access("/raw/dir/f"), of("carol", "$superuser"));
    // Her own she may change, as access control has it; others' not, and no owner.
    let change = |who: &Bearer<'_>, path: &str, header: (&str, &str)| {
        let target = format!("{path}?action=setAccessControl");
        who.ask(Port::Dfs, "PATCH", &target, &[header], b"")
    };
    lake.file("/raw/other", b"x");
    let mode = ("x-ms-permissions", "0777");
    change(&carol, "/raw/other", mode).expect_error(403, DENIED);
    change(&carol, "/new/", mode).expect(200);
    change(&carol, "/new/", ("x-ms-owner", "bob")).expect_error(403, DENIED);
    let olga = lake.bearer("olga", &[]);
    change(&olga, "/raw/other", mode).expect(200);
    change(&olga, "/raw/other", ("x-ms-owner", "bob")).expect(200);
    assert_eq!(access("/raw/other"), of("bob", "$superuser"));
}

#[test]
fn lists_decide_where_no_role_does() {
    let lake = Lake::secure(with_roles(&["rita=Storage Blob Data Reader"]));
    let list = |path: &str, acl: &str| {
        let target = format!("{path}?action=setAccessControl");
        lake.dfs("PATCH", &target, &[("x-ms-acl", acl)], b"")
            .expect(200);
    };
    lake.dfs("PUT", "/raw/open?resource=directory", &[], b"")
        .expect(201);
    lake.file("/raw/open/f", b"text");
    lake.file("/raw/hidden", b"text");
    list(
        "/raw/",
        "user::rwx,group::r-x,group:staff:--x,user:rita:--x,other::---",
    );
    list(
        "/raw/open",
        "user::rwx,group::r-x,group:staff:rwx,user:rita:-wx,other::---",
    );
    // Without a role, a member of the group goes by its entries.
    let sam = lake.bearer("sam", &["staff"]);
    sam.dfs("PUT", "/raw/open/sams?resource=file").expect(201);
    sam.dfs("GET", "/raw/open/f").expect_error(403, DENIED);
    sam.dfs("GET", "/raw/hidden").expect_error(403, DENIED);
    lake.bearer("sam", &[])
        .dfs("PUT", "/raw/open/more?resource=file")
        .expect_error(403, DENIED);
    // A role that lets read decides reading; writing is left to the list.
    let rita = lake.bearer("rita", &[]);
    rita.dfs("GET", "/raw/hidden").expect(200);
    rita.dfs("PUT", "/raw/open/ritas?resource=file").expect(201);
    rita.dfs("DELETE", "/raw/hidden").expect_error(403, DENIED);
}

#[test]
fn what_somebody_may_not_see_is_not_told() {
    let lake = Lake::secure(with_roles(&["rita=Storage Blob Data Reader"]));
    let nobody = lake.bearer("nobody", &[]);
    for target in ["/none/f", "/raw/f", "/raw/none/f"] {
        nobody.dfs("GET", target).expect_error(403, DENIED);
        nobody.blob("GET", target).expect_error(403, DENIED);
    }
    let rita = lake.bearer("rita", &[]);
    rita.dfs("GET", "/none/f")
        .expect_error(404, "FilesystemNotFound");
    let detail = nobody.blob("GET", "/?comp=list").expect_error(403, DENIED);
    assert!(
        detail.text().contains("containers/read"),
        "{}",
        detail.text()
    );
}

#[test]
fn a_source_has_to_be_allowed_as_well() {
    let lake = Lake::secure(with_roles(&[
        "carol=Storage Blob Data Contributor@devstoreaccount1/raw",
        "dora=Storage Blob Data Contributor",
    ]));
    lake.dfs("PUT", "/other?resource=filesystem", &[], b"")
        .expect(201);
    for path in ["/other/f", "/raw/f", "/other/g"] {
        lake.file(path, b"secret");
    }
    let url = |path: &str| {
        format!(
            "https://{}/devstoreaccount1{path}",
            lake.address(Port::Blob)
        )
    };
    let copy = |who: &Bearer<'_>, from: &str| {
        let (source, version) = (url(from), "2023-11-03");
        let headers = [
            ("x-ms-copy-source", source.as_str()),
            ("x-ms-version", version),
        ];
        who.ask(Port::Blob, "PUT", "/raw/copy", &headers, b"")
    };
    let rename = |who: &Bearer<'_>, from: &str, to: &str| {
        let source = format!("/devstoreaccount1{from}");
        who.ask(
            Port::Dfs,
            "PUT",
            to,
            &[("x-ms-rename-source", &source)],
            b"",
        )
    };
    let (carol, dora) = (lake.bearer("carol", &[]), lake.bearer("dora", &[]));
    copy(&carol, "/raw/f").expect(202);
    copy(&carol, "/other/f").expect_error(403, DENIED);
    copy(&dora, "/other/f").expect(202);
    // Or the source has a token of its own.
    let put = |token: &str| {
        let (source, token) = (url("/other/f"), format!("Bearer {token}"));
        let headers = [
            ("x-ms-copy-source", source.as_str()),
            ("x-ms-blob-type", "BlockBlob"),
            ("x-ms-copy-source-authorization", token.as_str()),
        ];
        carol.ask(Port::Blob, "PUT", "/raw/put", &headers, b"")
    };
    put(&dora.token).expect(201);
    put(&carol.token).expect_error(403, DENIED);
    put("none").expect_error(403, "CannotVerifyCopySource");
    rename(&carol, "/other/f", "/raw/moved").expect_error(403, DENIED);
    rename(&carol, "/raw/f", "/other/moved").expect_error(403, DENIED);
    rename(&carol, "/raw/f", "/raw/moved").expect(201);
    rename(&dora, "/other/g", "/raw/g").expect(201);
}

#[test]
fn a_batch_goes_by_its_bearers_rights_request_by_request() {
    let lake = Lake::secure(with_roles(&[
        "carol=Storage Blob Data Contributor@devstoreaccount1/raw",
        "carol=Storage Blob Data Reader",
    ]));
    lake.dfs("PUT", "/other?resource=filesystem", &[], b"")
        .expect(201);
    lake.file("/raw/f", b"x");
    lake.file("/other/f", b"x");
    let part = |n: u8, path: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: {n}\r\n\r\nDELETE /devstoreaccount1{path} HTTP/1.1\r\nx-ms-version: 2023-11-03\r\n\r\n\r\n"
        )
    };
    let body = format!("{}{}--b--\r\n", part(0, "/raw/f"), part(1, "/other/f"));
    let kind = [("content-type", "multipart/mixed; boundary=b")];
    let answer = lake
        .bearer("carol", &[])
        .ask(Port::Blob, "POST", "/?comp=batch", &kind, body.as_bytes())
        .expect(202);
    let text = answer.text();
    assert!(text.contains("HTTP/1.1 202"), "{text}");
    assert!(
        text.contains("HTTP/1.1 403") && text.contains(DENIED),
        "{text}"
    );
    lake.dfs("HEAD", "/other/f", &[], b"").expect(200);
    lake.dfs("HEAD", "/raw/f", &[], b"").expect(404);
}

#[test]
fn a_bearer_does_not_become_somebody_else() {
    let options = lakestage_emulator::ServerOptions {
        takes_identities: true,
        access: with_roles(&["olga=Storage Blob Data Owner"]),
        tls: Some(lakestage_emulator::Tls::SelfSigned {
            folder: None,
            names: Vec::new(),
        }),
        ..lakestage_emulator::ServerOptions::default()
    };
    let store = lakestage_emulator::Store::open(lakestage_emulator::StoreOptions::default());
    let lake = Lake::with_options(store.unwrap(), options).over_tls();
    let header = [("x-lakestage-identity", "olga")];
    lake.bearer("nobody", &[])
        .ask(Port::Dfs, "PUT", "/raw?resource=filesystem", &header, b"")
        .expect_error(403, DENIED);
    lake.bearer("olga", &[])
        .ask(Port::Dfs, "PUT", "/raw?resource=filesystem", &header, b"")
        .expect_error(400, "UnsupportedHeader");
    // The account itself acts for somebody, whose roles hold.
    lake.dfs("PUT", "/raw?resource=filesystem", &header, b"")
        .expect(201);
}
