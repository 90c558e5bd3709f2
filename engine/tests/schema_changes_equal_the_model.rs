//! Random changes of schemas among random transactions: what the lake shows, and what is read back,
//! equals a plain model in memory.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lakestage_engine::{
    Environment, EnvironmentSettings, ErrorKind, FolderLake, LinkTableOptions, ManualClock, Mode,
    NewLink, OpenOptions, SnapshotAt, TableOptions, TableSchema, Value, Write,
};
use proptest::prelude::*;

const LINKS: [(&str, Mode); 2] = [("rows", Mode::InPlace), ("changes", Mode::AppendOnly)];

#[derive(Debug, Clone)]
enum Step {
    /// Puts or deletes a row; columns are chosen by number among those there are.
    Put(u8, Vec<(u8, u16)>),
    Delete(u8),
    Add,
    Drop(u8),
    Restore(u8),
    Widen(u8),
    Compact,
    Snapshot,
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let cells = prop::collection::vec((any::<u8>(), any::<u16>()), 0..4);
    prop_oneof![
        10 => (0u8..12, cells).prop_map(|(row, cells)| Step::Put(row, cells)),
        2 => (0u8..12).prop_map(Step::Delete),
        2 => Just(Step::Add),
        1 => any::<u8>().prop_map(Step::Drop),
        1 => any::<u8>().prop_map(Step::Restore),
        1 => any::<u8>().prop_map(Step::Widen),
        1 => Just(Step::Compact),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone)]
struct Column {
    length: u32,
    dropped: bool,
}

type Cells = BTreeMap<String, String>;

struct Harness {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    environment: Option<Environment>,
    columns: Vec<Column>,
    rows: BTreeMap<String, Cells>,
}

fn id(number: u8) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn schema(columns: &[Column]) -> TableSchema {
    // A dropped column is one that is left out.
    let own = columns.iter().enumerate().filter(|(_, c)| !c.dropped);
    let own: String = own
        .map(|(n, c)| {
            format!(
                r#",{{"name":"c{n}","type":"string","maxLength":{}}}"#,
                c.length
            )
        })
        .collect();
    TableSchema::from_json(&format!(
        r#"{{"name":"task","primaryKey":"taskid","columns":[
            {{"name":"taskid","type":"uniqueidentifier"}},{{"name":"createdon","type":"datetime"}},
            {{"name":"versionnumber","type":"bigint"}}{own}]}}"#
    ))
    .unwrap()
}

