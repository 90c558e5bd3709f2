//! An account without a hierarchical namespace.

use crate::client::{Answer, Lake};

const BLOCK_BLOB: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

fn put(lake: &Lake, name: &str, content: &[u8]) -> Answer {
    lake.blob("PUT", &format!("/raw/{name}"), &[BLOCK_BLOB], content)
        .expect(201)
}

fn names(list: &Answer) -> Vec<String> {
    let parts = list.text().split("<Name>").skip(1);
    parts
        .map(|part| part.split('<').next().unwrap().to_owned())
        .collect()
}

fn list(lake: &Lake, query: &str) -> Answer {
    lake.blob(
        "GET",
        &format!("/raw?restype=container&comp=list{query}"),
        &[],
        b"",
    )
    .expect(200)
}

#[test]
fn what_takes_directories_is_refused_in_a_flat_account() {
    let lake = Lake::flat();
    let code = "HierarchicalNamespaceNotEnabled";
    let told = lake
        .blob("GET", "/?restype=account&comp=properties", &[], b"")
        .expect(200);
    assert_eq!(told.header("x-ms-is-hns-enabled"), "false");
    let head = lake
        .dfs("HEAD", "/raw?resource=filesystem", &[], b"")
        .expect(200);
    assert_eq!(head.header("x-ms-namespace-enabled"), "false");
    lake.dfs("HEAD", "/raw/?action=getAccessControl", &[], b"")
        .expect_error(400, code);
    lake.dfs("PUT", "/raw/dir?resource=directory", &[], b"")
        .expect_error(400, code);
    let source = [("x-ms-rename-source", "/raw/a")];
    lake.dfs("PUT", "/raw/b", &source, b"")
        .expect_error(400, code);
    let mode = [("x-ms-permissions", "0777")];
    lake.dfs("PUT", "/raw/a?resource=file", &mode, b"")
        .expect_error(400, code);
    lake.file("/raw/dir/a", b"text");
    let read = lake.blob("GET", "/raw/dir/a", &[], b"").expect(200);
    assert_eq!(
        (&*read.body, read.header("x-ms-permissions")),
        (&b"text"[..], "")
    );
}

#[test]
fn flat_names_stand_in_the_order_of_their_bytes_and_fold_at_any_delimiter() {
    let lake = Lake::flat();
    let all = ["a", "a!b", "a/b", "a/c/d", "a0", "b//c", "b/c"];
    for name in all.iter().rev() {
        put(&lake, name, b"");
    }
    assert_eq!(names(&list(&lake, "")), all);
    assert_eq!(
        names(&list(&lake, "&delimiter=/")),
        ["a", "a!b", "a/", "a0", "b/"]
    );
    assert_eq!(
        names(&list(&lake, "&delimiter=/&prefix=a/")),
        ["a/b", "a/c/"]
    );
    assert_eq!(
        names(&list(&lake, "&delimiter=!&prefix=a")),
        ["a", "a!", "a/b", "a/c/d", "a0"]
    );
    for (query, expected) in [
        ("", &all[..]),
        ("&delimiter=/", &["a", "a!b", "a/", "a0", "b/"]),
    ] {
        let mut found = Vec::new();
        let mut marker = String::new();
        loop {
            let page = list(&lake, &format!("{query}&maxresults=2&marker={marker}"));
            assert!(names(&page).len() <= 2);
            found.extend(names(&page));
            match page.text().contains("<NextMarker />") {
                true => break,
                false => page.element("NextMarker").clone_into(&mut marker),
            }
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn a_snapshot_keeps_what_a_blob_was() {
    let lake = Lake::flat();
    put(&lake, "dir/blob", b"one");
    let first = lake
        .blob("PUT", "/raw/dir/blob?comp=snapshot", &[], b"")
        .expect(201);
    let time = first.header("x-ms-snapshot").to_owned();
    put(&lake, "dir/blob", b"two");
    let at = format!("/raw/dir/blob?snapshot={time}");
    assert_eq!(&*lake.blob("GET", &at, &[], b"").expect(200).body, b"one");
    assert_eq!(&*lake.blob("GET", "/raw/dir/blob", &[], b"").body, b"two");
    assert_eq!(names(&list(&lake, "")), ["dir/blob"]);
    let both = list(&lake, "&include=snapshots");
    assert_eq!((names(&both).len(), both.element("Snapshot")), (2, &*time));

    lake.blob("DELETE", "/raw/dir/blob", &[], b"")
        .expect_error(409, "SnapshotsPresent");
    let only = [("x-ms-delete-snapshots", "only")];
    lake.blob("DELETE", "/raw/dir/blob", &only, b"").expect(202);
    lake.blob("GET", &at, &[], b"").expect(404);
    lake.blob("PUT", "/raw/dir/blob?comp=snapshot", &[], b"")
        .expect(201);
    let include = [("x-ms-delete-snapshots", "include")];
    lake.blob("DELETE", "/raw/dir/blob", &include, b"")
        .expect(202);
    assert_eq!(
        names(&list(&lake, "&include=snapshots")),
        Vec::<String>::new()
    );
    lake.blob("PUT", "/raw/dir/blob?comp=snapshot", &[], b"")
        .expect(404);
}

#[test]
fn a_container_gets_another_name() {
    let lake = Lake::flat();
    put(&lake, "a", b"one");
    let lease = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "-1"),
    ];
    let held = lake
        .blob("PUT", "/raw?restype=container&comp=lease", &lease, b"")
        .expect(201);
    let id = held.header("x-ms-lease-id").to_owned();
    let rename = |target: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("x-ms-source-container-name", "raw")];
        headers.extend(more);
        let target = format!("/{target}?restype=container&comp=rename");
        lake.blob("PUT", &target, &headers, b"")
    };
    rename("new", &[]).expect_error(412, "LeaseIdMissing");
    let own = ("x-ms-source-lease-id", id.as_str());
    rename("new", &[("x-ms-source-lease-id", "none")]).expect_error(400, "InvalidHeaderValue");
    rename("raw", &[own]).expect_error(409, "ContainerAlreadyExists");
    rename("new", &[own]).expect(200);
    let told = lake
        .blob("GET", "/new?restype=container", &[], b"")
        .expect(200);
    assert_eq!(told.header("x-ms-lease-state"), "available");
    let read = lake.blob("GET", "/new/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"one");
    rename("newer", &[]).expect_error(404, "ContainerNotFound");
}

