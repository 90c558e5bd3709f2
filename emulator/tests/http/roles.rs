//! Every role, at every scope, with every operation, beside a table of who may do what.

use crate::bearer::with_roles;
use crate::client::{Answer, Bearer, Lake, Port};

const ROLES: [&str; 7] = [
    "Owner",
    "Contributor",
    "Reader",
    "Storage Blob Data Owner",
    "Storage Blob Data Contributor",
    "Storage Blob Data Reader",
    "Storage Blob Delegator",
];

/// The operations, who may do them in the order of [`ROLES`], and whether only a role in the whole account lets.
const TABLE: &str = "
list filesystems          +++ +++- account
service properties        +++ ---- account
set service properties    ++- ---- account
service statistics        +++ ---- account
delegation key            ++- ++++ account
create filesystem         ++- ++--
filesystem properties     +++ +++-
set filesystem metadata   ++- ++--
lease filesystem          ++- ++--
delete filesystem         ++- ++--
access policies           ++- +---
set access policies       ++- +---
list paths                --- +++-
list blobs                --- +++-
read                      --- +++-
properties                --- +++-
access control            --- +++-
block list                --- +++-
append                    --- ++--
flush                     --- ++--
create                    --- ++--
put blob                  --- ++--
put block                 --- ++--
set metadata              --- ++--
set tier                  --- ++--
undelete                  --- ++--
lease                     --- ++--
delete                    --- ++--
rename                    --- ++--
tags                      --- +---
set tags                  --- +---
put blob with tags        --- +---
set permissions           --- +---
set owner                 --- +---
";

/// Long ago: a change on this condition is refused with 412, but only to those who may ask for it.
const LONG_AGO: (&str, &str) = ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT");

/// Asks for an operation in a way that changes nothing that others see.
fn ask(who: &Bearer<'_>, operation: &str) -> Answer {
    use Port::{Blob, Dfs};
    let block = ("x-ms-blob-type", "BlockBlob");
    let absent = ("if-none-match", "*");
    match operation {
        "list filesystems" => who.blob("GET", "/?comp=list"),
        "service properties" => who.blob("GET", "/?restype=service&comp=properties"),
        "set service properties" => who.ask(
            Blob,
            "PUT",
            "/?restype=service&comp=properties",
            &[],
            b"<no",
        ),
        "service statistics" => who.blob("GET", "/?restype=service&comp=stats"),
        "delegation key" => {
            let target = "/?restype=service&comp=userdelegationkey";
            who.ask(Blob, "POST", target, &[], b"<no")
        }
        "create filesystem" => who.blob("PUT", "/raw?restype=container"),
        "filesystem properties" => who.dfs("HEAD", "/raw?resource=filesystem"),
        "set filesystem metadata" => {
            let target = "/raw?restype=container&comp=metadata";
            who.ask(Blob, "PUT", target, &[LONG_AGO], b"")
        }
        "lease filesystem" => {
            let target = "/raw?restype=container&comp=lease";
            who.ask(
                Blob,
                "PUT",
                target,
                &[("x-ms-lease-action", "release")],
                b"",
            )
        }
        "delete filesystem" => who.ask(Blob, "DELETE", "/raw?restype=container", &[LONG_AGO], b""),
        "access policies" => who.blob("GET", "/raw?restype=container&comp=acl"),
        "set access policies" => {
            let target = "/raw?restype=container&comp=acl";
            who.ask(Blob, "PUT", target, &[LONG_AGO], b"")
        }
        "list paths" => who.dfs("GET", "/raw?resource=filesystem&recursive=true"),
        "list blobs" => who.blob("GET", "/raw?restype=container&comp=list"),
        "read" => who.dfs("GET", "/raw/f"),
        "properties" => who.blob("HEAD", "/raw/f"),
        "access control" => who.dfs("HEAD", "/raw/f?action=getAccessControl"),
        "block list" => who.blob("GET", "/raw/f?comp=blocklist"),
        "append" => who.ask(Dfs, "PATCH", "/raw/f?action=append&position=0", &[], b"x"),
        "flush" => who.ask(
            Dfs,
            "PATCH",
            "/raw/f?action=flush&position=9",
            &[LONG_AGO],
            b"",
        ),
        "create" => who.ask(Dfs, "PUT", "/raw/f?resource=file", &[absent], b""),
        "put blob" => who.ask(Blob, "PUT", "/raw/f", &[block, absent], b""),
        "put block" => who.ask(Blob, "PUT", "/raw/b?comp=block&blockid=AAAA", &[], b"x"),
        "set metadata" => who.ask(Blob, "PUT", "/raw/f?comp=metadata", &[LONG_AGO], b""),
        "set tier" => who.ask(
            Blob,
            "PUT",
            "/raw/none?comp=tier",
            &[("x-ms-access-tier", "Cool")],
            b"",
        ),
        "undelete" => {
            let source = ("x-ms-undelete-source", "none?deletionid=1");
            who.ask(Blob, "PUT", "/raw/none?comp=undelete", &[source], b"")
        }
        "lease" => {
            let target = "/raw/f?comp=lease";
            who.ask(Blob, "PUT", target, &[("x-ms-lease-action", "break")], b"")
        }
        "delete" => who.dfs("DELETE", "/raw/none"),
        "rename" => {
            let source = ("x-ms-rename-source", "/devstoreaccount1/raw/none");
            who.ask(Dfs, "PUT", "/raw/to", &[source], b"")
        }
        "tags" => who.blob("GET", "/raw/f?comp=tags"),
        "set tags" => {
            let tags = b"<Tags><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tags>";
            who.ask(Blob, "PUT", "/raw/f?comp=tags", &[], tags)
        }
        "put blob with tags" => {
            let tags = ("x-ms-tags", "a=b");
            who.ask(Blob, "PUT", "/raw/f", &[block, absent, tags], b"")
        }
        "set permissions" => {
            let mode = ("x-ms-permissions", "0640");
            who.ask(
                Dfs,
                "PATCH",
                "/raw/f?action=setAccessControl",
                &[mode, LONG_AGO],
                b"",
            )
        }
        "set owner" => {
            let owner = ("x-ms-owner", "somebody");
            who.ask(
                Dfs,
                "PATCH",
                "/raw/f?action=setAccessControl",
                &[owner, LONG_AGO],
                b"",
            )
        }
        other => panic!("no operation {other}"),
    }
}

