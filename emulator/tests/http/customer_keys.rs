//! Keys that clients bring with their requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lakestage_emulator::AccessOptions;
use sha2::{Digest, Sha256};

use crate::client::{Answer, Lake, Port};

/// A key as the headers have it.
struct Key([String; 2]);

impl Key {
    fn new(byte: u8) -> Self {
        let key = [byte; 32];
        Self([BASE64.encode(key), BASE64.encode(Sha256::digest(key))])
    }

    fn with<'k>(&'k self, others: &[(&'k str, &'k str)]) -> Vec<(&'k str, &'k str)> {
        let own = [
            ("x-ms-encryption-key", &*self.0[0]),
            ("x-ms-encryption-key-sha256", &*self.0[1]),
            ("x-ms-encryption-algorithm", "AES256"),
        ];
        [&own, others].concat()
    }

    fn hash(&self) -> &str {
        &self.0[1]
    }
}

const BLOCK: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

fn put(lake: &Lake, path: &str, key: &Key, content: &[u8]) -> Answer {
    lake.blob("PUT", path, &key.with(&[BLOCK]), content)
}

#[test]
fn what_is_written_with_a_key_is_read_with_it_only() {
    let lake = Lake::with_raw();
    let (key, other) = (Key::new(1), Key::new(2));
    let content: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let written = put(&lake, "/raw/file", &key, &content).expect(201);
    assert_eq!(written.header("x-ms-encryption-key-sha256"), key.hash());
    assert_eq!(written.header("x-ms-request-server-encrypted"), "true");
    for port in [Port::Blob, Port::Dfs] {
        for method in ["GET", "HEAD"] {
            let ask =
                |headers: &[(&str, &str)]| lake.signed(port, method, "/raw/file", headers, b"");
            ask(&[]).expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
            ask(&other.with(&[])).expect_error(409, "BlobCustomerSpecifiedEncryptionMismatch");
            let read = ask(&key.with(&[])).expect(200);
            assert_eq!(read.header("x-ms-encryption-key-sha256"), key.hash());
        }
        let read = lake.signed(port, "GET", "/raw/file", &key.with(&[]), b"");
        assert_eq!(read.body, content);
        // Over the ends of two pieces.
        let range = key.with(&[("range", "bytes=262100-524400")]);
        let read = lake
            .signed(port, "GET", "/raw/file", &range, b"")
            .expect(206);
        assert_eq!(read.body, content[262_100..=524_400]);
    }
    lake.blob("PUT", "/raw/plain", &[BLOCK], b"plain")
        .expect(201);
    lake.blob("GET", "/raw/plain", &key.with(&[]), b"")
        .expect_error(409, "BlobDoesNotUseCustomerSpecifiedEncryption");
    // A list tells it; a deletion and a replacement need none.
    let list = lake.blob("GET", "/raw?restype=container&comp=list", &[], b"");
    assert_eq!(list.element("CustomerProvidedKeySha256"), key.hash());
    lake.blob("PUT", "/raw/file", &[BLOCK], b"new").expect(201);
    assert_eq!(
        lake.blob("GET", "/raw/file", &[], b"").expect(200).text(),
        "new"
    );
    put(&lake, "/raw/file", &key, b"again").expect(201);
    lake.blob("DELETE", "/raw/file", &[], b"").expect(202);
}

