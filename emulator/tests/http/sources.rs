//! Writing from a URL of the same server instead of a body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lakestage_emulator::{
    Account, AccountSas, DEFAULT_ACCOUNT_NAME, Part, Store, StoreOptions, WriteOptions, account_sas,
};

use crate::client::{Answer, Lake, Port};

const MD5_OF_BCD: &str = "1LfChIgsqeIIu2Xoq9X0yA==";

fn url(lake: &Lake, path: &str) -> String {
    format!("http://{}/devstoreaccount1{path}", lake.address(Port::Blob))
}

fn lake() -> Lake {
    let lake = Lake::flat();
    lake.blob(
        "PUT",
        "/raw/source",
        &[("x-ms-blob-type", "BlockBlob")],
        b"abcdef",
    )
    .expect(201);
    lake
}

fn put_from(lake: &Lake, target: &str, source: &str, more: &[(&str, &str)]) -> Answer {
    let source = url(lake, source);
    let mut headers = vec![("x-ms-copy-source", source.as_str())];
    headers.extend(more);
    lake.blob("PUT", target, &headers, b"")
}

#[test]
fn blocks_pages_and_appended_blocks_may_come_from_a_url() {
    let lake = lake();
    let block = "/raw/blocks?comp=block&blockid=YQ==";
    let range = ("x-ms-source-range", "bytes=1-3");
    put_from(&lake, block, "/raw/source", &[range]).expect(201);
    let list = b"<BlockList><Latest>YQ==</Latest></BlockList>";
    lake.blob("PUT", "/raw/blocks?comp=blocklist", &[], list)
        .expect(201);
    let read = |path: &str| lake.blob("GET", path, &[], b"").expect(200).body;
    assert_eq!(&*read("/raw/blocks"), b"bcd");
    lake.blob("PUT", "/raw/log", &[("x-ms-blob-type", "AppendBlob")], b"")
        .expect(201);
    for more in [&[range][..], &[]] {
        put_from(&lake, "/raw/log?comp=appendblock", "/raw/source", more).expect(201);
    }
    assert_eq!(&*read("/raw/log"), b"bcdabcdef");
    let long = vec![b'p'; 1024];
    lake.blob(
        "PUT",
        "/raw/long",
        &[("x-ms-blob-type", "BlockBlob")],
        &long,
    )
    .expect(201);
    let pages = [
        ("x-ms-blob-type", "PageBlob"),
        ("x-ms-blob-content-length", "1024"),
    ];
    lake.blob("PUT", "/raw/pages", &pages, b"").expect(201);
    let write = [
        ("x-ms-page-write", "update"),
        ("x-ms-range", "bytes=512-1023"),
        ("x-ms-source-range", "bytes=0-511"),
    ];
    put_from(&lake, "/raw/pages?comp=page", "/raw/long", &write).expect(201);
    assert_eq!(read("/raw/pages"), [vec![0; 512], vec![b'p'; 512]].concat());
}

#[test]
fn a_source_has_conditions_a_checksum_and_must_be_there() {
    let lake = lake();
    let block = "/raw/blocks?comp=block&blockid=YQ==";
    let range = ("x-ms-source-range", "bytes=1-3");
    let put = |source: &str, more: &[(&str, &str)]| put_from(&lake, block, source, more);
    put("/raw/none", &[]).expect_error(404, "CannotVerifyCopySource");
    put("/none/source", &[]).expect_error(404, "CannotVerifyCopySource");
    put("/raw/source", &[("x-ms-source-if-match", "\"0x1\"")])
        .expect_error(412, "SourceConditionNotMet");
    put("/raw/source", &[("x-ms-source-range", "bytes=6-9")]).expect_error(416, "InvalidRange");
    let md5 = ("x-ms-source-content-md5", MD5_OF_BCD);
    put("/raw/source", &[md5]).expect_error(400, "Md5Mismatch");
    let told = put("/raw/source", &[md5, range]).expect(201);
    assert_eq!(told.header("content-md5"), MD5_OF_BCD);
    let crc64 = put("/raw/source", &[range]).expect(201);
    assert_ne!(crc64.header("x-ms-content-crc64"), "");
    let list = b"<BlockList><Uncommitted>YQ==</Uncommitted></BlockList>";
    lake.blob("PUT", "/raw/blocks?comp=blocklist", &[], list)
        .expect(201);
    let read = lake.blob("GET", "/raw/blocks", &[], b"").expect(200);
    assert_eq!(&*read.body, b"bcd");
}

