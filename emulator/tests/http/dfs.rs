//! The DFS protocol: filesystems and paths.

use lakestage_emulator::{Store, StoreOptions};

use crate::client::{Lake, Port};

#[test]
fn a_filesystem_is_created_listed_described_and_deleted() {
    let lake = Lake::new();
    let created = lake
        .dfs(
            "PUT",
            "/raw?resource=filesystem",
            &[("x-ms-properties", "team=c3BhcnJvdw==")],
            b"",
        )
        .expect(201);
    assert_eq!(created.header("x-ms-namespace-enabled"), "true");
    assert!(created.header("etag").starts_with("\"0x8D"));
    lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
        .expect_error(409, "FilesystemAlreadyExists");
    let told = lake
        .dfs("HEAD", "/raw?resource=filesystem", &[], b"")
        .expect(200);
    assert_eq!(told.header("x-ms-properties"), "team=c3BhcnJvdw==");
    let listed = lake
        .dfs("GET", "/?resource=account", &[], b"")
        .expect(200)
        .json();
    assert_eq!(listed["filesystems"][0]["name"], "raw");
    lake.dfs("DELETE", "/raw?resource=filesystem", &[], b"")
        .expect(202);
    lake.dfs("HEAD", "/raw?resource=filesystem", &[], b"")
        .expect_error(404, "FilesystemNotFound");
    lake.dfs("PUT", "/No?resource=filesystem", &[], b"")
        .expect(400);
}

#[test]
fn a_file_is_appended_flushed_and_read() {
    let lake = Lake::with_raw();
    lake.dfs("PUT", "/raw/a/b.txt?resource=file", &[], b"")
        .expect(201);
    // Appended out of order; a file has its bytes when they are flushed.
    lake.dfs(
        "PATCH",
        "/raw/a/b.txt?action=append&position=6",
        &[],
        b"world",
    )
    .expect(202);
    lake.dfs(
        "PATCH",
        "/raw/a/b.txt?action=append&position=0",
        &[],
        b"hello ",
    )
    .expect(202);
    assert_eq!(
        lake.dfs("HEAD", "/raw/a/b.txt", &[], b"")
            .expect(200)
            .header("content-length"),
        "0"
    );
    let flushed = lake
        .dfs("PATCH", "/raw/a/b.txt?action=flush&position=11", &[], b"")
        .expect(200);
    let read = lake.dfs("GET", "/raw/a/b.txt", &[], b"").expect(200);
    assert_eq!(read.text(), "hello world");
    assert_eq!(read.header("etag"), flushed.header("etag"));
    assert_eq!(read.header("x-ms-resource-type"), "file");
    assert_eq!(read.header("accept-ranges"), "bytes");
}

#[test]
fn a_flush_with_a_gap_is_refused_and_changes_nothing() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    lake.dfs("PATCH", "/raw/f?action=append&position=5", &[], b"x")
        .expect(202);
    lake.dfs("PATCH", "/raw/f?action=flush&position=6", &[], b"")
        .expect_error(400, "InvalidFlushPosition");
    assert_eq!(
        lake.dfs("GET", "/raw/f", &[], b"").expect(200).text(),
        "abc"
    );
}

#[test]
fn a_create_replaces_unless_a_condition_says_no() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    lake.dfs(
        "PUT",
        "/raw/f?resource=file",
        &[("if-none-match", "*")],
        b"",
    )
    .expect_error(409, "PathAlreadyExists");
    lake.dfs("PUT", "/raw/f?resource=file", &[], b"")
        .expect(201);
    assert_eq!(lake.dfs("GET", "/raw/f", &[], b"").expect(200).text(), "");
    // A file cannot become a directory, nor have something below it.
    lake.dfs("PUT", "/raw/f?resource=directory", &[], b"")
        .expect_error(409, "PathConflict");
    lake.dfs("PUT", "/raw/f/g?resource=file", &[], b"")
        .expect_error(409, "PathConflict");
}

#[test]
fn a_directory_is_renamed_with_all_that_is_below_it() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/b/c.txt", b"c");
    let before = lake.dfs("HEAD", "/raw/a/b/c.txt", &[], b"").expect(200);
    lake.dfs("PUT", "/raw/z", &[("x-ms-rename-source", "/raw/a")], b"")
        .expect(201);
    lake.dfs("HEAD", "/raw/a", &[], b"").expect(404);
    let after = lake.dfs("GET", "/raw/z/b/c.txt", &[], b"").expect(200);
    assert_eq!(after.text(), "c");
    for name in ["etag", "last-modified", "x-ms-creation-time"] {
        assert_eq!(after.header(name), before.header(name), "{name}");
    }
}

