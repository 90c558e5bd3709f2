//! The command: environments, links, snapshots and servers as they are worked with from day to day.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{add_table, csv_rows, data, json, told};
use crate::support::{Run, Server, output, run};
use crate::world::{UNTRACKED, id};

#[test]
fn linking_a_table_without_change_tracking_is_refused_and_all_leaves_it_out() {
    let data = data();
    add_table(data.path(), "log.json", UNTRACKED);
    let (code, _, error) = told(data.path(), &["link", "new", "--table", "log"], "");
    assert_eq!(code, 1);
    assert!(error.contains("change tracking is off"), "{error}");
    let link = json(data.path(), &["link", "new", "--all"]);
    let tables: Vec<_> = link["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(tables, ["task"]);
}

#[test]
fn a_snapshot_into_a_plain_folder_is_there_as_files() {
    let data = data();
    let lake = data.path().join("lake");
    let to = format!("folder:{}", lake.display());
    run(data.path(), &["link", "new", "--all", "--to", &to]);
    output(
        data.path(),
        &["ingest", "task", "--format", "csv"],
        csv_rows(0..3).as_bytes(),
    );
    run(data.path(), &["snapshot"]);
    let text = fs::read_to_string(lake.join("dataverse-contoso-org1/task/2021.csv")).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(lake.join("dataverse-contoso-org1/model.json").is_file());
}

#[test]
fn an_environment_whose_filesystem_name_would_be_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (name, organization) = ("e".repeat(30), "o".repeat(23));
    let init = ["init", &name, "--organization", &organization];
    let (code, _, error) = told(folder.path(), &init, "");
    assert_eq!(code, 1);
    assert!(error.contains("63"), "{error}");
    let (code, out, _) = told(
        folder.path(),
        &["init", &name, "--organization", &organization[1..]],
        "",
    );
    assert_eq!(code, 0);
    assert!(out.contains(&format!("dataverse-{name}-{}", &organization[1..])));
}

