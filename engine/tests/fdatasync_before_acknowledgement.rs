//! A commit is acknowledged only after the kernel was told to put it on the disk.
//!
//! The test runs itself under `strace`: the traced run commits one row whose text it can find again, and
//! says so on standard error once `commit` has returned. In between, the journal's file must be synced.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use lakestage_engine::{
    Environment, EnvironmentSettings, OpenOptions, TableOptions, TableSchema, Value, Write,
};

const FOLDER_VARIABLE: &str = "LAKESTAGE_TEST_FOLDER";
const SUBJECT: &str = "a-text-that-strace-finds";
const ACKNOWLEDGED: &str = "acknowledged-to-the-caller";
const COMMITS: usize = 5;

fn commit_under_trace(folder: &Path, options: OpenOptions) -> Environment {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let folder = folder.join("environment");
    let environment = Environment::create_with(&folder, settings, options).unwrap();
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
        // The last one is so large that it goes past sled.
        let rows = if number + 1 == COMMITS { 500 } else { 1 };
        let mut transaction = environment.transaction();
        for row in 0..rows {
            let id = format!("8f14e45f-ceea-4672-a1b0-{number:06}{row:06}");
            let row = [(key, Value::Text(&id)), (subject, Value::Text(SUBJECT))];
            transaction.write(Write::Create, "task", &row).unwrap();
        }
        transaction.commit().unwrap();
        eprintln!("{ACKNOWLEDGED}");
    }
    environment
}

#[test]
fn an_fdatasync_lies_between_the_write_and_the_acknowledgement() {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        drop(commit_under_trace(
            Path::new(&folder),
            OpenOptions::default(),
        ));
        return;
    }
    if !has_strace() {
        return;
    }
    let test = "an_fdatasync_lies_between_the_write_and_the_acknowledgement";
    check(&trace(test));
}

fn has_strace() -> bool {
    let has_strace = Command::new("strace").arg("--version").output().is_ok();
    if !has_strace {
        eprintln!("SKIPPED: strace is not installed, so the order of system calls was not checked");
    }
    has_strace
}

/// Runs one test of this file under strace, and gives what it saw.
fn trace(test: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let status = Command::new("strace")
        .args([
            "--follow-forks",
            "--string-limit=65536",
            "--decode-fds=path",
        ])
        .args(["--trace=write,pwrite64,writev,pwritev,fdatasync,fsync,sync_file_range"])
        .arg("--output")
        .arg(&trace)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER_VARIABLE, folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "the traced run failed");
    fs::read_to_string(&trace).unwrap()
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

/// Each in its turn: the segment's bytes, its sync, its name's sync, the entry that names it, the
/// sync of that.
#[test]
fn a_segment_and_its_name_are_synced_before_the_journal_names_it() {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        let options = OpenOptions {
            // About five rows: sled writes what it has again and again, so only the first segment's
            // entry shows when it was named.
            segment_bytes: 600,
            ..OpenOptions::default()
        };
        let environment = commit_under_trace(Path::new(&folder), options);
        while environment.status().unwrap().segments == 0 {
            std::thread::yield_now();
        }
        return;
    }
    if !has_strace() {
        return;
    }
    check_sealing(&trace(
        "a_segment_and_its_name_are_synced_before_the_journal_names_it",
    ));
}

fn check_sealing(trace: &str) {
    // A call that another thread interrupts is counted where it begins if it writes, and where it
    // ends if it syncs.
    let mut stage = 0;
    let mut begun: Vec<(&str, &str)> = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let call = call.trim_start();
        let synced = match file_of(call, &["fsync(", "fdatasync("]) {
            Some(file) if call.contains("<unfinished") => {
                begun.push((thread, file));
                None
            }
            None if call.starts_with("<... f") && call.contains("sync resumed") => {
                let place = begun.iter().position(|(waiting, _)| *waiting == thread);
                place.map(|place| begun.remove(place).1)
            }
            other => other,
        };
        let written = file_of(call, &["write(", "pwrite64("]);
        if written.is_some_and(|file| file.ends_with(".arrows")) {
            assert!(stage <= 1, "a segment was written after it was synced");
            stage = 1;
        } else if written.is_some() && call.contains("footerCrc32c") {
            assert_eq!(
                stage, 3,
                "a segment was named before it and its name were synced"
            );
            stage = 4;
        } else if let Some(file) = synced {
            stage = match stage {
                1 if file.ends_with(".arrows") => 2,
                2 if file.ends_with("/segments") => 3,
                4 if file.ends_with("/db") => return,
                other => other,
            };
        }
    }
    panic!("no segment was sealed under the trace, or not synced to the end");
}

#[test]
fn the_check_of_sealing_finds_each_missing_sync() {
    let good = [
        "7 write(5</e/segments/segment-1.arrows>, \"x\", 1) = 1",
        "7 fsync(5</e/segments/segment-1.arrows>) = 0",
        "7 fsync(6</e/segments>) = 0",
        "7 pwrite64(9</e/journal/db>, \"footerCrc32c\", 12, 0) = 12",
        "8 fdatasync(9</e/journal/db>) = 0",
    ];
    check_sealing(&good.join("\n"));
    for missing in [1, 2, 4] {
        let mut lines = good.to_vec();
        lines.remove(missing);
        let trace = lines.join("\n");
        assert!(std::panic::catch_unwind(|| check_sealing(&trace)).is_err());
    }
}
