//! `lakestage serve --metrics`, as a scraper reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::support::{Server, output, publishes_to, run};
use crate::world::{TASK, id};

fn request(server: &Server, first_line: &str) -> (String, String) {
    let url = server.serving["metricsEndpoint"].as_str().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let address = address.strip_suffix("/metrics").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "{first_line}\r\nHost: {address}\r\nAccept: */*\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Reads the text form strictly: every sample belongs to a family that was described before it, no family comes twice,
/// and the end is marked.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut family = String::new();
    let text = text.strip_suffix("# EOF\n").unwrap();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(!words.is_empty() && !kinds.contains_key(name), "{line}");
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let ends: &[&str] = match kinds[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            let end = name.strip_prefix(family.as_str()).unwrap();
            assert!(ends.contains(&end), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(
                samples.insert(sample.to_owned(), value).is_none(),
                "{line} comes twice"
            );
        }
    }
    samples
}

#[test]
fn metrics_tell_what_was_done_in_a_form_that_parses() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    run(data, &["init", "contoso"]);
    let path = data.join("task.json");
    fs::write(&path, TASK).unwrap();
    run(data, &["table", "add", path.to_str().unwrap()]);
    run(data, &["quota", "set", "--rows", "10"]);
    run(data, &["link", "new", "daily", "--table", "task"]);
    let server = Server::start_with(data, &["--metrics", "127.0.0.1:0"]);
    let ingest = |numbers: std::ops::Range<u32>| {
        let lines: Vec<String> = numbers
            .map(|number| json!({ "taskid": id(number), "subject": "one" }).to_string())
            .collect();
        let arguments = [
            "ingest",
            "task",
            "--format",
            "jsonl",
            "--rows-per-commit",
            "2",
        ];
        output(data, &arguments, lines.join("\n").as_bytes())
            .status
            .success()
    };
    assert!(ingest(0..6));
    let (head, text) = request(&server, "GET /metrics HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("openmetrics-text"), "{head}");
    let before = parse(&text);
    let of = |samples: &BTreeMap<String, f64>, name: &str, labels: &str| {
        let sample = format!("{name}{{environment=\"contoso\"{labels}}}");
        *samples
            .get(&sample)
            .unwrap_or_else(|| panic!("{sample} is not in {samples:#?}"))
    };
    assert_eq!(of(&before, "lakestage_commits_total", ""), 3.0);
    assert_eq!(of(&before, "lakestage_row_changes_total", ""), 6.0);
    assert_eq!(of(&before, "lakestage_last_version", ""), 6.0);
    assert_eq!(
        of(&before, "lakestage_commit_latency_seconds_count", ""),
        3.0
    );
    assert!(of(&before, "lakestage_commit_latency_seconds_sum", "") > 0.0);
    assert!(of(&before, "lakestage_unsealed_bytes", "") > 0.0);
    assert!(of(&before, "lakestage_journal_bytes", "") > 0.0);
    assert_eq!(of(&before, "lakestage_quota_used_rows", ""), 6.0);
    assert_eq!(of(&before, "lakestage_quota_limit", ",of=\"rows\""), 10.0);
    assert_eq!(
        of(
            &before,
            "lakestage_commits_refused_total",
            ",reason=\"quota\""
        ),
        0.0
    );
    assert_eq!(of(&before, "lakestage_link_active", ",link=\"daily\""), 1.0);
    assert_eq!(
        of(&before, "lakestage_link_lag_versions", ",link=\"daily\""),
        6.0
    );
    // All buckets hold everything below them, and the last one all.
    let bucket = |bound: &str| {
        let labels = format!("{{le=\"{bound}\",environment=\"contoso\"}}");
        before[&format!("lakestage_commit_latency_seconds_bucket{labels}")]
    };
    assert_eq!(bucket("+Inf"), 3.0);
    assert!(bucket("0.001") <= bucket("10.0"));

    let of_task = ",link=\"daily\",table=\"task\"";
    let state = |samples: &BTreeMap<String, f64>, state: &str| {
        let labels = format!("{of_task},state=\"{state}\"");
        of(samples, "lakestage_link_table_state", &labels)
    };
    assert_eq!(state(&before, "NotStarted"), 1.0);
    assert_eq!(
        of(&before, "lakestage_link_failing", ",link=\"daily\""),
        0.0
    );
    assert_eq!(of(&before, "lakestage_link_table_count", of_task), 0.0);
    run(data, &["snapshot", "daily"]);
    let synced = parse(&request(&server, "GET /metrics HTTP/1.1").1);
    assert_eq!(state(&synced, "Completed"), 1.0);
    assert_eq!(of(&synced, "lakestage_link_table_count", of_task), 6.0);
    assert_eq!(of(&synced, "lakestage_link_table_files", of_task), 1.0);
    let version = of(&synced, "lakestage_link_table_synced_version", of_task);
    assert_eq!(version, 6.0);
    let at = of(
        &synced,
        "lakestage_link_table_synced_timestamp_seconds",
        of_task,
    );
    assert!(at > 1.7e9);
    run(data, &["link", "pause", "daily"]);
    run(data, &["changes", "task", "--consumer", "warehouse"]);
    assert!(!ingest(6..14), "the quota is ten rows");
    let after = parse(&request(&server, "GET /metrics HTTP/1.1").1);
    assert_eq!(of(&after, "lakestage_commits_total", ""), 5.0);
    assert_eq!(
        of(
            &after,
            "lakestage_commits_refused_total",
            ",reason=\"quota\""
        ),
        1.0
    );
    assert_eq!(of(&after, "lakestage_quota_used_rows", ""), 10.0);
    assert_eq!(of(&after, "lakestage_link_active", ",link=\"daily\""), 0.0);
    assert_eq!(
        of(&after, "lakestage_retention_holders", ",kind=\"consumer\""),
        1.0
    );
    assert_eq!(
        of(
            &after,
            "lakestage_consumer_lag_versions",
            ",consumer=\"warehouse\""
        ),
        4.0
    );
    assert!(
        of(
            &after,
            "lakestage_link_last_snapshot_timestamp_seconds",
            ",link=\"daily\""
        ) > 1.7e9
    );

    assert!(request(&server, "GET /other HTTP/1.1").0.contains(" 404 "));
    assert!(
        request(&server, "POST /metrics HTTP/1.1")
            .0
            .contains(" 405 ")
    );
    drop(server);
}

