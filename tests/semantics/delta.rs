//! Delta tables: what an export does when something is not as it was. That readers of Delta find every value is tried
//! with those readers, in `tests/interop/python/test_handover.py`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use lakestage::delta::{DeltaError, DeltaExport, DeltaReport, DeltaStep, mirror};
use lakestage_engine::{Environment, FolderLake, Lake as _, OpenOptions, Retention, TableSchema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::failing_lake::FailingLake;
use crate::world::{TASK, World, id};

const SEGMENT_BYTES: usize = 2_000;

/// A world that seals after each few rows, so that retention has something to take.
fn world() -> World {
    let World {
        folder,
        clock,
        environment,
    } = World::new();
    drop(environment);
    let options = OpenOptions {
        segment_bytes: SEGMENT_BYTES,
        tail_bytes_max: SEGMENT_BYTES * 4,
        ..OpenOptions::from(clock.clone())
    };
    let environment = Environment::open_with(&folder.path().join("environment"), options).unwrap();
    World {
        folder,
        clock,
        environment,
    }
}

fn export_of(world: &World) -> DeltaExport {
    DeltaExport::of("task", &world.folder.path().join("delta"))
}

fn export(world: &World) -> DeltaReport {
    export_of(world).run(&world.environment).unwrap()
}

fn table(world: &World) -> PathBuf {
    export_of(world).folder
}

/// The commits of a table, an action a line.
fn log(table: &Path) -> Vec<Vec<Value>> {
    let mut commits = Vec::new();
    while let Ok(text) =
        fs::read_to_string(table.join(format!("_delta_log/{:020}.json", commits.len())))
    {
        let lines = text.lines();
        commits.push(lines.map(|l| serde_json::from_str(l).unwrap()).collect());
    }
    commits
}

/// The subjects by id, as a reader of the log finds them.
fn subjects(table: &Path) -> BTreeMap<String, Option<String>> {
    let mut files = std::collections::BTreeSet::new();
    for action in log(table).iter().flatten() {
        let path = |kind: &str| Some(action[kind]["path"].as_str()?.to_owned());
        files.extend(path("add"));
        if let Some(path) = path("remove") {
            assert!(files.remove(&path), "{path} was not there");
        }
    }
    let mut rows = BTreeMap::new();
    for file in files {
        let file = File::open(table.join(file)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = |name: &str| batch.column_by_name(name).unwrap().clone();
            let (ids, subjects) = (column("taskid"), column("subject"));
            let pairs = ids
                .as_string::<i32>()
                .iter()
                .zip(subjects.as_string::<i32>());
            for (id, subject) in pairs {
                let before = rows.insert(id.unwrap().to_owned(), subject.map(str::to_owned));
                assert_eq!(before, None, "a row is there twice");
            }
        }
    }
    rows
}

fn expect(world: &World, rows: &[(u32, &str)]) {
    let rows = rows.iter().map(|(n, s)| (id(*n), Some((*s).to_owned())));
    assert_eq!(subjects(&table(world)), rows.collect());
}

fn refused(world: &World) -> String {
    let error = export_of(world).run(&world.environment).unwrap_err();
    error.to_string()
}

#[test]
fn an_export_whose_changes_are_not_kept_compares_each_row() {
    let world = world();
    for number in 0..6 {
        world.task(number, 2024, "old");
    }
    assert_eq!(export(&world).step, DeltaStep::Created);
    let consumers = world.environment.consumers();
    assert_eq!(consumers.len(), 1);
    world
        .environment
        .remove_consumer(&consumers[0].name)
        .unwrap();
    world.task(1, 2024, "new");
    world.task(7, 2025, "seven");
    world.delete("task", 2);
    for _ in 0..3 {
        let notes = "n".repeat(SEGMENT_BYTES);
        world.put("task", &[("taskid", &id(8)), ("notes", &notes)]);
        while world.environment.status().unwrap().tail_bytes > 0 {
            std::thread::yield_now();
        }
    }
    world.delete("task", 8);
    world.environment.compact().unwrap();
    let nothing = Retention {
        age_s: None,
        bytes: None,
        rows: Some(0),
    };
    world.environment.set_retention(nothing).unwrap();
    let report = export(&world);
    assert_eq!(report.step, DeltaStep::Compared);
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 1, 1));
    expect(
        &world,
        &[
            (0, "old"),
            (1, "new"),
            (3, "old"),
            (4, "old"),
            (5, "old"),
            (7, "seven"),
        ],
    );
    // From then on changes are kept again.
    world.task(0, 2024, "newer");
    let report = export(&world);
    assert_eq!((report.step, report.updated), (DeltaStep::Changed, 1));
}

