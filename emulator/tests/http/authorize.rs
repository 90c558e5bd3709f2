//! Access control, for those who are not the superuser.

use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, Part, Store, StoreOptions, WriteOptions};

use crate::client::{Answer, Lake};

const IDENTITY: &str = "x-lakestage-identity";
const DENIED: &str = "AuthorizationPermissionMismatch";

/// What somebody does.
struct As<'l>(&'l Lake, &'static str);

impl As<'_> {
    fn dfs(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = [&[(IDENTITY, self.1)], headers].concat();
        self.0.dfs(method, target, &headers, body)
    }

    fn denied(&self, method: &str, target: &str) {
        self.dfs(method, target, &[], b"").expect_error(403, DENIED);
    }
}

fn set(lake: &Lake, path: &str, header: &str, value: &str) {
    let target = format!("{path}?action=setAccessControl");
    lake.dfs("PATCH", &target, &[(header, value)], b"")
        .expect(200);
}

/// A lake whose root lets everybody through, with `open`, where everybody may write.
fn lake() -> Lake {
    let lake = Lake::taking_identities();
    set(&lake, "/raw/", "x-ms-permissions", "0751");
    lake.dfs(
        "PUT",
        "/raw/open?resource=directory",
        &[("x-ms-umask", "0000")],
        b"",
    )
    .expect(201);
    lake
}

#[test]
fn an_identity_is_refused_unless_the_server_takes_it() {
    let lake = Lake::with_raw();
    As(&lake, "alice")
        .dfs("HEAD", "/raw/?action=getAccessControl", &[], b"")
        .expect_error(400, "UnsupportedHeader");
    let lake = Lake::taking_identities();
    As(&lake, "a b")
        .dfs("HEAD", "/raw/?action=getAccessControl", &[], b"")
        .expect_error(400, "InvalidHeaderValue");
}

#[test]
fn what_is_created_belongs_to_whoever_created_it() {
    let lake = lake();
    let alice = As(&lake, "alice;staff");
    alice
        .dfs("PUT", "/raw/open/sub/file?resource=file", &[], b"")
        .expect(201);
    for path in ["/raw/open/sub", "/raw/open/sub/file"] {
        let told = lake.dfs("HEAD", &format!("{path}?action=getAccessControl"), &[], b"");
        assert_eq!(told.header("x-ms-owner"), "alice");
        assert_eq!(told.header("x-ms-group"), "$superuser");
    }
    let owner = [("x-ms-owner", "bob")];
    alice
        .dfs("PUT", "/raw/open/other?resource=file", &owner, b"")
        .expect_error(403, DENIED);
    alice.denied("PUT", "/raw/file?resource=file");
    alice.denied("PUT", "/new?resource=filesystem");
    alice.denied("DELETE", "/raw?resource=filesystem");
}

#[test]
fn reading_writing_and_listing_take_their_permissions_and_the_way_there() {
    let lake = lake();
    let (alice, bob) = (As(&lake, "alice"), As(&lake, "bob"));
    alice
        .dfs("PUT", "/raw/open/dir/file?resource=file", &[], b"")
        .expect(201);
    let append = "/raw/open/dir/file?action=append&position=0&flush=true";
    alice.dfs("PATCH", append, &[], b"text").expect(202);
    alice.dfs("GET", "/raw/open/dir/file", &[], b"").expect(200);
    // 0750 & 0640: others may neither go in nor read.
    bob.denied("GET", "/raw/open/dir/file");
    bob.denied(
        "GET",
        "/raw?resource=filesystem&recursive=false&directory=open/dir",
    );
    set(&lake, "/raw/open/dir", "x-ms-permissions", "0751");
    bob.dfs("HEAD", "/raw/open/dir/file", &[], b"").expect(200);
    bob.denied("GET", "/raw/open/dir/file");
    bob.denied(
        "GET",
        "/raw?resource=filesystem&recursive=false&directory=open/dir",
    );
    let list = "user::rw-,group::---,user:bob:r--,mask::r--,other::---";
    set(&lake, "/raw/open/dir/file", "x-ms-acl", list);
    bob.dfs("GET", "/raw/open/dir/file", &[], b"").expect(200);
    bob.dfs("PATCH", append, &[], b"TEXT")
        .expect_error(403, DENIED);
    bob.denied("PATCH", "/raw/open/dir/file?action=flush&position=4");
    bob.denied("PATCH", "/raw/open/dir/file?action=setProperties");
    bob.denied("PUT", "/raw/open/dir/file?resource=file");
    bob.denied("PUT", "/raw/open/dir/new?resource=file");
    assert_eq!(
        &*lake.dfs("GET", "/raw/open/dir/file", &[], b"").body,
        b"text"
    );
}

#[test]
fn check_access_answers_what_the_operation_would() {
    let lake = lake();
    As(&lake, "alice")
        .dfs("PUT", "/raw/open/file?resource=file", &[], b"")
        .expect(201);
    let ask = |who, what: &str| {
        let target = format!("/raw/open/file?action=checkAccess&fsAction={what}");
        As(&lake, who).dfs("HEAD", &target, &[], b"").status
    };
    assert_eq!(
        [ask("alice", "rw-"), ask("alice", "--x"), ask("bob", "r--")],
        [200, 403, 403]
    );
    assert_eq!(ask("alice", "wr-"), 400);
}

