//! Crashes at any sync, while commits become segments and segments become blocks: what was acknowledged
//! is there once, what was not is there whole or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lakestage_engine::{
    Environment, EnvironmentSettings, ErrorKind, Journal as _, ManualClock, MemoryJournal,
    OpenOptions, TableOptions, TableSchema, Value, Write,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 100000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const ROW_IDS: u8 = 24;

fn id(row: u8) -> String {
    format!("{row:02x}000000-0000-4000-8000-000000000000")
}

struct World {
    folder: tempfile::TempDir,
    journal: MemoryJournal,
    clock: Arc<ManualClock>,
    segment_bytes: usize,
    /// The rows that must be there, with their notes and versions.
    rows: Rows,
}

type Rows = BTreeMap<u8, (String, u64)>;

impl World {
    fn new(segment_bytes: usize) -> Self {
        World {
            folder: tempfile::tempdir().unwrap(),
            journal: MemoryJournal::default(),
            clock: Arc::new(ManualClock::at_unix_s(1_700_000_000)),
            segment_bytes,
            rows: Rows::new(),
        }
    }

    fn open(&self) -> Environment {
        let settings = EnvironmentSettings::new("contoso", "org1");
        let options = OpenOptions {
            segment_bytes: self.segment_bytes,
            tail_bytes_max: self.segment_bytes * 3,
            unmerged_bytes_max: self.segment_bytes as u64 * 20,
            ..OpenOptions::from(self.clock.clone())
        };
        let journal = Arc::new(self.journal.clone());
        let environment =
            Environment::open_on(self.folder.path(), settings, options, journal).unwrap();
        if environment.table_names().is_empty() {
            let schema = TableSchema::from_json(TASK).unwrap();
            environment
                .create_table(schema, TableOptions::default())
                .unwrap();
        }
        environment
    }

    fn segment_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("segments")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// What is in a file that was never named may be anything after a power cut.
    fn spoil_unnamed_files(&self, how: u8) {
        let named = self.journal.segments().unwrap();
        for path in self.segment_files() {
            let is_named = named.iter().any(|e| {
                path.to_string_lossy()
                    .ends_with(&format!("-{:010}.arrows", e.number))
            });
            match how % 4 {
                _ if is_named => {}
                0 => {}
                1 => fs::remove_file(path).unwrap(),
                2 => fs::write(path, b"").unwrap(),
                _ => fs::write(path, b"something else").unwrap(),
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Option<u16>)>),
    Compact,
    /// The process ends and starts again.
    Reopen,
    /// So many syncs succeed from here on; then the disk fails until the power is cut.
    FailAfter(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..ROW_IDS, prop::option::weighted(0.8, 0u16..4_000));
    prop_oneof![
        8 => prop::collection::vec(change, 1..8).prop_map(Step::Commit),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        2 => (0u64..12).prop_map(Step::FailAfter),
    ]
}

/// Commits, and gives the rows as they are if it became durable.
fn commit(
    environment: &Environment,
    rows: &Rows,
    changes: &[(u8, Option<u16>)],
) -> (Rows, lakestage_engine::Result<()>) {
    let schema = environment.schema("task").unwrap();
    let columns = ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap());
    let mut after = rows.clone();
    let mut transaction = environment.transaction();
    let mut touched = Vec::new();
    for (row, notes) in changes {
        let id = id(*row);
        match notes {
            Some(length) => {
                let notes = format!("{length:>width$}", width = usize::from(*length).max(1));
                let created = format!("202{}-01-01T00:00:00Z", row % 3);
                let values = [Value::Text(&id), Value::Text(&created), Value::Text(&notes)];
                let values: Vec<_> = columns.into_iter().zip(values).collect();
                transaction.write(Write::Upsert, "task", &values).unwrap();
                after.insert(*row, (notes, 0));
            }
            None if after.remove(row).is_some() => {
                transaction.delete("task", Value::Text(&id)).unwrap();
            }
            None => continue,
        }
        touched.push(*row);
    }
    if touched.is_empty() {
        return (after, Ok(()));
    }
    let first = environment.status().unwrap().last_version + 1;
    for (version, row) in (first..).zip(touched) {
        if let Some(stored) = after.get_mut(&row) {
            stored.1 = version;
        }
    }
    (after, transaction.commit().map(drop))
}

fn stored(environment: &Environment) -> Rows {
    let mut rows = Rows::new();
    for row in 0..ROW_IDS {
        let found = environment.get("task", id(row).parse().unwrap()).unwrap();
        if let Some(found) = found {
            let notes = found.cell("notes").unwrap().trim_matches('"').to_owned();
            let version = found.cell("versionnumber").unwrap().parse().unwrap();
            rows.insert(row, (notes, version));
        }
    }
    rows
}