#[test]
fn kept_snapshots_are_listed_read_compared_and_pinned() {
    let data = data();
    let at = data.path();
    run(at, &["link", "new", "--all", "--keep-snapshots", "2"]);
    let (_, out, _) = told(at, &["snapshot", "list"], "");
    assert!(out.contains("lakestage snapshot"), "{out}");
    let ingest = ["ingest", "task", "--format", "jsonl"];
    let publish = |subject: &str, amount: &str| {
        let row = format!(
            r#"{{"taskid":"{}","createdon":"2021-01-02","subject":"{subject}","amount":{amount},"done":true}}"#,
            id(1)
        );
        assert_eq!(told(at, &ingest, &row).0, 0);
        json(at, &["snapshot"])["snapshotUnixS"].as_i64().unwrap()
    };
    let first = publish("one", "900000000000000.1234");
    run(
        at,
        &[
            "snapshot",
            "pin",
            "audit",
            "--until",
            "2999-01-01T00:00:00Z",
        ],
    );
    publish("two", "2");
    publish("three", "3");
    publish("four", "4");
    let listed = json(at, &["snapshot", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed[0]["snapshotUnixS"], first);
    assert_eq!(listed[0]["pins"][0]["name"], "audit");

    let first = first.to_string();
    let read = ["snapshot", "read", "task", "--at", &first];
    let csv = String::from_utf8(run(at, &read)).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("Id,SinkCreatedOn,SinkModifiedOn,versionnumber,createdon"));
    assert!(lines[1].contains("\"one\""), "{csv}");
    let jsonl = String::from_utf8(run(at, &[&read[..], &["--format", "jsonl"]].concat())).unwrap();
    assert!(
        jsonl.contains(r#""subject":"one","notes":null"#)
            && jsonl.contains(r#""amount":900000000000000.1234,"done":true"#),
        "{jsonl}"
    );

    let diff = json(at, &["snapshot", "diff"]);
    assert_eq!(diff["tables"][0]["updated"], 1);
    let (_, out, _) = told(at, &["snapshot", "diff", "--from", &first, "--rows"], "");
    assert!(out.contains(&format!("task {} updated", id(1))), "{out}");

    run(at, &["snapshot", "unpin", "audit"]);
    publish("five", "5");
    let (code, _, error) = told(at, &read, "");
    assert_eq!(code, 1);
    assert!(error.contains("the oldest that is kept"), "{error}");
    assert_eq!(
        told(at, &["snapshot", "read", "task", "--at", "noon"], "").0,
        2
    );
    assert_eq!(
        told(
            at,
            &["link", "new", "x", "--all", "--keep-snapshots", "0"],
            ""
        )
        .0,
        2
    );
}

#[test]
fn a_link_is_changed_from_the_command_line() {
    let data = data();
    let at = data.path();
    add_table(at, "member.json", crate::world::MEMBER);
    run(at, &["link", "new", "--table", "task"]);
    let link = json(at, &["link", "tables", "add", "member"]);
    assert_eq!(link["tables"][0]["name"], "member");
    run(at, &["snapshot"]);
    run(at, &["link", "pause", "lake"]);
    let (code, out, error) = told(at, &["snapshot"], "");
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(error.contains("paused"), "{error}");
    assert_eq!(told(at, &["snapshot", "lake"], "").0, 1);
    let (_, out, _) = told(at, &["link", "status"], "");
    assert!(out.contains("paused"), "{out}");
    run(at, &["link", "resume", "lake"]);
    let link = json(at, &["link", "tables", "remove", "member"]);
    assert_eq!(link["tables"].as_array().unwrap().len(), 1);
    assert_eq!(told(at, &["link", "tables", "remove", "task"], "").0, 1);
    let (code, out, _) = told(at, &["link", "unlink", "lake", "--delete-data"], "");
    assert_eq!(code, 0);
    assert!(out.contains("dataverse-contoso-org1"), "{out}");
    let (_, out, _) = told(at, &["fs", "ls"], "");
    assert_eq!(out, "");
}

#[test]
fn run_keeps_the_lake_up_to_date_takes_commands_and_ends_cleanly() {
    let data = data();
    let at = data.path();
    run(at, &["link", "new", "--all"]);
    let mut feed = Run::start(at, &["--sync-every", "1s", "--snapshot-every", "1h"]);
    let first = feed.next();
    assert_eq!(
        (&first["event"], &first["link"]),
        (&"published".into(), &"lake".into())
    );
    let ingest = ["ingest", "task", "--format", "csv"];
    assert_eq!(told(at, &ingest, &csv_rows(0..10)).0, 0);
    let synced = feed.next();
    assert_eq!(synced["event"], "synced");
    assert_eq!(synced["report"]["filesWritten"][0], "task/2021.csv");
    let path = "dataverse-contoso-org1/task/2021.csv";
    assert_eq!(
        run(at, &["fs", "cat", path])
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        10
    );
    // A second one, and a server, are told who is in the way.
    assert_eq!(told(at, &["run", "--no-listen"], "").0, 1);
    assert_eq!(feed.end(), Some(0));
    let mut again = Run::start(at, &["--snapshot-every", "1s"]);
    assert_eq!(again.next()["event"], "published");
    assert_eq!(again.end(), Some(0));
    assert_eq!(told(at, &["run", "--sync-every", "soon"], "").0, 2);
    let status = json(at, &["status"]);
    assert_eq!(status[0]["links"][0]["tables"][0]["count"], 10);
    assert_eq!(status[0]["links"][0]["lagVersions"], 0);
}

/// Files that a process has open.
fn open_files(process: u32) -> Vec<std::path::PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.is_absolute())
        .collect()
}

#[test]
fn a_lake_in_memory_has_no_file_anywhere() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("none");
    let server = Server::start_with(&folder, &["--memory", "--flat", "devstoreaccount1"]);
    let endpoint = server.serving["blobEndpoint"].as_str().unwrap();
    let address = endpoint
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    assert!(!folder.exists());
    let inherited = open_files(std::process::id());
    for file in open_files(server.id()) {
        let is_own = !inherited.contains(&file) && !file.starts_with("/dev");
        assert!(!is_own, "{} is open", file.display());
    }
    drop(server);
    assert!(!folder.exists());
}

