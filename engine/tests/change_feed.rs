//! What the change feed promises.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lakestage_engine::{
    ChangeOperation, ChangeToken, Changes, Environment, EnvironmentSettings, Error, ErrorKind,
    FolderLake, LinkTableOptions, ManualClock, NewConsumer, NewLink, OpenOptions, Retention,
    TableOptions, TableSchema, Value, Write, change_columns,
};
use proptest::prelude::*;

const TABLES: [&str; 2] = ["task", "visit"];
const HOUR_S: i64 = 3_600;

fn schema(table: &str) -> TableSchema {
    let json = format!(
        r#"{{"name": "{table}", "primaryKey": "{table}id", "columns": [
        {{"name": "{table}id", "type": "uniqueidentifier"}},
        {{"name": "createdon", "type": "datetime"}},
        {{"name": "notes", "type": "memo", "maxLength": 100000}},
        {{"name": "versionnumber", "type": "bigint"}}]}}"#
    );
    TableSchema::from_json(&json).unwrap()
}

fn id(row: u32) -> String {
    format!("{row:08x}-0000-4000-8000-000000000000")
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    segment_bytes: usize,
    environment: Environment,
}

impl World {
    fn new(segment_bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_s(1_700_000_000));
        let settings = EnvironmentSettings::new("contoso", "org1");
        let path = folder.path().join("environment");
        let options = options(&clock, segment_bytes);
        let environment = Environment::create_with(&path, settings, options).unwrap();
        for table in TABLES {
            environment
                .create_table(schema(table), TableOptions::default())
                .unwrap();
        }
        World {
            folder,
            clock,
            segment_bytes,
            environment,
        }
    }

    /// Closes the environment and opens it again.
    fn reopen(self) -> Self {
        let World {
            folder,
            clock,
            segment_bytes,
            environment,
        } = self;
        drop(environment);
        let path = folder.path().join("environment");
        let options = options(&clock, segment_bytes);
        let environment = Environment::open_with(&path, options).unwrap();
        World {
            folder,
            clock,
            segment_bytes,
            environment,
        }
    }

    fn put(&self, table: &str, row: u32, notes: &str) -> u64 {
        let schema = self.environment.schema(table).unwrap();
        let id = id(row);
        let values = [
            (schema.primary_key(), Value::Text(&id)),
            (schema.require("notes").unwrap(), Value::Text(notes)),
        ];
        let mut transaction = self.environment.transaction();
        transaction.write(Write::Upsert, table, &values).unwrap();
        transaction.commit().unwrap().last_version
    }

    fn delete(&self, table: &str, row: u32) -> u64 {
        let mut transaction = self.environment.transaction();
        transaction.delete(table, Value::Text(&id(row))).unwrap();
        transaction.commit().unwrap().last_version
    }

    /// Puts rows, each in a segment of its own, and merges them into blocks.
    fn segments(&self, rows: std::ops::Range<u32>) {
        for row in rows {
            self.put("task", row, &"n".repeat(self.segment_bytes));
            while self.environment.status().unwrap().tail_bytes > 0 {
                std::thread::yield_now();
            }
        }
        self.environment.compact().unwrap();
    }

    fn lake(&self) -> FolderLake {
        let name = self.environment.filesystem_name();
        FolderLake::new(&self.folder.path().join("lake"), &name)
    }

    fn link(&self) {
        let endpoint = "https://contoso.dfs.core.windows.net:443";
        let new = NewLink::new(
            "lake",
            "folder:lake",
            endpoint,
            vec![LinkTableOptions::of("task")],
        );
        self.environment.create_link(&self.lake(), &new).unwrap();
    }

    fn snapshot(&self) -> u64 {
        let report = self.environment.snapshot("lake", &self.lake()).unwrap();
        report.version
    }

    fn expired(&self, token: &ChangeToken) -> Option<Error> {
        match self.environment.changes("task", Some(token)) {
            Ok(_) => None,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Expired, "{error}");
                Some(error)
            }
        }
    }

    fn keep_nothing(&self) {
        self.environment
            .set_retention(Retention {
                age_s: None,
                bytes: None,
                rows: Some(0),
            })
            .unwrap();
    }
}

