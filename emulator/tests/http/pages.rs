//! Page blobs, in an account without a hierarchical namespace.

use crate::client::{Answer, Lake};

const PAGES: &str = "/raw/pages";

fn create(lake: &Lake, length: &str) -> Answer {
    let headers = [
        ("x-ms-blob-type", "PageBlob"),
        ("x-ms-blob-content-length", length),
    ];
    lake.blob("PUT", PAGES, &headers, b"")
}

fn put(lake: &Lake, range: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut headers = vec![
        ("x-ms-range", range),
        (
            "x-ms-page-write",
            if body.is_empty() { "clear" } else { "update" },
        ),
    ];
    headers.extend(more);
    lake.blob("PUT", "/raw/pages?comp=page", &headers, body)
}

/// The ranges of an answer, such as `+0-511 -1024-1535`.
fn ranges(lake: &Lake, query: &str, headers: &[(&str, &str)]) -> String {
    let answer = lake
        .blob(
            "GET",
            &format!("/raw/pages?comp=pagelist{query}"),
            headers,
            b"",
        )
        .expect(200);
    let text = answer.text();
    let told = text
        .split_once("<PageList>")
        .unwrap()
        .1
        .replace("<PageRange><Start>", " +")
        .replace("<ClearRange><Start>", " -")
        .replace("</Start><End>", "-")
        .replace("</End></PageRange>", "")
        .replace("</End></ClearRange>", "")
        .replace("</PageList>", "");
    told.trim().to_owned()
}

#[test]
fn pages_are_written_cleared_and_told() {
    let lake = Lake::flat();
    create(&lake, "2048").expect(201);
    let head = lake.blob("HEAD", PAGES, &[], b"").expect(200);
    assert_eq!(
        (
            head.header("content-length"),
            head.header("x-ms-blob-type"),
            head.header("x-ms-blob-sequence-number")
        ),
        ("2048", "PageBlob", "0")
    );
    assert_eq!(ranges(&lake, "", &[]), "");
    put(&lake, "bytes=0-511", &[], &[b'a'; 512]).expect(201);
    put(&lake, "bytes=1024-2047", &[], &[0; 1024]).expect(201);
    // Zeros that were written are a range all the same.
    assert_eq!(ranges(&lake, "", &[]), "+0-511 +1024-2047");
    assert_eq!(
        ranges(&lake, "", &[("range", "bytes=600-1100")]),
        "+1024-1535"
    );
    put(&lake, "bytes=1024-1535", &[], b"").expect(201);
    assert_eq!(ranges(&lake, "", &[]), "+0-511 +1536-2047");
    let read = lake.blob("GET", PAGES, &[], b"").expect(200);
    assert_eq!(read.body, [vec![b'a'; 512], vec![0; 1536]].concat());
    let first = ranges(&lake, "&maxresults=1", &[]);
    assert_eq!(first, "+0-511<NextMarker>1536</NextMarker>");
    assert_eq!(
        ranges(&lake, "&maxresults=1&marker=1536", &[]),
        "+1536-2047"
    );
}

#[test]
fn pages_that_cannot_be_are_refused() {
    let lake = Lake::flat();
    create(&lake, "1000").expect_error(400, "InvalidHeaderValue");
    create(&lake, "1024").expect(201);
    put(&lake, "bytes=0-99", &[], &[1; 100]).expect_error(416, "InvalidPageRange");
    put(&lake, "bytes=1024-1535", &[], &[1; 512]).expect_error(416, "InvalidPageRange");
    put(&lake, "bytes=0-1023", &[], &[1; 512]).expect_error(400, "InvalidHeaderValue");
    put(&lake, "bytes=0-8388607", &[], &[1; 512]).expect_error(413, "RequestBodyTooLarge");
    let block = "/raw/pages?comp=block&blockid=YQ==";
    lake.blob("PUT", block, &[], b"text")
        .expect_error(409, "InvalidBlobType");
    lake.blob(
        "PUT",
        "/raw/block",
        &[("x-ms-blob-type", "BlockBlob")],
        b"text",
    )
    .expect(201);
    lake.blob("GET", "/raw/block?comp=pagelist", &[], b"")
        .expect_error(409, "InvalidBlobType");
    assert_eq!(ranges(&lake, "", &[]), "");
}

#[test]
fn a_hierarchical_account_has_no_page_blobs() {
    let lake = Lake::with_raw();
    let code = "FeatureNotYetSupportedForHierarchicalNamespaceAccounts";
    create(&lake, "512").expect_error(409, code);
    put(&lake, "bytes=0-511", &[], &[1; 512]).expect_error(409, code);
    lake.blob("GET", "/raw/pages?comp=pagelist", &[], b"")
        .expect_error(409, code);
}

