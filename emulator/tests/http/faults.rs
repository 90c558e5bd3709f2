//! Faults on purpose: each does what the plan says, to the requests that it names, and is recorded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lakestage_emulator::DEFAULT_ACCOUNT_NAME;
use lakestage_emulator::faults::{FaultPlan, Faults, OPERATIONS};

use crate::client::{Answer, Lake, Port};

const SCHEMA: &str = include_str!("../../../fixtures/faults.schema.json");

/// A lake with one file of ten bytes, and the faults that come then.
fn lake(plan: &serde_json::Value) -> (Lake, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let lake = Lake::with_faults(&faults);
    lake.file("/raw/a/file", b"0123456789");
    faults
        .set(FaultPlan::from_json(&plan.to_string()).unwrap())
        .unwrap();
    (lake, faults)
}

/// One fault for what `matches` says, once.
fn once(matches: serde_json::Value, effect: serde_json::Value) -> (Lake, Arc<Faults>) {
    lake(&serde_json::json!({ "faults": [{ "match": matches, "count": 1, "do": effect }] }))
}

fn get(lake: &Lake) -> hyper::Result<Answer> {
    lake.try_signed(
        Port::Dfs,
        "GET",
        (DEFAULT_ACCOUNT_NAME, "/raw/a/file"),
        &[],
        b"",
    )
}

fn read(lake: &Lake) -> Vec<u8> {
    get(lake).unwrap().expect(200).body.to_vec()
}

#[test]
fn each_limit_throttles_with_its_message_and_says_when_to_come_again() {
    let limits = [
        ("egress", "Egress is over the account limit."),
        ("ingress", "Ingress is over the account limit."),
        (
            "operations",
            "Operations per second is over the account limit.",
        ),
        (
            "server",
            "The server is currently unable to receive requests. Please retry your request.",
        ),
    ];
    for (limit, message) in limits {
        let effect = serde_json::json!({ "fault": "throttle", "limit": limit, "retryAfterS": 7 });
        let (lake, _) = once(serde_json::json!({}), effect);
        let answer = get(&lake).unwrap().expect_error(503, "ServerBusy");
        assert_eq!(answer.header("retry-after"), "7");
        assert!(answer.text().contains(message), "{}", answer.text());
        assert_eq!(read(&lake), b"0123456789");
    }
}

#[test]
fn any_refusal_can_be_asked_for_and_a_challenge_names_where_tokens_come_from() {
    let effect = serde_json::json!({ "fault": "error", "status": 500, "code": "InternalError" });
    let (lake, _) = once(serde_json::json!({ "method": "get" }), effect);
    get(&lake).unwrap().expect_error(500, "InternalError");
    let (lake, _) = once(
        serde_json::json!({}),
        serde_json::json!({ "fault": "challenge" }),
    );
    let answer = get(&lake).unwrap().expect(401);
    assert!(answer.header("www-authenticate").starts_with("Bearer "));
}

#[test]
fn a_reset_comes_before_the_work_or_after_it() {
    for (fault, is_done) in [
        ("resetBefore", false),
        ("resetAfter", true),
        ("loseAnswer", true),
    ] {
        let (lake, faults) = once(
            serde_json::json!({ "operation": "createPath" }),
            serde_json::json!({ "fault": fault }),
        );
        let create = (DEFAULT_ACCOUNT_NAME, "/raw/new?resource=file");
        assert!(
            lake.try_signed(Port::Dfs, "PUT", create, &[], b"").is_err(),
            "{fault}"
        );
        let status = if is_done { 200 } else { 404 };
        lake.dfs("HEAD", "/raw/new", &[], b"").expect(status);
        let records = faults.records();
        let record = records
            .iter()
            .find(|record| record.fault.is_some())
            .unwrap();
        assert_eq!(record.fault.as_deref(), Some(fault));
        assert_eq!((record.status, record.path.as_str()), (None, "raw/new"));
    }
}

#[test]
fn an_answer_is_cut_off_late_slow_or_damaged() {
    let (lake, _) = once(
        serde_json::json!({ "operation": "readPath" }),
        serde_json::json!({ "fault": "truncate", "bytes": 4 }),
    );
    assert!(get(&lake).is_err());
    assert_eq!(read(&lake), b"0123456789");
    for (effect, least) in [
        (
            serde_json::json!({ "fault": "slowFirstByte", "delayMs": 150 }),
            150,
        ),
        (
            serde_json::json!({ "fault": "slowStream", "bytesPerSecond": 50 }),
            150,
        ),
    ] {
        let (lake, _) = once(serde_json::json!({ "operation": "readPath" }), effect);
        let began = Instant::now();
        assert_eq!(read(&lake), b"0123456789");
        assert!(began.elapsed() >= Duration::from_millis(least));
    }
    let (lake, _) = once(
        serde_json::json!({ "operation": "readPath" }),
        serde_json::json!({ "fault": "wrongChecksum" }),
    );
    assert_eq!(read(&lake), b"0123456788");
    assert_eq!(read(&lake), b"0123456789");
}

