//! Data folders that earlier versions wrote, kept in `tests/formats`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{command, output, run};
use crate::{TASK, id};

const CONSUMER: &str = "reader";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn tar(arguments: &[&str]) {
    let status = Command::new("tar").args(arguments).status().unwrap();
    assert!(status.success(), "tar {arguments:?}");
}

fn ingest(data: &Path, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let arguments = ["ingest", "task", "--format", "jsonl"];
    let done = output(data, &arguments, lines.as_bytes());
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn row(operation: &str, number: u64, subject: &str) -> Value {
    let created = format!("{}-05-05T01:02:03Z", 2020 + number % 3);
    json!({"@op": operation, "taskid": id(1, number), "createdon": created, "batch": number, "subject": subject})
}

/// Rows in blocks, in a segment and in the journal, two snapshots, a consumer and files of a client.
fn write(data: &Path) {
    fs::create_dir_all(data).unwrap();
    let schema = data.with_extension("json");
    fs::write(&schema, TASK).unwrap();
    run(data, &["init", "crash", "--organization", "org1"]);
    run(data, &["table", "add", &schema.to_string_lossy()]);
    run(data, &["link", "new", "--all"]);
    let rows: Vec<_> = (0..40)
        .map(|n| row("create", n, "a \"quoted\",\ntext"))
        .collect();
    ingest(data, &rows);
    run(data, &["snapshot"]);
    ingest(
        data,
        &[
            row("update", 3, "changed"),
            json!({"@op": "delete", "taskid": id(1, 4)}),
        ],
    );
    run(data, &["snapshot"]);
    run(
        data,
        &[
            "changes",
            "task",
            "--consumer",
            CONSUMER,
            "--expires-after-hours",
            "1000000",
        ],
    );
    let rows: Vec<_> = (40..60).map(|n| row("create", n, "in a segment")).collect();
    ingest(data, &rows);
    // A backup seals what the journal holds.
    let backup = data.with_extension("backup");
    run(data, &["backup", &backup.to_string_lossy()]);
    ingest(
        data,
        &[
            row("create", 60, "in the journal"),
            row("update", 5, "in the journal"),
        ],
    );
    // So much at once goes past sled.
    let rows: Vec<_> = (100..400)
        .map(|n| row("create", n, "in the journal, past sled"))
        .collect();
    ingest(data, &rows);
    let bulk = data.join("environments/crash/journal/bulk-00");
    assert!(bulk.exists(), "{} is not there", bulk.display());
    let file = data.with_extension("file");
    fs::write(&file, "of a client".repeat(100)).unwrap();
    run(data, &["fs", "mkdir", "files"]);
    run(data, &["fs", "mkdir", "files/folder"]);
    run(
        data,
        &["fs", "put", &file.to_string_lossy(), "files/folder/file"],
    );
    // A process that comes to its end gives sled what waits in the strip.
    let rows: Vec<_> = (400..403)
        .map(|n| row("create", n, "in the strip"))
        .collect();
    ingest_and_die(data, &rows);
    let strip = fs::read(data.join("environments/crash/journal/strip-00")).unwrap();
    assert!(strip.windows(12).any(|bytes| bytes == b"in the strip"));
}

/// Commits row by row, and is killed once the last of them is acknowledged.
fn ingest_and_die(data: &Path, rows: &[Value]) {
    let arguments = ["ingest", "task", "--format", "jsonl"];
    let mut child = command(data, &arguments)
        .args(["--rows-per-commit", "1", "--report-commits"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for row in rows {
        writeln!(input, "{row}").unwrap();
    }
    input.flush().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(told.take(rows.len()).count(), rows.len());
    child.kill().unwrap();
    child.wait().unwrap();
}

fn text(data: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run(data, arguments)).unwrap()
}

/// Everything that can be asked without changing anything but the consumer's place.
fn answers(data: &Path) -> Value {
    let verified = text(data, &["--json", "verify", "--full"]);
    let verified: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!(verified[0]["findings"], json!([]));
    let status: Value = serde_json::from_str(&text(data, &["--json", "status"])).unwrap();
    assert!(status[0]["segments"].as_u64().unwrap() > 0);
    assert!(status[0]["tailBytes"].as_u64().unwrap() > 0);
    let mut files = BTreeMap::new();
    for filesystem in ["files", "dataverse-crash-org1"] {
        let listed = text(data, &["fs", "ls", "-R", filesystem]);
        for path in listed.lines().filter(|path| !path.ends_with('/')) {
            let stored = output(data, &["fs", "cat", path], b"");
            if stored.status.success() {
                files.insert(path.to_owned(), String::from_utf8(stored.stdout).unwrap());
            }
        }
    }
    assert!(files.len() > 8, "{:?}", files.keys());
    json!({
        "tables": status[0]["tables"],
        "lastVersion": status[0]["lastVersion"],
        "changes": text(data, &["changes", "task"]),
        "snapshot": text(data, &["snapshot", "read", "task"]),
        "files": files,
        "consumer": text(data, &["changes", "task", "--consumer", CONSUMER]),
    })
}

/// Unpacks a fixture.
fn unpacked(archive: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_string_lossy().into_owned();
    tar(&["-xzf", &archive.to_string_lossy(), "-C", &to]);
    folder
}

#[test]
fn every_data_folder_of_an_earlier_version_is_read() {
    let mut fixtures = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let expected = entry.unwrap().path();
        if expected
            .extension()
            .is_none_or(|extension| extension != "json")
        {
            continue;
        }
        let folder = unpacked(&expected.with_extension("tar.gz"));
        let data = folder.path().join("data");
        let then: Value = serde_json::from_slice(&fs::read(&expected).unwrap()).unwrap();
        assert_eq!(answers(&data), then, "{}", expected.display());
        // And it goes on.
        ingest(
            &data,
            &[row("update", 3, "since"), row("create", 61, "since")],
        );
        run(&data, &["snapshot"]);
        let rows = text(&data, &["snapshot", "read", "task"]);
        assert_eq!(rows.matches("since").count(), 2);
        let verified = text(&data, &["--json", "verify", "--full"]);
        assert!(verified.contains("\"findings\":[]") || verified.contains("\"findings\": []"));
        fixtures += 1;
    }
    assert!(fixtures > 0);
}

#[test]
#[ignore = "run by tests/formats/make, when a format changes"]
fn writes_a_fixture_of_this_version() {
    let name = env::var("LAKESTAGE_FIXTURE").expect("the name of the fixture");
    let archive = folder().join(format!("{name}.tar.gz"));
    assert!(!archive.exists(), "{} stays as it is", archive.display());
    let temporary = tempfile::tempdir().unwrap();
    write(&temporary.path().join("data"));
    let from = temporary.path().to_string_lossy().into_owned();
    // The ballast is nothing but room.
    tar(&[
        "-czf",
        &archive.to_string_lossy(),
        "--sort=name",
        "--exclude=ballast",
        "-C",
        &from,
        "data",
    ]);
    let copy = unpacked(&archive);
    let answers = serde_json::to_string_pretty(&answers(&copy.path().join("data"))).unwrap();
    fs::write(
        archive.with_extension("").with_extension("json"),
        answers + "\n",
    )
    .unwrap();
}
