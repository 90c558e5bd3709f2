//! Who may do what: shared keys and shared access signatures.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use lakestage_emulator::{Account, AccountSas, account_sas};

use crate::client::{Lake, Port, sign};

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pairs.collect()
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let lake = Lake::with_raw();
    let target = "/devstoreaccount1/raw?restype=container&comp=list";
    let answer = lake.send(
        Port::Blob,
        "GET",
        target,
        &headers(&[("x-ms-version", "2023-11-03")]),
        b"",
    );
    assert_eq!(answer.code(), "NoAuthenticationInformation");
    assert_eq!(answer.status, 401);
}

#[test]
fn a_wrong_signature_is_refused_with_the_text_the_server_signed() {
    let lake = Lake::with_raw();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let wrong = headers(&[
        ("authorization", "SharedKey devstoreaccount1:c2VjcmV0"),
        ("x-ms-date", &date),
        ("x-ms-version", "2023-11-03"),
    ]);
    let target = "/devstoreaccount1/raw?restype=container&comp=list";
    let answer = lake.send(Port::Blob, "GET", target, &wrong, b"");
    let answer = answer.expect_error(403, "AuthenticationFailed");
    let detail = answer.element("AuthenticationErrorDetail");
    assert!(
        detail.contains("/devstoreaccount1/devstoreaccount1/raw"),
        "{detail}"
    );
}

#[test]
fn a_date_more_than_15_minutes_off_is_refused() {
    let lake = Lake::with_raw();
    for minutes in [-20_i64, 20] {
        let shift = Duration::from_secs(60 * minutes.unsigned_abs());
        let now = SystemTime::now();
        let date = if minutes < 0 {
            now - shift
        } else {
            now + shift
        };
        let date = httpdate::fmt_http_date(date);
        lake.dfs(
            "HEAD",
            "/raw?resource=filesystem",
            &[("x-ms-date", &date)],
            b"",
        )
        .expect_error(403, "AuthenticationFailed");
    }
}

#[test]
fn a_lite_signature_is_taken() {
    let lake = Lake::with_raw();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let text = format!(
        "GET\n\n\n\nx-ms-date:{date}\nx-ms-version:2023-11-03\n/devstoreaccount1/devstoreaccount1/raw?comp=list"
    );
    let ask = |signature: &str| {
        let given = headers(&[
            (
                "authorization",
                &format!("SharedKeyLite devstoreaccount1:{signature}"),
            ),
            ("x-ms-date", &date),
            ("x-ms-version", "2023-11-03"),
        ]);
        let target = "/devstoreaccount1/raw?restype=container&comp=list";
        lake.send(Port::Blob, "GET", target, &given, b"")
    };
    ask(&sign(&text)).expect(200);
    ask(&sign(&text.replace("comp=list", "comp=acl"))).expect_error(403, "AuthenticationFailed");
}

#[test]
fn an_unknown_account_is_not_there() {
    let lake = Lake::new();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let unknown = headers(&[
        ("authorization", "SharedKey nobody:c2VjcmV0"),
        ("x-ms-date", &date),
    ]);
    let answer = lake.send(
        Port::Blob,
        "GET",
        "/nobody/raw?restype=container",
        &unknown,
        b"",
    );
    assert!(
        matches!(answer.status, 400..=404),
        "{} {}",
        answer.status,
        answer.code()
    );
}

/// An account SAS as a query string.
fn sas(permissions: &str, expires_in_s: i64) -> String {
    let expiry = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(expires_in_s);
    let sas = AccountSas {
        permissions,
        resource_types: "sco",
        expiry: &expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    account_sas(&Account::well_known(), &sas).unwrap()
}

#[test]
fn a_shared_access_signature_opens_what_it_permits_until_it_expires() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    let version = headers(&[("x-ms-version", "2023-11-03")]);
    let get = |sas: &str| {
        let target = format!("/devstoreaccount1/raw/f?{sas}");
        lake.send(Port::Dfs, "GET", &target, &version, b"")
    };
    let read = sas("r", 600);
    assert_eq!(get(&read).expect(200).text(), "abc");
    let target = format!("/devstoreaccount1/raw/f?recursive=true&{read}");
    lake.send(Port::Dfs, "DELETE", &target, &version, b"")
        .expect_error(403, "AuthorizationPermissionMismatch");
    // This one speaks no TLS.
    let expiry = "2999-01-01T00:00:00Z";
    let text = format!("devstoreaccount1\nr\nb\nsco\n\n{expiry}\n\nhttps\n2023-11-03\n\n");
    let signature = sign(&text)
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let https_only =
        format!("sv=2023-11-03&ss=b&srt=sco&sp=r&se={expiry}&spr=https&sig={signature}");
    get(&https_only).expect_error(403, "AuthorizationProtocolMismatch");
    get(&sas("r", -60)).expect_error(403, "AuthenticationFailed");
    get(&read.replace("sp=r", "sp=rw")).expect_error(403, "AuthenticationFailed");
}
