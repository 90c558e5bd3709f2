//! Whatever is done to whatever tables: after each snapshot the files that `model.json` names, read
//! with an ordinary CSV reader, are exactly the rows of a plain model in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lakestage_engine::{
    DeletePartition, Environment, EnvironmentSettings, FolderLake, Granularity, Lake,
    LinkTableOptions, ManualClock, Mode, NewLink, OpenOptions, TableOptions, TableSchema, Value,
    Write,
};
use proptest::prelude::*;

const TABLES: [&str; 3] = ["account", "visit", "member"];
const ROW_IDS: u8 = 40;

/// `visit` has its system columns in another order than `account`; `member` has no `createdon`.
fn schema(table: &str) -> String {
    let columns = match table {
        "account" => {
            r#"{"name":"versionnumber","type":"bigint"},{"name":"createdon","type":"datetime"},
               {"name":"name","type":"string","maxLength":4000},{"name":"notes","type":"memo","maxLength":1048576},
               {"name":"accountid","type":"uniqueidentifier"}"#
        }
        "visit" => {
            r#"{"name":"visitid","type":"uniqueidentifier"},{"name":"notes","type":"memo","maxLength":1048576},
               {"name":"createdon","type":"datetime"},{"name":"modifiedon","type":"datetime"},
               {"name":"name","type":"string","maxLength":4000},{"name":"versionnumber","type":"bigint"}"#
        }
        _ => {
            r#"{"name":"memberid","type":"uniqueidentifier"},{"name":"name","type":"string","maxLength":4000},
               {"name":"notes","type":"memo","maxLength":1048576},{"name":"versionnumber","type":"bigint"}"#
        }
    };
    format!(r#"{{"name":"{table}","primaryKey":"{table}id","columns":[{columns}]}}"#)
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    Snapshot,
    Sync,
    Compact,
    Reopen,
    Wait(i64),
}

#[derive(Debug, Clone)]
struct Change {
    table: usize,
    row: u8,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Put {
        name: String,
        /// `None` leaves the column out, which an update takes for "as it is".
        notes: Option<u32>,
        month: u8,
    },
    Delete,
}

fn change() -> impl Strategy<Value = Change> {
    // Text that breaks naive readers, and notes long enough that partitions have several blocks.
    let name = prop_oneof![
        "[a-z,\"\n\r ;é😀\\\\]{0,12}",
        Just("\"\"".to_owned()),
        Just("0042".to_owned()),
        Just("a,\"b\"\r\n,c".to_owned()),
    ];
    let put = (name, prop::option::of(0u32..120_000), 0u8..30)
        .prop_map(|(name, notes, month)| What::Put { name, notes, month });
    let what = prop_oneof![4 => put, 1 => Just(What::Delete)];
    (0..TABLES.len(), 0..ROW_IDS, what).prop_map(|(table, row, what)| Change { table, row, what })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(change(), 1..25).prop_map(Step::Commit),
        3 => Just(Step::Snapshot),
        1 => Just(Step::Sync),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => (1i64..100_000).prop_map(Step::Wait),
    ]
}

type Row = BTreeMap<String, String>;

struct Harness {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    environment: Option<Environment>,
    model: [BTreeMap<String, Row>; 3],
    /// Every snapshot file ever seen, with its bytes.
    seen: BTreeMap<String, Vec<u8>>,
}

/// Segments so small that one compaction meets several of them, and cuts every partition into ranges.
fn options(clock: &Arc<ManualClock>) -> OpenOptions {
    OpenOptions {
        segment_bytes: 400_000,
        tail_bytes_max: 800_000,
        unmerged_bytes_max: 6_000_000,
        merge_bytes: 60_000,
        ..OpenOptions::from(clock.clone())
    }
}

/// Two links with different layouts of the same tables.
const LINKS: [&str; 2] = ["first", "second"];