fn run(segment_bytes: usize, steps: &[Step], spoil: u8, writes_back: usize) {
    let mut world = World::new(segment_bytes);
    let mut environment = world.open();
    let mut last_version = 0;
    for step in steps {
        // What may be there instead: the commit that was not acknowledged.
        let mut perhaps = None;
        match step {
            Step::Commit(changes) => {
                let (after, done) = commit(&environment, &world.rows, changes);
                match done {
                    Ok(()) => world.rows = after,
                    Err(_) => perhaps = Some(after),
                }
            }
            Step::FailAfter(syncs) => {
                world.journal.fail_after(*syncs);
                continue;
            }
            Step::Compact if environment.compact().is_ok() => {}
            Step::Compact => perhaps = Some(world.rows.clone()),
            Step::Reopen => perhaps = Some(world.rows.clone()),
        }
        if let Some(perhaps) = perhaps {
            last_version = environment.status().unwrap().last_version.max(last_version);
            drop(environment);
            world.journal.write_back_part(writes_back);
            world.journal.cut_power();
            world.spoil_unnamed_files(spoil);
            environment = world.open();
            if stored(&environment) == perhaps {
                world.rows = perhaps;
            }
            let version = environment.status().unwrap().last_version;
            assert!(version >= last_version, "versions went back");
        }
        assert_eq!(stored(&environment), world.rows);
    }
    drop(environment);
    world.journal.cut_power();
    let environment = world.open();
    environment.compact().unwrap();
    assert_eq!(stored(&environment), world.rows);
    let rows = environment.status().unwrap().tables[0].rows;
    assert_eq!(rows, world.rows.len() as u64);
}

/// The seed is printed, and taken from `LAKESTAGE_SEED` to try again what failed.
fn cases(cases: u32) -> ProptestConfig {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let given = std::env::var("LAKESTAGE_SEED").ok();
    let seed = given.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
    println!("LAKESTAGE_SEED={seed}");
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_crash_at_any_sync_leaves_frames_or_the_segment_and_never_both(
        segment_bytes in 1_000usize..20_000,
        steps in prop::collection::vec(step(), 1..25),
        spoil in 0u8..4,
        writes_back in 0usize..8,
    ) {
        run(segment_bytes, &steps, spoil, writes_back);
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    #[ignore = "ten thousand cases take minutes"]
    fn ten_thousand_crashes_leave_frames_or_the_segment_and_never_both(
        segment_bytes in 1_000usize..20_000,
        steps in prop::collection::vec(step(), 1..40),
        spoil in 0u8..4,
        writes_back in 0usize..8,
    ) {
        run(segment_bytes, &steps, spoil, writes_back);
    }
}

/// A world with three sealed segments of ten rows each, and what they hold.
fn sealed() -> World {
    let mut world = World::new(10_000);
    let environment = world.open();
    for first in [0, 6, 12, 18] {
        let changes: Vec<_> = (first..first + 6).map(|row| (row, Some(2_000))).collect();
        let (rows, done) = commit(&environment, &world.rows, &changes);
        done.unwrap();
        world.rows = rows;
    }
    while environment.status().unwrap().tail_bytes > 0 {
        std::thread::yield_now();
    }
    drop(environment);
    world
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_segment_is_named_and_the_others_go_on() {
    let mut world = sealed();
    let mut files = world.segment_files();
    assert_eq!(files.len(), 4);
    let good = fs::read(&files[1]).unwrap();
    let mut noticed = 0;
    for at in (0..good.len()).step_by(97) {
        flip(&files[1], at);
        let environment = world.open();
        for row in 0..ROW_IDS {
            let found = environment.get("task", id(row).parse().unwrap());
            match found {
                Ok(found) => {
                    let notes = found.as_ref().and_then(|row| row.cell("notes"));
                    let expected = format!("\"{}\"", world.rows[&row].0);
                    assert_eq!(notes, Some(&*expected), "byte {at} row {row}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    let name = files[1].file_name().unwrap().to_string_lossy();
                    assert!(error.to_string().contains(&*name), "{error}");
                    // Newer segments do not ask the damaged one.
                    assert!(row < 12, "byte {at} row {row}: {error}");
                    noticed += 1;
                }
            }
        }
        // The damage does not go into blocks; the filter is not needed for them.
        if let Err(error) = environment.compact() {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            drop(environment);
            fs::write(&files[1], &good).unwrap();
            continue;
        }
        assert_eq!(stored(&environment), world.rows, "byte {at}");
        let filter_and_end = good.len() - 600..good.len();
        assert!(filter_and_end.contains(&at), "byte {at} was not noticed");
        drop(environment);
        world = sealed();
        files = world.segment_files();
    }
    assert!(noticed > 0);
    let environment = world.open();
    environment.compact().unwrap();
    assert_eq!(stored(&environment), world.rows);
}

#[test]
fn a_missing_segment_is_named_and_what_does_not_need_it_goes_on() {
    let world = sealed();
    let files = world.segment_files();
    fs::remove_file(&files[0]).unwrap();
    let environment = world.open();
    let get = |row: u8| environment.get("task", id(row).parse().unwrap());
    let error = get(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(get(20).unwrap().is_some());
    let (_, done) = commit(&environment, &world.rows, &[(20, Some(5))]);
    done.unwrap();
}
