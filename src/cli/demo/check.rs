//! Reads the lake as a consumer would, and compares it with what was put in.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lakestage_emulator::FileSystem;
use lakestage_engine::{AttributeType, TableSchema};
use serde::Deserialize;

use super::model::TableModel;

/// As much of `model.json` as a reader needs.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub entities: Vec<Entity>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entity {
    pub name: String,
    pub attributes: Vec<Named>,
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Partition {
    pub location: String,
}

impl Model {
    pub(super) fn read(filesystem: &FileSystem) -> Result<Self> {
        let json = filesystem
            .read("model.json")?
            .context("the lake has no model.json")?;
        Ok(serde_json::from_slice(&json)?)
    }

    pub(super) fn entity(&self, name: &str) -> Result<&Entity> {
        let found = self.entities.iter().find(|entity| entity.name == name);
        found.with_context(|| format!("model.json does not name {name}"))
    }

    /// The files of all tables, as paths in the filesystem.
    pub(super) fn files(&self, filesystem: &str) -> Result<Vec<String>> {
        let partitions = self.entities.iter().flat_map(|entity| &entity.partitions);
        partitions
            .map(|partition| path(&partition.location, filesystem))
            .collect()
    }
}

/// The path of a location within its filesystem.
pub(super) fn path(location: &str, filesystem: &str) -> Result<String> {
    let place = location.split_once(&format!("/{filesystem}/"));
    let (_, path) =
        place.with_context(|| format!("the location {location} is not in {filesystem}"))?;
    Ok(path.to_owned())
}

type Cells = BTreeMap<String, String>;

/// A table's rows as they stand: where rows are only added, the newest of an id counts.
fn rows(entity: &Entity, lake: &FileSystem, filesystem: &str) -> Result<BTreeMap<String, Cells>> {
    let mut rows: BTreeMap<String, (u64, Cells)> = BTreeMap::new();
    for partition in &entity.partitions {
        let path = path(&partition.location, filesystem)?;
        let reader = lake
            .open(&path)?
            .with_context(|| format!("model.json names {path}, which is not there"))?;
        let mut csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(reader);
        for record in csv.records() {
            let record = record.with_context(|| path.clone())?;
            if record.len() != entity.attributes.len() {
                bail!(
                    "{path}: a row has {} cells, the table {} columns",
                    record.len(),
                    entity.attributes.len()
                );
            }
            let names = entity
                .attributes
                .iter()
                .map(|attribute| attribute.name.clone());
            let cells: Cells = names.zip(record.iter().map(str::to_owned)).collect();
            let id = cells.get("Id").cloned().unwrap_or_default();
            let version = cells
                .get("versionnumber")
                .and_then(|v| v.parse().ok())
                .unwrap_or(0);
            let is_newest = rows.get(&id).is_none_or(|(known, _)| *known < version);
            if is_newest {
                rows.insert(id, (version, cells));
            }
        }
    }
    let lives = |cells: &Cells| {
        cells
            .get("IsDelete")
            .is_none_or(|deleted| deleted != "True")
    };
    let living = rows.into_iter().filter(|(_, (_, cells))| lives(cells));
    Ok(living.map(|(id, (_, cells))| (id, cells)).collect())
}

/// Compares a table of the lake with what was put in: every row, and every text in it.
pub(super) fn table(
    model: &Model,
    lake: &FileSystem,
    filesystem: &str,
    schema: &TableSchema,
    expected: &TableModel,
) -> Result<u64> {
    let name = schema.name();
    let found = rows(model.entity(name)?, lake, filesystem)?;
    if found.len() != expected.rows().len() {
        bail!(
            "{name}: the lake has {} rows, {} were put in",
            found.len(),
            expected.rows().len()
        );
    }
    let texts: Vec<&str> = schema
        .attributes()
        .iter()
        .filter(|a| {
            matches!(
                a.kind,
                AttributeType::String { .. } | AttributeType::Memo { .. }
            )
        })
        .map(|attribute| attribute.name.as_str())
        .collect();
    for (id, cells) in expected.rows() {
        let row = found
            .get(id)
            .with_context(|| format!("{name}: the lake has no row {id}"))?;
        for column in &texts {
            let wanted = cells.get(*column).and_then(Option::as_deref).unwrap_or("");
            let is = row.get(*column).map_or("", String::as_str);
            if is != wanted {
                bail!(
                    "{name}, row {id}, column {column}: the lake has {is:?}, {wanted:?} was put in"
                );
            }
        }
    }
    Ok(found.len() as u64)
}
