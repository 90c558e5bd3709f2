//! What both protocols have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakestage_emulator::clock::Clock;
use lakestage_emulator::{ServerOptions, Store, StoreOptions};

use crate::client::{Lake, Port};

/// It is eight o'clock.
#[derive(Debug)]
struct TestClock;

impl Clock for TestClock {
    fn now_unix_ns(&self) -> i64 {
        1_800_000_000_000_000_000
    }
}

#[test]
fn each_port_takes_both_protocols() {
    let lake = Lake::new();
    lake.signed(Port::Blob, "PUT", "/raw?resource=filesystem", &[], b"")
        .expect(201);
    lake.signed(Port::Blob, "PUT", "/raw/a?resource=directory", &[], b"")
        .expect(201);
    let blob = [("x-ms-blob-type", "BlockBlob")];
    lake.signed(Port::Dfs, "PUT", "/raw/a/f", &blob, b"abc")
        .expect(201);
    for port in [Port::Blob, Port::Dfs] {
        let target = "/raw?restype=container&comp=list";
        assert!(
            lake.signed(port, "GET", target, &[], b"")
                .expect(200)
                .text()
                .contains("<Name>a/f</Name>")
        );
        let target = "/raw?resource=filesystem&recursive=true";
        let listed = lake
            .signed(port, "GET", target, &[], b"")
            .expect(200)
            .json();
        assert_eq!(listed["paths"][1]["name"], "a/f");
        // A bare GET is answered with the headers of both.
        let read = lake.signed(port, "GET", "/raw/a/f", &[], b"").expect(200);
        assert_eq!(read.header("x-ms-blob-type"), "BlockBlob");
        assert_eq!(read.header("x-ms-resource-type"), "file");
    }
}

#[test]
fn errors_have_the_form_of_their_protocol() {
    let lake = Lake::with_raw();
    let dfs = lake
        .dfs("GET", "/raw/missing", &[], b"")
        .expect_error(404, "PathNotFound");
    assert_eq!(dfs.header("content-type"), "application/json;charset=utf-8");
    let error = &dfs.json()["error"];
    assert_eq!(error["code"], "PathNotFound");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("RequestId:") && message.contains("Time:"),
        "{message}"
    );
    assert!(message.contains(dfs.header("x-ms-request-id")));

    let blob = lake
        .blob("GET", "/raw/missing", &[], b"")
        .expect_error(404, "BlobNotFound");
    assert_eq!(blob.header("content-type"), "application/xml");
    assert_eq!(blob.element("Code"), "BlobNotFound");
    assert!(blob.element("Message").contains("RequestId:"));

    let head = lake
        .blob("HEAD", "/raw/missing", &[], b"")
        .expect_error(404, "BlobNotFound");
    assert!(head.body.is_empty() && head.header("content-type").is_empty());
}

#[test]
fn every_answer_has_a_request_id_the_version_and_the_clients_own_id() {
    let lake = Lake::with_raw();
    let headers = [
        ("x-ms-client-request-id", "mine"),
        ("x-ms-version", "2021-12-02"),
    ];
    for (target, status) in [
        ("/raw?resource=filesystem", 200),
        ("/missing?resource=filesystem", 404),
    ] {
        let answer = lake.dfs("HEAD", target, &headers, b"").expect(status);
        assert_eq!(answer.header("x-ms-version"), "2021-12-02");
        assert_eq!(answer.header("x-ms-client-request-id"), "mine");
        assert_eq!(answer.header("x-ms-request-id").len(), 36);
        assert!(!answer.header("date").is_empty());
    }
}

#[test]
fn versions_that_are_none_or_too_old_are_refused() {
    let lake = Lake::with_raw();
    for version in ["tomorrow", "2010-01-01"] {
        let answer = lake.dfs(
            "HEAD",
            "/raw?resource=filesystem",
            &[("x-ms-version", version)],
            b"",
        );
        assert_eq!(answer.status, 400, "{version}");
    }
    lake.dfs(
        "HEAD",
        "/raw?resource=filesystem",
        &[("x-ms-version", "2099-01-01")],
        b"",
    )
    .expect(200);
}

#[test]
fn the_account_may_stand_in_the_host() {
    let lake = Lake::new();
    let port = lake.address(Port::Dfs).port();
    for host in [
        "devstoreaccount1.dfs.localhost",
        "devstoreaccount1.blob.localhost",
    ] {
        let mut headers = BTreeMap::new();
        headers.insert("host".to_owned(), format!("{host}:{port}"));
        let answer = lake.send(Port::Dfs, "GET", "/raw/x", &headers, b"");
        // The account was found: what is missing is a signature, not the account.
        assert_eq!(answer.status, 401, "{host}: {}", answer.code());
    }
}

