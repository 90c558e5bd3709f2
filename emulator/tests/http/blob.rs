//! The Blob protocol: containers, blobs and blocks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::client::Lake;

const BLOCK_BLOB: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

fn block_id(number: u32) -> String {
    BASE64.encode(format!("{number:06}"))
}

fn block_list(ids: &[(&str, u32)]) -> Vec<u8> {
    let mut xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
    for (list, number) in ids {
        xml.push_str(&format!("<{list}>{}</{list}>", block_id(*number)));
    }
    xml.push_str("</BlockList>");
    xml.into_bytes()
}

fn put_block(lake: &Lake, target: &str, number: u32, bytes: &[u8]) {
    let id = block_id(number).replace('=', "%3D");
    lake.blob(
        "PUT",
        &format!("{target}?comp=block&blockid={id}"),
        &[],
        bytes,
    )
    .expect(201);
}

#[test]
fn a_container_is_created_listed_described_and_deleted() {
    let lake = Lake::new();
    lake.blob(
        "PUT",
        "/raw?restype=container",
        &[("x-ms-meta-team", "sparrow")],
        b"",
    )
    .expect(201);
    lake.blob("PUT", "/raw?restype=container", &[], b"")
        .expect_error(409, "ContainerAlreadyExists");
    let told = lake
        .blob("GET", "/raw?restype=container", &[], b"")
        .expect(200);
    assert_eq!(told.header("x-ms-meta-team"), "sparrow");
    let listed = lake.blob("GET", "/?comp=list", &[], b"").expect(200);
    assert_eq!(listed.element("Name"), "raw");
    lake.blob("DELETE", "/raw?restype=container", &[], b"")
        .expect(202);
    lake.blob("GET", "/raw?restype=container", &[], b"")
        .expect_error(404, "ContainerNotFound");
}

