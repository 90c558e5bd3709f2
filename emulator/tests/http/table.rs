//! A table of principals, operations and paths: each answer beside what a plain reading of the rules gives.

use lakestage_emulator::{Account, TENANT_DEFAULT, Token, bearer_token};

use crate::client::{Answer, Bearer, Lake, Port};
use crate::signing::{DENIED, NOW, TODAY, delegation_key, lake, sas, sas_by, send};

const READ: u16 = 4;
const WRITE: u16 = 2;
const EXECUTE: u16 = 1;

/// Access control of a file or directory, as the model has it.
struct Access {
    owner: &'static str,
    group: &'static str,
    /// Octal, with the sticky bit; where there are entries its middle digit is the mask.
    mode: u16,
    /// Bits of the owning group where that digit is the mask.
    group_bits: u16,
    users: &'static [(&'static str, u16)],
    groups: &'static [(&'static str, u16)],
}

const fn plain(owner: &'static str, group: &'static str, mode: u16) -> Access {
    Access {
        owner,
        group,
        mode,
        group_bits: (mode >> 3) & 7,
        users: &[],
        groups: &[],
    }
}

/// A directory with a file in it, and the directory above, if any but the root.
struct Place {
    directory: &'static str,
    above: Option<(&'static str, Access)>,
    of_directory: Access,
    of_file: Access,
}

const SUPER: &str = "$superuser";

const PLACES: [Place; 7] = [
    Place {
        directory: "open",
        above: None,
        of_directory: plain(SUPER, SUPER, 0o777),
        of_file: plain(SUPER, SUPER, 0o666),
    },
    Place {
        directory: "private",
        above: None,
        of_directory: plain("alice", "staff", 0o700),
        of_file: plain("alice", "staff", 0o600),
    },
    Place {
        directory: "shared",
        above: None,
        of_directory: plain("alice", "staff", 0o770),
        of_file: plain("alice", "staff", 0o640),
    },
    Place {
        directory: "named",
        above: None,
        of_directory: Access {
            owner: "alice",
            group: SUPER,
            // The mask takes writing from bob.
            mode: 0o750,
            group_bits: 0,
            users: &[("bob", 0o7)],
            groups: &[("staff", 0o1)],
        },
        of_file: Access {
            owner: "alice",
            group: "staff",
            mode: 0o664,
            // A member of two groups goes by any one of them; somebody named goes by that alone.
            group_bits: 0,
            users: &[("bob", 0o2), ("dave", 0)],
            groups: &[("staff", 0o4)],
        },
    },
    Place {
        directory: "sticky",
        above: None,
        of_directory: plain(SUPER, SUPER, 0o1777),
        of_file: plain("alice", SUPER, 0o644),
    },
    Place {
        directory: "above/below",
        above: Some(("above", plain("alice", SUPER, 0o710))),
        of_directory: plain(SUPER, SUPER, 0o777),
        of_file: plain(SUPER, SUPER, 0o666),
    },
    Place {
        directory: "passage/below",
        above: Some(("passage", plain("alice", "staff", 0o071))),
        of_directory: plain("carol", SUPER, 0o775),
        of_file: plain("bob", SUPER, 0o604),
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Read,
    Properties,
    AccessControl,
    List,
    Append,
    Create,
    Delete,
    Rename,
    SetPermissions,
}

use Operation::{
    AccessControl, Append, Create, Delete, List, Properties, Read, Rename, SetPermissions,
};

const OPERATIONS: [Operation; 9] = [
    Read,
    Properties,
    AccessControl,
    List,
    Append,
    Create,
    Delete,
    Rename,
    SetPermissions,
];

/// By what somebody may something.
enum Right {
    /// Everything.
    Super,
    /// By access control lists, and by a role for some operations.
    User {
        id: &'static str,
        groups: &'static [&'static str],
        role: &'static [Operation],
    },
    /// By the letters of a signature, and as access control lists let somebody, if it is for somebody.
    Letters(&'static str, Option<&'static str>),
    Nobody,
}

const CONTRIBUTES: &[Operation] = &[
    Read,
    Properties,
    AccessControl,
    List,
    Append,
    Create,
    Delete,
    Rename,
];
const READS: &[Operation] = &[Read, Properties, AccessControl, List];

const fn user(id: &'static str, groups: &'static [&'static str]) -> Right {
    let role = &[];
    Right::User { id, groups, role }
}

const fn with_role(id: &'static str, role: &'static [Operation]) -> Right {
    let groups = &[];
    Right::User { id, groups, role }
}

const PRINCIPALS: [(&str, Right); 17] = [
    ("the key", Right::Super),
    ("boss", Right::Super),
    ("contributor", with_role("contributor", CONTRIBUTES)),
    ("reader", with_role("reader", READS)),
    // Whose role is in another filesystem, and whose role is about no data.
    ("elsewhere", with_role("elsewhere", &[])),
    ("manager", with_role("manager", &[])),
    ("alice", user("alice", &[])),
    ("bob", user("bob", &[])),
    ("bob of staff", user("bob", &["staff"])),
    ("carol", user("carol", &["staff", "other"])),
    ("dave", user("dave", &[])),
    ("a signature", Right::Letters("r", None)),
    ("a signature", Right::Letters("rl", None)),
    ("a signature", Right::Letters("acwdm", None)),
    ("a signature", Right::Letters("rlep", None)),
    ("a delegation", Right::Letters("racwdlmeop", Some("bob"))),
    ("nobody", Right::Nobody),
];

fn granted(access: &Access, id: &str, groups: &[&str], bits: u16) -> bool {
    let has = |granted: u16| granted & bits == bits;
    let mask = (access.mode >> 3) & 7;
    if access.owner == id {
        return has(access.mode >> 6 & 7);
    }
    if let Some((_, own)) = access.users.iter().find(|(user, _)| *user == id) {
        return has(own & mask);
    }
    let owning = (access.group, access.group_bits);
    let mut of_groups = access
        .groups
        .iter()
        .chain([&owning])
        .filter(|(group, _)| groups.contains(group))
        .peekable();
    match of_groups.peek() {
        Some(_) => of_groups.any(|(_, own)| has(own & mask)),
        None => has(access.mode & 7),
    }
}

/// Whether access control lists let somebody. The root lets everybody through, and nobody else in.
fn listed(place: &Place, operation: Operation, id: &str, groups: &[&str]) -> bool {
    let may = |access: &Access, bits| granted(access, id, groups, bits);
    let way = place
        .above
        .as_ref()
        .is_none_or(|(_, above)| may(above, EXECUTE));
    let (directory, file) = (&place.of_directory, &place.of_file);
    let into = way && may(directory, EXECUTE);
    let takes_names = way && may(directory, WRITE | EXECUTE);
    let is_sticky = directory.mode & 0o1000 != 0;
    let may_take = !is_sticky || directory.owner == id || file.owner == id;
    match operation {
        Read => into && may(file, READ),
        Properties | AccessControl => into,
        List => way && may(directory, READ | EXECUTE),
        Append => into && may(file, WRITE),
        Create => takes_names,
        Delete | Rename => takes_names && may_take,
        SetPermissions => into && file.owner == id,
    }
}

fn letters_let(letters: &str, operation: Operation) -> bool {
    let any = |wanted: &str| wanted.chars().any(|letter| letters.contains(letter));
    match operation {
        Read => any("r"),
        Properties | AccessControl => any("re"),
        List => any("l"),
        Append => any("aw"),
        Create => any("cw"),
        Delete => any("d"),
        // The target's and the source's.
        Rename => any("mw") && any("md"),
        SetPermissions => any("p"),
    }
}

fn may(right: &Right, place: &Place, operation: Operation) -> bool {
    match right {
        Right::Super => true,
        Right::Nobody => false,
        Right::User { id, groups, role } => {
            role.contains(&operation) || listed(place, operation, id, groups)
        }
        Right::Letters(letters, agent) => {
            letters_let(letters, operation)
                && agent.is_none_or(|id| listed(place, operation, id, &[]))
        }
    }
}

/// The list of an [`Access`], as the header has it.
fn list(access: &Access) -> String {
    let rwx = |bits: u16| -> String {
        [(READ, 'r'), (WRITE, 'w'), (EXECUTE, 'x')]
            .map(|(bit, letter)| if bits & bit == 0 { '-' } else { letter })
            .iter()
            .collect()
    };
    let mut entries = vec![
        format!("user::{}", rwx(access.mode >> 6)),
        format!("group::{}", rwx(access.group_bits)),
        format!("other::{}", rwx(access.mode)),
    ];
    for (kind, named) in [("user", access.users), ("group", access.groups)] {
        entries.extend(
            named
                .iter()
                .map(|(id, bits)| format!("{kind}:{id}:{}", rwx(*bits))),
        );
    }
    if entries.len() > 3 {
        entries.push(format!("mask::{}", rwx(access.mode >> 3)));
    }
    entries.join(",")
}

fn by_key(lake: &Lake, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    lake.dfs(method, target, &[&[TODAY], headers].concat(), b"")
}

fn set(lake: &Lake, path: &str, access: &Access) {
    let target = format!("/raw/{path}?action=setAccessControl");
    let owner = [("x-ms-owner", access.owner), ("x-ms-group", access.group)];
    if access.mode & 0o1000 != 0 {
        let mode = format!("{:04o}", access.mode);
        let headers = [&owner[..], &[("x-ms-permissions", &*mode)]].concat();
        by_key(lake, "PATCH", &target, &headers).expect(200);
        return;
    }
    let list = list(access);
    let headers = [&owner[..], &[("x-ms-acl", &*list)]].concat();
    by_key(lake, "PATCH", &target, &headers).expect(200);
}

/// Makes a place as it is said to be.
fn make(lake: &Lake, place: &Place) {
    let directory = place.directory;
    let top = place.above.as_ref().map_or(directory, |(name, _)| name);
    let gone = format!("/raw/{top}?recursive=true");
    assert!([200, 404].contains(&by_key(lake, "DELETE", &gone, &[]).status));
    by_key(
        lake,
        "PUT",
        &format!("/raw/{directory}/f?resource=file"),
        &[],
    )
    .expect(201);
    if let Some((name, above)) = &place.above {
        set(lake, name, above);
    }
    set(lake, &format!("{directory}/f"), &place.of_file);
    set(lake, directory, &place.of_directory);
}

/// Method, target and a header.
type Ask = (&'static str, String, Option<(&'static str, String)>);

fn ask(operation: Operation, directory: &str) -> Ask {
    let file = format!("/raw/{directory}/f");
    let with = |rest: &str| format!("{file}?{rest}");
    match operation {
        Read => ("GET", file, None),
        Properties => ("HEAD", with("action=getStatus"), None),
        AccessControl => ("HEAD", with("action=getAccessControl"), None),
        List => {
            let target = format!("/raw?resource=filesystem&recursive=false&directory={directory}");
            ("GET", target, None)
        }
        Append => ("PATCH", with("action=append&position=0"), None),
        Create => ("PUT", format!("/raw/{directory}/new?resource=file"), None),
        Delete => ("DELETE", file, None),
        Rename => {
            let source = ("x-ms-rename-source", format!("/devstoreaccount1{file}"));
            let target = format!("/raw/{directory}/g?mode=legacy");
            ("PUT", target, Some(source))
        }
        SetPermissions => {
            let mode = ("x-ms-permissions", "0600".to_owned());
            ("PATCH", with("action=setAccessControl"), Some(mode))
        }
    }
}

fn asked(lake: &Lake, (name, right): &(&str, Right), (method, target, header): &Ask) -> Answer {
    let headers: Vec<(&str, &str)> = header
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let user = |id: &str, groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let now: jiff::Timestamp = NOW.parse().unwrap();
        let token = Token {
            oid: id,
            groups: &groups,
            tenant: TENANT_DEFAULT,
            issued_unix_s: now.as_second(),
            lifetime_s: 600,
        };
        let token = bearer_token(&Account::well_known(), &token).unwrap();
        Bearer { lake, token }.ask(Port::Dfs, method, target, &headers, b"")
    };
    match right {
        Right::Super if *name == "boss" => user(name, &[]),
        Right::Super => by_key(lake, method, target, &headers),
        Right::User { id, groups, .. } => user(id, groups),
        Right::Letters(letters, None) => {
            let sas = sas("service", "/raw", &[("sp", letters)]);
            send(lake, method, target, &sas, &headers)
        }
        Right::Letters(letters, Some(agent)) => {
            let key = delegation_key("boss", "2026-11-27T00:00:00Z");
            let fields = [("sp", *letters), ("skoid", "boss"), ("suoid", agent)];
            send(
                lake,
                method,
                target,
                &sas_by(&key, "/raw", &fields),
                &headers,
            )
        }
        Right::Nobody => send(lake, method, target, "timeout=30", &headers),
    }
}

