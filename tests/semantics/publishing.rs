//! How a lake in an account is published to: when, how fast, seen beforehand, compared afterwards.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use lakestage::{AccountLake, AccountOptions, Schedule};
use lakestage_emulator::faults::{FaultPlan, Faults};
use lakestage_engine::{
    ForecastDepth, Lake, MODEL_FILE, Part, PublishPolicy, Selection, TrickleFeed, TrickleOptions,
    TrickleStep,
};
use serde_json::{Value, json};

use crate::site::Site;
use crate::support::{output, publishes_to, run};
use crate::world::{TASK, id};

fn schedule(bandwidth: &str, windows: &[&str]) -> Schedule {
    Schedule {
        bandwidth: bandwidth.parse().unwrap(),
        windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
        time_zone: Some("UTC".to_owned()),
    }
}

/// A lake that a schedule has closed, or not.
fn scheduled(site: &Site, schedule: Schedule) -> AccountLake {
    site.lake_with(AccountOptions {
        schedule,
        ..site.options()
    })
}

#[test]
fn a_forecast_says_what_is_sent() {
    let site = Site::new().linked();
    let environment = &site.world.environment;
    site.tasks(0..4_000, 1_000);
    let forecast = environment
        .forecast("site", &site.lake(), ForecastDepth::Lake)
        .unwrap();
    let first = site.snapshot().unwrap();
    assert_eq!(forecast.sent_bytes, Some(first.bytes));
    assert_eq!(forecast.snapshots.len(), 1);
    let everything = environment
        .forecast("site", &site.lake(), ForecastDepth::Lake)
        .unwrap();
    assert!(everything.snapshots.is_empty());
    site.tasks(2_000..2_001, 1_001);
    let before = site.uplink.sent_bytes();
    let forecast = environment
        .forecast("site", &site.lake(), ForecastDepth::Lake)
        .unwrap();
    let offline = environment
        .forecast("site", &site.lake(), ForecastDepth::Here)
        .unwrap();
    assert!(site.uplink.sent_bytes() - before < 20_000);
    let traffic = site.snapshot().unwrap().traffic.unwrap();
    let sent = forecast.sent_bytes.unwrap();
    // The rest is metadata and model.json.
    assert!(sent <= traffic.sent_bytes && traffic.sent_bytes < sent + 30_000);
    assert!(sent < first.bytes / 8, "{sent}");
    assert_eq!(offline, forecast);
    let direct = environment
        .forecast("lake", &site.world.lake(), ForecastDepth::Lake)
        .unwrap();
    assert_eq!(direct.sent_bytes, None);
}

#[test]
fn snapshots_that_wait_share_what_they_send() {
    let site = Site::new().linked();
    let environment = &site.world.environment;
    let policy = PublishPolicy {
        selection: Selection::Every(1),
        ..PublishPolicy::default()
    };
    environment.set_publish_policy("site", policy).unwrap();
    site.tasks(0..2_000, 1_000);
    for round in 0..3 {
        site.tasks(round * 50..round * 50 + 1, 1_001);
        site.world.clock.advance_s(3_600);
        environment.take_snapshot("site").unwrap();
    }
    let forecast = environment
        .forecast("site", &site.lake(), ForecastDepth::Lake)
        .unwrap();
    assert_eq!(forecast.snapshots.len(), 3);
    let mut versions = Vec::new();
    let mut sent = 0;
    while let Some(report) = environment.publish_waiting("site", &site.lake()).unwrap() {
        versions.push(report.version);
        sent += report.traffic.unwrap().sent_bytes;
    }
    assert_eq!(versions.len(), 3);
    assert!(versions.is_sorted());
    let expected = forecast.sent_bytes.unwrap();
    assert!(
        (expected..expected + 90_000).contains(&sent),
        "{sent} beside {expected}"
    );
    assert_eq!(site.newest(), site.expected());
    // The snapshots before it can be read as well.
    assert_eq!(environment.link("site").unwrap().snapshots, 3);
}