#[test]
fn a_consumer_keeps_the_changes_from_one_export_to_the_next() {
    let world = world();
    world.task(1, 2024, "one");
    let report = export(&world);
    let consumer = &world.environment.consumers()[0];
    assert_eq!(
        (consumer.version, &*consumer.table),
        (report.version, "task")
    );
    // Another table's changes move it on as well, by a commit without rows.
    world.put("member", &[("memberid", &id(1))]);
    let next = export(&world);
    assert_eq!(
        (next.step, next.version),
        (DeltaStep::UpToDate, report.version + 1)
    );
    assert_eq!(world.environment.consumers()[0].version, next.version);
    assert_eq!(next.bytes_written, 0);
    assert_eq!(export(&world).delta_version, next.delta_version);
    expect(&world, &[(1, "one")]);
}

#[test]
fn what_an_export_that_was_broken_off_left_is_removed() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    let left = format!("part-{:020}-00001.zstd.parquet", 1);
    let changes = table(&world).join("_change_data");
    fs::create_dir_all(&changes).unwrap();
    let left_changes = changes.join(format!("cdc-{:020}-00002.zstd.parquet", 1));
    fs::write(table(&world).join(&left), b"half").unwrap();
    fs::write(&left_changes, b"half").unwrap();
    export(&world);
    assert!(!table(&world).join(&left).exists() && !left_changes.exists());
    world.task(2, 2024, "two");
    export(&world);
    expect(&world, &[(1, "one"), (2, "two")]);
}

#[test]
fn a_commit_that_only_inserts_writes_its_rows_once() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    world.task(2, 2024, "two");
    export(&world);
    world.task(2, 2024, "again");
    world.task(3, 2024, "three");
    export(&world);
    let kinds =
        |commit: &[Value], kind: &str| commit.iter().filter(|a| a[kind].is_object()).count();
    let log = log(&table(&world));
    let of = |commit: usize| ["add", "remove", "cdc", "txn"].map(|kind| kinds(&log[commit], kind));
    assert_eq!(of(0), [1, 0, 0, 1]);
    assert_eq!(of(1), [1, 0, 0, 1]);
    assert_eq!(of(2), [2, 1, 2, 1]);
}

#[test]
fn a_column_that_comes_later_changes_the_metadata_and_is_null_before() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    let wider = TASK.replace(
        "\"columns\": [",
        "\"columns\": [{\"name\": \"later\", \"type\": \"datetime\", \"behavior\": \"timeZoneIndependent\"},",
    );
    let wider = TableSchema::from_json(&wider).unwrap();
    world.environment.alter_table(&wider).unwrap();
    let later = [
        ("taskid", &*id(2)),
        ("subject", "two"),
        ("later", "2024-05-06T07:08:09"),
    ];
    world.put("task", &later);
    export(&world);
    expect(&world, &[(1, "one"), (2, "two")]);
    let log = log(&table(&world));
    let find = |kind: &str| log[1].iter().find(|a| a[kind].is_object()).unwrap()[kind].clone();
    assert!(
        find("metaData")["schemaString"]
            .as_str()
            .unwrap()
            .contains("\"timestamp_ntz\"")
    );
    // Times without a zone are a feature that the table did not need before.
    assert_eq!(
        find("protocol")["readerFeatures"],
        serde_json::json!(["timestampNtz"])
    );
}