#[test]
fn every_way_of_writing_takes_a_key_and_keeps_to_it() {
    let (key, other) = (Key::new(1), Key::new(2));
    let lake = Lake::with_raw();
    let with = key.with(&[]);
    lake.dfs("PUT", "/raw/dfs?resource=file", &with, b"")
        .expect(201);
    for (place, run) in [(3, &b"def"[..]), (0, b"abc")] {
        let target = format!("/raw/dfs?action=append&position={place}");
        lake.dfs("PATCH", &target, &[], run)
            .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
        lake.dfs("PATCH", &target, &with, run).expect(202);
    }
    let flush = "/raw/dfs?action=flush&position=6";
    lake.dfs("PATCH", flush, &other.with(&[]), b"")
        .expect_error(409, "BlobCustomerSpecifiedEncryptionMismatch");
    lake.dfs("PATCH", flush, &with, b"").expect(200);
    assert_eq!(lake.dfs("GET", "/raw/dfs", &with, b"").text(), "abcdef");

    lake.blob("PUT", "/raw/blocks?comp=block&blockid=YQ==", &with, b"one")
        .expect(201);
    let list = b"<BlockList><Latest>YQ==</Latest></BlockList>";
    let commit = "/raw/blocks?comp=blocklist";
    lake.blob("PUT", commit, &other.with(&[]), list)
        .expect_error(409, "BlobCustomerSpecifiedEncryptionMismatch");
    lake.blob("PUT", commit, &[], list)
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    lake.blob("PUT", commit, &with, list).expect(201);
    assert_eq!(lake.blob("GET", "/raw/blocks", &with, b"").text(), "one");

    let metadata = [("x-ms-meta-a", "b")];
    lake.blob("PUT", "/raw/blocks?comp=metadata", &metadata, b"")
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    lake.blob(
        "PUT",
        "/raw/blocks?comp=metadata",
        &key.with(&metadata),
        b"",
    )
    .expect(200);
    // No bytes are copied, and a copy has no key to give away.
    let source = lake.address(Port::Blob);
    let source = format!("http://{source}/devstoreaccount1/raw/blocks");
    lake.blob("PUT", "/raw/copy", &[("x-ms-copy-source", &source)], b"")
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");

    // Where the bytes are read, the source's key opens them, and another may seal them.
    let from_source = [
        ("x-ms-copy-source", &*source),
        ("x-ms-source-encryption-key", &key.0[0]),
        ("x-ms-source-encryption-key-sha256", key.hash()),
        ("x-ms-source-encryption-algorithm", "AES256"),
    ];
    let stage = "/raw/copy?comp=block&blockid=YQ==";
    lake.blob("PUT", stage, &from_source[..1], b"")
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    lake.blob("PUT", stage, &other.with(&from_source), b"")
        .expect(201);
    lake.blob("PUT", "/raw/copy?comp=blocklist", &other.with(&[]), list)
        .expect(201);
    let read = lake.blob("GET", "/raw/copy", &other.with(&[]), b"");
    assert_eq!(read.expect(200).text(), "one");
    lake.blob("PUT", "/raw/copy", &from_source, b"")
        .expect_error(400, "UnsupportedHeader");

    let flat = Lake::flat();
    flat.blob(
        "PUT",
        "/raw/log",
        &key.with(&[("x-ms-blob-type", "AppendBlob")]),
        b"",
    )
    .expect(201);
    for _ in 0..3 {
        flat.blob("PUT", "/raw/log?comp=appendblock", &with, b"x")
            .expect(201);
    }
    flat.blob("PUT", "/raw/log?comp=appendblock", &[], b"x")
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    assert_eq!(flat.blob("GET", "/raw/log", &with, b"").text(), "xxx");
    flat.blob("PUT", "/raw/log?comp=snapshot", &[], b"")
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    let taken = flat
        .blob("PUT", "/raw/log?comp=snapshot", &with, b"")
        .expect(201);
    let snapshot = format!("/raw/log?snapshot={}", taken.header("x-ms-snapshot"));
    assert_eq!(flat.blob("GET", &snapshot, &with, b"").text(), "xxx");

    let pages = [
        ("x-ms-blob-type", "PageBlob"),
        ("x-ms-blob-content-length", "1024"),
    ];
    flat.blob("PUT", "/raw/disk", &key.with(&pages), b"")
        .expect(201);
    let write = [
        ("x-ms-page-write", "update"),
        ("x-ms-range", "bytes=512-1023"),
    ];
    flat.blob("PUT", "/raw/disk?comp=page", &write, &[7; 512])
        .expect_error(409, "BlobUsesCustomerSpecifiedEncryption");
    flat.blob("PUT", "/raw/disk?comp=page", &key.with(&write), &[7; 512])
        .expect(201);
    let read = flat.blob("GET", "/raw/disk", &with, b"").expect(200);
    assert_eq!(read.body, [[0; 512], [7; 512]].concat());
}

#[test]
fn a_key_that_is_wrong_or_out_of_place_is_refused() {
    let lake = Lake::with_raw();
    let key = Key::new(1);
    let all = key.with(&[BLOCK]);
    let without = |name: &str| -> Vec<(&str, &str)> {
        all.iter()
            .copied()
            .filter(|(other, _)| *other != name)
            .collect()
    };
    for name in [
        "x-ms-encryption-key",
        "x-ms-encryption-key-sha256",
        "x-ms-encryption-algorithm",
    ] {
        lake.blob("PUT", "/raw/file", &without(name), b"x")
            .expect_error(400, "MissingRequiredHeader");
    }
    for (name, value) in [
        ("x-ms-encryption-key", "a2V5"),
        ("x-ms-encryption-key", "not base64"),
        ("x-ms-encryption-key-sha256", Key::new(2).hash()),
        ("x-ms-encryption-algorithm", "AES128"),
    ] {
        let mut headers = without(name);
        headers.push((name, value));
        let answer = lake.blob("PUT", "/raw/file", &headers, b"x");
        let answer = answer.expect_error(400, "InvalidHeaderValue");
        assert!(!answer.text().contains("a2V5"), "a key is not told again");
    }
    // An algorithm without a key says nothing.
    let alone = [BLOCK, ("x-ms-encryption-algorithm", "AES256")];
    lake.blob("PUT", "/raw/file", &alone, b"x").expect(201);
    put(&lake, "/raw/file", &key, b"x").expect(201);
    // Reading takes no algorithm.
    let headers = without("x-ms-encryption-algorithm");
    lake.blob("GET", "/raw/file", &headers[..headers.len() - 1], b"")
        .expect(200);
    for (method, target) in [
        ("DELETE", "/raw/file"),
        ("PUT", "/raw/file?comp=tags"),
        ("GET", "/raw?restype=container&comp=list"),
    ] {
        lake.blob(method, target, &key.with(&[]), b"")
            .expect_error(400, "UnsupportedHeader");
    }
}

#[test]
fn keys_are_taken_over_tls() {
    let lake = Lake::secure(AccessOptions::default());
    let key = Key::new(3);
    put(&lake, "/raw/file", &key, b"content").expect(201);
    assert_eq!(
        lake.blob("GET", "/raw/file", &key.with(&[]), b"").text(),
        "content"
    );
}
