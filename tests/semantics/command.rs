//! The command: exit codes, errors, formats, and the way around a running server.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, output, run};
use crate::world::{TASK, id};

/// A data folder with an environment and the table `task`.
pub fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "contoso"]);
    add_table(folder.path(), "task.json", TASK);
    folder
}

pub fn add_table(data: &Path, file: &str, schema: &str) {
    let path = data.join(file);
    fs::write(&path, schema).unwrap();
    run(data, &["table", "add", path.to_str().unwrap()]);
}

pub fn json(data: &Path, arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    serde_json::from_slice(&run(data, &arguments)).unwrap()
}

/// Exit code, standard output and standard error of a command that may fail.
pub fn told(data: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let output = output(data, arguments, input.as_bytes());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

pub fn csv_rows(numbers: std::ops::Range<u32>) -> String {
    let mut text = "taskid,createdon,subject\n".to_owned();
    for number in numbers {
        text.push_str(&format!(
            "{},2021-01-02T03:04:05Z,\"a, \"\"b\"\"\"\n",
            id(number)
        ));
    }
    text
}

#[test]
fn exit_codes_are_0_done_1_failed_2_wrong_usage() {
    let data = data();
    let code = |arguments: &[&str]| told(data.path(), arguments, "").0;
    assert_eq!(code(&["status"]), 0);
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["snapshot", "missing"]), 1);
    assert_eq!(code(&["ingest", "missing", "nothing.csv"]), 1);
    assert_eq!(code(&["fs", "cat", "raw/missing"]), 1);
    assert_eq!(code(&["no-such-command"]), 2);
    assert_eq!(code(&["ingest"]), 2);
    assert_eq!(
        code(&["link", "new", "--table", "task,mode=upside-down"]),
        2
    );
    assert_eq!(code(&["serve", "--blob-port", "many"]), 2);
}

#[test]
fn every_command_has_help_with_an_example_or_options() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        vec!["demo"],
        vec!["serve"],
        vec!["run"],
        vec!["init"],
        vec!["bench", "snapshot"],
        vec!["changes"],
        vec!["retention", "show"],
        vec!["retention", "set"],
        vec!["retention", "forget"],
        vec!["table", "add"],
        vec!["table", "alter"],
        vec!["table", "list"],
        vec!["table", "show"],
        vec!["ingest"],
        vec!["link", "new"],
        vec!["link", "list"],
        vec!["link", "status"],
        vec!["link", "tables", "add"],
        vec!["link", "tables", "remove"],
        vec!["link", "pause"],
        vec!["link", "resume"],
        vec!["link", "unlink"],
        vec!["snapshot"],
        vec!["snapshot", "list"],
        vec!["snapshot", "read"],
        vec!["snapshot", "diff"],
        vec!["snapshot", "pin"],
        vec!["snapshot", "unpin"],
        vec!["status"],
        vec!["verify"],
        vec!["salvage"],
        vec!["backup"],
        vec!["restore"],
        vec!["dump"],
        vec!["fs", "ls"],
        vec!["fs", "cat"],
        vec!["fs", "get"],
        vec!["fs", "put"],
        vec!["fs", "rm"],
        vec!["fs", "mv"],
        vec!["fs", "stat"],
        vec!["fs", "mkdir"],
        vec!["token"],
    ] {
        let arguments = [&command[..], &["--help"]].concat();
        let (code, out, _) = told(folder.path(), &arguments, "");
        assert_eq!(code, 0, "{command:?}");
        assert!(out.contains("Usage: lakestage"), "{command:?}");
        let first = out.lines().next().unwrap();
        assert!(first.len() > 10, "{command:?} is not explained: {first}");
    }
}

#[test]
fn a_refused_row_is_told_with_its_place_as_text_and_as_json() {
    let data = data();
    let bad = csv_rows(0..3).replacen("2021-01-02T03:04:05Z", "yesterday", 2);
    let bad = bad.replacen("yesterday", "2021-01-02", 1);
    let (code, _, error) = told(data.path(), &["ingest", "task", "--format", "csv"], &bad);
    assert_eq!(code, 1);
    assert!(
        error.contains("table task, row 2, column createdon, value \"yesterday\": "),
        "{error}"
    );
    assert!(error.contains("nothing was taken in"), "{error}");
    let (code, _, error) = told(
        data.path(),
        &["--json", "ingest", "task", "--format", "csv"],
        &bad,
    );
    assert_eq!(code, 1);
    let error: Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    let error = &error["error"];
    assert_eq!(error["kind"], "InvalidInput");
    assert_eq!(error["table"], "task");
    assert_eq!(error["row"], 2);
    assert_eq!(error["column"], "createdon");
    assert_eq!(error["value"], "yesterday");
    assert!(
        error["rule"].as_str().unwrap().contains("ISO 8601"),
        "{error}"
    );
}