#[test]
fn whoever_asks_for_whatever_wherever_is_answered_as_the_rules_say() {
    let lake = lake(&[
        "boss=Storage Blob Data Owner",
        "contributor=Storage Blob Data Contributor",
        "reader=Storage Blob Data Reader",
        "elsewhere=Storage Blob Data Contributor@devstoreaccount1/other",
        "manager=Owner",
    ]);
    by_key(
        &lake,
        "PATCH",
        "/raw/?action=setAccessControl",
        &[("x-ms-permissions", "0751")],
    )
    .expect(200);
    let (mut granted, mut refused) = (0, 0);
    for place in &PLACES {
        make(&lake, place);
        for principal in &PRINCIPALS {
            for operation in OPERATIONS {
                let answer = asked(&lake, principal, &ask(operation, place.directory));
                let told = (answer.status, answer.code().to_owned());
                let what = format!("{} {operation:?} in {}", principal.0, place.directory);
                let is_fine = (200..300).contains(&told.0);
                match (may(&principal.1, place, operation), &principal.1) {
                    (true, _) => assert!(is_fine, "{what} is refused: {told:?}"),
                    (false, Right::Nobody) => assert_eq!(told.0, 401, "{what}"),
                    (false, _) => assert_eq!(told, (403, DENIED.to_owned()), "{what}"),
                }
                granted += u32::from(is_fine);
                refused += u32::from(!is_fine);
                let changes = [Create, Delete, Rename, SetPermissions].contains(&operation);
                if is_fine && changes {
                    make(&lake, place);
                }
            }
        }
    }
    assert!(granted > 300 && refused > 300, "{granted} {refused}");
}
