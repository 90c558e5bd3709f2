//! Lists: order, pages and prefixes, in both protocols.

use crate::client::Lake;

/// Files whose order differs between byte order of whole paths and a walk of the tree.
const FILES: [&str; 6] = ["a/b/1", "a/b/2", "a-c", "a.txt", "b", "a/c"];

fn lake() -> Lake {
    let lake = Lake::with_raw();
    for file in FILES {
        lake.file(&format!("/raw/{file}"), b"x");
    }
    lake
}

fn dfs_pages(lake: &Lake, parameters: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut continuation = String::new();
    loop {
        let target = format!("/raw?resource=filesystem&{parameters}{continuation}");
        let answer = lake.dfs("GET", &target, &[], b"").expect(200);
        let page = answer.json()["paths"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect();
        pages.push(page);
        let next = answer.header("x-ms-continuation");
        if next.is_empty() {
            return pages;
        }
        let encoded =
            percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        continuation = format!("&continuation={encoded}");
    }
}

fn blob_pages(lake: &Lake, parameters: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let target = format!("/raw?restype=container&comp=list&{parameters}{marker}");
        let answer = lake.blob("GET", &target, &[], b"").expect(200);
        let names = answer.text().split("<Name>").skip(1);
        pages.push(
            names
                .map(|rest| rest.split('<').next().unwrap().to_owned())
                .collect(),
        );
        if answer.text().contains("<NextMarker />") || answer.text().contains("<NextMarker/>") {
            return pages;
        }
        let next = answer.element("NextMarker");
        let encoded =
            percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        marker = format!("&marker={encoded}");
    }
}

const ALL: [&str; 8] = ["a", "a/b", "a/b/1", "a/b/2", "a/c", "a-c", "a.txt", "b"];

#[test]
fn paths_come_folder_by_folder_whatever_the_page() {
    let lake = lake();
    for size in 1..=9 {
        let pages = dfs_pages(&lake, &format!("recursive=true&maxResults={size}"));
        assert!(pages.iter().all(|page| page.len() <= size));
        assert_eq!(pages.concat(), ALL, "pages of {size}");
    }
    assert_eq!(
        dfs_pages(&lake, "recursive=false").concat(),
        ["a", "a-c", "a.txt", "b"]
    );
    assert_eq!(
        dfs_pages(&lake, "recursive=true&directory=a%2Fb").concat(),
        ["a/b/1", "a/b/2"]
    );
    lake.dfs(
        "GET",
        "/raw?resource=filesystem&recursive=true&directory=nowhere",
        &[],
        b"",
    )
    .expect_error(404, "PathNotFound");
}

#[test]
fn blobs_come_in_the_same_order_with_prefixes_and_folders() {
    let lake = lake();
    for size in 1..=9 {
        let pages = blob_pages(&lake, &format!("maxresults={size}"));
        assert_eq!(pages.concat(), ALL, "pages of {size}");
    }
    assert_eq!(
        blob_pages(&lake, "prefix=a%2Fb").concat(),
        ["a/b", "a/b/1", "a/b/2"]
    );
    assert_eq!(blob_pages(&lake, "prefix=a").concat().len(), 7);
    let top = blob_pages(&lake, "delimiter=%2F").concat();
    assert_eq!(top, ["a/", "a-c", "a.txt", "b"]);
    assert_eq!(
        blob_pages(&lake, "delimiter=%2F&prefix=a%2F").concat(),
        ["a/b/", "a/c"]
    );
}

#[test]
fn only_a_slash_is_a_delimiter() {
    let lake = lake();
    lake.blob(
        "GET",
        "/raw?restype=container&comp=list&delimiter=-",
        &[],
        b"",
    )
    .expect(400);
}

#[test]
fn a_list_can_start_from_a_name() {
    let lake = lake();
    assert_eq!(
        dfs_pages(&lake, "recursive=true&beginFrom=a%2Fb%2F2").concat(),
        ALL[3..]
    );
    assert_eq!(blob_pages(&lake, "startFrom=a%2Fc").concat(), ALL[4..]);
}

#[test]
fn entries_tell_what_a_reader_needs() {
    let lake = lake();
    let listed = lake
        .dfs("GET", "/raw?resource=filesystem&recursive=true", &[], b"")
        .expect(200)
        .json();
    let (folder, file) = (&listed["paths"][0], &listed["paths"][2]);
    assert_eq!(folder["isDirectory"], "true");
    assert_eq!(file["contentLength"], "1");
    assert!(file["etag"].as_str().unwrap().starts_with("0x8D"));
    assert_eq!(file["permissions"], "rw-r-----");
    let blobs = lake
        .blob("GET", "/raw?restype=container&comp=list&prefix=b", &[], b"")
        .expect(200);
    assert_eq!(blobs.element("Content-Length"), "1");
    assert_eq!(blobs.element("BlobType"), "BlockBlob");
    assert_eq!(blobs.element("ResourceType"), "file");
}

#[test]
fn a_long_list_is_cut_at_five_thousand() {
    let lake = Lake::with_raw();
    for folder in 0..51 {
        for file in 0..100 {
            lake.dfs(
                "PUT",
                &format!("/raw/{folder:02}/{file:02}?resource=file"),
                &[],
                b"",
            )
            .expect(201);
        }
    }
    let pages = dfs_pages(&lake, "recursive=true");
    let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [5_000, 151]);
}