#[test]
fn commits_before_the_refused_row_stay_and_skip_rows_goes_on() {
    let data = data();
    let bad = csv_rows(0..5).replace(&id(3), "no-id");
    let ingest = [
        "ingest",
        "task",
        "--format",
        "csv",
        "--rows-per-commit",
        "2",
    ];
    let (code, _, error) = told(data.path(), &ingest, &bad);
    assert_eq!(code, 1);
    assert!(
        error.contains("row 4") && error.contains("--skip-rows 2"),
        "{error}"
    );
    let arguments = [&ingest[..], &["--skip-rows", "2", "--write", "create"]].concat();
    let (code, out, error) = told(data.path(), &arguments, &csv_rows(0..5));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("3 rows"), "{out}");
}

#[test]
fn all_formats_bring_the_same_rows() {
    let data = data();
    let jsonl = format!(
        "{}\n{}\n",
        format_args!(
            r#"{{"taskid":"{}","createdon":"2021-01-02T03:04:05Z","subject":"a, \"b\"","amount":12.5,"done":true}}"#,
            id(0)
        ),
        format_args!(
            r#"{{"taskid":"{}","createdon":"2021-01-02T03:04:05Z","subject":null,"amount":-3}}"#,
            id(1)
        )
    );
    let csv = format!(
        "taskid,createdon,subject,amount,done\n{},2021-01-02T03:04:05Z,\"a, \"\"b\"\"\",12.5,true\n{},2021-01-02T03:04:05Z,,-3,\n",
        id(0),
        id(1)
    );
    run(data.path(), &["link", "new", "--table", "task"]);
    let mut seen = Vec::new();
    let parquet = columnar::parquet();
    let (arrow_file, arrow_stream) = (columnar::arrow_file(), columnar::arrow_stream());
    for (name, bytes) in [
        ("rows.csv", csv.as_bytes()),
        ("rows.jsonl", jsonl.as_bytes()),
        ("rows.parquet", &parquet),
        ("rows.arrow", &arrow_file),
        ("stream.arrows", &arrow_stream),
    ] {
        let path = data.path().join(name);
        fs::write(&path, bytes).unwrap();
        run(data.path(), &["ingest", "task", path.to_str().unwrap()]);
        let report = json(data.path(), &["snapshot"]);
        let file = report["filesWritten"][0].as_str().unwrap();
        let path = format!("dataverse-contoso-org1/{file}");
        let text = String::from_utf8(run(data.path(), &["fs", "cat", &path])).unwrap();
        // Sink times, version numbers and modifiedon differ from one to the next.
        let rows: Vec<String> = text
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.splitn(7, ',').collect();
                format!("{} {} {}", cells[0], cells[4], cells[6])
            })
            .collect();
        seen.push((name, rows));
    }
    for (name, rows) in &seen {
        assert_eq!(rows.len(), 2, "{name}");
        assert_eq!(rows, &seen[0].1, "{name}");
    }
}

/// Two rows as Parquet and as Arrow IPC.
mod columnar {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow::ipc::writer::{FileWriter, StreamWriter};
    use parquet::arrow::ArrowWriter;

    use crate::world::id;

