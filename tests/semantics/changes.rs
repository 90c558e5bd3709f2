//! `lakestage changes`, as a consumer that is a script uses it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, UInt64Type};
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Server, output, run, start};
use crate::world::{TASK, id};

fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "contoso"]);
    let path = folder.path().join("task.json");
    fs::write(&path, TASK).unwrap();
    run(folder.path(), &["table", "add", path.to_str().unwrap()]);
    folder
}

fn ingest(data: &Path, lines: &[Value]) {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let arguments = ["ingest", "task", "--format", "jsonl"];
    let done = output(data, &arguments, text.join("\n").as_bytes());
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The changes of a run, and the token that it ended with.
fn changes(data: &Path, arguments: &[&str]) -> (Vec<Value>, String) {
    let text = run(data, &[&["changes", "task"], arguments].concat());
    let text = String::from_utf8(text).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let token = lines.last().unwrap()["token"].as_str().unwrap().to_owned();
    lines.retain(|line| line.get("token").is_none());
    (lines, token)
}

fn row(number: u32, subject: &str) -> Value {
    json!({ "taskid": id(number), "subject": subject, "amount": "12.50", "done": true })
}

#[test]
fn changes_follow_tokens_from_run_to_run() {
    let data = data();
    ingest(data.path(), &[row(1, "one \"quoted\""), row(2, "two")]);
    let (first, token) = changes(data.path(), &[]);
    assert_eq!(first.len(), 2);
    assert_eq!(first[0]["operation"], "create");
    assert_eq!(first[0]["row"]["subject"], "one \"quoted\"");
    assert_eq!(first[0]["row"]["amount"], "12.5");
    assert_eq!(first[0]["row"]["done"], true);
    assert_eq!(first[0]["row"]["notes"], Value::Null);
    assert_eq!(first[0]["row"]["versionnumber"], first[0]["version"]);
    assert_eq!(
        (&first[0]["endsCommit"], &first[1]["endsCommit"]),
        (&json!(false), &json!(true))
    );
    ingest(
        data.path(),
        &[row(1, "again"), json!({ "taskid": id(2), "@op": "delete" })],
    );
    let (second, end) = changes(data.path(), &["--token", &token]);
    let operations: Vec<_> = second
        .iter()
        .map(|c| c["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["update", "delete"]);
    assert_eq!(
        (&second[1]["id"], &second[1]["row"]),
        (&json!(id(2)), &Value::Null)
    );
    assert_eq!(
        changes(data.path(), &["--token", &end]),
        (Vec::new(), end.clone())
    );
    let wrong = output(
        data.path(),
        &["changes", "task", "--token", "nonsense"],
        b"",
    );
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no change token"));
}

#[test]
fn a_named_consumer_goes_on_where_its_last_run_ended() {
    let data = data();
    ingest(data.path(), &[row(1, "one")]);
    let consumer = ["--consumer", "warehouse"];
    assert_eq!(changes(data.path(), &consumer).0.len(), 1);
    assert_eq!(changes(data.path(), &consumer).0.len(), 0);
    let server = Server::start(data.path());
    ingest(data.path(), &[row(2, "two"), row(3, "three")]);
    assert_eq!(changes(data.path(), &consumer).0.len(), 2);
    let shown = run(data.path(), &["--json", "retention", "show"]);
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["consumers"][0]["name"], "warehouse");
    assert_eq!(shown["consumers"][0]["version"], 3);
    run(data.path(), &["retention", "forget", "warehouse"]);
    assert_eq!(changes(data.path(), &consumer).0.len(), 3);
    drop(server);
}

#[test]
fn changes_come_as_arrow_too() {
    let data = data();
    ingest(data.path(), &[row(1, "one"), row(2, "two")]);
    let bytes = run(data.path(), &["changes", "task", "--format", "arrow"]);
    let mut versions = Vec::new();
    for batch in StreamReader::try_new(&bytes[..], None).unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch["cells"].data_type(), &DataType::Binary);
        for (cells, text) in batch["cells"].as_binary::<i32>().iter().zip(["one", "two"]) {
            let cells = String::from_utf8_lossy(cells.unwrap());
            assert!(cells.contains(text), "{cells}");
        }
        versions.extend_from_slice(batch["version"].as_primitive::<UInt64Type>().values());
    }
    assert_eq!(versions, [1, 2]);
}

#[test]
fn limits_of_retention_are_set_and_shown() {
    let data = data();
    let set = [
        "--json",
        "retention",
        "set",
        "--days",
        "2",
        "--rows",
        "1000",
    ];
    for arguments in [&set[..], &["--json", "retention", "show"]] {
        let shown: Value = serde_json::from_slice(&run(data.path(), arguments)).unwrap();
        assert_eq!(
            shown["retention"],
            json!({ "ageS": 172_800, "bytes": null, "rows": 1_000 })
        );
    }
}

#[test]
fn a_follower_is_given_what_comes_while_it_runs() {
    let data = data();
    let server = Server::start(data.path());
    let mut follower = start(data.path(), &["changes", "task", "--follow"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for number in 1..4 {
        ingest(data.path(), &[row(number, "one")]);
        let change: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(change["id"], id(number));
        let token: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(token["token"].is_string());
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    drop(server);
}