#[test]
fn a_page_blob_is_resized_and_counted() {
    let lake = Lake::flat();
    create(&lake, "1024").expect(201);
    put(&lake, "bytes=512-1023", &[], &[b'b'; 512]).expect(201);
    let set =
        |headers: &[(&str, &str)]| lake.blob("PUT", "/raw/pages?comp=properties", headers, b"");
    set(&[("x-ms-blob-content-type", "a/b")]).expect(200);
    set(&[("x-ms-blob-content-length", "4096")]).expect(200);
    let head = lake.blob("HEAD", PAGES, &[], b"").expect(200);
    assert_eq!(
        (head.header("content-length"), head.header("content-type")),
        ("4096", "a/b")
    );
    assert_eq!(ranges(&lake, "", &[]), "+512-1023");
    set(&[("x-ms-blob-content-length", "512")]).expect(200);
    assert_eq!(ranges(&lake, "", &[]), "");
    let count = |action: &str, number: &str| {
        let headers = [
            ("x-ms-sequence-number-action", action),
            ("x-ms-blob-sequence-number", number),
        ];
        let answer = set(&headers[..if number.is_empty() { 1 } else { 2 }]).expect(200);
        answer.header("x-ms-blob-sequence-number").to_owned()
    };
    assert_eq!(count("update", "7"), "7");
    assert_eq!(count("max", "5"), "7");
    assert_eq!(count("increment", ""), "8");
    for (name, number, met) in [
        ("x-ms-if-sequence-number-le", "8", true),
        ("x-ms-if-sequence-number-le", "7", false),
        ("x-ms-if-sequence-number-lt", "9", true),
        ("x-ms-if-sequence-number-lt", "8", false),
        ("x-ms-if-sequence-number-eq", "8", true),
        ("x-ms-if-sequence-number-eq", "9", false),
    ] {
        let answer = put(&lake, "bytes=0-511", &[(name, number)], &[1; 512]);
        match met {
            true => answer.expect(201),
            false => answer.expect_error(412, "SequenceNumberConditionNotMet"),
        };
    }
}

#[test]
fn page_ranges_tell_what_has_changed_since_a_snapshot() {
    let lake = Lake::flat();
    create(&lake, "3072").expect(201);
    put(&lake, "bytes=0-2047", &[], &[b'a'; 2048]).expect(201);
    let snapshot = |lake: &Lake| {
        let taken = lake
            .blob("PUT", "/raw/pages?comp=snapshot", &[], b"")
            .expect(201);
        taken.header("x-ms-snapshot").replace(':', "%3A")
    };
    let first = snapshot(&lake);
    put(&lake, "bytes=512-1023", &[], &[b'b'; 512]).expect(201);
    put(&lake, "bytes=1024-1535", &[], b"").expect(201);
    // The same bytes again are no change.
    put(&lake, "bytes=1536-2047", &[], &[b'a'; 512]).expect(201);
    put(&lake, "bytes=2560-3071", &[], &[b'c'; 512]).expect(201);
    let since = format!("&prevsnapshot={first}");
    let changed = "+512-1023 -1024-1535 +2560-3071";
    assert_eq!(ranges(&lake, &since, &[]), changed);
    let second = snapshot(&lake);
    put(&lake, "bytes=0-511", &[], b"").expect(201);
    assert_eq!(
        ranges(&lake, &format!("&snapshot={second}{since}"), &[]),
        changed
    );
    assert_eq!(
        ranges(&lake, &format!("&prevsnapshot={second}"), &[]),
        "-0-511"
    );
    let backwards = format!("/raw/pages?comp=pagelist&snapshot={first}&prevsnapshot={second}");
    lake.blob("GET", &backwards, &[], b"")
        .expect_error(400, "PreviousSnapshotCannotBeNewer");
    let unknown = "/raw/pages?comp=pagelist&prevsnapshot=2020-01-01T00%3A00%3A00.0000000Z";
    lake.blob("GET", unknown, &[], b"")
        .expect_error(409, "PreviousSnapshotNotFound");
}

#[test]
fn a_page_blob_larger_than_memory_costs_nothing() {
    let lake = Lake::flat();
    create(&lake, "8796093022208").expect(201);
    let last = "bytes=8796093021696-8796093022207";
    put(&lake, last, &[], &[b'z'; 512]).expect(201);
    assert_eq!(ranges(&lake, "", &[]), "+8796093021696-8796093022207");
    let read = lake
        .blob(
            "GET",
            PAGES,
            &[("range", "bytes=8796093021695-8796093021697")],
            b"",
        )
        .expect(206);
    assert_eq!(&*read.body, b"\0zz");
}