impl Harness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_s(1_700_000_000));
        let columns = vec![
            Column {
                length: 20,
                dropped: false
            };
            2
        ];
        let environment = Environment::create_with(
            &folder.path().join("env"),
            EnvironmentSettings::new("test", "org1"),
            options(&clock),
        )
        .unwrap();
        environment
            .create_table(schema(&columns), TableOptions::default())
            .unwrap();
        let harness = Harness {
            folder,
            clock,
            environment: Some(environment),
            columns,
            rows: BTreeMap::new(),
        };
        harness.link(0);
        harness
    }

    fn environment(&self) -> &Environment {
        self.environment.as_ref().unwrap()
    }

    fn lake(&self, link: &str) -> FolderLake {
        FolderLake::new(&self.folder.path().join(link), "dataverse-test-org1")
    }

    fn link(&self, which: usize) {
        let (name, mode) = LINKS[which];
        let options = LinkTableOptions {
            mode: Some(mode),
            ..LinkTableOptions::of("task")
        };
        let endpoint = "https://test.dfs.core.windows.net:443";
        let new = NewLink::new(name, name, endpoint, vec![options]);
        self.environment()
            .create_link(&self.lake(name), &new)
            .unwrap();
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Put(row, cells) => self.put(*row, cells),
            Step::Delete(row) => self.delete(*row),
            Step::Add => {
                self.columns.push(Column {
                    length: 20,
                    dropped: false,
                });
                self.alter();
            }
            Step::Drop(column) => self.change(*column, |column| column.dropped = true),
            Step::Restore(column) => self.change(*column, |column| column.dropped = false),
            Step::Widen(column) => self.change(*column, |column| column.length += 10),
            Step::Compact => self.environment().compact().unwrap(),
            Step::Sync => {
                for link in self.environment().links() {
                    self.environment()
                        .sync(&link.name, &self.lake(&link.name))
                        .unwrap();
                }
            }
            Step::Snapshot => {
                for link in self.environment().links() {
                    self.clock.advance_s(1);
                    self.environment()
                        .snapshot(&link.name, &self.lake(&link.name))
                        .unwrap();
                    self.check_lake(&link.name);
                }
            }
            Step::Reopen => {
                self.environment = None;
                let folder = self.folder.path().join("env");
                self.environment =
                    Some(Environment::open_with(&folder, options(&self.clock)).unwrap());
            }
        }
    }

    fn change(&mut self, column: u8, change: impl Fn(&mut Column)) {
        let at = column as usize % self.columns.len();
        // What is dropped cannot be widened in the same file.
        change(&mut self.columns[at]);
        if self.columns[at].dropped {
            self.columns[at].length = self.length(at);
        }
        self.alter();
    }

    /// The length that the table has for a column.
    fn length(&self, at: usize) -> u32 {
        use lakestage_engine::AttributeType::String;
        let schema = self.environment().schema("task").unwrap();
        match schema.attributes()[3 + at].kind {
            String { max_length } => max_length,
            _ => unreachable!(),
        }
    }

    fn alter(&self) {
        self.environment()
            .alter_table(&schema(&self.columns))
            .unwrap();
        let altered = self.environment().schema("task").unwrap();
        let names: Vec<&str> = altered.attributes()[3..]
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        let expected: Vec<String> = (0..self.columns.len()).map(|n| format!("c{n}")).collect();
        assert_eq!(names, expected);
    }

    fn put(&mut self, row: u8, cells: &[(u8, u16)]) {
        let schema = self.environment().schema("task").unwrap();
        let id = id(row);
        let mut given: BTreeMap<usize, String> = BTreeMap::new();
        for (column, value) in cells {
            let at = *column as usize % self.columns.len();
            if !self.columns[at].dropped {
                given.insert(at, format!("v,{value}"));
            }
        }
        let mut values = vec![
            (0, Value::Text(&id)),
            (1, Value::Text("2023-03-01T08:00:00Z")),
        ];
        for (at, value) in &given {
            values.push((
                schema.require(&format!("c{at}")).unwrap(),
                Value::Text(value),
            ));
        }
        let mut transaction = self.environment().transaction();
        transaction.write(Write::Upsert, "task", &values).unwrap();
        let receipt = transaction.commit().unwrap();
        let cells = self.rows.entry(id.clone()).or_default();
        cells.insert("versionnumber".into(), receipt.last_version.to_string());
        for (at, column) in self.columns.iter().enumerate() {
            // Whoever writes a row writes null into what was dropped.
            if column.dropped {
                cells.remove(&format!("c{at}"));
            }
        }
        cells.extend(
            given
                .into_iter()
                .map(|(at, value)| (format!("c{at}"), value)),
        );
        self.check_row(&id);
    }

    fn delete(&mut self, row: u8) {
        if self.rows.remove(&id(row)).is_some() {
            let mut transaction = self.environment().transaction();
            transaction.delete("task", Value::Text(&id(row))).unwrap();
            transaction.commit().unwrap();
        }
        self.check_row(&id(row));
    }

    fn check_row(&self, id: &str) {
        let stored = self.environment().get("task", id.parse().unwrap()).unwrap();
        let expected = self.rows.get(id);
        assert_eq!(stored.is_some(), expected.is_some());
        let (Some(stored), Some(expected)) = (stored, expected) else {
            return;
        };
        for at in 0..self.columns.len() {
            let name = format!("c{at}");
            let cell = expected
                .get(&name)
                .map_or(String::new(), |v| format!("\"{v}\""));
            assert_eq!(stored.cell(&name), Some(cell.as_str()), "{name} of {id}");
        }
    }

    /// Reads the snapshot by the columns of its `model.json`. Of an append-only table the last row
    /// of an id counts.
    fn check_lake(&self, link: &str) {
        let lake = self.lake(link);
        let reader = self
            .environment()
            .open_snapshot(link, &lake, SnapshotAt::Newest)
            .unwrap();
        let table = reader.table("task").unwrap();
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let own = names
            .iter()
            .filter(|name| name.starts_with('c') && **name != "createdon");
        assert_eq!(own.count(), self.columns.len(), "{names:?}");
        let mut found: BTreeMap<String, (u64, Option<Cells>)> = BTreeMap::new();
        for file in &table.files {
            for row in reader.rows(file).unwrap() {
                let row = row.unwrap();
                assert!(row.len() <= names.len(), "{row:?} under {names:?}");
                let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).unwrap();
                let cells: Cells = names
                    .iter()
                    .zip(&row)
                    .map(|(n, c)| ((*n).to_owned(), text(c)))
                    .collect();
                let is_gone = match cells.get("IsDelete").map(String::as_str) {
                    None | Some("") => false,
                    Some("True") => true,
                    Some(other) => panic!("IsDelete is {other}: {names:?} {row:?}"),
                };
                let version: u64 = cells["versionnumber"].parse().unwrap();
                let own =
                    |n: &String| n == "versionnumber" || n.starts_with('c') && n != "createdon";
                let id = cells["Id"].clone();
                let mut cells = cells;
                cells.retain(|name, cell| own(name) && !cell.is_empty());
                let entry = found.entry(id).or_default();
                if version > entry.0 {
                    *entry = (version, (!is_gone).then_some(cells));
                }
            }
        }
        let found: BTreeMap<String, Cells> = found
            .into_iter()
            .filter_map(|(id, (_, cells))| Some((id, cells?)))
            .collect();
        assert_eq!(found, self.rows, "link {link}");
    }
}