#[test]
fn the_secondary_may_not_have_it_yet() {
    let (lake, _) = once(
        serde_json::json!({ "path": "raw/a/*" }),
        serde_json::json!({ "fault": "staleSecondary" }),
    );
    assert_eq!(read(&lake), b"0123456789");
    let secondary = format!("{DEFAULT_ACCOUNT_NAME}-secondary");
    let there = (secondary.as_str(), "/raw/a/file");
    let stale = lake.try_signed(Port::Dfs, "GET", there, &[], b"").unwrap();
    assert_eq!(stale.status, 404);
}

#[test]
fn pages_are_small_and_miss_nothing() {
    let effect = serde_json::json!({ "fault": "smallPages", "entries": 2 });
    let plan = serde_json::json!({ "faults": [{ "do": effect }] });
    let (lake, _) = lake(&plan);
    for name in ["b", "c", "d", "e"] {
        lake.file(&format!("/raw/{name}"), b"");
    }
    let mut names = Vec::new();
    let mut continuation = String::new();
    loop {
        let target = format!("/raw?resource=filesystem&recursive=true&continuation={continuation}");
        let page = lake.dfs("GET", &target, &[], b"").expect(200);
        let paths = page.json()["paths"].as_array().unwrap().clone();
        assert!(paths.len() <= 2);
        names.extend(
            paths
                .iter()
                .map(|path| path["name"].as_str().unwrap().to_owned()),
        );
        if page.header("x-ms-continuation").is_empty() {
            break;
        }
        continuation = page
            .header("x-ms-continuation")
            .replace('%', "%25")
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
    }
    assert_eq!(names, ["a", "a/file", "b", "c", "d", "e"]);
    let blobs = lake.blob("GET", "/raw?restype=container&comp=list", &[], b"");
    assert_eq!(blobs.expect(200).text().matches("<Blob>").count(), 2);
}

#[test]
fn a_recursive_change_of_access_ends_early_and_what_it_did_stays() {
    let (lake, _) = once(
        serde_json::json!({ "operation": "setAccessControlRecursive" }),
        serde_json::json!({ "fault": "partialAcl", "entries": 2 }),
    );
    let acl = [("x-ms-acl", "user::rwx,group::rwx,other::rwx")];
    let change = "/raw/?action=setAccessControlRecursive&mode=set";
    let permissions = |path: &str| {
        let answer = lake.dfs("HEAD", path, &[], b"").expect(200);
        answer.header("x-ms-permissions").to_owned()
    };
    lake.dfs("PATCH", change, &acl, b"")
        .expect_error(503, "ServerBusy");
    assert_eq!(permissions("/raw/a"), "rwxrwxrwx");
    assert_eq!(permissions("/raw/a/file"), "rw-r-----");
    lake.dfs("PATCH", change, &acl, b"").expect(200);
    assert_eq!(permissions("/raw/a/file"), "rwxrwxrwx");
}

#[test]
fn a_lease_runs_out_when_the_plan_says() {
    let (lake, _) = once(
        serde_json::json!({ "operation": "flush" }),
        serde_json::json!({ "fault": "expireLease" }),
    );
    let id = "11111111-2222-3333-4444-555555555555";
    let acquire = [
        ("x-ms-lease-action", "acquire"),
        ("x-ms-lease-duration", "-1"),
        ("x-ms-proposed-lease-id", id),
    ];
    lake.dfs("POST", "/raw/a/file", &acquire, b"").expect(201);
    let held = [("x-ms-lease-id", id)];
    lake.dfs("PATCH", "/raw/a/file?action=flush&position=10", &held, b"")
        .expect_error(412, "LeaseLost");
    let state = lake.dfs("HEAD", "/raw/a/file", &[], b"").expect(200);
    assert_eq!(state.header("x-ms-lease-state"), "expired");
}

#[test]
fn a_filesystem_is_being_deleted_for_a_while() {
    let (lake, _) = once(
        serde_json::json!({}),
        serde_json::json!({ "fault": "deletingFilesystem", "forMs": 300 }),
    );
    lake.dfs("DELETE", "/raw?resource=filesystem", &[], b"")
        .expect(202);
    lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
        .expect_error(409, "FilesystemBeingDeleted");
    lake.blob("PUT", "/raw?restype=container", &[], b"")
        .expect_error(409, "ContainerBeingDeleted");
    lake.dfs("PUT", "/other?resource=filesystem", &[], b"")
        .expect(201);
    std::thread::sleep(Duration::from_millis(350));
    lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
        .expect(201);
}