fn options(clock: &Arc<ManualClock>, segment_bytes: usize) -> OpenOptions {
    OpenOptions {
        segment_bytes,
        tail_bytes_max: segment_bytes * 4,
        ..OpenOptions::from(clock.clone())
    }
}

type Seen = (u64, u32, ChangeOperation, Option<String>);

fn read(changes: &mut Changes, batches: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..batches {
        let Some(batch) = changes.next().unwrap() else {
            break;
        };
        assert_eq!(batch.token(), Some(changes.token()));
        for change in batch.rows() {
            let change = change.unwrap();
            let row = change.id.as_fields().0;
            let notes = change.row.as_ref().map(|row| {
                let version = row.cell("versionnumber").unwrap();
                assert_eq!(version, change.version.to_string());
                row.cell("notes").unwrap().trim_matches('"').to_owned()
            });
            seen.push((change.version, row, change.operation, notes));
        }
    }
    seen
}

fn read_all(world: &World, table: &str, token: Option<&ChangeToken>) -> Vec<Seen> {
    let mut changes = world.environment.changes(table, token).unwrap();
    read(&mut changes, usize::MAX)
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, u32, u16),
    Delete(usize, u32),
    Read(usize),
    Compact,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..2usize, 0..12u32, 0..3_000u16).prop_map(|(t, r, n)| Step::Put(t, r, n)),
        3 => (0..2usize, 0..12u32).prop_map(|(t, r)| Step::Delete(t, r)),
        3 => (1..4usize).prop_map(Step::Read),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_sees_every_change_once_and_in_order_by_following_tokens(
        segment_bytes in 500usize..9_000,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(segment_bytes);
        let mut expected: [Vec<Seen>; 2] = Default::default();
        let mut there: [BTreeMap<u32, ()>; 2] = Default::default();
        let mut seen: [Vec<Seen>; 2] = Default::default();
        let mut tokens: [Option<ChangeToken>; 2] = [None; 2];
        for step in steps.iter().chain(&[Step::Read(usize::MAX)]) {
            match step {
                Step::Put(table, row, length) => {
                    let notes = "n".repeat(usize::from(*length) + 1);
                    let version = world.put(TABLES[*table], *row, &notes);
                    let operation = match there[*table].insert(*row, ()) {
                        Some(()) => ChangeOperation::Update,
                        None => ChangeOperation::Create,
                    };
                    expected[*table].push((version, *row, operation, Some(notes)));
                }
                Step::Delete(table, row) if there[*table].remove(row).is_some() => {
                    let version = world.delete(TABLES[*table], *row);
                    expected[*table].push((version, *row, ChangeOperation::Delete, None));
                }
                Step::Delete(..) => {}
                Step::Read(batches) => {
                    for table in 0..2 {
                        // The token goes through text, as it does with a real consumer.
                        let token = tokens[table].map(|t| t.to_string().parse().unwrap());
                        let mut changes = world.environment.changes(TABLES[table], token.as_ref()).unwrap();
                        seen[table].extend(read(&mut changes, *batches));
                        tokens[table] = Some(changes.token());
                    }
                }
                Step::Compact => world.environment.compact().unwrap(),
                Step::Reopen => world = world.reopen(),
            }
        }
        for table in 0..2 {
            prop_assert_eq!(&seen[table], &expected[table]);
        }
    }
}