#[test]
fn renames_that_cannot_be_are_refused() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/b", b"");
    lake.file("/raw/full/x", b"");
    let rename = |from: &str, to: &str, headers: &[(&str, &str)]| {
        let headers = [&[("x-ms-rename-source", from)], headers].concat();
        lake.dfs("PUT", &format!("{to}?mode=legacy"), &headers, b"")
    };
    rename("/raw/missing", "/raw/z", &[]).expect_error(404, "SourcePathNotFound");
    rename("/raw/a", "/raw/a/b/c", &[]).expect_error(409, "InvalidRenameSourcePath");
    rename("/raw/a/b", "/raw/nowhere/b", &[])
        .expect_error(404, "RenameDestinationParentPathNotFound");
    rename(
        "/raw/a",
        "/raw/full",
        &[("x-ms-source-if-match", "\"0x1\"")],
    )
    .expect_error(412, "SourceConditionNotMet");
    lake.file("/raw/b/y", b"");
    rename("/raw/b", "/raw/full", &[]).expect_error(409, "PathAlreadyExists");
    let answer = rename("/raw/full/x", "/raw/a/b", &[("if-none-match", "*")]);
    answer.expect_error(409, "PathAlreadyExists");
}

#[test]
fn without_legacy_mode_a_rename_goes_into_a_directory_that_is_there() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/b", b"b");
    lake.file("/raw/full/x", b"");
    let rename = |from: &str, to: &str| {
        let headers = [("x-ms-rename-source", from), ("if-none-match", "*")];
        lake.dfs("PUT", to, &headers, b"")
    };
    rename("/raw/a", "/raw/full").expect(201);
    lake.dfs("GET", "/raw/full/a/b", &[], b"").expect(200);
    rename("/raw/full/a/b", "/raw/full?mode=posix").expect(201);
    lake.dfs("GET", "/raw/full/b", &[], b"").expect(200);
    rename("/raw/full/x", "/raw/").expect(201);
    lake.dfs("GET", "/raw/x", &[], b"").expect(200);
    // What is in the way there is in the way.
    lake.file("/raw/full/x", b"");
    rename("/raw/x", "/raw/full").expect_error(409, "PathAlreadyExists");
    rename("/raw/full", "/raw/full").expect_error(409, "InvalidRenameSourcePath");
    rename("/raw/full", "/raw/full/a").expect_error(409, "InvalidRenameSourcePath");
}

#[test]
fn the_list_of_a_file_is_the_file() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/b", b"b");
    for recursive in ["true", "false"] {
        let list = format!("/raw?resource=filesystem&recursive={recursive}&directory=a%2Fb");
        let answer = lake.dfs("GET", &list, &[], b"").expect(200);
        let list: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(list["paths"].as_array().unwrap().len(), 1);
        assert_eq!(list["paths"][0]["name"], "a/b");
        assert_eq!(list["paths"][0]["contentLength"], "1");
    }
}

#[test]
fn a_plus_in_a_query_is_a_space_whichever_was_signed() {
    let lake = Lake::with_raw();
    lake.file("/raw/with%20space/f", b"");
    let list = |name: &str| format!("/raw?resource=filesystem&recursive=false&directory={name}");
    // A client signs what it means, or what it sends.
    for over in ["with%20space", "with+space"] {
        let targets = (&*list(over), &*list("with+space"));
        let answer = lake.signed_over(Port::Dfs, "GET", targets, &[], b"");
        assert!(answer.expect(200).text().contains("with space/f"), "{over}");
    }
    let targets = (&*list("without"), &*list("with+space"));
    lake.signed_over(Port::Dfs, "GET", targets, &[], b"")
        .expect_error(403, "AuthenticationFailed");
}