#[test]
fn put_blob_writes_whole_and_answers_the_content_hash() {
    let lake = Lake::with_raw();
    let headers = [
        BLOCK_BLOB,
        ("x-ms-blob-content-type", "text/plain"),
        ("x-ms-meta-k", "v"),
    ];
    let put = lake
        .blob("PUT", "/raw/a/b.txt", &headers, b"hello")
        .expect(201);
    assert_eq!(put.header("content-md5"), "XUFAKrxLKna5cZ2REBfFkg==");
    let read = lake.blob("GET", "/raw/a/b.txt", &[], b"").expect(200);
    assert_eq!(read.text(), "hello");
    assert_eq!(read.header("content-type"), "text/plain");
    assert_eq!(read.header("content-md5"), "XUFAKrxLKna5cZ2REBfFkg==");
    assert_eq!(read.header("x-ms-meta-k"), "v");
    assert_eq!(read.header("x-ms-blob-type"), "BlockBlob");
    let wrong = [BLOCK_BLOB, ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    lake.blob("PUT", "/raw/a/b.txt", &wrong, b"other")
        .expect_error(400, "Md5Mismatch");
    assert_eq!(
        lake.blob("GET", "/raw/a/b.txt", &[], b"")
            .expect(200)
            .text(),
        "hello"
    );
}

#[test]
fn blocks_become_a_blob_when_their_list_is_put() {
    let lake = Lake::with_raw();
    put_block(&lake, "/raw/f", 1, b"one,");
    put_block(&lake, "/raw/f", 2, b"two,");
    lake.blob("GET", "/raw/f", &[], b"")
        .expect_error(404, "BlobNotFound");
    let list = block_list(&[("Uncommitted", 2), ("Latest", 1)]);
    lake.blob("PUT", "/raw/f?comp=blocklist", &[], &list)
        .expect(201);
    assert_eq!(
        lake.blob("GET", "/raw/f", &[], b"").expect(200).text(),
        "two,one,"
    );
    // Committed blocks may be used again.
    put_block(&lake, "/raw/f", 3, b"three");
    let list = block_list(&[("Committed", 1), ("Latest", 3)]);
    lake.blob("PUT", "/raw/f?comp=blocklist", &[], &list)
        .expect(201);
    assert_eq!(
        lake.blob("GET", "/raw/f", &[], b"").expect(200).text(),
        "one,three"
    );
    let told = lake
        .blob("GET", "/raw/f?comp=blocklist&blocklisttype=all", &[], b"")
        .expect(200);
    assert_eq!(told.text().matches("<Block>").count(), 2);
    let missing = block_list(&[("Latest", 9)]);
    lake.blob("PUT", "/raw/f?comp=blocklist", &[], &missing)
        .expect_error(400, "InvalidBlockList");
    assert_eq!(
        lake.blob("GET", "/raw/f", &[], b"").expect(200).text(),
        "one,three"
    );
}

#[test]
fn an_append_blob_grows_block_by_block() {
    let lake = Lake::with_raw();
    let append_blob = ("x-ms-blob-type", "AppendBlob");
    lake.blob("PUT", "/raw/log", &[append_blob], b"")
        .expect(201);
    for (number, text) in [(1, b"one,"), (2, b"two,")] {
        let answer = lake
            .blob("PUT", "/raw/log?comp=appendblock", &[], text)
            .expect(201);
        let (offset, count) = (4 * (number - 1), number);
        assert_eq!(answer.header("x-ms-blob-append-offset"), offset.to_string());
        assert_eq!(
            answer.header("x-ms-blob-committed-block-count"),
            count.to_string()
        );
    }
    let stale = [("x-ms-blob-condition-appendpos", "4")];
    lake.blob("PUT", "/raw/log?comp=appendblock", &stale, b"x")
        .expect_error(412, "AppendPositionConditionNotMet");
    let read = lake.blob("GET", "/raw/log", &[], b"").expect(200);
    assert_eq!(read.text(), "one,two,");
    assert_eq!(read.header("x-ms-blob-committed-block-count"), "2");
    lake.file("/raw/f", b"");
    lake.blob("PUT", "/raw/f?comp=appendblock", &[], b"x")
        .expect_error(409, "InvalidBlobType");
}

#[test]
fn ranges_are_read_as_they_are_asked_for() {
    let lake = Lake::with_raw();
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB], b"0123456789")
        .expect(201);
    let get = |range: &str| lake.blob("GET", "/raw/f", &[("range", range)], b"");
    let part = get("bytes=2-4").expect(206);
    assert_eq!(
        (part.text(), part.header("content-range")),
        ("234", "bytes 2-4/10")
    );
    assert_eq!(get("bytes=7-").expect(206).text(), "789");
    assert_eq!(get("bytes=8-100").expect(206).text(), "89");
    let past = get("bytes=10-").expect_error(416, "InvalidRange");
    assert_eq!(past.header("content-range"), "bytes */10");
    // x-ms-range goes before range.
    let headers = [("range", "bytes=0-0"), ("x-ms-range", "bytes=5-5")];
    assert_eq!(
        lake.blob("GET", "/raw/f", &headers, b"").expect(206).text(),
        "5"
    );
    let hashed = [
        ("range", "bytes=0-4"),
        ("x-ms-range-get-content-md5", "true"),
    ];
    let answer = lake.blob("GET", "/raw/f", &hashed, b"").expect(206);
    assert!(!answer.header("content-md5").is_empty());
}

#[test]
fn conditions_are_kept() {
    let lake = Lake::with_raw();
    let put = lake
        .blob("PUT", "/raw/f", &[BLOCK_BLOB], b"abc")
        .expect(201);
    let etag = put.header("etag").to_owned();
    lake.blob("GET", "/raw/f", &[("if-none-match", &etag)], b"")
        .expect(304);
    lake.blob("GET", "/raw/f", &[("if-match", "\"0x1\"")], b"")
        .expect_error(412, "ConditionNotMet");
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB, ("if-none-match", "*")], b"x")
        .expect_error(409, "BlobAlreadyExists");
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB, ("if-match", &etag)], b"new")
        .expect(201);
    lake.blob("DELETE", "/raw/f", &[("if-match", &etag)], b"")
        .expect_error(412, "ConditionNotMet");
    lake.blob("DELETE", "/raw/f", &[], b"").expect(202);
    lake.blob("DELETE", "/raw/f", &[], b"")
        .expect_error(404, "BlobNotFound");
}