#[test]
fn changes_as_arrow_are_the_same_changes() {
    use arrow::array::AsArray;
    use arrow::datatypes::{UInt8Type, UInt64Type};
    for other_table in [false, true] {
        let world = World::new(1 << 20);
        world.put("task", 1, "one");
        if other_table {
            world.put("visit", 1, "one");
        }
        world.put("task", 1, "two");
        world.delete("task", 1);
        let mut changes = world.environment.changes("task", None).unwrap();
        let batch = changes.next().unwrap().unwrap();
        let arrow = batch.record_batch().unwrap();
        assert_eq!(arrow.schema(), change_columns());
        let versions: Vec<u64> = batch.rows().map(|c| c.unwrap().version).collect();
        assert_eq!(
            arrow["version"].as_primitive::<UInt64Type>().values(),
            &versions[..]
        );
        assert_eq!(
            arrow["operation"].as_primitive::<UInt8Type>().values(),
            &[1, 2, 3]
        );
        let cells = arrow["cells"].as_binary_view();
        assert!(String::from_utf8_lossy(cells.value(1)).contains("\"two\""));
        assert!(arrow["cells"].is_null(2));
        assert_eq!(
            arrow["id"].as_fixed_size_binary().value(0)[..4],
            [0, 0, 0, 1]
        );
    }
}

#[test]
fn a_reader_at_the_end_waits_for_what_comes() {
    let world = World::new(1 << 20);
    world.put("task", 1, "one");
    let mut changes = world.environment.changes("task", None).unwrap();
    assert_eq!(read(&mut changes, 9).len(), 1);
    assert!(!changes.wait(Duration::from_millis(20)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            world.put("task", 2, "two");
        });
        assert!(changes.wait(Duration::from_secs(30)));
    });
    let seen = read(&mut changes, 9);
    assert_eq!(seen[0].1, 2);
}