    fn batch() -> RecordBatch {
        let moment_us = 1_609_556_645_000_000;
        let columns: [(&str, ArrayRef); 5] = [
            ("taskid", Arc::new(StringArray::from(vec![id(0), id(1)]))),
            (
                "createdon",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![moment_us, moment_us])
                        .with_timezone("UTC"),
                ),
            ),
            (
                "subject",
                Arc::new(StringArray::from(vec![Some("a, \"b\""), None])),
            ),
            (
                "amount",
                Arc::new(
                    Decimal128Array::from(vec![125_000, -30_000])
                        .with_precision_and_scale(19, 4)
                        .unwrap(),
                ),
            ),
            ("done", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    pub fn parquet() -> Vec<u8> {
        let (batch, mut out) = (batch(), Vec::new());
        let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        out
    }

    pub fn arrow_file() -> Vec<u8> {
        let (batch, mut out) = (batch(), Vec::new());
        let mut writer = FileWriter::try_new(&mut out, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        out
    }

    pub fn arrow_stream() -> Vec<u8> {
        let (batch, mut out) = (batch(), Vec::new());
        let mut writer = StreamWriter::try_new(&mut out, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        out
    }
}

#[test]
fn rows_come_from_standard_input_and_say_what_they_are_for() {
    let data = data();
    let rows = format!(
        "{{\"@op\":\"create\",\"Id\":\"{0}\",\"subject\":\"x\"}}\n{{\"@op\":\"update\",\"taskid\":\"{0}\",\"subject\":\"y\"}}\n{{\"@op\":\"delete\",\"taskid\":\"{0}\"}}\n",
        id(1)
    );
    let (code, out, error) = told(
        data.path(),
        &["ingest", "task", "-", "--format", "jsonl"],
        &rows,
    );
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let (code, _, error) = told(data.path(), &["ingest", "task"], &rows);
    assert_eq!(code, 1);
    assert!(error.contains("--format"), "{error}");
}

#[test]
fn a_column_the_table_does_not_have_is_refused_with_the_nearest_name() {
    let data = data();
    let rows = format!("taskid,subjct\n{},x\n", id(1));
    let (code, _, error) = told(data.path(), &["ingest", "task", "--format", "csv"], &rows);
    assert_eq!(code, 1);
    assert!(
        error.contains("subjct") && error.contains("subject"),
        "{error}"
    );
    let rows = format!("taskid,favouritecolour\n{},x\n", id(1));
    let ingest = ["ingest", "task", "--format", "csv"];
    let (code, _, error) = told(data.path(), &ingest, &rows);
    assert_eq!(code, 1);
    assert!(error.contains("--ignore-column"), "{error}");
    let ingest = [&ingest[..], &["--ignore-column", "favouritecolour"]].concat();
    let (code, out, error) = told(data.path(), &ingest, &rows);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
}

#[test]
fn progress_and_notes_stay_out_of_a_pipe() {
    let data = data();
    let path = data.path().join("rows.csv");
    fs::write(&path, csv_rows(0..20_000)).unwrap();
    let (code, out, error) = told(data.path(), &["ingest", "task", path.to_str().unwrap()], "");
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(!out.contains('\x1b'));
}

#[test]
fn files_go_into_the_lake_and_come_back() {
    let data = data();
    let at = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(data.path().join("in/sub")).unwrap();
    fs::write(at("in/a.txt"), "a\n").unwrap();
    fs::write(at("in/sub/b.txt"), "b\n").unwrap();
    let fs_command = |arguments: &[&str], input: &str| {
        let arguments = [&["fs"], arguments].concat();
        told(data.path(), &arguments, input)
    };
    assert_eq!(fs_command(&["mkdir", "raw"], "").0, 0);
    assert_eq!(fs_command(&["put", "-r", &at("in"), "raw/"], "").0, 0);
    assert_eq!(fs_command(&["put", "-", "raw/piped"], "from a pipe").0, 0);
    let (_, out, _) = fs_command(&["ls", "-R", "raw"], "");
    let listed: Vec<&str> = out.lines().collect();
    assert_eq!(
        listed,
        [
            "raw/in/",
            "raw/in/a.txt",
            "raw/in/sub/",
            "raw/in/sub/b.txt",
            "raw/piped"
        ]
    );
    assert_eq!(
        fs_command(&["cat", "raw/in/a.txt", "raw/in/sub/b.txt"], "").1,
        "a\nb\n"
    );
    let (code, _, error) = fs_command(&["put", &at("in/a.txt"), "raw/piped"], "");
    assert_eq!(code, 1);
    assert!(error.contains("--force"), "{error}");
    assert_eq!(fs_command(&["mv", "raw/in", "raw/out"], "").0, 0);
    assert_eq!(fs_command(&["get", "-r", "raw/out", &at("back")], "").0, 0);
    assert_eq!(fs::read_to_string(at("back/sub/b.txt")).unwrap(), "b\n");
    let stat = json(data.path(), &["fs", "stat", "raw/piped"]);
    assert_eq!(stat["length"], 11);
    let (code, _, error) = fs_command(&["rm", "raw/out"], "");
    assert_eq!(code, 1);
    assert!(error.contains("--recursive"), "{error}");
    assert_eq!(fs_command(&["rm", "-r", "raw/out"], "").0, 0);
    assert_eq!(fs_command(&["rm", "-f", "raw/out"], "").0, 0);
    assert_eq!(fs_command(&["ls", "raw"], "").1, "raw/piped\n");
}

#[test]
fn commands_work_the_same_while_the_folder_is_served() {
    let data = data();
    let server = Server::start(data.path());
    run(data.path(), &["link", "new", "--all"]);
    let (code, out, error) = told(
        data.path(),
        &["ingest", "task", "--format", "csv"],
        &csv_rows(0..10),
    );
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("10 rows"), "{out}");
    run(data.path(), &["snapshot"]);
    let model = run(
        data.path(),
        &["fs", "cat", "dataverse-contoso-org1/model.json"],
    );
    let model: Value = serde_json::from_slice(&model).unwrap();
    assert_eq!(model["entities"][0]["name"], "task");
    let (code, _, error) = told(data.path(), &["ingest", "task", "missing.csv"], "");
    assert_eq!(code, 1);
    assert!(error.contains("missing.csv"), "{error}");
    let (code, _, error) = told(
        data.path(),
        &["serve", "--blob-port", "0", "--dfs-port", "0"],
        "",
    );
    assert_eq!(code, 1);
    assert!(error.contains("another"), "{error}");
    drop(server);
    let status = json(data.path(), &["status"]);
    assert_eq!(status[0]["links"][0]["tables"][0]["count"], 10);
}
