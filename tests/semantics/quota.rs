//! `lakestage quota`, as an operator uses it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, output, run};
use crate::world::{TASK, id};

fn ingest(data: &Path, numbers: std::ops::Range<u32>) -> std::process::Output {
    let lines: Vec<String> = numbers
        .map(|number| json!({ "taskid": id(number), "subject": "one" }).to_string())
        .collect();
    let arguments = ["--json", "ingest", "task", "--format", "jsonl"];
    output(data, &arguments, lines.join("\n").as_bytes())
}

fn json_of(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_slice(&run(data, arguments)).unwrap()
}

#[test]
fn a_quota_is_set_shown_and_kept_with_a_server_or_without() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    run(data, &["init", "contoso"]);
    let path = data.join("task.json");
    fs::write(&path, TASK).unwrap();
    run(data, &["table", "add", path.to_str().unwrap()]);
    let set = ["--json", "quota", "set", "--rows", "10"];
    assert_eq!(json_of(data, &set)["rows"], 10);
    for (is_served, rows, percent) in [(false, 0..8, "80 %"), (true, 8..10, "100 %")] {
        let server = is_served.then(|| Server::start(data));
        let shown = json_of(data, &["--json", "quota", "show"]);
        assert_eq!(
            (&shown["rows"], &shown["bytes"]),
            (&json!(10), &Value::Null)
        );
        assert!(ingest(data, rows).status.success());
        let refused = ingest(data, 20..23);
        assert_eq!(refused.status.code(), Some(1));
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("its quota is 10"), "{error}");
        let status = json_of(data, &["--json", "status"]);
        let warning = status[0]["quota"]["warning"].as_str().unwrap();
        assert!(warning.starts_with(percent), "{warning}");
        let text = String::from_utf8(run(data, &["status"])).unwrap();
        assert!(text.contains("warning: "), "{text}");
        drop(server);
    }
    let lifted = json_of(data, &["--json", "quota", "set"]);
    assert_eq!(lifted["warning"], Value::Null);
    assert!(ingest(data, 20..23).status.success());
}