impl Harness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_s(1_700_000_000));
        let settings = EnvironmentSettings::new("test", "org1");
        let options = options(&clock);
        let environment =
            Environment::create_with(&folder.path().join("env"), settings, options).unwrap();
        for (table, granularity) in
            TABLES
                .iter()
                .zip([Granularity::Year, Granularity::Month, Granularity::Year])
        {
            let schema = TableSchema::from_json(&schema(table)).unwrap();
            environment
                .create_table(schema, TableOptions { granularity })
                .unwrap();
        }
        let harness = Harness {
            folder,
            clock,
            environment: Some(environment),
            model: Default::default(),
            seen: BTreeMap::new(),
        };
        harness.link(LINKS[0], |_| LinkTableOptions::default());
        harness
    }

    fn environment(&self) -> &Environment {
        self.environment.as_ref().unwrap()
    }

    fn lake(&self, link: &str) -> FolderLake {
        FolderLake::new(
            &self.folder.path().join(link),
            &self.environment().filesystem_name(),
        )
    }

    fn link(&self, link: &str, options: impl Fn(&str) -> LinkTableOptions) {
        let tables = TABLES.map(|table| LinkTableOptions {
            table: table.into(),
            ..options(table)
        });
        let endpoint = "https://test.dfs.core.windows.net:443";
        let new = NewLink {
            snapshots_kept: None,
            ..NewLink::new(link, link, endpoint, tables.into())
        };
        self.environment()
            .create_link(&self.lake(link), &new)
            .unwrap();
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Commit(changes) => self.commit(changes),
            Step::Compact => self.environment().compact().unwrap(),
            Step::Wait(seconds) => self.clock.advance_s(*seconds),
            Step::Reopen => {
                self.environment = None;
                let folder = self.folder.path().join("env");
                let options = options(&self.clock);
                self.environment = Some(Environment::open_with(&folder, options).unwrap());
            }
            Step::Sync => {
                for link in self.environment().links() {
                    let lake = self.lake(&link.name);
                    self.environment().sync(&link.name, &lake).unwrap();
                }
            }
            Step::Snapshot => {
                for link in LINKS {
                    if self.environment().links().iter().any(|l| l.name == link) {
                        self.snapshot(link);
                    }
                }
            }
        }
    }

    fn commit(&mut self, changes: &[Change]) {
        let environment = self.environment().clone();
        let mut transaction = environment.transaction();
        let mut applied: Vec<(usize, String, Option<Row>)> = Vec::new();
        let mut model = self.model.clone();
        for change in changes {
            let table = TABLES[change.table];
            let id = row_id(change.row);
            let old = model[change.table].get(&id).cloned();
            match &change.what {
                What::Delete if old.is_none() => continue,
                What::Delete => {
                    transaction.delete(table, Value::Text(&id)).unwrap();
                    model[change.table].remove(&id);
                    applied.push((change.table, id, None));
                }
                What::Put { name, notes, month } => {
                    let row = self.put(&mut transaction, table, &id, old, (name, *notes, *month));
                    model[change.table].insert(id.clone(), row.clone());
                    applied.push((change.table, id, Some(row)));
                }
            }
        }
        if applied.is_empty() {
            return;
        }
        let receipt = transaction.commit().unwrap();
        assert_eq!(
            receipt.last_version - receipt.first_version + 1,
            applied.len() as u64
        );
        for (version, (table, id, row)) in (receipt.first_version..).zip(applied) {
            let Some(mut row) = row else {
                model[table].remove(&id);
                continue;
            };
            row.insert("versionnumber".into(), version.to_string());
            model[table].insert(id, row);
        }
        self.model = model;
    }

    fn put(
        &self,
        transaction: &mut lakestage_engine::Transaction,
        table: &str,
        id: &str,
        old: Option<Row>,
        (name, notes, month): (&str, Option<u32>, u8),
    ) -> Row {
        let schema = self.environment().schema(table).unwrap();
        let created = format!("20{}-{:02}-15T08:00:00Z", 20 + month / 12, month % 12 + 1);
        let notes = notes.map(|length| format!("{length},\"").repeat(length as usize / 8));
        let key = format!("{table}id");
        let mut given = vec![(key.as_str(), id), ("name", name)];
        let is_new = old.is_none();
        let mut row = old.unwrap_or_default();
        row.insert(key.clone(), id.to_owned());
        row.insert("name".into(), name.to_owned());
        if let Some(notes) = &notes {
            given.push(("notes", notes));
            row.insert("notes".into(), notes.clone());
        }
        if is_new && schema.position("createdon").is_some() {
            given.push(("createdon", &created));
            let stored = created.replace('Z', ".0000000+00:00");
            row.insert("createdon".into(), stored);
        }
        let values: Vec<_> = given
            .iter()
            .map(|(column, text)| (schema.position(column).unwrap(), Value::Text(text)))
            .collect();
        transaction.write(Write::Upsert, table, &values).unwrap();
        row
    }

    fn snapshot(&mut self, link: &str) {
        let lake = self.lake(link);
        let before = lake.read("model.json").unwrap();
        let report = self.environment().snapshot(link, &lake).unwrap();
        let model = lake.read("model.json").unwrap().unwrap();
        if !report.changed {
            assert!(before.as_deref() == Some(&model[..]), "model.json changed");
        }
        let model: serde_json::Value = serde_json::from_slice(&model).unwrap();
        let root = self
            .folder
            .path()
            .join(link)
            .join(self.environment().filesystem_name());
        for (table, expected) in TABLES.iter().zip(&self.model) {
            let found = read_table(&model, table, &root);
            compare(table, &found, expected);
        }
        for entry in lake.list("").unwrap() {
            if entry.path.contains("/Snapshot/") && !entry.is_directory {
                let bytes = lake.read(&entry.path).unwrap().unwrap();
                let first = self
                    .seen
                    .entry(format!("{link}/{}", entry.path))
                    .or_insert(bytes.clone());
                assert!(
                    *first == bytes,
                    "{} changed after it was visible",
                    entry.path
                );
            }
        }
        for path in self
            .seen
            .keys()
            .filter_map(|p| p.strip_prefix(&format!("{link}/")))
        {
            assert!(lake.stat(path).unwrap().is_some(), "{path} is gone");
        }
    }
}