#[test]
fn a_plan_is_read_at_the_start_and_refused_with_its_file() {
    let data = tempfile::tempdir().unwrap();
    let plan = data.path().join("plan.json");
    let fault = r#"{"faults":[{"match":{"method":"GET"},"do":{"fault":"challenge"}}]}"#;
    std::fs::write(&plan, fault).unwrap();
    let plan = plan.to_str().unwrap();
    let options = ["--memory", "--faults", plan, "--faults-port", "0"];
    let server = Server::start_with(data.path(), &options);
    let endpoint = server.serving["faultsEndpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("http://127.0.0.1:"));
    drop(server);
    std::fs::write(plan, fault.replace("challenge", "explode")).unwrap();
    let (code, _, error) = told(data.path(), &["serve", "--memory", "--faults", plan], "");
    assert_eq!(code, 1);
    assert!(
        error.contains("plan.json") && error.contains("explode"),
        "{error}"
    );
}

#[test]
fn an_option_about_an_account_that_is_not_there_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let (code, _, error) = told(data.path(), &["serve", "--memory", "--flat", "nobody"], "");
    assert_eq!(code, 1);
    assert!(error.contains("nobody"), "{error}");
}

#[test]
fn an_encrypted_lake_is_opened_by_its_secret_and_rekeyed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let key = file("key", &"k".repeat(32));
    let words = file("words", "nobody knows\n");
    let by_key = ["--encrypt", "key-file", "--key-file", &key];
    let by_words = ["--encrypt", "passphrase", "--passphrase-file", &words];
    let data = folder.path().join("data");
    let run = |secret: &[&str], command: &[&str]| {
        told(&data, &[secret, command].concat(), "some content")
    };
    let (code, _, error) = run(&by_key, &["fs", "mkdir", "raw"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&[], &["fs", "ls"]);
    assert!(code == 1 && error.contains("--encrypt"), "{error}");
    let (code, _, error) = run(&by_words, &["fs", "ls"]);
    assert!(code == 1 && error.contains("by a key file"), "{error}");
    let other = file("other", &"o".repeat(32));
    let (code, _, error) = run(
        &["--encrypt", "key-file", "--key-file", &other],
        &["fs", "ls"],
    );
    assert!(code == 1 && error.contains("not the one"), "{error}");

    let to_words = [
        "rekey",
        "--to",
        "passphrase",
        "--to-passphrase-file",
        &words,
    ];
    let (code, _, error) = run(&[], &to_words);
    assert!(code == 1 && error.contains("--encrypt"), "{error}");
    let (code, told_that, error) = run(&by_key, &to_words);
    assert_eq!(code, 0, "{error}");
    assert!(told_that.contains("new secret"), "{told_that}");
    assert_eq!(run(&by_key, &["fs", "ls"]).0, 1);
    let (code, listed, error) = run(&by_words, &["fs", "ls"]);
    assert_eq!(code, 0, "{error}");
    assert!(listed.contains("raw"), "{listed}");
    let (code, _, error) = run(&by_words, &["serve", "--memory"]);
    assert!(code == 1 && error.contains("--memory"), "{error}");
}

#[test]
fn delegation_keys_are_revoked_from_the_command_line() {
    let data = tempfile::tempdir().unwrap();
    for count in ["1", "2"] {
        let (code, revoked, error) = told(data.path(), &["--json", "revoke-delegation-keys"], "");
        assert_eq!(code, 0, "{error}");
        assert!(
            revoked.contains(&format!("\"revocations\":{count}"))
                || revoked.contains(&format!("\"revocations\": {count}")),
            "{revoked}"
        );
    }
    let nobodys = ["revoke-delegation-keys", "--account", "nobody"];
    let (code, _, error) = told(data.path(), &nobodys, "");
    assert!(code == 1 && error.contains("nobody"), "{error}");
}