#[test]
fn a_blob_and_a_file_are_one_thing() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/by-dfs", b"abc");
    assert_eq!(
        lake.blob("GET", "/raw/a/by-dfs", &[], b"")
            .expect(200)
            .text(),
        "abc"
    );
    lake.blob("PUT", "/raw/a/by-blob", &[BLOCK_BLOB], b"def")
        .expect(201);
    assert_eq!(
        lake.dfs("GET", "/raw/a/by-blob", &[], b"")
            .expect(200)
            .text(),
        "def"
    );
    let folder = lake.blob("HEAD", "/raw/a", &[], b"").expect(200);
    assert_eq!(folder.header("x-ms-meta-hdi_isfolder"), "true");
    // A blob cannot stand where a directory is, and a directory with files is not deleted as a blob.
    lake.blob("DELETE", "/raw/a", &[], b"")
        .expect_error(409, "DirectoryIsNotEmpty");
}

#[test]
fn an_empty_blob_with_a_directorys_mark_or_a_slash_is_a_directory() {
    let lake = Lake::with_raw();
    let marked = [BLOCK_BLOB, ("x-ms-meta-hdi_isfolder", "true")];
    lake.blob("PUT", "/raw/marked", &marked, b"").expect(201);
    lake.blob("PUT", "/raw/slash/", &[BLOCK_BLOB], b"")
        .expect(201);
    for path in ["/raw/marked", "/raw/slash"] {
        let told = lake.dfs("HEAD", path, &[], b"").expect(200);
        assert_eq!(told.header("x-ms-resource-type"), "directory", "{path}");
    }
}

#[test]
fn blocks_are_refused_on_a_file_that_dfs_wrote() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    let target = format!("/raw/f?comp=block&blockid={}", block_id(1));
    lake.blob("PUT", &target, &[], b"x")
        .expect_error(409, "BlobOperationNotSupported");
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB], b"whole")
        .expect(201);
    lake.blob("PUT", &target, &[], b"x").expect(201);
}

#[test]
fn the_etag_changes_with_content_and_properties_and_not_with_tags_tier_or_lease() {
    let lake = Lake::with_raw();
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB], b"abc")
        .expect(201);
    let etag = || {
        lake.blob("HEAD", "/raw/f", &[], b"")
            .expect(200)
            .header("etag")
            .to_owned()
    };
    let mut last = etag();
    let tags = b"<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>";
    lake.blob("PUT", "/raw/f?comp=tags", &[], tags).expect(204);
    lake.blob(
        "PUT",
        "/raw/f?comp=tier",
        &[("x-ms-access-tier", "Cool")],
        b"",
    )
    .expect(200);
    let lease = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "-1"),
    ];
    let lease = lake
        .blob("PUT", "/raw/f?comp=lease", &lease, b"")
        .expect(201);
    assert_eq!(etag(), last);
    let id = lease.header("x-ms-lease-id").to_owned();
    let release = [("x-ms-lease-action", "release"), ("x-ms-lease-id", &id)];
    lake.blob("PUT", "/raw/f?comp=lease", &release, b"")
        .expect(200);
    assert_eq!(etag(), last);
    let mut changed = |what: &str| {
        let now = etag();
        assert_ne!(now, last, "{what}");
        last = now;
    };
    lake.blob("PUT", "/raw/f?comp=metadata", &[("x-ms-meta-k", "v")], b"")
        .expect(200);
    changed("metadata");
    lake.dfs(
        "PATCH",
        "/raw/f?action=setAccessControl",
        &[("x-ms-permissions", "0600")],
        b"",
    )
    .expect(200);
    changed("access control");
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB], b"def")
        .expect(201);
    changed("content");
}