#[test]
fn what_a_file_or_a_name_cannot_have_is_refused() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"");
    let acl = "user::rwx,group::r-x,other::---,default:user::rwx";
    lake.dfs(
        "PATCH",
        "/raw/f?action=setAccessControl",
        &[("x-ms-acl", acl)],
        b"",
    )
    .expect_error(400, "InvalidHeaderValue");
    for name in ["no-hyphen", "1st", "sp ace"] {
        let properties = format!("{name}=YQ==");
        let headers = [("x-ms-properties", properties.as_str())];
        lake.dfs("PUT", "/raw/g?resource=file", &headers, b"")
            .expect_error(400, "InvalidPropertyName");
    }
}

#[test]
fn a_directory_is_deleted_only_with_what_is_in_it() {
    let lake = Lake::with_raw();
    lake.file("/raw/a/b/c", b"");
    lake.dfs("DELETE", "/raw/a?recursive=false", &[], b"")
        .expect_error(409, "DirectoryNotEmpty");
    lake.dfs("DELETE", "/raw/a?recursive=true", &[], b"")
        .expect(200);
    lake.dfs("HEAD", "/raw/a/b/c", &[], b"")
        .expect_error(404, "PathNotFound");
    lake.dfs("DELETE", "/raw/a?recursive=true", &[], b"")
        .expect_error(404, "PathNotFound");
}

#[test]
fn properties_and_access_control_are_set_and_told() {
    let lake = Lake::with_raw();
    lake.file("/raw/f", b"abc");
    lake.dfs(
        "PATCH",
        "/raw/f?action=setProperties",
        &[("x-ms-properties", "k=dg==")],
        b"",
    )
    .expect(200);
    let told = lake.dfs("HEAD", "/raw/f", &[], b"").expect(200);
    assert_eq!(told.header("x-ms-properties"), "k=dg==");
    assert_eq!(told.header("x-ms-permissions"), "rw-r-----");
    lake.dfs(
        "PATCH",
        "/raw/f?action=setAccessControl",
        &[("x-ms-permissions", "0750")],
        b"",
    )
    .expect(200);
    let told = lake
        .dfs("HEAD", "/raw/f?action=getAccessControl", &[], b"")
        .expect(200);
    assert_eq!(told.header("x-ms-permissions"), "rwxr-x---");
    assert_eq!(told.header("x-ms-acl"), "user::rwx,group::r-x,other::---");
    assert_eq!(told.header("x-ms-owner"), "$superuser");
}

#[test]
fn names_are_bytes_of_utf_8_and_nest_63_deep() {
    let lake = Lake::with_raw();
    lake.file("/raw/%C3%BC%20%F0%9F%98%80%2Bplus/%25", b"text");
    let listed = lake
        .dfs("GET", "/raw?resource=filesystem&recursive=true", &[], b"")
        .expect(200)
        .json();
    let names: Vec<_> = listed["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ü 😀+plus", "ü 😀+plus/%"]);
    let deep = vec!["d"; 63].join("/");
    lake.dfs("PUT", &format!("/raw/{deep}?resource=directory"), &[], b"")
        .expect(201);
    lake.dfs(
        "PUT",
        &format!("/raw/{deep}/d?resource=directory"),
        &[],
        b"",
    )
    .expect(400);
}

#[test]
fn an_expired_file_is_gone_and_keeps_no_directory() {
    let lake = Lake::with_raw();
    let soon = [
        ("x-ms-expiry-option", "RelativeToNow"),
        ("x-ms-expiry-time", "300"),
    ];
    lake.dfs("PUT", "/raw/dir/file?resource=file", &soon, b"")
        .expect(201);
    let told = lake.dfs("HEAD", "/raw/dir/file", &[], b"").expect(200);
    assert!(told.header("x-ms-expiry-time").ends_with("GMT"));
    lake.dfs("DELETE", "/raw/dir", &[], b"")
        .expect_error(409, "DirectoryNotEmpty");
    std::thread::sleep(std::time::Duration::from_millis(400));
    lake.dfs("GET", "/raw/dir/file", &[], b"")
        .expect_error(404, "PathNotFound");
    let listed = lake
        .dfs("GET", "/raw?resource=filesystem&recursive=true", &[], b"")
        .json();
    assert_eq!(listed["paths"].as_array().unwrap().len(), 1);
    lake.dfs("DELETE", "/raw/dir", &[], b"").expect(200);
    let never = [("x-ms-expiry-option", "NeverExpire")];
    lake.file("/raw/kept", b"text");
    lake.blob("PUT", "/raw/kept?comp=expiry", &soon, b"")
        .expect(200);
    lake.blob("PUT", "/raw/kept?comp=expiry", &never, b"")
        .expect(200);
    std::thread::sleep(std::time::Duration::from_millis(400));
    lake.dfs("GET", "/raw/kept", &[], b"").expect(200);
    lake.dfs("PUT", "/raw/dir?resource=directory", &soon, b"")
        .expect(409);
}