#[test]
fn nothing_is_sent_while_the_schedule_has_the_way_closed() {
    let site = Site::new().linked();
    site.tasks(0..100, 100);
    let environment = &site.world.environment;
    let lake = scheduled(&site, schedule("full", &[&closed_for_hours()]));
    let until = lake.closed_until().unwrap();
    let options = TrickleOptions {
        sync_every_s: 60,
        snapshot_every_s: 3_600,
    };
    let mut feed = TrickleFeed::new(environment, "site", options).unwrap();
    let before = site.uplink.sent_bytes();
    let step = feed.step(&lake).unwrap();
    assert!(
        matches!(step, TrickleStep::Rests(told) if told == until),
        "{step:?}"
    );
    assert_eq!(site.uplink.sent_bytes(), before);
    let refused = environment.snapshot("site", &lake).unwrap_err().to_string();
    assert!(refused.contains("closed until"), "{refused}");
    assert!(site.direct().read(MODEL_FILE).unwrap().is_none());
    let ignored = lake.ignore_schedule();
    environment.snapshot("site", &lake).unwrap();
    drop(ignored);
    assert!(lake.closed_until().is_some());
    assert_eq!(site.newest(), site.expected());
    let open = schedule("1KiB/s", &["mon-sun 00:00-24:00=full"]);
    assert!(scheduled(&site, open).closed_until().is_none());
}

/// A window around now.
fn closed_for_hours() -> String {
    let now = jiff::Timestamp::now().as_second();
    let hour = |seconds: i64| (now + seconds).div_euclid(3_600).rem_euclid(24);
    format!("{:02}:00-{:02}:00=closed", hour(-3_600), hour(10_800))
}

#[test]
fn a_comparison_proves_without_reading_and_names_what_differs() {
    let site = Site::new().linked();
    let environment = &site.world.environment;
    site.tasks(0..400, 1_000);
    site.snapshot().unwrap();
    let verify = |read_back| {
        let lake = site.lake();
        environment
            .verify_published("site", &lake, read_back)
            .unwrap()
    };
    let proven = verify(false);
    assert!(proven.report.findings.is_empty(), "{proven:?}");
    assert_eq!((proven.proven_files, proven.unproven_files), (2, 0));
    assert!(verify(true).report.findings.is_empty());
    // Blocks here move on; of what was published length and ETag are still known.
    site.tasks(0..1, 10);
    environment.compact().unwrap();
    assert_eq!(verify(false).unproven_files, 1);
    site.snapshot().unwrap();
    let path = site
        .named()
        .into_iter()
        .find(|p| p.starts_with("task/"))
        .unwrap();
    let length = site.direct().stat(&path).unwrap().unwrap().length;
    let foreign = vec![b'x'; length as usize];
    site.direct()
        .write(&path, &[Part::Bytes(&foreign)], "text/csv")
        .unwrap();
    for read_back in [false, true] {
        let findings = verify(read_back).report.findings;
        assert!(
            findings.iter().any(|f| f.file.contains(&path)),
            "{findings:?}"
        );
    }
    site.direct().delete(&path).unwrap();
    let findings = verify(false).report.findings;
    assert!(
        findings.iter().any(|f| f.rule.contains("missing")),
        "{findings:?}"
    );
}

#[test]
fn an_account_that_asks_for_time_gets_it() {
    let faults = Arc::new(Faults::default());
    let site = Site::with_faults(&faults).linked();
    site.tasks(0..100, 100);
    let refused = json!({ "fault": "throttle", "limit": "server", "retryAfterS": 2 });
    let plan =
        json!({ "faults": [{ "match": { "operation": "putBlock" }, "count": 1, "do": refused }] });
    faults
        .set(FaultPlan::from_json(&plan.to_string()).unwrap())
        .unwrap();
    let lake = site.lake_with(AccountOptions {
        retries: 2,
        ..site.options()
    });
    let start = std::time::Instant::now();
    site.world.environment.snapshot("site", &lake).unwrap();
    // No sooner than it was asked; how much later is the machine's affair.
    assert!(start.elapsed().as_secs() >= 2);
    assert_eq!(site.newest(), site.expected());
}