#[test]
fn deleting_and_renaming_take_the_directory_and_a_sticky_one_its_owners() {
    let lake = lake();
    let (alice, bob) = (As(&lake, "alice"), As(&lake, "bob"));
    for name in ["one", "two", "three"] {
        alice
            .dfs("PUT", &format!("/raw/open/{name}?resource=file"), &[], b"")
            .expect(201);
    }
    bob.dfs("DELETE", "/raw/open/one", &[], b"").expect(200);
    set(&lake, "/raw/open", "x-ms-permissions", "1777");
    bob.denied("DELETE", "/raw/open/two");
    let source = [("x-ms-rename-source", "/raw/open/two")];
    bob.dfs("PUT", "/raw/open/mine", &source, b"")
        .expect_error(403, DENIED);
    bob.dfs("PUT", "/raw/open/own?resource=file", &[], b"")
        .expect(201);
    let onto = [("x-ms-rename-source", "/raw/open/own")];
    bob.dfs("PUT", "/raw/open/three", &onto, b"")
        .expect_error(403, DENIED);
    alice.dfs("PUT", "/raw/open/mine", &source, b"").expect(201);
    alice.dfs("DELETE", "/raw/open/mine", &[], b"").expect(200);
}

#[test]
fn a_directory_is_deleted_only_by_whoever_may_empty_all_of_it() {
    let lake = lake();
    let (alice, bob) = (As(&lake, "alice"), As(&lake, "bob"));
    let umask = [("x-ms-umask", "0000")];
    bob.dfs("PUT", "/raw/open/dir?resource=directory", &umask, b"")
        .expect(201);
    alice
        .dfs("PUT", "/raw/open/dir/private/file?resource=file", &[], b"")
        .expect(201);
    bob.denied("DELETE", "/raw/open/dir?recursive=true");
    set(&lake, "/raw/open/dir/private", "x-ms-permissions", "0777");
    bob.dfs("DELETE", "/raw/open/dir?recursive=true", &[], b"")
        .expect(200);
}

#[test]
fn access_control_is_changed_by_the_owner_and_recursion_says_where_it_failed() {
    let lake = lake();
    let (alice, bob) = (As(&lake, "alice;audit"), As(&lake, "bob"));
    alice
        .dfs("PUT", "/raw/open/dir/a?resource=file", &[], b"")
        .expect(201);
    lake.dfs("PUT", "/raw/open/dir/b?resource=file", &[], b"")
        .expect(201);
    alice
        .dfs("PUT", "/raw/open/dir/c?resource=file", &[], b"")
        .expect(201);
    let change = "/raw/open/dir?action=setAccessControl";
    bob.dfs("PATCH", change, &[("x-ms-permissions", "0777")], b"")
        .expect_error(403, DENIED);
    alice
        .dfs("PATCH", change, &[("x-ms-group", "audit")], b"")
        .expect(200);
    alice
        .dfs("PATCH", change, &[("x-ms-group", "board")], b"")
        .expect_error(403, DENIED);
    alice
        .dfs("PATCH", change, &[("x-ms-owner", "bob")], b"")
        .expect_error(403, DENIED);

    let recursive = "/raw/open/dir?action=setAccessControlRecursive&mode=modify";
    let acl = [("x-ms-acl", "user:bob:r-x")];
    let stopped = alice.dfs("PATCH", recursive, &acl, b"").expect(200).json();
    assert_eq!(stopped["failureCount"], 1);
    assert_eq!(stopped["failedEntries"][0]["name"], "open/dir/b");
    assert_eq!(stopped["failedEntries"][0]["type"], "FILE");
    assert_eq!(
        (
            &stopped["directoriesSuccessful"],
            &stopped["filesSuccessful"]
        ),
        (&1.into(), &1.into())
    );
    let forced = format!("{recursive}&forceFlag=true");
    let done = alice.dfs("PATCH", &forced, &acl, b"").expect(200).json();
    assert_eq!(
        (&done["failureCount"], &done["filesSuccessful"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn a_large_directory_is_deleted_page_by_page_for_an_identity() {
    let store = Store::open(StoreOptions::default()).unwrap();
    let lake = Lake::taking_identities_over(store.clone());
    set(&lake, "/raw/", "x-ms-permissions", "0777");
    let raw = store.file_system(DEFAULT_ACCOUNT_NAME, "raw");
    for n in 0..10_100 {
        let path = format!("big/d{}/f{n:05}", n / 4_000);
        raw.write_file(&path, &[Part::Bytes(b"x")], &WriteOptions::default())
            .unwrap();
    }
    for directory in ["big", "big/d0", "big/d1", "big/d2"] {
        set(
            &lake,
            &format!("/raw/{directory}"),
            "x-ms-permissions",
            "0777",
        );
    }
    let alice = As(&lake, "alice");
    set(&lake, "/raw/big/d2", "x-ms-permissions", "0755");
    alice.denied("DELETE", "/raw/big?recursive=true&paginated=true");
    assert_eq!(raw.list("big", true).unwrap().len(), 10_103);
    set(&lake, "/raw/big/d2", "x-ms-permissions", "0777");
    let mut left = Vec::new();
    let mut continuation = String::new();
    loop {
        let target = format!("/raw/big?recursive=true&paginated=true&continuation={continuation}");
        let answer = alice.dfs("DELETE", &target, &[], b"").expect(200);
        let token = answer.header("x-ms-continuation");
        if token.is_empty() {
            break;
        }
        continuation = token
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        left.push(raw.list("big", true).unwrap().len());
    }
    // A page has 5,000 paths; the directory that goes on in the next one stays till then.
    assert_eq!(left, [5_104, 105]);
    lake.dfs("HEAD", "/raw/big", &[], b"").expect(404);
    assert_eq!(raw.list("", true).unwrap().len(), 0);
}
