//! Random tables with columns of every type, and random transactions on them: what `model.json` names holds exactly the
//! cells that a plain model expects.
#![allow(clippy::unwrap_used)]

#[path = "random_tables/columns.rs"]
mod columns;
#[path = "random_tables/dice.rs"]
mod dice;

use std::collections::BTreeMap;

use columns::Column;
use dice::Dice;
use lakestage_engine::{
    Environment, EnvironmentSettings, FolderLake, Granularity, LineEnd, LinkTableOptions,
    ManualClock, Mode, NewLink, TableOptions, TableSchema, Transaction, Value, Write,
};
use proptest::prelude::*;

const ENDPOINT: &str = "https://test.dfs.core.windows.net:443";
const ROW_IDS: u64 = 25;

type Row = BTreeMap<String, String>;

struct Table {
    name: String,
    columns: Vec<Column>,
    has_created_on: bool,
    rows: BTreeMap<String, Row>,
}

impl Table {
    fn random(number: usize, dice: &mut Dice) -> Self {
        let count = 1 + dice.below(12);
        Table {
            name: format!("table{number}"),
            columns: (0..count).map(|n| Column::random(n, dice)).collect(),
            has_created_on: dice.below(4) > 0,
            rows: BTreeMap::new(),
        }
    }

    fn key(&self) -> String {
        format!("{}id", self.name)
    }