fn row_id(row: u8) -> String {
    // Spread over the whole range, in no particular order.
    let high = u32::from(row).wrapping_mul(2_654_435_761);
    format!("{high:08x}-0000-4000-8000-0000000000{row:02x}")
}

/// The current rows of a table as a consumer would see them.
fn read_table(model: &serde_json::Value, table: &str, root: &Path) -> BTreeMap<String, Row> {
    let entities = model["entities"].as_array().unwrap();
    let entity = entities.iter().find(|e| e["name"] == table).unwrap();
    let columns: Vec<&str> = entity["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    let append_only = columns.contains(&"IsDelete");
    let mut versions: BTreeMap<String, (u64, Option<Row>)> = BTreeMap::new();
    for partition in entity["partitions"].as_array().unwrap() {
        let location = partition["location"].as_str().unwrap();
        let (_, path) = location.split_once("/dataverse-test-org1/").unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(root.join(path))
            .unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            assert_eq!(record.len(), columns.len(), "{table} {path}");
            let mut row: Row = columns
                .iter()
                .zip(record.iter())
                .map(|(column, cell)| ((*column).to_owned(), cell.to_owned()))
                .collect();
            let id = row.remove("Id").unwrap();
            let deleted = row.remove("IsDelete").is_some_and(|cell| cell == "True");
            let version = row["versionnumber"].parse().unwrap();
            let known = versions.get(&id).map(|(version, _)| *version);
            assert!(append_only || known.is_none(), "{table} has {id} twice");
            if known.is_none_or(|known| known < version) {
                versions.insert(id, (version, (!deleted).then_some(row)));
            }
        }
    }
    versions
        .into_iter()
        .filter_map(|(id, (_, row))| Some((id, row?)))
        .collect()
}

fn compare(table: &str, found: &BTreeMap<String, Row>, expected: &BTreeMap<String, Row>) {
    let ids = |rows: &BTreeMap<String, Row>| rows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(found), ids(expected), "{table}");
    for (id, row) in expected {
        for (column, cell) in row {
            let there = &found[id][column];
            assert!(
                there == cell,
                "{table} {id} {column}: {there:?} is not {cell:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_equal_the_model(steps in prop::collection::vec(step(), 1..30), second in 0usize..30) {
        let mut harness = Harness::new();
        for (number, step) in steps.iter().enumerate() {
            if number == second {
                // The second link comes late, in other layouts than the first.
                harness.link(LINKS[1], |table| match table {
                    "account" => LinkTableOptions { granularity: Some(Granularity::Month), ..Default::default() },
                    "visit" => LinkTableOptions { granularity: Some(Granularity::Year), ..Default::default() },
                    _ => LinkTableOptions { mode: Some(Mode::AppendOnly), deletes: DeletePartition::Original, ..Default::default() },
                });
            }
            harness.run(step);
        }
        harness.run(&Step::Snapshot);
    }
}