/// A data folder of the command, with a link to the account that the site has.
fn commanded(site: &Site) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let url = site.uplink.url(&site.emulator.blob_url());
    publishes_to(path, "contoso", TASK, &url, &["--retries", "0"]);
    ingest(path, 0..50);
    run(
        path,
        &[
            "link",
            "new",
            "site",
            "--table",
            "task",
            "--to",
            "account:away",
            "--publish",
            "all",
        ],
    );
    folder
}

fn ingest(path: &std::path::Path, numbers: std::ops::Range<u32>) {
    let rows: String = numbers
        .map(|n| {
            let created = "2023-03-01T08:00:00Z";
            format!(
                "{{\"taskid\": \"{}\", \"createdon\": \"{created}\", \"subject\": \"{n}\"}}\n",
                id(n)
            )
        })
        .collect();
    let done = output(
        path,
        &["ingest", "task", "--format", "jsonl"],
        rows.as_bytes(),
    );
    assert!(done.status.success());
}

#[test]
fn the_command_publishes_forecasts_and_compares() {
    let site = Site::new();
    let folder = commanded(&site);
    let path = folder.path();
    let json = |arguments: &[&str]| -> Value {
        let printed = run(path, &[&["--json"], arguments].concat());
        serde_json::from_slice(&printed).unwrap()
    };
    let forecast = json(&["publish", "--dry-run"]);
    assert_eq!(forecast["snapshots"].as_array().unwrap().len(), 1);
    let sent = forecast["sentBytes"].as_u64().unwrap();
    assert!(sent > 1_000, "{forecast}");
    // The way is cut: one try fails with 1, and nothing is lost.
    site.uplink.cut_after(0);
    let failed = output(path, &["publish", "--once"], b"");
    assert_eq!(failed.status.code(), Some(1));
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(error.contains("publishing site"), "{error}");
    assert_eq!(
        json(&["link", "status", "site"])[0]["backlog"]["waiting"],
        1
    );
    let outlook = &json(&["link", "status", "site"])[0]["publishing"];
    assert_eq!(outlook["backlogBytes"], forecast["sentBytes"]);
    assert!(outlook["unpublishedSinceUnixS"].is_i64(), "{outlook}");
    site.uplink.mend();
    let published = json(&["publish"]);
    assert_eq!(
        (&published["link"], &published["rows"]),
        (&json!("site"), &json!(50))
    );
    let verified = json(&["publish", "--verify"]);
    assert_eq!(
        (&verified["provenFiles"], &verified["findings"]),
        (&json!(1), &json!([]))
    );
    json(&["publish", "--verify", "--read-back"]);
    let told = String::from_utf8(run(path, &["publish", "--dry-run"])).unwrap();
    assert!(told.contains("everything is published"), "{told}");
    let policy = json(&[
        "link",
        "policy",
        "site",
        "--publish",
        "every:6",
        "--backlog",
        "3",
    ]);
    assert_eq!(
        policy["backlog"]["policy"]["selection"],
        json!({ "every": 6 })
    );
    for (wrong, code) in [
        (&["publish", "--dry-run", "--verify"][..], 2),
        (&["publish", "--read-back"], 2),
        (&["publish", "nobody"], 1),
        (&["link", "policy", "site", "--publish", "some"], 2),
        (&["link", "policy", "site", "--backlog", "3"], 1),
    ] {
        assert_eq!(
            output(path, wrong, b"").status.code(),
            Some(code),
            "{wrong:?}"
        );
    }
}

