//! The metadata beside the data: labels of choices as CSV, and two JSON files a table.
//!
//! It follows the schemas of the linked tables and is written again only where it changed.

mod entity;
mod labels;
mod option_sets;

use std::collections::BTreeMap;

use super::model_json;
use crate::checksum::crc32c;
use crate::environment::{State, Table};
use crate::error::Result;
use crate::link::LinkEntry;

const TRICKLE_FEED_FOLDER: &str = "Microsoft.Athena.TrickleFeedService";
const OPTION_SET_FOLDER: &str = "OptionsetMetadata";

/// A metadata file as it should stand in the lake.
pub(super) struct MetadataFile {
    pub path: String,
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
}

/// The CRC-32C of each metadata file by its path.
pub(crate) type Checksums = BTreeMap<String, u32>;

/// All metadata files of a link.
pub(super) fn files(state: &State, link: &LinkEntry) -> Result<Vec<MetadataFile>> {
    let mut files = of_schemas(state, link)?;
    for name in link.tables.keys() {
        files.push(MetadataFile {
            path: table_model_path(name),
            bytes: model_json::render_current(state, link, name)?,
            content_type: "application/json",
        });
    }
    Ok(files)
}

/// Those that follow from the schemas alone.
pub(super) fn of_schemas(state: &State, link: &LinkEntry) -> Result<Vec<MetadataFile>> {
    let mut tables = Vec::new();
    for name in link.tables.keys() {
        tables.push(&**state.table(name)?);
    }
    let mut files = option_sets::files(state, link, &tables);
    for table in tables {
        let name = table.plan.schema().name();
        files.push(MetadataFile {
            path: format!("{TRICKLE_FEED_FOLDER}/{name}-EntityMetadata.json"),
            bytes: entity::render(state, link, table)?,
            content_type: "application/json",
        });
    }
    Ok(files)
}

pub(super) fn table_model_path(table: &str) -> String {
    format!("{TRICKLE_FEED_FOLDER}/{table}-model.json")
}

pub(super) fn checksums(files: &[MetadataFile]) -> Checksums {
    let sums = files
        .iter()
        .map(|file| (file.path.clone(), crc32c(&[&file.bytes])));
    sums.collect()
}

/// The primary key of a table that a lookup leads to, whether the environment has the table or not.
fn key_of(state: &State, table: &str) -> String {
    match state.tables.get(table) {
        Some(table) => primary_key(table),
        // As Dataverse calls the keys of its own tables.
        None => format!("{table}id"),
    }
}

fn primary_key(table: &Table) -> String {
    let schema = table.plan.schema();
    schema.attributes()[schema.primary_key()].name.clone()
}