#[test]
fn what_is_no_request_of_the_service_is_answered_and_ends_nothing() {
    let lake = Lake::with_raw();
    lake.dfs("PATCH", "/raw/f?action=dance", &[], b"")
        .expect(400);
    lake.dfs("PATCH", "/raw/f?action=append&position=minus", &[], b"")
        .expect(400);
    lake.dfs(
        "GET",
        "/raw?resource=filesystem&recursive=true&maxResults=0",
        &[],
        b"",
    )
    .expect(400);
    lake.blob("PUT", "/raw/f", &[], b"x").expect(400);
    lake.blob("PUT", "/raw/f?comp=blocklist", &[], b"<BlockList><Latest>")
        .expect(400);
    lake.blob("PUT", "/raw/f?comp=nothing", &[], b"")
        .expect_error(501, "NotImplemented");
    lake.dfs("HEAD", "/raw?resource=filesystem", &[], b"")
        .expect(200);
}

#[test]
fn an_emulator_is_started_by_one_call_and_ends_when_it_is_dropped() {
    let emulator = lakestage_emulator::Emulator::start().unwrap();
    let url: http::Uri = emulator.dfs_url().parse().unwrap();
    let address = url.authority().unwrap().to_string();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    emulator
        .store()
        .create_file_system("devstoreaccount1", "raw")
        .unwrap();
    assert!(
        emulator
            .connection_string()
            .contains("AccountName=devstoreaccount1;AccountKey=Eby8")
    );
    drop(emulator);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

#[test]
fn a_ranges_checksum_is_worked_out_when_it_is_asked_for() {
    let lake = Lake::with_raw();
    lake.file("/raw/file", b"say Hello Azure!");
    let range = ("range", "bytes=4-15");
    let crc64 = ("x-ms-range-get-content-crc64", "true");
    let md5 = ("x-ms-range-get-content-md5", "true");
    let read = lake
        .blob("GET", "/raw/file", &[range, crc64], b"")
        .expect(206);
    assert_eq!(read.header("x-ms-content-crc64"), "DtjZpL9/o8c=");
    let read = lake.dfs("GET", "/raw/file", &[range, md5], b"").expect(206);
    assert_eq!(read.header("content-md5").len(), 24);
    lake.blob("GET", "/raw/file", &[range, crc64, md5], b"")
        .expect_error(400, "InvalidHeaderValue");
    lake.dfs(
        "GET",
        "/raw/file",
        &[range, ("x-ms-range-get-content-md5", "maybe")],
        b"",
    )
    .expect_error(400, "InvalidHeaderValue");
}

#[test]
fn a_secondary_says_how_far_it_is_behind() {
    let options = StoreOptions {
        clock: Arc::new(TestClock),
        ..StoreOptions::default()
    };
    let server = ServerOptions {
        secondary_lag_s: 60,
        ..ServerOptions::default()
    };
    let lake = Lake::with_options(Store::open(options).unwrap(), server);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let headers = [&[("x-ms-date", "Fri, 15 Jan 2027 08:00:00 GMT")], headers].concat();
        lake.signed(Port::Blob, method, target, &headers, body)
    };
    let stats = ask("GET", "-secondary/?restype=service&comp=stats", &[], b"").expect(200);
    assert_eq!(
        stats.element("LastSyncTime"),
        "Fri, 15 Jan 2027 07:59:00 GMT"
    );
    // Later changes show all the same, as they may.
    ask("PUT", "/raw?restype=container", &[], b"").expect(201);
    ask(
        "PUT",
        "/raw/new",
        &[("x-ms-blob-type", "BlockBlob")],
        b"text",
    )
    .expect(201);
    ask("GET", "-secondary/raw/new", &[], b"").expect(200);
}

#[test]
fn the_secondary_address_is_only_read() {
    let lake = Lake::with_raw();
    lake.file("/raw/a", b"text");
    let code = "InsufficientAccountPermissions";
    // The account in the path as it was sent is what is signed, with the primary's name before it.
    let send = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        lake.signed(
            Port::Blob,
            method,
            &format!("-secondary{target}"),
            headers,
            body,
        )
    };
    let read = send("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"text");
    send("HEAD", "/raw/a", &[], b"").expect(200);
    send("GET", "/raw?restype=container&comp=list", &[], b"").expect(200);
    let blob = [("x-ms-blob-type", "BlockBlob")];
    send("PUT", "/raw/b", &blob, b"new").expect_error(403, code);
    send("DELETE", "/raw/a", &[], b"").expect_error(403, code);
    send("PUT", "/raw/d?resource=directory", &[], b"").expect_error(403, code);
    send("PATCH", "/raw/a?action=append&position=4", &[], b"x").expect_error(403, code);
    let stats = send("GET", "/?restype=service&comp=stats", &[], b"").expect(200);
    assert_eq!(stats.element("Status"), "live");
    assert!(stats.element("LastSyncTime").ends_with("GMT"));
    let read = lake.blob("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"text");
}
