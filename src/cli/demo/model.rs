//! What the lake must hold, worked out without the engine: rows in a map, changed one by one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use lakestage_fixtures::{Change, Row};
use serde_json::{Map, Value};

/// A table's rows by id, each value as it was put in.
#[derive(Debug, Clone, Default)]
pub(super) struct TableModel {
    key: String,
    rows: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

impl TableModel {
    pub(super) fn new(key: &str) -> Self {
        TableModel {
            key: key.to_owned(),
            rows: BTreeMap::new(),
        }
    }

    pub(super) fn rows(&self) -> &BTreeMap<String, BTreeMap<String, Option<String>>> {
        &self.rows
    }

    /// The id as the lake writes it.
    fn id(&self, row: &Row) -> Result<String> {
        let id = row.iter().find(|(column, _)| *column == self.key);
        match id.and_then(|(_, value)| value.as_deref()) {
            Some(id) => Ok(normal_id(id)),
            None => bail!("a sample row has no {}", self.key),
        }
    }

    pub(super) fn create(&mut self, row: &Row) -> Result<()> {
        let id = self.id(row)?;
        let cells = row
            .iter()
            .map(|(column, value)| (column.to_string(), value.clone()));
        match self.rows.insert(id.clone(), cells.collect()) {
            None => Ok(()),
            Some(_) => bail!("the sample creates {id} twice"),
        }
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Create(row) => self.create(row),
            Change::Update(row) => {
                let id = self.id(row)?;
                let cells = self
                    .rows
                    .get_mut(&id)
                    .with_context(|| format!("the sample updates {id}, which is not there"))?;
                for (column, value) in row {
                    cells.insert(column.to_string(), value.clone());
                }
                Ok(())
            }
            Change::Delete(id) => match self.rows.remove(&normal_id(id)) {
                Some(_) => Ok(()),
                None => bail!("the sample deletes {id}, which is not there"),
            },
        }
    }

    /// Writes the rows as JSON lines, by id.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut out = BufWriter::new(file);
        for cells in self.rows.values() {
            let object: Map<String, Value> = cells
                .iter()
                .map(|(column, value)| {
                    (
                        column.clone(),
                        value.clone().map_or(Value::Null, Value::String),
                    )
                })
                .collect();
            serde_json::to_writer(&mut out, &object)?;
            out.write_all(b"\n")?;
        }
        out.flush().with_context(|| path.display().to_string())
    }
}

fn normal_id(id: &str) -> String {
    id.trim_matches(['{', '}']).to_ascii_lowercase()
}