#[test]
fn a_fault_comes_after_so_many_so_often_and_as_likely_as_it_says() {
    let effect = serde_json::json!({ "fault": "error", "status": 500, "code": "InternalError" });
    let plan = serde_json::json!({ "faults": [{ "skip": 2, "count": 2, "do": effect }] });
    let (there, _) = lake(&plan);
    let statuses: Vec<u16> = (0..6).map(|_| get(&there).unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 500, 500, 200, 200]);

    let plan = serde_json::json!({ "seed": 5, "faults": [{ "probability": 0.4, "do": effect }] });
    let run = || -> Vec<u16> {
        let (there, _) = lake(&plan);
        (0..40).map(|_| get(&there).unwrap().status).collect()
    };
    let statuses = run();
    let failed = statuses.iter().filter(|status| **status == 500).count();
    assert!((5..30).contains(&failed), "{failed} of 40");
    assert_eq!(statuses, run(), "the same seed gives the same faults");
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_the_rule() {
    for (plan, reason) in [
        (r#"{"faults":[{"do":{"fault":"explode"}}]}"#, "explode"),
        (
            r#"{"faults":[{"do":{"fault":"truncate","bytes":1,"byte":2}}]}"#,
            "byte",
        ),
        (
            r#"{"faults":[{"match":{"operation":"fly"},"do":{"fault":"challenge"}}]}"#,
            "fly",
        ),
        (
            r#"{"faults":[{"probability":2,"do":{"fault":"challenge"}}]}"#,
            "between 0 and 1",
        ),
        (
            r#"{"faults":[{"do":{"fault":"smallPages","entries":0}}]}"#,
            "has no end",
        ),
        (
            r#"{"faults":[{"do":{"fault":"partialAcl","entries":0}}]}"#,
            "at least one",
        ),
        (
            r#"{"faults":[{"do":{"fault":"error","status":200,"code":"A"}}]}"#,
            "400",
        ),
        (r#"{"fault":[]}"#, "fault"),
    ] {
        let error = FaultPlan::from_json(plan).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_schema_of_plans_names_every_operation_and_its_examples_are_plans() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let operations = &schema["$defs"]["match"]["properties"]["operation"]["enum"];
    assert_eq!(*operations, serde_json::json!(OPERATIONS));
    let mut shown = Vec::new();
    for example in schema["examples"].as_array().unwrap() {
        let plan = FaultPlan::from_json(&example.to_string()).unwrap();
        let again = serde_json::to_value(&plan).unwrap();
        let names = again["faults"].as_array().unwrap().iter();
        shown.extend(names.map(|fault| fault["do"]["fault"].as_str().unwrap().to_owned()));
    }
    let described = schema["$defs"]["effect"]["oneOf"]
        .as_array()
        .unwrap()
        .iter();
    for effect in described.map(|one| one["properties"]["fault"]["const"].as_str().unwrap()) {
        assert!(
            shown.iter().any(|name| name == effect),
            "no example of {effect}"
        );
    }
}

/// Sends a request to the port for faults, and gives status and body.
fn admin(lake: &Lake, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(lake.faults_address()).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn the_plan_is_changed_and_requests_are_looked_at_on_a_port_of_their_own() {
    let (lake, _) = lake(&serde_json::json!({}));
    let plan = r#"{"faults":[{"count":1,"do":{"fault":"throttle","limit":"server"}}]}"#;
    assert_eq!(admin(&lake, "PUT", "/faults", plan).0, 204);
    get(&lake).unwrap().expect(503);
    get(&lake).unwrap().expect(200);
    let (status, shown) = admin(&lake, "GET", "/faults", "");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((status, &shown["happened"]), (200, &serde_json::json!([1])));
    let (status, reason) = admin(&lake, "PUT", "/faults", r#"{"faults":[{}]}"#);
    assert_eq!(status, 400);
    assert!(reason.contains("faults.schema.json"), "{reason}");
    assert_eq!(admin(&lake, "DELETE", "/faults", "").0, 204);
    let (_, lines) = admin(&lake, "GET", "/requests", "");
    let faults: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["fault"].clone())
        .collect();
    assert_eq!(
        faults.iter().filter(|fault| **fault == "throttle").count(),
        1
    );
    assert_eq!(admin(&lake, "GET", "/", "").0, 404);
}

#[test]
fn records_have_every_request_and_no_signature() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.jsonl");
    let faults = Arc::new(Faults::default());
    faults.record_to(&file).unwrap();
    let lake = Lake::with_faults(&faults);
    let headers = [("x-ms-client-request-id", "mine")];
    lake.dfs("HEAD", "/raw/none?sig=secret&upn=true", &headers, b"")
        .expect(404);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("secret"));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["operation"], "createFilesystem");
    assert_eq!(lines[1]["clientRequestId"], "mine");
    assert_eq!(lines[1]["status"], 404);
    assert_eq!(lines[1]["errorCode"], "PathNotFound");
    assert_eq!(lines[1]["fault"], serde_json::Value::Null);
}
