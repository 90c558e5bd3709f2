//! Each operation on each file of the engine's own fails once, one after the other: what was
//! acknowledged stays, and after a write or a sync that failed nothing more is written until the
//! environment is opened again.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use lakestage_engine::faults::{FaultPlan, Operation};
use lakestage_engine::{
    Depth, Environment, EnvironmentSettings, ErrorKind, FileFormat, FileOptions, FolderLake, Lake,
    LinkTableOptions, NewConsumer, NewLink, OpenOptions, Result, TableOptions, TableSchema, Value,
    Write, verify_folder,
};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 100000}]}"#;
const ROWS_A_COMMIT: u32 = 3;
const FILESYSTEM: &str = "dataverse-contoso-org1";

fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn lake(folder: &Path) -> FolderLake {
    FolderLake::new(&folder.join("lake"), FILESYSTEM)
}

fn environment_folder(folder: &Path) -> PathBuf {
    folder.join("environment")
}

fn open(folder: &Path) -> Result<Environment> {
    let options = OpenOptions {
        segment_bytes: 40_000,
        tail_bytes_max: 80_000,
        ..OpenOptions::default()
    };
    Environment::open_with(&environment_folder(folder), options)
}

fn create(folder: &Path) {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let environment = Environment::create(&environment_folder(folder), settings).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    let options = TableOptions::default();
    environment.create_table(schema, options).unwrap();
    let endpoint = "https://contoso.dfs.core.windows.net:443";
    let tables = vec![LinkTableOptions::of("task")];
    let new = NewLink {
        // Files of both formats meet the same failures.
        files: FileOptions {
            format: FileFormat::Both,
            ..FileOptions::default()
        },
        ..NewLink::new("lake", "folder:lake", endpoint, tables)
    };
    environment.create_link(&lake(folder), &new).unwrap();
    let new = NewConsumer::new("reader", "task");
    environment.create_consumer(&new).unwrap();
}

/// The commits that were acknowledged, and those that were tried.
#[derive(Default)]
struct Done {
    acknowledged: BTreeSet<u32>,
    tried: u32,
    /// The version that the consumer had acknowledged.
    consumed: u64,
}

impl Done {
    fn commit(&mut self, environment: &Environment) -> Result<()> {
        let number = self.tried;
        self.tried += 1;
        // Small ones go through the strip, and large ones do not.
        let notes_bytes = if number.is_multiple_of(3) { 6_000 } else { 900 };
        let schema = environment.schema("task")?;
        let mut transaction = environment.transaction();
        for row in 0..ROWS_A_COMMIT {
            let (id, notes) = (id(number * ROWS_A_COMMIT + row), "n".repeat(notes_bytes));
            let row = [
                (schema.require("taskid")?, Value::Text(&id)),
                (schema.require("notes")?, Value::Text(&notes)),
            ];
            transaction.write(Write::Create, "task", &row)?;
        }
        transaction.commit()?;
        self.acknowledged.insert(number);
        Ok(())
    }

    /// Whatever an engine does; each step goes on after one that failed.
    fn work(&mut self, environment: &Environment, folder: &Path) {
        for _ in 0..2 {
            for _ in 0..4 {
                let _ = self.commit(environment);
            }
            let _ = environment.snapshot("lake", &lake(folder));
            let _ = self.commit(environment);
            let _ = environment.sync("lake", &lake(folder));
            if let Ok(mut changes) = environment.changes_for("reader") {
                let _ = changes.next();
                let token = changes.token();
                if environment.acknowledge("reader", &token).is_ok() {
                    self.consumed = token.version();
                }
            }
            let mut retention = environment.retention();
            retention.rows = Some(5);
            let _ = environment.set_retention(retention);
            let _ = environment.compact();
        }
    }

