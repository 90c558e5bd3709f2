//! An environment with a few tables, a clock that stands still, and a lake in a folder.

use std::path::PathBuf;
use std::sync::Arc;

use lakestage_engine::{
    Environment, EnvironmentSettings, FolderLake, Lake, LinkTableOptions, ManualClock,
    ModelSettings, NewLink, Receipt, Result, SnapshotReport, TableOptions, TableSchema, Value,
    Write,
};
use tempfile::TempDir;

/// 2023-11-14T22:13:20Z.
pub const START_UNIX_S: i64 = 1_700_000_000;

pub const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "versionnumber", "type": "bigint"},
    {"name": "createdon", "type": "datetime"},
    {"name": "modifiedon", "type": "datetime"},
    {"name": "subject", "type": "string", "maxLength": 20},
    {"name": "notes", "type": "memo", "maxLength": 100000},
    {"name": "ownerid", "type": "owner"},
    {"name": "amount", "type": "money"},
    {"name": "done", "type": "boolean"},
    {"name": "taskid", "type": "uniqueidentifier"}]}"#;

/// No `createdon`: append-only, in `1.csv`.
pub const MEMBER: &str = r#"{"name": "member", "primaryKey": "memberid", "columns": [
    {"name": "memberid", "type": "uniqueidentifier"},
    {"name": "listid", "type": "uniqueidentifier"},
    {"name": "versionnumber", "type": "bigint"}]}"#;

pub const UNTRACKED: &str = r#"{"name": "log", "primaryKey": "logid", "changeTracking": false, "columns": [
    {"name": "logid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"}]}"#;

pub struct World {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub environment: Environment,
}

pub fn settings() -> EnvironmentSettings {
    EnvironmentSettings::new("contoso", "org1")
}

/// An id that sorts by its number.
pub fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

impl World {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: EnvironmentSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_s(START_UNIX_S));
        let path = folder.path().join("environment");
        let environment = Environment::create_with(&path, settings, clock.clone()).unwrap();
        let world = World {
            folder,
            clock,
            environment,
        };
        for schema in [TASK, MEMBER, UNTRACKED] {
            world.table(schema);
        }
        world
    }

    /// The same folder, closed and opened again.
    pub fn reopened(self) -> Self {
        let World {
            folder,
            clock,
            environment,
        } = self;
        drop(environment);
        let path = folder.path().join("environment");
        let environment = Environment::open_with(&path, clock.clone()).unwrap();
        World {
            folder,
            clock,
            environment,
        }
    }

    pub fn table(&self, schema: &str) {
        let schema = TableSchema::from_json(schema).unwrap();
        self.environment
            .create_table(schema, TableOptions::default())
            .unwrap();
    }

    pub fn lake(&self) -> FolderLake {
        FolderLake::new(&self.lake_folder(), &self.environment.filesystem_name())
    }

    fn lake_folder(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    pub fn try_link(&self, tables: Vec<LinkTableOptions>) -> Result<()> {
        self.try_link_with(ModelSettings::default(), tables)
    }

    pub fn try_link_with(&self, model: ModelSettings, tables: Vec<LinkTableOptions>) -> Result<()> {
        let endpoint = "https://contoso.dfs.core.windows.net:443";
        let new = NewLink {
            model,
            ..NewLink::new("lake", "folder:lake", endpoint, tables)
        };
        self.environment.create_link(&self.lake(), &new)
    }

    /// Links tables with what follows from them.
    pub fn link(&self, tables: &[&str]) {
        let options = tables.iter().map(|table| LinkTableOptions::of(table));
        self.try_link(options.collect()).unwrap();
    }

    /// Publishes a second later.
    pub fn snapshot(&self) -> SnapshotReport {
        self.clock.advance_s(1);
        self.environment.snapshot("lake", &self.lake()).unwrap()
    }

    pub fn try_put(&self, table: &str, cells: &[(&str, Value<'_>)]) -> Result<Receipt> {
        let schema = self.environment.schema(table)?;
        let values = cells
            .iter()
            .map(|(name, value)| Ok((schema.require(name)?, *value)))
            .collect::<Result<Vec<_>>>()?;
        let mut transaction = self.environment.transaction();
        transaction.write(Write::Upsert, table, &values)?;
        transaction.commit()
    }

    pub fn put(&self, table: &str, cells: &[(&str, &str)]) -> Receipt {
        let cells: Vec<_> = cells.iter().map(|(n, v)| (*n, Value::Text(v))).collect();
        self.try_put(table, &cells).unwrap()
    }

    /// A task with a subject, created in a year.
    pub fn task(&self, number: u32, year: u32, subject: &str) -> Receipt {
        let (id, created) = (id(number), format!("{year}-03-01T08:00:00Z"));
        self.put(
            "task",
            &[
                ("taskid", &id),
                ("createdon", &created),
                ("subject", subject),
            ],
        )
    }

    pub fn delete(&self, table: &str, number: u32) -> Receipt {
        let mut transaction = self.environment.transaction();
        transaction.delete(table, Value::Text(&id(number))).unwrap();
        transaction.commit().unwrap()
    }

    /// The text of a file of the lake.
    pub fn text(&self, path: &str) -> String {
        let bytes = self.lake().read(path).unwrap();
        let bytes = bytes.unwrap_or_else(|| panic!("{path} is not there"));
        String::from_utf8(bytes).unwrap()
    }

    pub fn model(&self) -> serde_json::Value {
        serde_json::from_str(&self.text("model.json")).unwrap()
    }

    /// The entity of a table in `model.json`.
    pub fn entity(&self, table: &str) -> serde_json::Value {
        let model = self.model();
        let entities = model["entities"].as_array().unwrap();
        entities
            .iter()
            .find(|e| e["name"] == table)
            .unwrap()
            .clone()
    }

    /// The paths that `model.json` names for a table.
    pub fn named(&self, table: &str) -> Vec<String> {
        let entity = self.entity(table);
        let partitions = entity["partitions"].as_array().unwrap();
        let path = |p: &serde_json::Value| {
            let location = p["location"].as_str().unwrap();
            let (_, path) = location.split_once("/dataverse-contoso-org1/").unwrap();
            path.to_owned()
        };
        partitions.iter().map(path).collect()
    }

    /// The rows of a table as a reader of `model.json` finds them, cells by column.
    pub fn rows(&self, table: &str) -> Vec<std::collections::BTreeMap<String, String>> {
        let entity = self.entity(table);
        let columns: Vec<String> = entity["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["name"].as_str().unwrap().to_owned())
            .collect();
        let mut rows = Vec::new();
        for path in self.named(table) {
            let text = self.text(&path);
            let mut reader = ::csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(text.as_bytes());
            for record in reader.records() {
                let record = record.unwrap();
                assert_eq!(record.len(), columns.len(), "{path}");
                let cells = record.iter().map(str::to_owned);
                rows.push(columns.iter().cloned().zip(cells).collect());
            }
        }
        rows
    }
}