#[test]
fn roles_grant_what_the_table_says() {
    let scopes = [
        "",
        "@devstoreaccount1",
        "@devstoreaccount1/raw",
        "@devstoreaccount1/other",
        "@contoso",
    ];
    let principal = |role: usize, scope: usize| format!("p{role}-{scope}");
    let mut assignments = vec!["staff=Storage Blob Data Reader".to_owned()];
    for (n, role) in ROLES.iter().enumerate() {
        for (m, scope) in scopes.iter().enumerate() {
            assignments.push(format!("{}={role}{scope}", principal(n, m)));
        }
    }
    let assignments: Vec<&str> = assignments.iter().map(String::as_str).collect();
    let mut options = with_roles(&assignments);
    let members = vec!["by-file".to_owned()];
    options.roles.groups.insert("staff".to_owned(), members);
    let lake = Lake::secure(options);
    lake.file("/raw/f", b"text");

    let mut wrong = Vec::new();
    let mut try_one = |who: &Bearer<'_>, name: &str, operation: &str, expected: bool| {
        let answer = ask(who, operation);
        let denied = answer.status == 403 && answer.code() == "AuthorizationPermissionMismatch";
        if denied == expected || (!denied && [401, 403].contains(&answer.status)) {
            wrong.push(format!(
                "{name}: {operation}: {} {}",
                answer.status,
                answer.code()
            ));
        }
    };
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let (operation, rest) = line.split_at(26);
        let (operation, mut rest) = (operation.trim(), rest.split_whitespace());
        let marks: String = rest.by_ref().take(2).collect();
        let takes_account = rest.next() == Some("account");
        let granted: Vec<bool> = marks.chars().map(|mark| mark == '+').collect();
        assert_eq!(granted.len(), ROLES.len(), "{line}");
        for (n, role) in ROLES.iter().enumerate() {
            for (m, scope) in scopes.iter().enumerate() {
                let reaches = match m {
                    0 | 1 => true,
                    2 => !takes_account,
                    _ => false,
                };
                let who = lake.bearer(&principal(n, m), &[]);
                try_one(
                    &who,
                    &format!("{role}{scope}"),
                    operation,
                    granted[n] && reaches,
                );
            }
        }
        // A reader by group, as the token or the file says, is a reader.
        for who in [lake.bearer("x", &["staff"]), lake.bearer("by-file", &[])] {
            try_one(&who, "by group", operation, granted[5]);
        }
        try_one(&lake.bearer("nobody", &[]), "nobody", operation, false);
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
