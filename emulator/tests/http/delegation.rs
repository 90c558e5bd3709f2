//! User delegation keys, and signatures by them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakestage_emulator::{Account, TENANT_DEFAULT, Token, bearer_token};

use crate::client::{Answer, Bearer, Lake, Port};
use crate::signing::{DENIED, NOW, OWNER, TODAY, delegation_key, lake, sas, sas_by, send};

/// Asks for a delegation key.
fn ask_key(lake: &Lake, oid: &str, start: &str, expiry: &str) -> Answer {
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let token = Token {
        oid,
        groups: &[],
        tenant: TENANT_DEFAULT,
        issued_unix_s: now.as_second(),
        lifetime_s: 600,
    };
    let token = bearer_token(&Account::well_known(), &token).unwrap();
    let body = format!("<KeyInfo><Start>{start}</Start><Expiry>{expiry}</Expiry></KeyInfo>");
    let target = "/?restype=service&comp=userdelegationkey";
    Bearer { lake, token }.ask(Port::Blob, "POST", target, &[], body.as_bytes())
}

#[test]
fn a_delegation_key_is_given_to_whoever_has_a_role_for_it_and_for_seven_days_at_most() {
    let lake = lake(&[
        "dan=Storage Blob Delegator",
        "raw=Storage Blob Data Owner@devstoreaccount1/raw",
    ]);
    let (start, end) = ("2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z");
    let key = ask_key(&lake, OWNER, start, end).expect(200);
    assert_eq!(
        [
            "SignedOid",
            "SignedTid",
            "SignedStart",
            "SignedExpiry",
            "SignedService",
            "SignedVersion"
        ]
        .map(|name| key.element(name)),
        [OWNER, TENANT_DEFAULT, start, end, "b", "2023-11-03"]
    );
    assert_eq!(
        key.element("Value"),
        STANDARD.encode(delegation_key(OWNER, end))
    );
    ask_key(&lake, "dan", NOW, end).expect(200);
    // Keys are the account's, so a role in one filesystem is not enough.
    ask_key(&lake, "raw", NOW, end).expect_error(403, DENIED);
    ask_key(&lake, "nobody", NOW, end).expect_error(403, DENIED);
    for (start, expiry) in [
        (NOW, "2026-11-29T12:00:01Z"),
        ("2026-11-14T00:00:00Z", "2026-11-23T00:00:00Z"),
        (start, "2026-11-22T11:59:59Z"),
        ("2026-11-26T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("soon", end),
        (NOW, ""),
    ] {
        ask_key(&lake, OWNER, start, expiry).expect_error(400, "InvalidXmlNodeValue");
    }
    let with_key = lake.blob(
        "POST",
        "/?restype=service&comp=userdelegationkey",
        &[TODAY],
        b"<a/>",
    );
    let refused = with_key.expect_error(403, "AuthenticationFailed");
    assert!(refused.text().contains("Only authentication scheme Bearer"));
}

#[test]
fn keys_that_were_revoked_are_good_no_more_and_new_ones_are() {
    let lake = lake(&[]);
    let get = |sas: &str| send(&lake, "GET", "/raw/dir/f", sas, &[]);
    let signature = sas("delegation", "/raw", &[]);
    get(&signature).expect(200);
    let store = lake.store();
    assert_eq!(store.delegation_revocations("devstoreaccount1").unwrap(), 0);
    assert!(store.revoke_delegation_keys("nobody").is_err());
    assert_eq!(store.revoke_delegation_keys("devstoreaccount1").unwrap(), 1);
    let refused = get(&signature).expect_error(403, "AuthenticationFailed");
    assert!(refused.text().contains("does not match"));
    // What does not come from such a key is as good as before.
    get(&sas("service", "/raw", &[])).expect(200);
    get(&sas("account", "", &[])).expect(200);
    // A new key has the same name and another value.
    let (start, end) = ("2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z");
    let key = ask_key(&lake, OWNER, start, end).expect(200);
    let key = STANDARD.decode(key.element("Value")).unwrap();
    assert_ne!(key, delegation_key(OWNER, end));
    get(&sas_by(&key, "/raw", &[])).expect(200);
    assert_eq!(store.revoke_delegation_keys("devstoreaccount1").unwrap(), 2);
    get(&sas_by(&key, "/raw", &[])).expect_error(403, "AuthenticationFailed");
}

#[test]
fn a_delegations_signature_opens_what_its_owner_may_and_no_more() {
    let lake = lake(&["dan=Storage Blob Delegator"]);
    let sas = |fields: &[(&'static str, &str)]| sas("delegation", "/raw", fields);
    let get = |fields: &[(&'static str, &str)]| send(&lake, "GET", "/raw/dir/f", &sas(fields), &[]);
    get(&[]).expect(200);
    get(&[("sp", "w")]).expect_error(403, DENIED);
    // The letters say write, but the owner only reads.
    let create = "/raw/dir/new?resource=file";
    send(&lake, "PUT", create, &sas(&[("sp", "rcw")]), &[]).expect_error(403, DENIED);
    get(&[("skoid", "dan")]).expect_error(403, DENIED);
    get(&[("ske", "2026-11-22T11:00:00Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("ske", "2026-12-22T11:00:00Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("sks", "f")]).expect_error(403, "AuthenticationFailed");
    get(&[("si", "reading")]).expect_error(403, "AuthenticationFailed");
    // One user's signature is good beside that user's token only.
    get(&[("sduoid", "alice")]).expect_error(403, "AuthenticationFailed");
    let token = |oid: &str| {
        let now: jiff::Timestamp = NOW.parse().unwrap();
        let token = Token {
            oid,
            groups: &[],
            tenant: TENANT_DEFAULT,
            issued_unix_s: now.as_second(),
            lifetime_s: 600,
        };
        format!(
            "Bearer {}",
            bearer_token(&Account::well_known(), &token).unwrap()
        )
    };
    let as_user = |oid: &str| {
        let sas = sas(&[("sduoid", "alice")]);
        send(
            &lake,
            "GET",
            "/raw/dir/f",
            &sas,
            &[("authorization", &token(oid))],
        )
    };
    as_user("alice").expect(200);
    as_user("bob").expect_error(403, "AuthenticationFailed");
}

#[test]
fn a_delegation_for_an_agent_is_checked_or_vouched_for() {
    let lake = lake(&["carol=Storage Blob Data Contributor"]);
    let own = [("skoid", "carol"), ("sp", "rcw")];
    let sas =
        |fields: &[(&'static str, &str)]| sas("delegation", "/raw", &[&own[..], fields].concat());
    let put = |path: &str, fields: &[(&'static str, &str)]| {
        send(
            &lake,
            "PUT",
            &format!("{path}?resource=file"),
            &sas(fields),
            &[],
        )
    };
    let owner = |path: &str| {
        let target = format!("{path}?action=getAccessControl");
        let told = lake.dfs("HEAD", &target, &[TODAY], b"").expect(200);
        told.header("x-ms-owner").to_owned()
    };
    put("/raw/dir/one", &[]).expect(201);
    assert_eq!(owner("/raw/dir/one"), "carol");
    put("/raw/dir/two", &[("saoid", "agent")]).expect(201);
    assert_eq!(owner("/raw/dir/two"), "agent");
    // For whom nobody vouches, access control decides.
    put("/raw/dir/three", &[("suoid", "agent")]).expect_error(403, DENIED);
    for path in ["/raw/", "/raw/dir"] {
        let acl = [
            TODAY,
            ("x-ms-acl", "user::rwx,group::r-x,user:agent:rwx,other::---"),
        ];
        lake.dfs(
            "PATCH",
            &format!("{path}?action=setAccessControl"),
            &acl,
            b"",
        )
        .expect(200);
    }
    put("/raw/dir/three", &[("suoid", "agent")]).expect(201);
    assert_eq!(owner("/raw/dir/three"), "agent");
    put("/raw/dir/four", &[("suoid", "agent"), ("saoid", "agent")])
        .expect_error(403, "AuthorizationFailure");
}
