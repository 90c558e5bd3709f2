//! Shared access signatures: an account's and a service's, in every layout there is.

use std::collections::BTreeMap;

use lakestage_emulator::TENANT_DEFAULT;

use crate::client::Port;
use crate::signing::{ANSWER, DENIED, LAYOUTS, OWNER, lake, query, sas, send, sign_fields};

#[test]
fn signatures_of_the_sdks_are_taken() {
    let lake = lake(&[]);
    let lines = include_str!("../data/sdk_signatures.jsonl").lines();
    for line in lines {
        let made: serde_json::Value = serde_json::from_str(line).unwrap();
        let what = format!("{} of {}", made["what"], made["sdk"]);
        let headers: Vec<(&str, &str)> = made["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let target = format!("{}?timeout=30", made["target"].as_str().unwrap());
        let sas = made["sas"].as_str().unwrap();
        let answer = send(&lake, "GET", &target, sas, &headers);
        assert!(
            [200, 206].contains(&answer.status),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(answer.text(), "text", "{what}");
        if sas.contains("rsct=") {
            assert_eq!(answer.header("content-type"), "text/x-note", "{what}");
            assert_eq!(answer.header("cache-control"), "no-cache", "{what}");
        }
        let wrong = sas.replacen("sig=", "sig=A", 1);
        send(&lake, "GET", &target, &wrong, &headers).expect_error(403, "AuthenticationFailed");
    }
}

#[test]
fn every_signed_field_is_signed_in_every_layout() {
    let lake = lake(&[]);
    for (kind, version, layout) in LAYOUTS {
        let mut fields: BTreeMap<&str, String> = BTreeMap::new();
        let names = layout
            .split(' ')
            .filter(|name| !["account", "@", "#"].contains(name));
        let answered = ANSWER.split(' ').filter(|_| kind != "account");
        for name in names.clone().chain(answered.clone()) {
            fields.insert(name, first_value(name, version).to_owned());
        }
        let get = |fields: &BTreeMap<&str, String>,
                   signature: &str,
                   path: &str,
                   note: &str,
                   timeout: u8| {
            let target = format!("{path}?timeout={timeout}");
            send(
                &lake,
                "GET",
                &target,
                &query(fields, signature),
                &[("x-note", note)],
            )
        };
        let resource = "/blob/devstoreaccount1/raw/dir/f";
        let signature = sign_fields(kind, version, resource, &fields);
        let good = get(&fields, &signature, "/raw/dir/f", "hello", 30);
        assert_eq!(good.status, 200, "{kind} {version}: {}", good.text());
        for name in names.chain(answered) {
            let mut flipped = fields.clone();
            flipped.insert(name, other_value(name).to_owned());
            let answer = get(&flipped, &signature, "/raw/dir/f", "hello", 30);
            let told = (answer.status, answer.code());
            assert_eq!(
                told,
                (403, "AuthenticationFailed"),
                "{kind} {version} {name}"
            );
            flipped.remove(name);
            if !fields[name].is_empty() {
                let answer = get(&flipped, &signature, "/raw/dir/f", "hello", 30);
                assert_eq!(answer.status, 403, "{kind} {version} without {name}");
            }
        }
        if kind != "account" {
            let elsewhere = get(&fields, &signature, "/raw/dir/g", "hello", 30);
            elsewhere.expect_error(403, "AuthenticationFailed");
        }
        if version >= "2026-04-06" {
            let refused = get(&fields, &signature, "/raw/dir/f", "other", 30)
                .expect_error(403, "AuthenticationFailed");
            // The server says what it signed.
            assert!(
                refused.text().contains("x-note:other"),
                "{}",
                refused.text()
            );
            get(&fields, &signature, "/raw/dir/f", "hello", 31)
                .expect_error(403, "AuthenticationFailed");
        }
    }
}

fn first_value(name: &str, version: &'static str) -> &'static str {
    match name {
        "sp" => "r",
        "st" | "skt" => "2026-11-20T00:00:00Z",
        "se" | "ske" => "2026-11-27T00:00:00Z",
        "sip" => "127.0.0.1",
        "spr" => "https",
        "sv" => version,
        "sr" | "ss" | "sks" => "b",
        "srt" => "o",
        "ses" => "own",
        "skoid" => OWNER,
        "sktid" => TENANT_DEFAULT,
        "skv" => "2023-11-03",
        "saoid" => "11111111-0000-4000-8000-000000000001",
        "scid" => "22222222-0000-4000-8000-000000000002",
        "srh" => "x-note",
        "srq" => "timeout",
        // One of them cannot be together with the others.
        "si" | "suoid" | "sduoid" | "skdutid" => "",
        _ => "text/plain",
    }
}

fn other_value(name: &str) -> &'static str {
    match name {
        "sp" => "rw",
        "st" | "skt" => "2026-11-20T00:00:01Z",
        "se" | "ske" => "2026-11-26T23:59:59Z",
        "sip" => "127.0.0.0-127.0.0.9",
        "spr" => "https,http",
        "sv" => "2017-11-09",
        "sr" => "c",
        "ss" | "sks" => "bf",
        "srt" => "sco",
        "srh" => "x-note,x-ms-version",
        "srq" => "timeout,sp",
        _ => "33333333-0000-4000-8000-000000000003",
    }
}

#[test]
fn a_signature_is_bound_to_time_address_and_protocol() {
    let lake = lake(&[]);
    let get = |fields: &[(&'static str, &str)]| {
        send(
            &lake,
            "GET",
            "/raw/dir/f",
            &sas("service", "/raw", fields),
            &[],
        )
    };
    get(&[]).expect(200);
    get(&[("se", "2026-11-22T11:59:59Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("st", "2026-11-22T12:00:01Z")]).expect_error(403, "AuthenticationFailed");
    get(&[("sip", "127.0.0.1"), ("spr", "https")]).expect(200);
    let refused =
        get(&[("sip", "10.0.0.1-10.0.0.9")]).expect_error(403, "AuthorizationSourceIPMismatch");
    assert!(refused.text().contains("127.0.0.1"), "{}", refused.text());
    // A stored policy gives what the signature leaves out, and nothing twice.
    let by_policy = [("si", "reading"), ("sp", ""), ("se", "")];
    get(&by_policy).expect(200);
    get(&[("si", "reading")]).expect_error(400, "InvalidQueryParameterValue");
    get(&[("si", "reading"), ("se", "")]).expect_error(400, "InvalidQueryParameterValue");
    get(&[("si", "none")]).expect_error(403, "AuthenticationFailed");
    // What would be written with an encryption scope is not.
    let scoped = sas("service", "/raw", &[("sp", "rw"), ("ses", "own")]);
    send(&lake, "GET", "/raw/dir/f", &scoped, &[]).expect(200);
    send(&lake, "PUT", "/raw/new?resource=file", &scoped, &[])
        .expect_error(400, "UnsupportedQueryParameter");
    let lake = lake.plain();
    send(
        &lake,
        "GET",
        "/raw/dir/f",
        &sas("service", "/raw", &[("spr", "https")]),
        &[],
    )
    .expect_error(403, "AuthorizationProtocolMismatch");
}

#[test]
fn a_signature_opens_its_services_resources_and_letters() {
    let lake = lake(&[]);
    let account = |fields: &[(&'static str, &str)]| sas("account", "", fields);
    let get = |sas: &str| send(&lake, "GET", "/raw/dir/f", sas, &[]);
    get(&account(&[])).expect(200);
    get(&account(&[("ss", "fqt")])).expect_error(403, "AuthorizationServiceMismatch");
    get(&account(&[("srt", "sc")])).expect_error(403, "AuthorizationResourceTypeMismatch");
    get(&account(&[("sp", "wl")])).expect_error(403, DENIED);
    let list = |sas: &str| send(&lake, "GET", "/raw?restype=container&comp=list", sas, &[]);
    list(&account(&[("sp", "l"), ("srt", "c")])).expect(200);
    list(&account(&[("sp", "l"), ("srt", "o")]))
        .expect_error(403, "AuthorizationResourceTypeMismatch");
    list(&sas("service", "/raw", &[("sp", "l")])).expect(200);
    // To list is not to read, however the request is dressed up.
    let listing = sas("service", "/raw", &[("sp", "l")]);
    for target in [
        "/raw/dir/f",
        "/raw/dir/f?resource=filesystem&comp=",
        "/raw/dir/f?comp=list",
    ] {
        send(&lake, "GET", target, &listing, &[]).expect_error(403, DENIED);
    }
    // What is the account's, and policies, no signature of a container opens.
    let all = sas("service", "/raw", &[("sp", "racwdxltmeop")]);
    for (method, target) in [
        ("HEAD", "/raw?resource=filesystem"),
        ("DELETE", "/raw?restype=container"),
        ("GET", "/raw?restype=container&comp=acl"),
        ("PUT", "/raw?restype=container&comp=metadata"),
    ] {
        send(&lake, method, target, &all, &[]).expect_error(403, "AuthorizationFailure");
    }
    send(
        &lake,
        "GET",
        "/raw?restype=container&comp=acl",
        &account(&[("sp", "rwdlacup")]),
        &[],
    )
    .expect_error(403, "AuthorizationFailure");
    // Permissions, owners and tags have letters of their own.
    let change = |letters: &str, header: (&str, &str)| {
        let sas = sas("service", "/raw", &[("sp", letters)]);
        send(
            &lake,
            "PATCH",
            "/raw/dir/f?action=setAccessControl",
            &sas,
            &[header],
        )
    };
    change("rw", ("x-ms-permissions", "0640")).expect_error(403, DENIED);
    change("p", ("x-ms-permissions", "0640")).expect(200);
    change("p", ("x-ms-owner", "alice")).expect_error(403, DENIED);
    change("o", ("x-ms-owner", "alice")).expect(200);
    send(
        &lake,
        "GET",
        "/raw/dir/f?comp=tags",
        &sas("service", "/raw", &[]),
        &[],
    )
    .expect_error(403, DENIED);
}

#[test]
fn whoever_may_only_create_replaces_nothing() {
    let lake = lake(&[]);
    let create = sas("service", "/raw", &[("sp", "c")]);
    let blob = [("x-ms-blob-type", "BlockBlob")];
    send(&lake, "PUT", "/raw/new?resource=file", &create, &[]).expect(201);
    send(&lake, "PUT", "/raw/blob", &create, &blob).expect(201);
    for target in ["/raw/new?resource=file", "/raw/dir?resource=directory"] {
        send(&lake, "PUT", target, &create, &[]).expect_error(403, "UnauthorizedBlobOverwrite");
    }
    send(&lake, "PUT", "/raw/blob", &create, &blob).expect_error(403, "UnauthorizedBlobOverwrite");
    let write = sas("service", "/raw", &[("sp", "w")]);
    send(&lake, "PUT", "/raw/blob", &write, &blob).expect(201);
}

#[test]
fn a_directorys_signature_ends_at_the_directory() {
    let lake = lake(&[]);
    let fields = [("sr", "d"), ("sdd", "1"), ("sp", "rlmcwd")];
    let sas_dir = sas("service", "/raw/dir", &fields);
    let list = |directory: &str| {
        let target = format!("/raw?resource=filesystem&recursive=true&directory={directory}");
        send(&lake, "GET", &target, &sas_dir, &[])
    };
    list("dir").expect(200);
    list("").expect_error(403, "AuthorizationFailure");
    let blobs = |prefix: &str| {
        let target = format!("/raw?restype=container&comp=list&prefix={prefix}");
        send(&lake, "GET", &target, &sas_dir, &[])
    };
    blobs("dir/").expect(200);
    blobs("di").expect_error(403, "AuthorizationFailure");
    send(&lake, "GET", "/raw/else", &sas_dir, &[]).expect_error(403, "AuthenticationFailed");
    // Neither a rename nor a copy brings in what is outside.
    let rename = |from: &str| {
        let source = [("x-ms-rename-source", from)];
        send(&lake, "PUT", "/raw/dir/taken", &sas_dir, &source)
    };
    rename("/devstoreaccount1/raw/else").expect_error(403, "AuthenticationFailed");
    rename("/devstoreaccount1/raw/dir/g").expect(201);
    let own = sas("service", "/raw", &[("sp", "d")]);
    rename(&format!("/devstoreaccount1/raw/else?{own}")).expect(201);
    let copy = |from: &str| {
        let url = format!(
            "https://{}/devstoreaccount1/raw/{from}",
            lake.address(Port::Blob)
        );
        send(
            &lake,
            "PUT",
            "/raw/dir/copy",
            &sas_dir,
            &[("x-ms-copy-source", &url)],
        )
    };
    copy("dir/f").expect(202);
    copy("else2").expect_error(403, "CannotVerifyCopySource");
    let read = sas("service", "/raw", &[]);
    copy(&format!("dir/taken?{read}")).expect(202);
}