#[test]
fn the_command_waits_for_the_window_and_the_settings_say_so() {
    let site = Site::new();
    let folder = commanded(&site);
    let path = folder.path();
    let url = site.uplink.url(&site.emulator.blob_url());
    let key = path.join("key");
    let window = closed_for_hours();
    let add = |more: &[&str]| {
        let add = ["account", "add", "away", "--endpoint", &url, "--key-file"];
        let arguments = [&add[..], &[key.to_str().unwrap()], more].concat();
        output(path, &arguments, b"")
    };
    assert!(
        add(&[
            "--bandwidth",
            "2MiB/s",
            "--during",
            &window,
            "--time-zone",
            "UTC"
        ])
        .status
        .success()
    );
    let listed = String::from_utf8(run(path, &["account", "list"])).unwrap();
    assert!(
        listed.contains("2MiB/s, ") && listed.contains("=closed in UTC"),
        "{listed}"
    );
    let failed = output(path, &["publish", "--once"], b"");
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(error.contains("--ignore-schedule"), "{error}");
    let forecast = run(path, &["--json", "publish", "--dry-run"]);
    let forecast: Value = serde_json::from_slice(&forecast).unwrap();
    assert!(forecast["closedUntilUnixS"].is_i64(), "{forecast}");
    assert!(forecast["estimateS"].is_u64(), "{forecast}");
    run(path, &["publish", "--once", "--ignore-schedule"]);
    run(path, &["publish", "--verify"]);
    for (wrong, code) in [
        (&["--bandwidth", "closed"][..], 1),
        (&["--bandwidth", "5"], 2),
        (&["--during", "8-9=full"], 2),
        (&["--time-zone", "Mars/Olympus"], 1),
    ] {
        assert_eq!(add(wrong).status.code(), Some(code), "{wrong:?}");
    }
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let site = Site::new();
    let folder = commanded(&site);
    let key = folder.path().join("key");
    // Nobody knows this host but the proxy, for which the account's own server stands.
    let url = "http://devstoreaccount1.blob.example";
    let add = [
        "account",
        "add",
        "away",
        "--endpoint",
        url,
        "--retries",
        "0",
        "--key-file",
    ];
    run(
        folder.path(),
        &[&add[..], &[key.to_str().unwrap()]].concat(),
    );
    let proxy = site.emulator.blob_url();
    let proxy = proxy.trim_end_matches("/devstoreaccount1");
    let publish = |proxy: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lakestage"));
        command
            .arg("--data")
            .arg(folder.path())
            .args(["publish", "site", "--once"]);
        for name in ["http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        command.envs(proxy.map(|proxy| ("http_proxy", proxy)));
        command.output().unwrap().status.success()
    };
    assert!(!publish(None));
    assert!(publish(Some(proxy)));
}

#[test]
fn blocks_that_the_account_has_dropped_are_sent_again() {
    let site = Site::new().linked();
    site.tasks(0..30_000, 1_000);
    site.uplink.cut_after(20 << 20);
    site.snapshot().unwrap_err();
    site.uplink.mend();
    // After a week nothing is left of what was in no list; here whoever writes the file over sees to that.
    let unfinished = unfinished(&site);
    assert!(!unfinished.is_empty());
    for path in &unfinished {
        site.direct()
            .write(path, &[Part::Bytes(b"")], "text/csv")
            .unwrap();
        site.direct().delete(path).unwrap();
    }
    let report = site.snapshot().unwrap();
    assert_eq!(site.newest(), site.expected());
    assert_eq!(report.repaired, [""; 0]);
}

/// The files of which something was sent and not all.
fn unfinished(site: &Site) -> Vec<String> {
    let mut paths = Vec::new();
    let known = site.world.folder.path().join("accounts/us");
    for container in fs::read_dir(known).unwrap().flatten() {
        for record in fs::read_dir(container.path()).unwrap().flatten() {
            if record.path().extension().is_some_and(|e| e == "staging") {
                let text = fs::read_to_string(record.path()).unwrap();
                let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                paths.push(head["path"].as_str().unwrap().to_owned());
            }
        }
    }
    paths
}