#[test]
fn options_about_access_that_make_no_sense_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let code = |options: &[&str]| {
        let arguments = [&["serve", "--memory"], options].concat();
        let (code, _, error) = told(data.path(), &arguments, "");
        (code, error)
    };
    let (failed, error) = code(&["--https-only"]);
    assert!(failed == 1 && error.contains("--self-signed"), "{error}");
    let (failed, error) = code(&["--roles", "none.json"]);
    assert!(failed == 1 && error.contains("none.json"), "{error}");
    for wrong in [
        ["--role", "alice=King"],
        ["--allow-ip", "10.0.0.0/99"],
        ["--tls-cert", "only.pem"],
        ["--tls-name", "lake.example"],
        ["--oauth", "maybe"],
    ] {
        assert_eq!(code(&wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn a_made_certificate_stays_with_the_data_folder_and_dangers_are_told() {
    let data = tempfile::tempdir().unwrap();
    let serving = |options: &[&str]| Server::start_with(data.path(), options).serving.clone();
    let plain = serving(&[]);
    assert_eq!(plain["certificateAuthority"], Value::Null);
    assert_eq!(plain["warnings"].as_array().unwrap().len(), 0);
    let secure = serving(&["--self-signed", "--oauth", "accept", "--bind", "0.0.0.0"]);
    assert!(
        secure["blobEndpoint"]
            .as_str()
            .unwrap()
            .starts_with("https://")
    );
    let authority = data.path().join("tls/ca.pem");
    assert_eq!(secure["certificateAuthority"], authority.to_str().unwrap());
    let pem = std::fs::read(&authority).unwrap();
    let warnings = secure["warnings"].to_string();
    assert!(
        warnings.contains("a key that everybody knows"),
        "{warnings}"
    );
    assert!(warnings.contains("not verified"), "{warnings}");
    serving(&["--self-signed"]);
    assert_eq!(std::fs::read(&authority).unwrap(), pem);
    // A lake in memory leaves nothing in the folder.
    let elsewhere = serving(&["--memory", "--self-signed"])["certificateAuthority"].clone();
    assert!(!Path::new(elsewhere.as_str().unwrap()).starts_with(data.path()));
}

#[test]
fn a_token_is_issued_without_a_server() {
    let data = tempfile::tempdir().unwrap();
    let issued = json(
        data.path(),
        &["token", "--oid", "alice", "--group", "staff"],
    );
    assert_eq!(issued["oid"], "alice");
    assert_eq!(issued["token"].as_str().unwrap().split('.').count(), 3);
    let lines = run(
        data.path(),
        &["token", "--oid", "alice", "--valid-minutes", "5"],
    );
    assert_eq!(
        String::from_utf8(lines).unwrap().trim().split('.').count(),
        3
    );
}

#[test]
fn an_account_without_a_hierarchical_namespace_takes_no_link() {
    let data = data();
    let at = data.path();
    let options = ["--account", "plain=c2VjcmV0", "--flat", "plain"];
    let _server = Server::start_with(at, &options);
    let link = ["link", "new", "--all", "--to", "emulator:plain"];
    let (code, _, error) = told(at, &link, "");
    assert_eq!(code, 1);
    assert!(error.contains("hierarchical namespace"), "{error}");
    assert_eq!(json(at, &["link", "status"]).as_array().unwrap().len(), 0);
    run(at, &["link", "new", "--all"]);
}

#[test]
fn bench_snapshot_says_what_it_measured_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let disk = tempfile::tempdir().unwrap();
    let disk_path = disk.path().to_str().unwrap();
    let bench = |json: &[&'static str]| {
        let few = ["bench", "snapshot", "--rows", "10000", "--rounds", "1"];
        let arguments = [json, &few, &["--dir", disk_path]].concat();
        run(data.path(), &arguments)
    };
    let report: serde_json::Value = serde_json::from_slice(&bench(&["--json"])).unwrap();
    assert_eq!(report["rows"], 10_000);
    assert!(report["snapshotBytes"].as_u64().unwrap() > 4_000_000);
    for measured in [
        "machineWriteAndSyncBytesPerS",
        "machineParseCsvBytesPerS",
        "machineCopyMemoryBytesPerS",
        "firstSnapshotMs",
        "rawWriteAndSyncMs",
    ] {
        assert!(report[measured].as_f64().unwrap() > 0.0, "{measured}");
    }
    let ratios = report["ratios"].as_array().unwrap();
    let of_raw = ratios
        .iter()
        .find(|r| r["name"] == "snapshot_first_of_raw_speed");
    let of_raw = of_raw.unwrap();
    assert_eq!(of_raw["goal"], 0.8);
    let value = of_raw["value"].as_f64().unwrap();
    assert_eq!(of_raw["holds"], value >= 0.8);
    let times = ["rawWriteAndSyncMs", "firstSnapshotMs"].map(|t| report[t].as_f64().unwrap());
    assert!((times[0] / times[1] - value).abs() < 0.001, "{report}");
    let text = String::from_utf8(bench(&[])).unwrap();
    for part in [
        "this machine at best",
        "copy memory",
        "snapshot_first_of_raw_speed",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}
