//! A storage account as a lake: the emulator stands for it, at the end of a way that is measured and cut.

use std::fs;
use std::sync::Arc;

use lakestage_emulator::faults::{FaultPlan, Faults};
use lakestage_emulator::{
    Account, DEFAULT_ACCOUNT_KEY, Emulator, ServerOptions, StoreOptions, TENANT_DEFAULT,
};
use lakestage_engine::{Lake, LinkTableOptions, NewLink, Part, Traffic};
use serde_json::json;

use crate::site::{ENDPOINT, Site};
use crate::support::{Server, output, run, try_run};
use crate::world::{TASK, id};

#[test]
fn an_account_shows_what_a_folder_shows() {
    let site = Site::new().linked();
    site.tasks(0..300, 50);
    site.world.put("member", &[("memberid", &id(1))]);
    site.snapshot().unwrap();
    site.tasks(100..120, 60);
    site.world.delete("task", 7);
    let report = site.snapshot().unwrap();
    assert!(report.changed);
    assert_eq!(site.newest(), site.expected());
    let mut local: Vec<String> = site
        .world
        .lake()
        .list("")
        .unwrap()
        .into_iter()
        .map(|e| e.path)
        .collect();
    let mut remote: Vec<String> = site
        .direct()
        .list("")
        .unwrap()
        .into_iter()
        .map(|e| e.path)
        .collect();
    // The folder saw the last snapshot alone; the account has the files of both.
    local.retain(|path| !path.contains("/Snapshot/"));
    remote.retain(|path| !path.contains("/Snapshot/"));
    assert_eq!(local, remote);
    assert!(!site.snapshot().unwrap().changed);
}