#[test]
fn a_copy_is_of_its_sources_type_and_as_closed() {
    let lake = lake();
    lake.blob("PUT", "/raw/log", &[("x-ms-blob-type", "AppendBlob")], b"")
        .expect(201);
    lake.blob("PUT", "/raw/log?comp=appendblock", &[], b"one")
        .expect(201);
    put_from(&lake, "/raw/open", "/raw/log", &[]).expect(202);
    lake.blob("PUT", "/raw/open?comp=appendblock", &[], b"two")
        .expect(201);
    put_from(
        &lake,
        "/raw/sealed",
        "/raw/log",
        &[("x-ms-seal-blob", "true")],
    )
    .expect(202);
    put_from(&lake, "/raw/again", "/raw/sealed", &[]).expect(202);
    let head = lake.blob("HEAD", "/raw/again", &[], b"").expect(200);
    assert_eq!(
        (
            head.header("x-ms-blob-type"),
            head.header("x-ms-blob-sealed"),
            head.header("x-ms-blob-committed-block-count")
        ),
        ("AppendBlob", "true", "1")
    );
    lake.blob("PUT", "/raw/again?comp=appendblock", &[], b"two")
        .expect_error(409, "BlobIsSealed");
    put_from(&lake, "/raw/open", "/raw/source", &[]).expect_error(409, "InvalidBlobType");
    // Put Blob From URL makes a block blob of anything.
    let put = [("x-ms-blob-type", "BlockBlob")];
    put_from(&lake, "/raw/plain", "/raw/log", &put).expect(201);
    let head = lake.blob("HEAD", "/raw/plain", &[], b"").expect(200);
    assert_eq!(head.header("x-ms-blob-type"), "BlockBlob");
}

#[test]
fn a_snapshot_may_be_a_source() {
    let lake = lake();
    let taken = lake
        .blob("PUT", "/raw/source?comp=snapshot", &[], b"")
        .expect(201);
    let time = taken.header("x-ms-snapshot").to_owned();
    lake.blob(
        "PUT",
        "/raw/source",
        &[("x-ms-blob-type", "BlockBlob")],
        b"new",
    )
    .expect(201);
    put_from(
        &lake,
        "/raw/old",
        &format!("/raw/source?snapshot={time}"),
        &[],
    )
    .expect(202);
    let read = lake.blob("GET", "/raw/old", &[], b"").expect(200);
    assert_eq!(&*read.body, b"abcdef");
}

#[test]
fn a_blob_put_from_a_url_is_checked_against_the_sources_md5() {
    let lake = lake();
    let put = |kind: &str, md5: &str| {
        let more = [("x-ms-blob-type", kind), ("x-ms-source-content-md5", md5)];
        put_from(&lake, "/raw/copy", "/raw/source", &more)
    };
    put("BlockBlob", MD5_OF_BCD).expect_error(400, "Md5Mismatch");
    put("BlockBlob", "short").expect_error(400, "InvalidMd5");
    lake.blob("HEAD", "/raw/copy", &[], b"").expect(404);
    let whole = lake.blob("HEAD", "/raw/source", &[], b"").expect(200);
    put("PageBlob", whole.header("content-md5")).expect_error(400, "InvalidHeaderValue");
    put("BlockBlob", whole.header("content-md5")).expect(201);
    let read = lake.blob("GET", "/raw/copy", &[], b"").expect(200);
    assert_eq!(&*read.body, b"abcdef");
}

#[test]
fn what_another_account_has_is_copied_by_a_signature_or_where_it_is_public() {
    let key = BASE64.encode(b"another key");
    let mut other = Account::from_base64("otheraccount1", &key).unwrap();
    other.flat = true;
    let options = StoreOptions {
        accounts: vec![Account::well_known(), other.clone()],
        ..StoreOptions::default()
    };
    let store = Store::open(options).unwrap();
    for (account, name) in [("otheraccount1", "there"), (DEFAULT_ACCOUNT_NAME, "raw")] {
        store.create_file_system(account, name).unwrap();
    }
    let there = store.file_system("otheraccount1", "there");
    there
        .write_file("a", &[Part::Bytes(b"abcdef")], &WriteOptions::default())
        .unwrap();
    let lake = Lake::with_store(store);
    let sas = AccountSas {
        permissions: "r",
        resource_types: "o",
        expiry: "2999-01-01T00:00:00Z",
    };
    let sas = account_sas(&other, &sas).unwrap();
    let copy =
        |source: &str, target: &str| lake.blob("PUT", target, &[("x-ms-copy-source", source)], b"");
    let by_path = format!("http://{}/otheraccount1/there/a", lake.address(Port::Blob));
    let by_host = "https://otheraccount1.blob.core.windows.net/there/a";
    for (place, source) in [&*by_path, by_host].into_iter().enumerate() {
        // The request's own key opens nothing there.
        copy(source, "/raw/copy").expect_error(403, "CannotVerifyCopySource");
        let signed = format!("{source}?{sas}");
        let target = format!("/raw/copy{place}");
        copy(&signed, &target).expect(202);
        assert_eq!(
            lake.blob("GET", &target, &[], b"").expect(200).text(),
            "abcdef"
        );
        let stage = format!("/raw/blocks{place}?comp=block&blockid=YQ==");
        copy(&signed, &stage).expect(201);
    }
    copy("https://nowhere.blob.core.windows.net/there/a", "/raw/copy")
        .expect_error(404, "CannotVerifyCopySource");
}
