//! A commit is acknowledged only after the kernel was told to put it on the disk.
//!
//! The test runs itself under `strace`: the traced run commits one row whose text it can find again, and
//! says so on standard error once `commit` has returned. In between, the journal's file must be synced.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use lakestage_engine::{Environment, EnvironmentSettings, TableOptions, TableSchema, Value, Write};

const FOLDER_VARIABLE: &str = "LAKESTAGE_TEST_FOLDER";
const SUBJECT: &str = "a-text-that-strace-finds";
const ACKNOWLEDGED: &str = "acknowledged-to-the-caller";
const COMMITS: usize = 5;

fn commit_under_trace(folder: &Path) {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let environment = Environment::create(&folder.join("environment"), settings).unwrap();
    let schema = TableSchema::from_json(
        r#"{"name": "task", "primaryKey": "taskid", "columns": [
            {"name": "taskid", "type": "uniqueidentifier"},
            {"name": "createdon", "type": "datetime"},
            {"name": "subject", "type": "string", "maxLength": 200}]}"#,
    )
    .unwrap();
    let key = schema.require("taskid").unwrap();
    let subject = schema.require("subject").unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    for number in 0..COMMITS {
        let id = format!("8f14e45f-ceea-4672-a1b0-{number:012}");
        let row = [(key, Value::Text(&id)), (subject, Value::Text(SUBJECT))];
        let mut transaction = environment.transaction();
        transaction.write(Write::Create, "task", &row).unwrap();
        transaction.commit().unwrap();
        eprintln!("{ACKNOWLEDGED}");
    }
}

#[test]
fn an_fdatasync_lies_between_the_write_and_the_acknowledgement() {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        return commit_under_trace(Path::new(&folder));
    }
    if Command::new("strace").arg("--version").output().is_err() {
        eprintln!("SKIPPED: strace is not installed, so the order of system calls was not checked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let status = Command::new("strace")
        .args(["--follow-forks", "--string-limit=4096", "--decode-fds=path"])
        .args(["--trace=write,pwrite64,writev,pwritev,fdatasync,fsync,sync_file_range"])
        .arg("--output")
        .arg(&trace)
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "an_fdatasync_lies_between_the_write_and_the_acknowledgement",
        ])
        .arg("--nocapture")
        .env(FOLDER_VARIABLE, folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "the traced run failed");
    check(&fs::read_to_string(&trace).unwrap());
}

/// What the trace shows, in its order.
enum Seen<'t> {
    Write { file: &'t str },
    Synced { file: &'t str },
    Acknowledged,
}

fn check(trace: &str) {
    let events = events(trace);
    let mut written: Vec<&str> = Vec::new();
    let mut acknowledged = 0;
    for event in events {
        match event {
            Seen::Write { file } => written.push(file),
            Seen::Synced { file } => written.retain(|waiting| *waiting != file),
            Seen::Acknowledged => {
                assert!(
                    written.is_empty(),
                    "acknowledged before file {written:?} was synced"
                );
                acknowledged += 1;
            }
        }
    }
    assert_eq!(acknowledged, COMMITS);
}

fn events(trace: &str) -> Vec<Seen<'_>> {
    let mut events = Vec::new();
    // A call that another thread interrupted ends on a line of its own: who waits for which file.
    let mut unfinished: Vec<(&str, &str)> = Vec::new();
    let mut rows_written = 0;
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let call = call.trim_start();
        if let Some(file) = file_of(call, &["fdatasync(", "fsync("]) {
            match call.contains("<unfinished") {
                true => unfinished.push((thread, file)),
                false if call.ends_with("= 0") => events.push(Seen::Synced { file }),
                false => panic!("a sync failed: {line}"),
            }
        } else if call.starts_with("<... fdatasync resumed")
            || call.starts_with("<... fsync resumed")
        {
            let place = unfinished
                .iter()
                .position(|(waiting, _)| *waiting == thread)
                .unwrap();
            let (_, file) = unfinished.remove(place);
            assert!(call.ends_with("= 0"), "a sync failed: {line}");
            events.push(Seen::Synced { file });
        } else if call.contains(ACKNOWLEDGED) {
            events.push(Seen::Acknowledged);
        } else if call.contains(SUBJECT) {
            let file = file_of(call, &["write(", "pwrite64(", "writev(", "pwritev("]).unwrap();
            rows_written += 1;
            events.push(Seen::Write { file });
        }
    }
    assert!(
        rows_written >= 1,
        "the rows were not seen on their way to the disk"
    );
    events
}

fn file_of<'t>(call: &'t str, names: &[&str]) -> Option<&'t str> {
    let arguments = names.iter().find_map(|name| call.strip_prefix(name))?;
    // The file behind the descriptor: what one descriptor wrote another may sync.
    let (_, file) = arguments.split_once('<')?;
    file.split('>').next()
}

#[test]
fn the_check_itself_finds_a_missing_sync() {
    let synced = format!(
        "7 pwrite64(9</db>, \"{SUBJECT}\", 4096, 0) = 4096\n7 fdatasync(7</db> <unfinished ...>\n8 write(1, \"x\", 1) = 1\n7 <... fdatasync resumed>) = 0\n8 write(2, \"{ACKNOWLEDGED}\", 9) = 9\n"
    )
    .repeat(COMMITS);
    check(&synced);
    let not_synced = synced.replace("<... fdatasync resumed>) = 0", "<... other resumed>) = 0");
    assert!(std::panic::catch_unwind(|| check(&not_synced)).is_err());
}
