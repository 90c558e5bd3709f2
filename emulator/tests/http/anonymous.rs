//! Requests without credentials, and requests from where none may come.

use std::collections::BTreeMap;

use lakestage_emulator::{AccessOptions, NetworkRules, ServerOptions, Store, StoreOptions};

use crate::client::{Answer, Lake, Port};

fn ask(lake: &Lake, method: &str, target: &str) -> Answer {
    let target = format!("/devstoreaccount1{target}");
    let headers = BTreeMap::from([("x-ms-version".to_owned(), "2023-11-03".to_owned())]);
    lake.send(Port::Blob, method, &target, &headers, b"")
}

#[test]
fn anybody_reads_what_is_public_and_nothing_else() {
    let lake = Lake::new();
    for (name, level) in [("private", ""), ("blobs", "blob"), ("all", "container")] {
        let header = [("x-ms-blob-public-access", level)];
        let headers = if level.is_empty() {
            &[][..]
        } else {
            &header[..]
        };
        lake.blob("PUT", &format!("/{name}?restype=container"), headers, b"")
            .expect(201);
        lake.file(&format!("/{name}/f"), b"text");
    }
    let statuses = |target: &str| {
        ["private", "blobs", "all", "none"]
            .map(|name| ask(&lake, "GET", &target.replace('*', name)).status)
    };
    assert_eq!(statuses("/*/f"), [401, 200, 200, 401]);
    assert_eq!(
        statuses("/*?restype=container&comp=list"),
        [401, 401, 200, 401]
    );
    assert_eq!(statuses("/*?restype=container"), [401, 401, 200, 401]);
    assert_eq!(statuses("/*?restype=container&comp=acl"), [401; 4]);
    assert_eq!(statuses("/*/f?comp=tags"), [401; 4]);
    assert_eq!(ask(&lake, "GET", "/?comp=list").status, 401);
    for (method, target) in [
        ("PUT", "/all/new?resource=file"),
        ("DELETE", "/all/f"),
        ("DELETE", "/all?restype=container"),
        ("HEAD", "/all/f?action=getAccessControl"),
    ] {
        ask(&lake, method, target).expect_error(401, "NoAuthenticationInformation");
    }
    let level = [("x-ms-blob-public-access", "blob")];
    lake.blob("PUT", "/all?restype=container&comp=acl", &level, b"")
        .expect(200);
    assert_eq!(statuses("/*?restype=container&comp=list"), [401; 4]);
}

#[test]
fn requests_come_from_allowed_addresses_only() {
    let serve = |allow: &[&str], deny: &[&str]| {
        let nets = |of: &[&str]| of.iter().map(|net| net.parse().unwrap()).collect();
        let network = NetworkRules {
            allow: nets(allow),
            deny: nets(deny),
        };
        let options = ServerOptions {
            access: AccessOptions {
                network,
                ..AccessOptions::default()
            },
            ..ServerOptions::default()
        };
        Lake::with_options(Store::open(StoreOptions::default()).unwrap(), options)
    };
    let list = |lake: &Lake| lake.blob("GET", "/?comp=list", &[], b"");
    list(&serve(&["127.0.0.0/8"], &[])).expect(200);
    for (allow, deny) in [(&["10.0.0.0/8"][..], &[][..]), (&[], &["127.0.0.1/32"])] {
        let lake = serve(allow, deny);
        list(&lake).expect_error(403, "AuthorizationFailure");
        // Even without credentials it is the address that is refused.
        ask(&lake, "GET", "/?comp=list").expect_error(403, "AuthorizationFailure");
    }
}