#[test]
fn a_flat_account_lists_paths_with_the_directories_that_names_imply() {
    let lake = Lake::flat();
    for name in ["a", "d/e/f", "d/g", "marked/h", "z"] {
        put(&lake, name, b"text");
    }
    let marker = [
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-meta-hdi_isfolder", "true"),
    ];
    lake.blob("PUT", "/raw/marked", &marker, b"").expect(201);
    let told = |query: &str| {
        let target = format!("/raw?resource=filesystem&{query}");
        let answer = lake.dfs("GET", &target, &[], b"").expect(200);
        let json = answer.json();
        let paths = json["paths"].as_array().unwrap().iter().map(|path| {
            assert!(path["permissions"].is_null() && path["owner"].is_null());
            let mark = if path["isDirectory"] == "true" {
                "/"
            } else {
                ""
            };
            format!("{}{mark}", path["name"].as_str().unwrap())
        });
        let paths = paths.collect::<Vec<_>>().join(" ");
        (paths, answer.header("x-ms-continuation").to_owned())
    };
    assert_eq!(told("recursive=true").0, "a d/e/f d/g marked/ marked/h z");
    assert_eq!(told("recursive=false").0, "a d/ marked/ z");
    assert_eq!(told("recursive=false&directory=d").0, "d/e/ d/g");
    assert_eq!(told("recursive=true&directory=d").0, "d/e/f d/g");
    assert_eq!(told("recursive=true&directory=d&beginFrom=f").0, "d/g");
    let (first, next) = told("recursive=false&maxResults=2");
    assert_eq!(first, "a d/");
    let next = next
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let (second, end) = told(&format!("recursive=false&maxResults=5&continuation={next}"));
    assert_eq!((&*second, &*end), ("marked/ z", ""));
    lake.dfs(
        "GET",
        "/raw?resource=filesystem&recursive=true&directory=none",
        &[],
        b"",
    )
    .expect_error(404, "PathNotFound");
}

#[test]
fn what_is_wrong_with_the_query_of_a_head_is_not_told() {
    let lake = Lake::flat();
    put(&lake, "a", b"text");
    let code = "InvalidQueryParameterValue";
    lake.blob("GET", "/raw/a?snapshot=1", &[], b"")
        .expect_error(400, code);
    lake.blob("HEAD", "/raw/a?snapshot=1", &[], b"")
        .expect_error(400, "");
}

#[test]
fn a_flat_containers_root_is_no_path_that_can_be_deleted() {
    let lake = Lake::flat();
    put(&lake, "a", b"text");
    lake.dfs("DELETE", "/raw", &[], b"")
        .expect_error(409, "ResourceTypeMismatch");
    assert_eq!(names(&list(&lake, "")), ["a"]);
}