    /// Everything acknowledged is there, everything else whole or not at all, and nothing is damaged.
    fn check(&self, folder: &Path) {
        let environment = open(folder).unwrap();
        for number in 0..self.tried {
            let rows = (0..ROWS_A_COMMIT).filter(|row| {
                let id = id(number * ROWS_A_COMMIT + row).parse().unwrap();
                environment.get("task", id).unwrap().is_some()
            });
            let rows = rows.count() as u32;
            let is_whole = rows == ROWS_A_COMMIT;
            assert!(is_whole || rows == 0, "commit {number} is there by half");
            let is_acknowledged = self.acknowledged.contains(&number);
            assert!(is_whole || !is_acknowledged, "commit {number} is gone");
        }
        assert!(environment.consumer("reader").unwrap().version >= self.consumed);
        environment.snapshot("lake", &lake(folder)).unwrap();
        drop(environment);
        let lakes = |_: &str, _: &str| -> Result<Box<dyn Lake>> { Ok(Box::new(lake(folder))) };
        let report = verify_folder(&environment_folder(folder), Depth::Full, &lakes).unwrap();
        assert_eq!(report.findings, []);
    }
}

/// Runs the work and lets one operation fail; gives it if it came to that.
fn fail(point: usize) -> Option<(Operation, PathBuf)> {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    create(folder);
    let plan = FaultPlan::below(folder);
    plan.fail_after(point, io::ErrorKind::Other);
    let mut done = Done::default();
    let opened = open(folder);
    let failed_at_opening = !plan.waits();
    if let Ok(environment) = opened {
        done.work(&environment, folder);
        if !plan.waits() && !failed_at_opening {
            let failed = plan.seen()[point].clone();
            refuses_writes(&environment, &mut done, folder, &failed);
        }
    }
    let failed = (!plan.waits()).then(|| plan.seen()[point].clone());
    drop(plan);
    done.check(folder);
    failed
}

/// After a write that failed nothing is written; what was removed in vain, a file that could not be made for the lake,
/// or a lake that fails, is no reason to stop.
fn refuses_writes(
    environment: &Environment,
    done: &mut Done,
    folder: &Path,
    (operation, path): &(Operation, PathBuf),
) {
    let committed = done.commit(environment);
    let own = environment_folder(folder);
    let is_own = path.starts_with(&own) && !path.starts_with(own.join("parquet"));
    if !is_own || *operation == Operation::Remove {
        committed.unwrap_or_else(|e| panic!("{operation:?} {}: {e}", path.display()));
        return;
    }
    let what = format!("{operation:?} {}", path.display());
    // Where nothing could be created, nothing is in doubt.
    if *operation == Operation::Create && committed.is_ok() {
        return;
    }
    let Err(error) = committed else {
        panic!("{what} failed, and a commit was taken");
    };
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{what}: {error}");
    assert!(error.to_string().contains("it fails on purpose"), "{error}");
    let schema = TableSchema::from_json(&TASK.replace("\"task\"", "\"other\"")).unwrap();
    let options = TableOptions::default();
    let error = environment.create_table(schema, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{what}: {error}");
    // What is there can be read.
    let first = done.acknowledged.first().copied();
    if let Some(number) = first {
        let id = id(number * ROWS_A_COMMIT).parse().unwrap();
        assert!(environment.get("task", id).unwrap().is_some());
    }
    environment.status().unwrap();
}

#[test]
fn each_operation_on_a_file_may_fail_and_nothing_acknowledged_is_lost() {
    let mut failed: BTreeMap<String, usize> = BTreeMap::new();
    for point in 0.. {
        let Some((operation, path)) = fail(point) else {
            break;
        };
        let part = path.parent().and_then(Path::file_name).unwrap_or_default();
        let what = format!("{operation:?} in {}", part.to_string_lossy());
        *failed.entry(what).or_default() += 1;
    }
    println!("{failed:#?}");
    for what in [
        "Write in journal",
        "Sync in journal",
        "Sync in packs",
        "Create in segments",
        "Write in segments",
        "Sync in segments",
        "Remove in segments",
        "Rename in catalog",
        "Sync in catalog",
        "Remove in catalog",
        "Rename in task",
        "Write in parquet",
        "Sync in parquet",
        "Remove in parquet",
    ] {
        assert!(failed.contains_key(what), "{what} did not come: {failed:?}");
    }
}