#[test]
fn an_append_that_flushes_is_done_whole_or_not_at_all() {
    let lake = Lake::with_raw();
    lake.file("/raw/a", b"abc");
    let append = "/raw/a?action=append&position=3&flush=true";
    lake.dfs("PATCH", append, &[("if-match", "\"0x1\"")], b"xyz")
        .expect_error(412, "ConditionNotMet");
    // What was refused does not wait for the next flush either.
    lake.dfs("PATCH", "/raw/a?action=flush&position=6", &[], b"")
        .expect_error(400, "InvalidFlushPosition");
    lake.dfs(
        "PATCH",
        "/raw/a?action=append&position=9&flush=true",
        &[],
        b"gap",
    )
    .expect_error(400, "InvalidFlushPosition");
    let done = lake.dfs("PATCH", append, &[], b"def").expect(202);
    assert_ne!(done.header("etag"), "");
    let read = lake.dfs("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"abcdef");
    // It takes what waits before it along.
    lake.dfs("PATCH", "/raw/a?action=append&position=6", &[], b"ghi")
        .expect(202);
    let long = vec![b'z'; 300_000];
    lake.dfs(
        "PATCH",
        "/raw/a?action=append&position=9&flush=true",
        &[],
        &long,
    )
    .expect(202);
    let read = lake.dfs("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(read.body, [b"abcdefghi".to_vec(), long].concat());
}

#[test]
fn a_flush_does_not_cut_off_what_is_committed() {
    let lake = Lake::with_raw();
    lake.file("/raw/a", b"abcdef");
    lake.dfs("PATCH", "/raw/a?action=flush&position=3", &[], b"")
        .expect_error(400, "InvalidFlushPosition");
    lake.dfs("PATCH", "/raw/a?action=append&position=0", &[], b"ABC")
        .expect(202);
    lake.dfs("PATCH", "/raw/a?action=flush&position=3", &[], b"")
        .expect_error(400, "InvalidFlushPosition");
    lake.dfs("PATCH", "/raw/a?action=flush&position=6", &[], b"")
        .expect(200);
    let read = lake.dfs("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"ABCdef");
}

#[test]
fn an_expired_files_bytes_go_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        folder: Some(folder.path().to_owned()),
        ..StoreOptions::default()
    };
    let lake = Lake::with_store(Store::open(options).unwrap());
    lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
        .expect(201);
    let extents = || folder.path().join("extents").read_dir().unwrap().count();
    let expire = |path: &str, ms: &str| {
        let expiry = [
            ("x-ms-expiry-option", "RelativeToNow"),
            ("x-ms-expiry-time", ms),
        ];
        lake.blob("PUT", &format!("{path}?comp=expiry"), &expiry, b"")
            .expect(200);
    };
    let content = vec![b'x'; 100_000];
    for name in ["d/plain", "d/file", "d/dir/file", "d/kept", "d/later"] {
        lake.file(&format!("/raw/{name}"), &content);
    }
    expire("/raw/d/plain", "1");
    expire("/raw/d/file", "400");
    expire("/raw/d/dir/file", "400");
    expire("/raw/d/kept", "1000000");
    // Later wins over sooner.
    expire("/raw/d/later", "300");
    expire("/raw/d/later", "1000000");
    for (from, to) in [("d/file", "d/renamed"), ("d/dir", "d/other")] {
        let source = [("x-ms-rename-source", format!("/raw/{from}"))];
        let source = [(source[0].0, source[0].1.as_str())];
        lake.dfs("PUT", &format!("/raw/{to}"), &source, b"")
            .expect(201);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while extents() > 2 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(extents(), 2);
    for (name, status) in [
        ("kept", 200),
        ("later", 200),
        ("renamed", 404),
        ("other/file", 404),
    ] {
        lake.dfs("HEAD", &format!("/raw/d/{name}"), &[], b"")
            .expect(status);
    }
}