#[test]
fn a_token_of_another_environment_or_from_the_future_is_refused() {
    let (world, other) = (World::new(1 << 20), World::new(1 << 20));
    for world in [&world, &other] {
        world.put("task", 1, "one");
    }
    let refused = |token: &ChangeToken| {
        let error = world
            .environment
            .changes("task", Some(token))
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    assert!(refused(&other.environment.change_token()).contains("another environment"));
    let token = world.environment.change_token().to_string();
    let future = format!("{}9", token).parse().unwrap();
    assert!(refused(&future).contains("ahead"));
}

#[test]
fn an_expired_token_names_the_snapshot_to_start_from() {
    let world = World::new(2_000);
    world.put("task", 0, "before");
    let token = world.environment.change_token();
    world.segments(1..4);
    world.keep_nothing();
    let error = world.expired(&token).expect("the changes are gone");
    assert!(error.to_string().contains("Publish a snapshot"), "{error}");
    world.link();
    let version = world.snapshot();
    world.segments(4..6);
    let error = world.expired(&token).expect("the changes are gone");
    let Error::Expired {
        snapshot: Some(snapshot),
        ..
    } = &error
    else {
        panic!("no snapshot is named: {error}");
    };
    assert_eq!((&*snapshot.link, snapshot.version), ("lake", version));
    assert!(error.to_string().contains(&snapshot.token), "{error}");
    // With the snapshot and what follows its token nothing is missing.
    let token = snapshot.token.parse().unwrap();
    let rows: Vec<u32> = read_all(&world, "task", Some(&token))
        .iter()
        .map(|c| c.1)
        .collect();
    assert_eq!(rows, [4, 5]);
    assert_eq!(world.environment.snapshot_token("lake").unwrap(), token);
}

#[test]
fn what_a_snapshot_does_not_show_yet_is_kept_whatever_the_limits() {
    let world = World::new(2_000);
    world.link();
    world.segments(0..2);
    world.snapshot();
    let token = world.environment.snapshot_token("lake").unwrap();
    world.segments(2..5);
    world.keep_nothing();
    assert_eq!(read_all(&world, "task", Some(&token)).len(), 3);
    world.snapshot();
    world.environment.compact().unwrap();
    world.keep_nothing();
    assert!(world.expired(&token).is_some());
}

#[test]
fn retention_goes_by_age_bytes_and_rows_and_survives_reopening() {
    let limits = |age_s, bytes, rows| Retention { age_s, bytes, rows };
    for (retention, kept) in [
        (limits(None, None, None), 4),
        (limits(Some(8_000), None, None), 2),
        (limits(None, Some(10_000), None), 2),
        (limits(None, None, Some(3)), 3),
    ] {
        let mut world = World::new(2_000);
        for row in 0..4 {
            world.segments(row..row + 1);
            world.clock.advance_s(HOUR_S);
        }
        world.environment.set_retention(retention).unwrap();
        for _ in 0..2 {
            let status = world.environment.status().unwrap();
            assert_eq!(status.segments, kept, "{retention:?}: {status:?}");
            assert_eq!(world.environment.retention(), retention);
            world = world.reopen();
        }
    }
}

#[test]
fn age_passes_while_nobody_is_there() {
    let world = World::new(2_000);
    let token = world.environment.change_token();
    world.segments(0..2);
    assert!(world.expired(&token).is_none());
    // Seven days is what an environment starts with.
    world.clock.advance_s(8 * 24 * HOUR_S);
    let world = world.reopen();
    assert!(world.expired(&token).is_some());
}

#[test]
fn a_consumer_goes_on_where_it_was_and_keeps_what_it_has_not_read() {
    let mut world = World::new(2_000);
    let mut new = NewConsumer::new("etl", "task");
    new.expires_after_s = 10 * HOUR_S as u64;
    world.environment.create_consumer(&new).unwrap();
    assert_eq!(
        world.environment.create_consumer(&new).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    world.segments(0..3);
    world.keep_nothing();
    world = world.reopen();
    let first = {
        let mut changes = world.environment.changes_for("etl").unwrap();
        let seen = read(&mut changes, 1);
        assert_eq!(seen[0].1, 0);
        // It is not told yet that the consumer has it: asked again, it gives the same.
        assert_eq!(
            read(&mut world.environment.changes_for("etl").unwrap(), 1),
            seen
        );
        changes.token()
    };
    world.environment.acknowledge("etl", &first).unwrap();
    world = world.reopen();
    let rows: Vec<u32> = read(&mut world.environment.changes_for("etl").unwrap(), 9)
        .iter()
        .map(|c| c.1)
        .collect();
    assert_eq!(rows, [1, 2]);
    // Told twice is told once.
    world.environment.acknowledge("etl", &first).unwrap();
    // What it has read may go.
    assert_eq!(world.environment.status().unwrap().segments, 2);
    world.environment.remove_consumer("etl").unwrap();
    assert_eq!(world.environment.status().unwrap().segments, 0);
    assert_eq!(
        world.environment.consumer("etl").unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_consumer_cannot_go_back() {
    let world = World::new(1 << 20);
    let before = world.environment.change_token();
    world.put("task", 1, "one");
    let mut new = NewConsumer::new("etl", "task");
    new.start = Some(world.environment.change_token());
    world.environment.create_consumer(&new).unwrap();
    let error = world.environment.acknowledge("etl", &before).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("cannot go back"), "{error}");
}

#[test]
fn a_silent_consumer_expires_and_fills_no_disk() {
    let world = World::new(2_000);
    let mut new = NewConsumer::new("etl", "task");
    new.expires_after_s = HOUR_S as u64;
    world.environment.create_consumer(&new).unwrap();
    world.segments(0..2);
    world.keep_nothing();
    assert_eq!(world.environment.status().unwrap().segments, 2);
    world.clock.advance_s(HOUR_S + 1);
    world.segments(2..3);
    assert_eq!(world.environment.status().unwrap().segments, 0);
    assert!(world.environment.consumer("etl").unwrap().is_expired);
    let error = world.environment.changes_for("etl").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Expired);
}

#[test]
fn an_open_reader_keeps_what_it_has_not_given_out() {
    let world = World::new(2_000);
    let mut changes = world.environment.changes("task", None).unwrap();
    world.segments(0..3);
    world.keep_nothing();
    let rows: Vec<u32> = read(&mut changes, 9).iter().map(|c| c.1).collect();
    assert_eq!(rows, [0, 1, 2]);
    drop(changes);
    world.keep_nothing();
    assert_eq!(world.environment.status().unwrap().segments, 0);
}