#[test]
fn a_small_change_is_a_small_upload() {
    let site = Site::new().linked();
    site.tasks(0..8_000, 1_000);
    let first = site.snapshot().unwrap();
    site.tasks(4_000..4_001, 1_001);
    let before = site.uplink.sent_bytes();
    let report = site.snapshot().unwrap();
    let wire_bytes = site.uplink.sent_bytes() - before;
    assert!(
        wire_bytes * 8 < first.bytes,
        "{wire_bytes} of {}",
        first.bytes
    );
    let traffic = report.traffic.unwrap();
    assert!(traffic.sent_bytes <= wire_bytes && traffic.taken_over_bytes > first.bytes / 2);
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn what_was_sent_before_an_interruption_is_not_sent_again() {
    let site = Site::new().linked();
    site.tasks(0..40_000, 1_000);
    site.uplink.cut_after(30 << 20);
    site.snapshot().unwrap_err();
    site.uplink.mend();
    // What changed meanwhile goes along.
    site.tasks(40_000..40_010, 10);
    let report = site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
    // One block of 8 MiB was cut in the middle; a file that was whole and those blocks of the other are taken over.
    let most = report.bytes + (9 << 20);
    let sent = site.uplink.sent_bytes();
    assert!(sent < most, "{sent} of at most {most}");
    // Nothing of the snapshot that was cut off is left.
    let left: Vec<_> = site.direct().list("task/Snapshot").unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn readers_never_see_a_snapshot_that_is_not_whole() {
    let site = Site::new().linked();
    site.tasks(0..50, 100);
    site.snapshot().unwrap();
    let whole = site.newest();
    site.tasks(10..40, 120);
    let mut cuts = 0;
    for step in 0.. {
        site.uplink.cut_after(step * 4_000);
        let published = site.snapshot();
        site.uplink.mend();
        let seen = site.newest();
        if published.is_ok() {
            break;
        }
        cuts += 1;
        assert!(seen == whole || seen == site.expected(), "after cut {step}");
    }
    assert!(cuts > 3, "{cuts}");
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn a_second_writer_is_noticed_before_it_overwrites_anything() {
    let site = Site::new().linked();
    site.tasks(0..10, 10);
    site.snapshot().unwrap();
    let before = site.read();
    site.tasks(0..10, 20);
    site.world.clock.advance_s(1);
    let other = site.lake_of("another");
    let error = site.world.environment.snapshot("site", &other).unwrap_err();
    assert!(error.to_string().contains("another lakestage"), "{error}");
    assert_eq!(site.read(), before);
    site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn a_credential_that_was_replaced_is_used_from_then_on() {
    let site = Site::new().linked();
    site.tasks(0..10, 10);
    fs::write(site.key(), "bm90IHRoZSBrZXk=").unwrap();
    let error = site.snapshot().unwrap_err().to_string();
    assert!(error.contains("AuthenticationFailed"), "{error}");
    assert!(!error.contains("sig="), "{error}");
    fs::write(site.key(), DEFAULT_ACCOUNT_KEY).unwrap();
    site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn a_file_that_somebody_changed_is_put_right() {
    let site = Site::new().linked();
    site.tasks(0..10, 10);
    site.snapshot().unwrap();
    let path = site
        .named()
        .into_iter()
        .find(|p| p.starts_with("task/"))
        .unwrap();
    site.direct().delete(&path).unwrap();
    let report = site.snapshot().unwrap();
    assert_eq!(report.repaired, [path]);
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn a_link_to_an_account_ends_with_its_data() {
    let site = Site::new().linked();
    site.tasks(0..10, 10);
    site.snapshot().unwrap();
    let lake = site.lake();
    let environment = &site.world.environment;
    environment
        .remove_link_tables("site", &lake, &["member".to_owned()])
        .unwrap();
    let left = site.direct().list("").unwrap();
    assert!(left.iter().all(|entry| !entry.path.starts_with("member")));
    environment.unlink("site", &lake, true).unwrap();
    assert!(site.direct().create().unwrap());
}

/// Publishes, lets faults come, publishes a change, and gives what went over the wire for it.
fn changed_with(plan: &serde_json::Value) -> (Site, Traffic, u64) {
    let faults = Arc::new(Faults::default());
    let site = Site::with_faults(&faults).linked();
    site.tasks(0..2_000, 1_000);
    site.snapshot().unwrap();
    faults
        .set(FaultPlan::from_json(&plan.to_string()).unwrap())
        .unwrap();
    site.tasks(1_000..1_001, 1_001);
    let report = site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
    let (_, happened) = faults.plan();
    assert!(happened.iter().all(|times| *times > 0), "{happened:?}");
    let written = report.bytes_written;
    (site, report.traffic.unwrap(), written)
}

#[test]
fn an_account_that_does_not_copy_gets_everything() {
    let refused = json!({ "fault": "error", "status": 409, "code": "CannotVerifyCopySource" });
    let once = |path: &str| json!({ "match": { "operation": "putBlock", "path": path }, "count": 1, "do": refused });
    let plan = json!({ "faults": [once("*/task/Snapshot/*.csv"), once("*/task/*.csv")] });
    let (_site, traffic, written) = changed_with(&plan);
    assert!(traffic.sent_bytes > 2 * written, "{traffic:?}");
}

#[test]
fn a_copy_that_is_not_what_it_should_be_is_sent_instead() {
    let place = json!({ "operation": "putBlock", "path": "*/task/Snapshot/*.csv" });
    // Two files have the content; neither is what it should be.
    let refused = json!({ "fault": "error", "status": 400, "code": "Crc64Mismatch" });
    let fault = json!({ "match": place, "count": 2, "do": refused });
    let (_site, traffic, written) = changed_with(&json!({ "faults": [fault] }));
    assert!(traffic.sent_bytes > written / 2, "{traffic:?}");
}

#[test]
fn a_source_that_somebody_changed_is_not_copied_from() {
    let site = Site::new().linked();
    site.tasks(0..2_000, 1_000);
    site.snapshot().unwrap();
    for path in site.named().iter().filter(|p| p.starts_with("task/")) {
        let foreign = Part::Bytes(b"somebody else's");
        site.direct().write(path, &[foreign], "text/csv").unwrap();
    }
    site.tasks(1_000..1_001, 1_001);
    site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
}

#[test]
fn an_answer_that_was_lost_is_told_from_another_writer() {
    let place = json!({ "operation": "putBlob", "path": "*/model.json" });
    let fault = json!({ "match": place, "count": 1, "do": { "fault": "resetAfter" } });
    changed_with(&json!({ "faults": [fault] }));
}

#[test]
fn an_account_without_a_hierarchical_namespace_is_refused_each_time() {
    let store = StoreOptions {
        accounts: vec![Account {
            flat: true,
            ..Account::well_known()
        }],
        ..StoreOptions::default()
    };
    let server = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    let site = Site::at(Emulator::start_with(store, server).unwrap());
    let tables = vec![LinkTableOptions::of("task")];
    let new = NewLink::new("site", "account:site", ENDPOINT, tables);
    for _ in 0..2 {
        let linked = site.world.environment.create_link(&site.lake(), &new);
        let error = linked.unwrap_err().to_string();
        assert!(error.contains("no hierarchical namespace"), "{error}");
    }
}

/// A data folder whose links go to a server that another data folder serves over TLS.
#[test]
fn an_application_publishes_over_tls_with_its_token() {
    let (site, account) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let owner = "alice=Storage Blob Data Owner@devstoreaccount1";
    let server = Server::start_with(account.path(), &["--self-signed", "--role", owner]);
    let url = server.serving["blobEndpoint"].as_str().unwrap().to_owned();
    let secret = site.path().join("secret");
    fs::write(&secret, DEFAULT_ACCOUNT_KEY).unwrap();
    let authority = url.trim_end_matches("/devstoreaccount1");
    let ca = account.path().join("tls/ca.pem");
    let add = |ca: &[&str]| {
        let plain = [
            "account",
            "add",
            "away",
            "--endpoint",
            &url,
            "--authority",
            authority,
        ];
        let client = ["--client-id", "alice", "--tenant-id", TENANT_DEFAULT];
        let secret = [
            "--client-secret-file",
            secret.to_str().unwrap(),
            "--retries",
            "0",
        ];
        run(site.path(), &[&plain[..], &client, &secret, ca].concat());
    };
    add(&[]);
    run(site.path(), &["init", "contoso", "--organization", "org1"]);
    let schema = site.path().join("task.json");
    fs::write(&schema, TASK).unwrap();
    run(site.path(), &["table", "add", schema.to_str().unwrap()]);
    let row = format!("{{\"taskid\": \"{}\", \"subject\": \"über\"}}", id(1));
    let taken = output(
        site.path(),
        &["ingest", "task", "--format", "jsonl"],
        row.as_bytes(),
    );
    assert!(taken.status.success());
    // Nobody answers for the server but its own authority.
    let link = ["link", "new", "--table", "task", "--to", "account:away"];
    assert!(!try_run(site.path(), &link));
    add(&["--ca-file", ca.to_str().unwrap()]);
    run(site.path(), &link);
    run(site.path(), &["snapshot"]);
    let list = run(
        account.path(),
        &["fs", "ls", "-R", "dataverse-contoso-org1/task/Snapshot"],
    );
    let list = String::from_utf8(list).unwrap();
    let file = list.lines().next().unwrap();
    let text = run(account.path(), &["fs", "cat", file]);
    assert!(String::from_utf8(text).unwrap().contains("über"));
    run(site.path(), &["verify", "--full"]);
}

#[test]
fn settings_that_cannot_work_are_refused_and_secrets_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let add = |arguments: &[&str]| {
        let output = output(
            folder.path(),
            &[&["account", "add", "away"], arguments].concat(),
            b"",
        );
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let plain = "http://127.0.0.1:10000/devstoreaccount1";
    for (arguments, rule) in [
        (
            &["--endpoint", "contoso", "--azure-cli"][..],
            "must be a URL",
        ),
        (&["--endpoint", plain, "--azure-cli"], "over https:// only"),
        (
            &["--endpoint", plain, "--key-env", "K", "--connections", "0"],
            "from 1 to 256",
        ),
    ] {
        let (code, error) = add(arguments);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(rule), "{error}");
    }
    assert_eq!(add(&["--endpoint", plain]).0, Some(2));
    assert_eq!(
        add(&["--endpoint", plain, "--key-env", "NO_SUCH_VARIABLE"]).0,
        Some(0)
    );
    let tested = output(folder.path(), &["account", "test", "away", "lake"], b"");
    let error = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(error.contains("NO_SUCH_VARIABLE is not set"), "{error}");
    let kept = fs::read_to_string(folder.path().join("accounts/accounts.json")).unwrap();
    assert!(kept.contains("NO_SUCH_VARIABLE"));
    run(folder.path(), &["account", "remove", "away"]);
    assert!(!try_run(
        folder.path(),
        &["account", "test", "away", "lake"]
    ));
}