    /// The system columns stand among the others wherever the dice say.
    fn schema(&self, dice: &mut Dice) -> TableSchema {
        let mut columns: Vec<String> = self.columns.iter().map(Column::json).collect();
        let mut put = |json: String| {
            let at = dice.below(columns.len() as u64 + 1) as usize;
            columns.insert(at, json);
        };
        put(format!(
            r#"{{"name":"{}","type":"uniqueidentifier"}}"#,
            self.key()
        ));
        put(r#"{"name":"versionnumber","type":"bigint"}"#.to_owned());
        if self.has_created_on {
            put(r#"{"name":"createdon","type":"datetime"}"#.to_owned());
        }
        TableSchema::from_json(&format!(
            r#"{{"name":"{}","primaryKey":"{}","columns":[{}]}}"#,
            self.name,
            self.key(),
            columns.join(",")
        ))
        .unwrap()
    }

    fn options(&self, dice: &mut Dice) -> LinkTableOptions {
        let append_only = !self.has_created_on || dice.below(3) == 0;
        let granularity = [Granularity::Year, Granularity::Month][dice.below(2) as usize];
        LinkTableOptions {
            mode: append_only.then_some(Mode::AppendOnly),
            granularity: (!append_only).then_some(granularity),
            ..LinkTableOptions::of(&self.name)
        }
    }

    /// Adds a random change to the transaction; `None` if the row to delete is not there.
    fn change(
        &mut self,
        schema: &TableSchema,
        transaction: &mut Transaction,
        dice: &mut Dice,
    ) -> Option<String> {
        let id = row_id(dice.below(ROW_IDS));
        if dice.below(5) == 0 {
            self.rows.remove(&id)?;
            transaction.delete(&self.name, Value::Text(&id)).unwrap();
            return Some(id);
        }
        let is_new = !self.rows.contains_key(&id);
        let key = self.key();
        let row = self.rows.entry(id.clone()).or_default();
        let mut given = vec![(key.clone(), id.clone())];
        row.insert(key, id.clone());
        if is_new && self.has_created_on {
            let created = format!(
                "{}-{:02}-17T04:05:06Z",
                2019 + dice.below(4),
                1 + dice.below(12)
            );
            row.insert("createdon".into(), created.replace('Z', ".0000000+00:00"));
            given.push(("createdon".into(), created));
        }
        for column in &self.columns {
            // Left out, the column stays as it is.
            if !is_new && dice.below(3) == 0 {
                continue;
            }
            for cell in column.cells(dice) {
                given.push((cell.column.clone(), cell.given));
                row.insert(cell.column, cell.stored);
            }
        }
        let values: Vec<(usize, Value<'_>)> = given
            .iter()
            .map(|(column, text)| (schema.position(column).unwrap(), Value::Text(text)))
            .collect();
        let write = if is_new { Write::Create } else { Write::Update };
        transaction.write(write, &self.name, &values).unwrap();
        Some(id)
    }
}

fn row_id(number: u64) -> String {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08x}-0000-4000-8000-{number:012x}", spread >> 32)
}

/// The rows that a reader of `model.json` finds in a table.
fn read(model: &serde_json::Value, table: &str, root: &std::path::Path) -> BTreeMap<String, Row> {
    let entities = model["entities"].as_array().unwrap();
    let entity = entities.iter().find(|e| e["name"] == table).unwrap();
    let names: Vec<&str> = entity["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    let mut newest: BTreeMap<String, (u64, Row)> = BTreeMap::new();
    for partition in entity["partitions"].as_array().unwrap() {
        let location = partition["location"].as_str().unwrap();
        let (_, path) = location.split_once("/dataverse-test-org1/").unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(root.join(path))
            .unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            assert_eq!(record.len(), names.len(), "{path}");
            let names = names.iter().map(|name| (*name).to_owned());
            let row: Row = names.zip(record.iter().map(str::to_owned)).collect();
            let version = row["versionnumber"].parse().unwrap();
            let known = newest.get(&row["Id"]);
            if known.is_none_or(|(known, _)| *known < version) {
                newest.insert(row["Id"].clone(), (version, row));
            }
        }
    }
    let living = newest.into_iter().map(|(id, (_, row))| (id, row));
    living
        .filter(|(_, row)| row.get("IsDelete").is_none_or(|cell| cell != "True"))
        .collect()
}

fn compare(table: &Table, found: &BTreeMap<String, Row>) {
    let ids = |rows: &BTreeMap<String, Row>| rows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(found), ids(&table.rows), "{}", table.name);
    for (id, expected) in &table.rows {
        for column in &table.columns {
            for name in column.names() {
                let stored = expected.get(&name).map_or("", String::as_str);
                assert_eq!(
                    found[id][&name], stored,
                    "{} {id} {name}: {column:?}",
                    table.name
                );
            }
        }
        for (name, stored) in expected {
            assert_eq!(&found[id][name], stored, "{} {id} {name}", table.name);
        }
    }
}

fn play(seed: u64) {
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(ManualClock::at_unix_s(1_700_000_000));
    let settings = EnvironmentSettings {
        line_end: [LineEnd::Lf, LineEnd::CrLf][dice.below(2) as usize],
        ..EnvironmentSettings::new("test", "org1")
    };
    let path = folder.path().join("environment");
    let mut environment = Environment::create_with(&path, settings, clock.clone()).unwrap();
    let lake = FolderLake::new(&folder.path().join("lake"), &environment.filesystem_name());
    let count = 1 + dice.below(4) as usize;
    let mut tables: Vec<Table> = (0..count).map(|n| Table::random(n, &mut dice)).collect();
    let mut options = Vec::new();
    for table in &tables {
        let schema = table.schema(&mut dice);
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        options.push(table.options(&mut dice));
    }
    environment
        .create_link(&lake, &NewLink::new("lake", "folder", ENDPOINT, options))
        .unwrap();
    for _ in 0..3 {
        for _ in 0..dice.below(6) {
            let mut transaction = environment.transaction();
            for _ in 0..1 + dice.below(20) {
                let table = dice.below(count as u64) as usize;
                let schema = environment.schema(&tables[table].name).unwrap();
                tables[table].change(&schema, &mut transaction, &mut dice);
            }
            if transaction.rows() > 0 {
                transaction.commit().unwrap();
            }
        }
        if dice.below(2) == 0 {
            drop(environment);
            environment = Environment::open_with(&path, clock.clone()).unwrap();
        }
        clock.advance_s(60);
        environment.snapshot("lake", &lake).unwrap();
        let root = folder
            .path()
            .join("lake")
            .join(environment.filesystem_name());
        let model = std::fs::read(root.join("model.json")).unwrap();
        let model = serde_json::from_slice(&model).unwrap();
        for table in &tables {
            compare(table, &read(&model, &table.name, &root));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn random_tables_stand_in_the_lake_as_they_were_written(seed in any::<u64>()) {
        play(seed);
    }
}