#[test]
fn metrics_tell_of_the_way_to_an_account() {
    let (folder, account) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let away = Server::start(account.path());
    let url = away.serving["blobEndpoint"].as_str().unwrap().to_owned();
    let options = ["--bandwidth", "1MiB/s"];
    publishes_to(folder.path(), "contoso", TASK, &url, &options);
    let link = [
        "link",
        "new",
        "site",
        "--all",
        "--to",
        "account:away",
        "--publish",
        "all",
    ];
    run(folder.path(), &link);
    let row = format!(
        "{}\n",
        json!({ "taskid": id(1), "notes": "n".repeat(9_000) })
    );
    let ingest = ["ingest", "task", "--format", "jsonl"];
    assert!(
        output(folder.path(), &ingest, row.as_bytes())
            .status
            .success()
    );
    let server = Server::start_with(folder.path(), &["--metrics", "127.0.0.1:0"]);
    let value = |name: &str| {
        let (_, body) = request(&server, "GET /metrics HTTP/1.1");
        let sample = format!("{name}{{environment=\"contoso\",link=\"site\"}}");
        parse(&body).get(&sample).copied()
    };
    // Merged, but not published.
    assert!(
        !output(folder.path(), &["publish", "nobody"], b"")
            .status
            .success()
    );
    run(folder.path(), &["publish", "site", "--dry-run"]);
    let backlog = value("lakestage_link_backlog_bytes").unwrap();
    assert!(backlog > 9_000.0, "{backlog}");
    assert_eq!(
        value("lakestage_link_unpublished_since_timestamp_seconds"),
        Some(0.0)
    );
    assert_eq!(
        value("lakestage_link_rate_bytes_per_second"),
        Some(f64::from(1 << 20))
    );
    assert_eq!(value("lakestage_link_eta_seconds"), Some(1.0));
    run(folder.path(), &["publish", "site"]);
    assert_eq!(value("lakestage_link_backlog_bytes"), Some(0.0));
    assert_eq!(value("lakestage_link_waiting_snapshots"), Some(0.0));
    assert_eq!(
        value("lakestage_link_unpublished_since_timestamp_seconds"),
        None
    );
    assert!(value("lakestage_link_wire_bytes_total").unwrap() >= backlog);
}