#[test]
fn a_lease_keeps_others_from_writing() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    let acquire = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "15"),
        (
            "x-ms-proposed-lease-id",
            "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b",
        ),
    ];
    lake.blob("PUT", "/raw/f?comp=lease", &acquire, b"")
        .expect(201);
    lake.dfs("DELETE", "/raw/f", &[], b"")
        .expect_error(412, "LeaseIdMissing");
    lake.blob("PUT", "/raw/f?comp=metadata", &[("x-ms-meta-k", "v")], b"")
        .expect_error(412, "LeaseIdMissing");
    let holder = [("x-ms-lease-id", "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b")];
    assert_eq!(
        lake.dfs("GET", "/raw/f", &[], b"").expect(200).text(),
        "abc"
    );
    lake.dfs("DELETE", "/raw/f", &holder, b"").expect(200);
}

#[test]
fn a_copy_within_the_account_is_done_at_once() {
    let lake = Lake::with_raw();
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB, ("x-ms-meta-k", "v")], b"abc")
        .expect(201);
    let source = format!(
        "http://{}/devstoreaccount1/raw/f",
        lake.address(crate::client::Port::Blob)
    );
    let copied = lake
        .blob("PUT", "/raw/g", &[("x-ms-copy-source", &source)], b"")
        .expect(202);
    assert_eq!(copied.header("x-ms-copy-status"), "success");
    let read = lake.blob("GET", "/raw/g", &[], b"").expect(200);
    assert_eq!((read.text(), read.header("x-ms-meta-k")), ("abc", "v"));
    let missing = source.replace("/raw/f", "/raw/missing");
    lake.blob("PUT", "/raw/h", &[("x-ms-copy-source", &missing)], b"")
        .expect_error(404, "CannotVerifyCopySource");
}

#[test]
fn what_a_lake_cannot_do_is_refused_by_name() {
    let lake = Lake::with_raw();
    let headers = [
        ("x-ms-blob-type", "PageBlob"),
        ("x-ms-blob-content-length", "512"),
    ];
    lake.blob("PUT", "/raw/p", &headers, b"").expect_error(
        409,
        "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
    );
    lake.blob("PUT", "/raw/f", &[BLOCK_BLOB], b"abc")
        .expect(201);
    lake.blob("PUT", "/raw/f?comp=snapshot", &[], b"")
        .expect_error(
            409,
            "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
        );
    lake.blob("PUT", "/raw/f?comp=incrementalcopy", &[], b"")
        .expect_error(501, "NotImplemented");
}

#[test]
fn a_condition_on_tags_is_kept() {
    let lake = Lake::with_raw();
    let headers = [("x-ms-blob-type", "BlockBlob"), ("x-ms-tags", "stage=raw")];
    lake.blob("PUT", "/raw/blob", &headers, b"text").expect(201);
    let met = [("x-ms-if-tags", "\"stage\"='raw'")];
    let not_met = [("x-ms-if-tags", "\"stage\"<>'raw'")];
    for (method, query) in [
        ("GET", ""),
        ("GET", "?comp=tags"),
        ("PUT", "?comp=metadata"),
    ] {
        let target = format!("/raw/blob{query}");
        lake.blob(method, &target, &not_met, b"")
            .expect_error(412, "ConditionNotMet");
        lake.blob(method, &target, &met, b"").expect(200);
    }
    lake.blob("GET", "/raw/blob", &[("x-ms-if-tags", "stage")], b"")
        .expect_error(400, "InvalidHeaderValue");
    lake.blob("DELETE", "/raw/blob", &not_met, b"").expect(412);
    lake.blob("DELETE", "/raw/blob", &met, b"").expect(202);
}

#[test]
fn a_sealed_append_blob_grows_no_more() {
    let lake = Lake::with_raw();
    lake.blob("PUT", "/raw/log", &[("x-ms-blob-type", "AppendBlob")], b"")
        .expect(201);
    lake.blob("PUT", "/raw/log?comp=appendblock", &[], b"line")
        .expect(201);
    let wrong = [("x-ms-blob-condition-appendpos", "3")];
    lake.blob("PUT", "/raw/log?comp=seal", &wrong, b"")
        .expect_error(412, "AppendPositionConditionNotMet");
    let sealed = lake.blob("PUT", "/raw/log?comp=seal", &[], b"").expect(200);
    assert_eq!(sealed.header("x-ms-blob-sealed"), "true");
    lake.blob("PUT", "/raw/log?comp=appendblock", &[], b"line")
        .expect_error(409, "BlobIsSealed");
    let read = lake.blob("GET", "/raw/log", &[], b"").expect(200);
    assert_eq!(
        (&*read.body, read.header("x-ms-blob-sealed")),
        (&b"line"[..], "true")
    );
    lake.blob("PUT", "/raw/other", &[("x-ms-blob-type", "BlockBlob")], b"")
        .expect(201);
    lake.blob("PUT", "/raw/other?comp=seal", &[], b"")
        .expect_error(409, "InvalidBlobType");
}

