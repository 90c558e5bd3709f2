//! What is measured: a table with random ids, and a lake of the emulator.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, Store, StoreOptions};
use lakestage_engine::{
    Environment, EnvironmentSettings, LinkTableOptions, NewLink, Result, SnapshotReport,
    TableOptions, TableSchema, Value, Write,
};

use super::Dice;
use crate::EmulatorLake;

/// The years over which the rows are spread, from 2020 on.
pub const YEARS: usize = 4;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const ROWS_PER_COMMIT: usize = 10_000;
/// With them a row of the snapshot has about 500 bytes.
const NOTES_BYTES: usize = 330;
const LINK: &str = "lake";

/// An environment with a table of which a lake shows snapshots.
pub struct Load {
    /// The environment.
    pub environment: Environment,
    /// The lake.
    pub lake: EmulatorLake,
}

impl Load {
    /// An empty table in a folder that does not exist.
    ///
    /// # Errors
    /// What the disk answers.
    pub fn create(folder: &Path) -> Result<Self> {
        let settings = EnvironmentSettings::new("bench", "org1");
        let environment = Environment::create(&folder.join("environment"), settings)?;
        environment.create_table(TableSchema::from_json(TASK)?, TableOptions::default())?;
        let store = StoreOptions {
            folder: Some(folder.join("store")),
            ..StoreOptions::default()
        };
        let store = Store::open(store).map_err(|e| lakestage_engine::Error::Lake(e.to_string()))?;
        let lake = EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, &environment.filesystem_name());
        let tables = vec![LinkTableOptions::of("task")];
        let endpoint = "https://bench.dfs.core.windows.net:443";
        let link = NewLink::new(LINK, "emulator", endpoint, tables);
        environment.create_link(&lake, &link)?;
        Ok(Load { environment, lake })
    }

    /// The id of a row; ids are random, and the same in every run.
    #[must_use]
    pub fn id(row: usize) -> String {
        let mut dice = Dice::new(row as u64 + 1);
        dice.roll();
        dice.id()
    }

    /// The text that a new row has.
    #[must_use]
    pub fn notes() -> String {
        "n".repeat(NOTES_BYTES)
    }

    /// The path of a partition's newest file in the lake, and the year of a row.
    fn created_on(row: usize) -> String {
        format!("{}-05-06T07:08:09Z", 2020 + row % YEARS)
    }

    /// Writes rows, each with the given text, in commits of 10,000.
    ///
    /// # Errors
    /// As a commit.
    pub fn write(&self, rows: impl Iterator<Item = usize>, notes: &str) -> Result<()> {
        let schema = self.environment.schema("task")?;
        let [id, created, text] = ["taskid", "createdon", "notes"].map(|name| schema.require(name));
        let (id, created, text) = (id?, created?, text?);
        let mut transaction = self.environment.transaction();
        for row in rows {
            let (row_id, row_created) = (Self::id(row), Self::created_on(row));
            let values = [
                (id, Value::Text(&row_id)),
                (created, Value::Text(&row_created)),
                (text, Value::Text(notes)),
            ];
            transaction.write(Write::Upsert, "task", &values)?;
            if transaction.rows() as usize == ROWS_PER_COMMIT {
                transaction.commit()?;
                transaction = self.environment.transaction();
            }
        }
        if transaction.rows() > 0 {
            transaction.commit()?;
        }
        Ok(())
    }

    /// Publishes, and tells how long it took.
    ///
    /// # Errors
    /// As a snapshot.
    pub fn snapshot(&self) -> Result<(SnapshotReport, Duration)> {
        let start = Instant::now();
        let report = self.environment.snapshot(LINK, &self.lake)?;
        Ok((report, start.elapsed()))
    }

    /// Writes the rows as a CSV export with a header.
    ///
    /// # Errors
    /// What the disk answers.
    pub fn export(path: &Path, rows: usize) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let notes = Self::notes();
        writeln!(file, "taskid,createdon,notes")?;
        for row in 0..rows {
            let created = Self::created_on(row);
            writeln!(file, "{},{created},\"{notes}\"", Self::id(row))?;
        }
        file.flush()
    }
}
