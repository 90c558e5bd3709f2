//! What an environment may hold.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::thread;

use lakestage_engine::{
    Environment, EnvironmentSettings, ErrorKind, NewConsumer, OpenOptions, Quota, Result,
    Retention, TableOptions, TableSchema, Value, Write,
};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 100000},
    {"name": "versionnumber", "type": "bigint"}]}"#;

fn create(folder: &Path, segment_bytes: usize) -> Environment {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let options = OpenOptions {
        segment_bytes,
        ..OpenOptions::default()
    };
    let environment = Environment::create_with(folder, settings, options).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    environment
}

fn id(row: u32) -> String {
    format!("{row:08x}-0000-4000-8000-000000000000")
}

fn write(environment: &Environment, write: Write, row: u32, notes: &str) -> Result<()> {
    let schema = environment.schema("task").unwrap();
    let id = id(row);
    let values = [("taskid", id.as_str()), ("notes", notes)]
        .map(|(name, text)| (schema.require(name).unwrap(), Value::Text(text)));
    let mut transaction = environment.transaction();
    transaction.write(write, "task", &values)?;
    transaction.commit().map(drop)
}

fn delete(environment: &Environment, row: u32) {
    let mut transaction = environment.transaction();
    transaction.delete("task", Value::Text(&id(row))).unwrap();
    transaction.commit().unwrap();
}

fn rows(rows: u64) -> Quota {
    Quota {
        rows: Some(rows),
        bytes: None,
    }
}

#[test]
fn a_commit_beyond_the_quota_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let environment = create(folder.path(), 16 << 20);
    environment.set_quota(rows(3)).unwrap();
    for row in 0..3 {
        write(&environment, Write::Create, row, "one").unwrap();
    }
    drop(environment);
    // The limit and what counts are there again after reopening.
    let environment = Environment::open(folder.path()).unwrap();
    assert_eq!(environment.quota(), rows(3));
    let before = environment.last_version();
    let error = write(&environment, Write::Create, 3, "one").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OverQuota);
    assert!(error.to_string().contains("would hold 4 rows"), "{error}");
    assert_eq!(environment.last_version(), before);
    assert!(
        environment
            .get("task", id(3).parse().unwrap())
            .unwrap()
            .is_none()
    );
    let warning = environment.status().unwrap().quota.warning.unwrap();
    assert!(
        warning.contains("100 % of the quota of 3 rows"),
        "{warning}"
    );
    // What adds no row goes on, and so does what makes room.
    write(&environment, Write::Update, 1, "two").unwrap();
    delete(&environment, 0);
    write(&environment, Write::Create, 3, "one").unwrap();
    assert!(write(&environment, Write::Create, 4, "one").is_err());
    environment.set_quota(Quota::default()).unwrap();
    write(&environment, Write::Create, 4, "one").unwrap();
}

#[test]
fn many_writers_at_once_do_not_exceed_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    let environment = create(folder.path(), 16 << 20);
    environment.set_quota(rows(40)).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let environment = environment.clone();
            thread::spawn(move || {
                let written = |n: &u32| write(&environment, Write::Create, writer * 100 + n, "x");
                (0..10).filter(|n| written(n).is_ok()).count()
            })
        })
        .collect();
    let written: usize = writers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(written, 40);
    environment.compact().unwrap();
    assert_eq!(environment.quota_status().used_rows, 40);
}

#[test]
fn a_full_environment_makes_room_by_deletes_and_retention_and_keeps_what_a_consumer_needs() {
    let folder = tempfile::tempdir().unwrap();
    let environment = create(folder.path(), 50_000);
    let consumer = NewConsumer::new("warehouse", "task");
    environment.create_consumer(&consumer).unwrap();
    let limit = 2_000_000;
    environment
        .set_quota(Quota {
            bytes: Some(limit),
            rows: None,
        })
        .unwrap();
    let notes = "n".repeat(20_000);
    let mut next = 0;
    let refused = loop {
        match write(&environment, Write::Create, next, &notes) {
            Ok(()) => next += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::OverQuota);
    assert!(next > 20, "{next} rows");
    // Merging adds what a file needs besides the rows.
    assert!(environment.quota_status().used_bytes <= limit + limit / 20);
    // The consumer has read nothing, so nothing of the changes goes, whatever the retention.
    let nothing = Retention {
        bytes: Some(0),
        ..Retention::default()
    };
    environment.set_retention(nothing).unwrap();
    let kept = environment.status().unwrap().segments;
    assert!(kept > 5, "{kept}");
    assert!(write(&environment, Write::Create, next, &notes).is_err());
    assert_eq!(environment.status().unwrap().segments, kept);
    environment.remove_consumer("warehouse").unwrap();
    environment.set_retention(nothing).unwrap();
    write(&environment, Write::Create, next, &notes).unwrap();
    // Deletes alone are taken however full it is.
    environment
        .set_quota(Quota {
            bytes: Some(100_000),
            rows: None,
        })
        .unwrap();
    assert!(write(&environment, Write::Create, next + 1, "x").is_err());
    (0..=next).for_each(|row| delete(&environment, row));
    write(&environment, Write::Create, next + 1, "x").unwrap();
    assert!(environment.quota_status().used_bytes < 100_000);
}