#[test]
fn times_of_access_policies_are_told_with_seven_digits() {
    let lake = Lake::with_raw();
    let acl = "/raw?restype=container&comp=acl";
    let policies = "<SignedIdentifiers><SignedIdentifier><Id>one</Id><AccessPolicy>\
         <Start>2019-10-25T17:22:43Z</Start><Expiry>2030-01-01</Expiry><Permission>r</Permission>\
         </AccessPolicy></SignedIdentifier></SignedIdentifiers>";
    lake.blob("PUT", acl, &[], policies.as_bytes()).expect(200);
    let told = lake.blob("GET", acl, &[], b"").expect(200);
    assert_eq!(told.element("Start"), "2019-10-25T17:22:43.0000000Z");
    assert_eq!(told.element("Expiry"), "2030-01-01T00:00:00.0000000Z");
    let wrong = policies.replace("2030-01-01", "soon");
    lake.blob("PUT", acl, &[], wrong.as_bytes())
        .expect_error(400, "InvalidXmlNodeValue");
}

#[test]
fn there_is_never_a_copy_to_abort_and_a_tier_has_its_time() {
    let lake = Lake::with_raw();
    lake.blob("PUT", "/raw/blob", &[("x-ms-blob-type", "BlockBlob")], b"")
        .expect(201);
    let abort = "/raw/blob?comp=copy&copyid=7d2d8a7a-e7f2-4940-b309-4a39a2ae2203";
    lake.blob("PUT", abort, &[("x-ms-copy-action", "abort")], b"")
        .expect_error(409, "NoPendingCopyOperation");
    lake.blob(
        "PUT",
        "/raw/blob?comp=tier",
        &[("x-ms-access-tier", "Cool")],
        b"",
    )
    .expect(200);
    let head = lake.blob("HEAD", "/raw/blob", &[], b"").expect(200);
    assert!(head.header("x-ms-access-tier-change-time").ends_with("GMT"));
}

#[test]
fn whoever_holds_a_blobs_lease_replaces_it_even_if_it_must_not_be_there() {
    let lake = Lake::with_raw();
    let id = ("x-ms-lease-id", "11111111-2222-3333-4444-555555555555");
    let kind = ("x-ms-blob-type", "BlockBlob");
    let absent = ("if-none-match", "*");
    lake.blob("PUT", "/raw/blob", &[kind], b"old").expect(201);
    lake.blob("PUT", "/raw/blob", &[kind, absent], b"new")
        .expect_error(409, "BlobAlreadyExists");
    lake.blob("PUT", "/raw/blob", &[kind, absent, id], b"new")
        .expect_error(412, "LeaseNotPresentWithBlobOperation");
    let acquire = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "-1"),
        ("x-ms-proposed-lease-id", id.1),
    ];
    lake.blob("PUT", "/raw/blob?comp=lease", &acquire, b"")
        .expect(201);
    lake.blob("PUT", "/raw/blob", &[kind, absent], b"new")
        .expect_error(409, "BlobAlreadyExists");
    lake.blob("PUT", "/raw/blob", &[kind, absent, id], b"new")
        .expect(201);
    let stop = [
        ("x-ms-lease-action", "break"),
        ("x-ms-lease-break-period", "0"),
    ];
    lake.blob("PUT", "/raw/blob?comp=lease", &stop, b"")
        .expect(202);
    lake.blob("PUT", "/raw/blob", &[kind, absent, id], b"last")
        .expect_error(412, "LeaseLost");
}