#[test]
fn a_table_that_others_wrote_rows_into_or_that_is_of_another_environment_is_refused() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    let other = World::new();
    let foreign = export_of(&world).run(&other.environment).unwrap_err();
    assert!(foreign.to_string().contains("environment"), "{foreign}");
    let add = log(&table(&world))[0]
        .iter()
        .find(|a| a["add"].is_object())
        .unwrap()
        .clone();
    let commit = table(&world).join(format!("_delta_log/{:020}.json", 1));
    fs::write(&commit, add.to_string()).unwrap();
    let message = refused(&world);
    assert!(message.contains("commit 1 changed rows"), "{message}");
    // The same rows in other files are fine.
    let same = add
        .to_string()
        .replace("\"dataChange\":true", "\"dataChange\":false");
    fs::write(&commit, same).unwrap();
    export(&world);
    fs::remove_file(table(&world).join(format!("_delta_log/{:020}.json", 0))).unwrap();
    let message = refused(&world);
    assert!(message.contains("commits are missing"), "{message}");
}

#[test]
fn two_exports_of_a_table_at_once_and_folders_of_other_things_are_refused() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    let lock = File::create(table(&world).join(".lakestage.lock")).unwrap();
    lock.lock().unwrap();
    let error = export_of(&world).run(&world.environment).unwrap_err();
    assert!(matches!(error, DeltaError::Conflict(_)), "{error}");
    drop(lock);
    fs::write(table(&world).join("notes.txt"), b"mine").unwrap();
    assert!(refused(&world).contains("notes.txt"));
}

#[test]
fn changes_of_any_size_go_into_commits_of_a_bounded_size() {
    let world = world();
    world.task(0, 2024, "zero");
    export(&world);
    for number in 0..40 {
        world.task(number, 2024, "first");
    }
    let mut small = export_of(&world);
    small.changed_bytes_max = 1_000;
    let report = small.run(&world.environment).unwrap();
    assert!(report.delta_version >= 3, "{report:?}");
    assert_eq!((report.inserted, report.updated), (39, 1));
    assert_eq!(report.version, world.environment.last_version());
    let rows: Vec<(u32, &str)> = (0..40).map(|number| (number, "first")).collect();
    expect(&world, &rows);
    // Each commit names the version up to which it goes, so that the next export may start behind any of them.
    let log = log(&table(&world));
    let shown = log
        .iter()
        .filter_map(|commit| commit.iter().find_map(|a| a["txn"]["version"].as_u64()));
    let shown: Vec<u64> = shown.collect();
    assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
}

/// The files of the table in the lake are those that the commits there name, so far as a reader needs them.
fn check_lake(lake: &Path) {
    if lake.join("_delta_log").exists() {
        subjects(lake);
    }
}

#[test]
fn a_lake_that_fails_at_any_step_has_whole_commits_and_gets_the_rest_later() {
    let world = world();
    world.task(1, 2024, "one");
    export(&world);
    world.task(1, 2024, "again");
    world.task(2, 2024, "two");
    export(&world);
    let table = table(&world);
    for after_the_change in [false, true] {
        for fails_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let lake = || FolderLake::new(folder.path(), "delta");
            let there = folder.path().join("delta/task");
            let failing = FailingLake::at(lake(), fails_at, after_the_change);
            let failed = mirror(&table, "task", &failing).is_err();
            check_lake(&there);
            let report = mirror(&table, "task", &lake()).unwrap();
            assert_eq!(report.delta_version, 1);
            assert_eq!(subjects(&there), subjects(&table));
            assert_eq!(log(&there), log(&table));
            if !failed {
                assert_eq!((report.commits, report.files, report.bytes), (0, 0, 0));
                assert!(fails_at >= 6, "{fails_at}");
                break;
            }
        }
    }
}

#[test]
fn a_lake_in_which_another_table_of_the_name_stands_is_refused() {
    let (world, other) = (world(), World::new());
    for (world, subject) in [(&world, "mine"), (&other, "theirs")] {
        world.task(1, 2024, subject);
        export(world);
    }
    let lake = FolderLake::new(&world.folder.path().join("lakes"), "delta");
    mirror(&table(&other), "task", &lake).unwrap();
    let error = mirror(&table(&world), "task", &lake).unwrap_err();
    assert!(matches!(error, DeltaError::Conflict(_)), "{error}");
    let there = lake
        .read(&format!("task/_delta_log/{:020}.json", 0))
        .unwrap();
    let here = fs::read(table(&other).join(format!("_delta_log/{:020}.json", 0))).unwrap();
    assert_eq!(there, Some(here));
}
