//! The files that the demo ingests, as a person would have them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use lakestage_fixtures::{Change, Row};
use serde_json::{Map, Value};

use super::model::TableModel;

/// Writes rows as CSV with a header, and notes them in the model.
pub(super) fn write_csv(
    path: &Path,
    rows: impl Iterator<Item = Row>,
    model: &mut TableModel,
) -> Result<u64> {
    let named = || path.display().to_string();
    let mut out = csv::Writer::from_path(path).with_context(named)?;
    let mut count = 0;
    for row in rows {
        if count == 0 {
            out.write_record(row.iter().map(|(column, _)| column.as_str()))
                .with_context(named)?;
        }
        out.write_record(row.iter().map(|(_, value)| value.as_deref().unwrap_or("")))
            .with_context(named)?;
        model.create(&row)?;
        count += 1;
    }
    out.flush().with_context(named)?;
    Ok(count)
}

/// How many changes of each sort a file has.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ChangeCounts {
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// Writes changes as JSON lines with `@op`, and carries them out in the model.
pub(super) fn write_changes(
    path: &Path,
    changes: impl Iterator<Item = Change>,
    model: &mut TableModel,
    key: &str,
) -> Result<ChangeCounts> {
    let named = || path.display().to_string();
    let mut out = BufWriter::new(File::create(path).with_context(named)?);
    let mut counts = ChangeCounts::default();
    for change in changes {
        model.apply(&change)?;
        let deleted;
        let (operation, row) = match &change {
            Change::Create(row) => ("create", row),
            Change::Update(row) => ("update", row),
            Change::Delete(id) => {
                deleted = vec![(key.to_owned(), Some(id.clone()))];
                ("delete", &deleted)
            }
        };
        match operation {
            "create" => counts.created += 1,
            "update" => counts.updated += 1,
            _ => counts.deleted += 1,
        }
        let mut object = Map::new();
        object.insert("@op".to_owned(), Value::from(operation));
        for (column, value) in row {
            object.insert(
                column.clone(),
                value.clone().map_or(Value::Null, Value::String),
            );
        }
        serde_json::to_writer(&mut out, &object).with_context(named)?;
        out.write_all(b"\n").with_context(named)?;
    }
    out.flush().with_context(named)?;
    Ok(counts)
}
