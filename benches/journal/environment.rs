//! An environment with one table, and rows of about 400 bytes for it.

use std::path::Path;

use lakestage::engine::{
    CommitTicket, Environment, EnvironmentSettings, TableOptions, TableSchema, Transaction, Value,
    Write,
};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const NOTES_BYTES: usize = 330;
/// What a row has in its CSV file, about.
pub const ROW_BYTES: usize = 400;

pub struct Bench {
    pub environment: Environment,
    columns: [usize; 3],
    notes: String,
}

impl Bench {
    pub fn new(folder: &Path) -> Self {
        let settings = EnvironmentSettings::new("bench", "org1");
        let environment = Environment::create(folder, settings).unwrap();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        let schema = environment.schema("task").unwrap();
        Bench {
            columns: ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap()),
            environment,
            notes: "n".repeat(NOTES_BYTES),
        }
    }

    fn transaction(&self, ids: &[String]) -> Transaction {
        let mut transaction = self.environment.transaction();
        for id in ids {
            let values = [id, "2024-05-06T07:08:09Z", &self.notes].map(Value::Text);
            let mut row = [(0, Value::Null); 3];
            row.iter_mut()
                .zip(self.columns.into_iter().zip(values))
                .for_each(|(cell, value)| *cell = value);
            transaction.write(Write::Create, "task", &row).unwrap();
        }
        transaction
    }

    pub fn commit(&self, ids: &[String]) {
        self.transaction(ids).commit().unwrap();
    }

    pub fn commit_later(&self, ids: &[String]) -> CommitTicket {
        self.transaction(ids).commit_later().unwrap()
    }
}