fn options(clock: &Arc<ManualClock>) -> OpenOptions {
    OpenOptions {
        segment_bytes: 300,
        tail_bytes_max: 100_000,
        ..OpenOptions::from(clock.clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn schema_changes_among_transactions_equal_the_model(
        steps in prop::collection::vec(step(), 1..60),
        link_at in 0usize..60,
    ) {
        let mut harness = Harness::new();
        for (at, step) in steps.iter().enumerate() {
            // The second link is made when columns may have come and gone already.
            if at == link_at {
                harness.link(1);
            }
            harness.run(step);
        }
        for row in 0..12 {
            harness.check_row(&id(row));
        }
        harness.run(&Step::Snapshot);
        harness.run(&Step::Reopen);
        harness.run(&Step::Snapshot);
    }
}

#[test]
fn a_writer_commits_before_a_change_of_the_schema_or_sees_it() {
    let harness = Harness::new();
    let environment = harness.environment();
    let old = environment.schema("task").unwrap();
    let early = id(1);
    let mut transaction = environment.transaction();
    transaction
        .write(Write::Create, "task", &[(0, Value::Text(&early))])
        .unwrap();
    let mut wider = harness.columns.clone();
    wider.push(Column {
        length: 20,
        dropped: false,
    });
    environment.alter_table(&schema(&wider)).unwrap();
    let refused = transaction.commit().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("send it again"), "{refused}");
    assert!(
        environment
            .get("task", early.parse().unwrap())
            .unwrap()
            .is_none()
    );
    assert_eq!(
        old.attributes().len() + 1,
        environment.schema("task").unwrap().attributes().len()
    );

    // Writers that send again go on through any number of changes; no row has a width that no
    // schema had at its version.
    let done = AtomicBool::new(false);
    let (widths, refusals) = std::thread::scope(|scope| {
        let writers: Vec<_> = (10..14u8)
            .map(|writer| {
                let done = &done;
                scope.spawn(move || {
                    let mut refusals = 0;
                    let mut written = 0;
                    while !done.load(Ordering::Relaxed) || written < 20 {
                        let id = id(writer);
                        let mut transaction = environment.transaction();
                        transaction
                            .write(Write::Upsert, "task", &[(0, Value::Text(&id))])
                            .unwrap();
                        match transaction.commit() {
                            Ok(_) => written += 1,
                            Err(error) if error.kind() == ErrorKind::Conflict => refusals += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    refusals
                })
            })
            .collect();
        let mut widths = Vec::new();
        for _ in 0..10 {
            wider.push(Column {
                length: 20,
                dropped: false,
            });
            let before = environment.last_version();
            environment.alter_table(&schema(&wider)).unwrap();
            widths.push((before, wider.len() + 3));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        let refusals: u32 = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        (widths, refusals)
    });
    let mut last = 0;
    let mut changes = environment.changes("task", None).unwrap();
    while let Some(batch) = changes.next().unwrap() {
        for (version, width) in batch_widths(&batch) {
            assert!(
                width >= last,
                "version {version} has {width} cells after {last}"
            );
            last = width;
        }
    }
    assert_eq!(last, widths.last().unwrap().1, "{refusals} refusals");
}

fn batch_widths(batch: &lakestage_engine::ChangeBatch) -> Vec<(u64, usize)> {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt64Type;
    let batch = batch.record_batch().unwrap();
    let versions = batch
        .column_by_name("version")
        .unwrap()
        .as_primitive::<UInt64Type>()
        .clone();
    let cells = batch
        .column_by_name("cells")
        .unwrap()
        .as_binary_view()
        .clone();
    // None of these rows has a comma within a text.
    (0..batch.num_rows())
        .map(|row| {
            (
                versions.value(row),
                cells.value(row).iter().filter(|b| **b == b',').count() + 1,
            )
        })
        .collect()
}

#[test]
fn a_dropped_column_takes_no_value_and_a_refused_change_names_the_way_out() {
    let mut harness = Harness::new();
    harness.put(1, &[(0, 7), (1, 8)]);
    harness.columns[0].dropped = true;
    harness.alter();
    let environment = harness.environment();
    let id = id(1);
    let mut transaction = environment.transaction();
    let row = [(0, Value::Text(id.as_str())), (3, Value::Text("x"))];
    let error = transaction.write(Write::Update, "task", &row).unwrap_err();
    assert!(error.to_string().contains("was dropped"), "{error}");
    let narrower = harness
        .columns
        .iter()
        .map(|c| Column {
            length: 1,
            ..c.clone()
        })
        .collect::<Vec<_>>();
    let error = environment.alter_table(&schema(&narrower)).unwrap_err();
    assert!(error.to_string().contains("link tables remove"), "{error}");
    assert_eq!(harness.length(1), 20);
}
