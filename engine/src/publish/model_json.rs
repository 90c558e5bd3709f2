//! `model.json`, in the shape that readers of the real one rely on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::model_settings::{ModelSettings, PartitionNames};
use super::parquet;
use super::parts::{self, DataFiles, partition_of};
use super::plan::current_path;
use crate::compaction::{Mode, NO_DATE};
use crate::environment::State;
use crate::error::{Error, Result};
use crate::link::{LinkEntry, LinkTable};
use crate::schema::{Attribute, AttributeType, IS_DELETE_COLUMN, SYSTEM_COLUMNS, TableSchema};
use crate::value::write_us_time;

/// `maxLength` of everything that is not text.
const NO_LENGTH: i64 = -1;
/// `maxLength` of text without a limit in the database.
const UNLIMITED_LENGTH: i64 = 9_999;
/// The database length of a logical name.
const ENTITY_NAME_LENGTH: i64 = 128;
/// Where the Parquet file of a partition stands. Readers of the service's annotations pass over it.
const PARQUET_LOCATION: &str = "lakestage:ParquetLocation";
/// The database length of a multi-select choice.
const MULTI_SELECT_LENGTH: i64 = 4_000;

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    description: &'a str,
    version: &'a str,
    entities: Vec<Entity<'a>>,
}

#[derive(Serialize)]
struct Entity<'a> {
    #[serde(rename = "$type")]
    kind: &'a str,
    name: &'a str,
    description: &'a str,
    annotations: Vec<Annotation>,
    attributes: Vec<ModelAttribute<'a>>,
    partitions: Vec<ModelPartition>,
}

#[derive(Serialize)]
struct Annotation {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct ModelAttribute<'a> {
    name: &'a str,
    #[serde(rename = "dataType")]
    data_type: &'static str,
    #[serde(rename = "maxLength")]
    max_length: i64,
    #[serde(rename = "cdm:traits", skip_serializing_if = "Vec::is_empty")]
    traits: Vec<Trait>,
}

#[derive(Serialize)]
struct Trait {
    #[serde(rename = "traitReference")]
    reference: &'static str,
    arguments: Vec<Argument>,
}

#[derive(Serialize)]
struct Argument {
    name: &'static str,
    value: serde_json::Value,
}

#[derive(Serialize)]
struct ModelPartition {
    name: String,
    location: String,
    #[serde(rename = "cdm:traits")]
    traits: Vec<Trait>,
    #[serde(rename = "fileFormatSettings", skip_serializing_if = "Option::is_none")]
    format: Option<FormatSettings>,
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FormatSettings {
    #[serde(rename = "$type")]
    kind: &'static str,
    column_headers: bool,
    delimiter: &'static str,
    quote_style: &'static str,
    csv_style: &'static str,
    encoding: &'static str,
}

/// The bytes of `model.json` for a link. Entities stand in the order of their names.
pub(super) fn render(state: &State, link: &LinkEntry) -> Result<Vec<u8>> {
    let entities = link
        .tables
        .iter()
        .map(|(name, table)| {
            let schema = state.table(name)?.plan.schema();
            let is_delete = is_delete_position(state, name, table);
            Ok(entity(link, table, (schema, is_delete), Shown::Snapshot))
        })
        .collect::<Result<Vec<_>>>()?;
    write(entities)
}

/// The bytes of `<table>-model.json`: one table, at its near-real-time files.
pub(super) fn render_current(state: &State, link: &LinkEntry, table: &str) -> Result<Vec<u8>> {
    let schema = state.table(table)?.plan.schema();
    let linked = link.tables.get(table);
    let linked = linked.ok_or_else(|| Error::not_found("table in the link", table))?;
    let is_delete = is_delete_position(state, table, linked);
    write(vec![entity(
        link,
        linked,
        (schema, is_delete),
        Shown::Current,
    )])
}

/// Behind how many attributes `IsDelete` stands; `None` in an in-place table, which has none.
pub(super) fn is_delete_position(state: &State, name: &str, table: &LinkTable) -> Option<usize> {
    if table.layout.mode == Mode::InPlace {
        return None;
    }
    let entry = state.catalog.tables.get(name)?;
    Some(entry.layout(&table.layout)?.is_delete_position)
}

/// The bytes of a `model.json` in a folder of what changed, for some tables of the link. `changed` gives the
/// partitions that a table has there.
pub(super) fn render_folder<'a>(
    state: &'a State,
    link: &LinkEntry,
    folder: &str,
    tables: &[&str],
    changed: impl Fn(&str) -> Option<&'a DataFiles>,
) -> Result<Vec<u8>> {
    let mut entities = Vec::new();
    for (name, table) in &link.tables {
        if tables.contains(&name.as_str()) {
            let schema = state.table(name)?.plan.schema();
            let is_delete = is_delete_position(state, name, table);
            let mut shown = entity(link, table, (schema, is_delete), Shown::None);
            let files = changed(name).into_iter().flat_map(DataFiles::keys);
            let files = files.map(|file| {
                let path = format!("{folder}/{name}/{}", parts::file_name(file, None));
                (file.as_str(), path)
            });
            shown.partitions = partitions(link, files);
            entities.push(shown);
        }
    }
    write(entities)
}

/// Which of a partition's two files is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Snapshot,
    Current,
    None,
}

fn write(entities: Vec<Entity<'_>>) -> Result<Vec<u8>> {
    let model = Model {
        name: "cdm",
        description: "cdm",
        version: "1.0",
        entities,
    };
    serde_json::to_vec_pretty(&model)
        .map_err(|e| Error::invalid(format!("model.json cannot be written: {e}")))
}

fn entity<'a>(
    link: &LinkEntry,
    table: &LinkTable,
    (schema, is_delete): (&'a TableSchema, Option<usize>),
    shown: Shown,
) -> Entity<'a> {
    let state = match table.initial_sync_completed {
        Some(_) => "Completed",
        None => "NotStarted",
    };
    let mut annotations = vec![
        annotation(
            "Athena:PartitionGranularity",
            table.layout.granularity.name(),
        ),
        annotation("Athena:InitialSyncState", state),
    ];
    if let Some(ticks) = table.initial_sync_completed {
        let mut time = Vec::new();
        write_us_time(ticks, &mut time);
        let time = String::from_utf8_lossy(&time).into_owned();
        annotations.push(annotation("Athena:InitialSyncDataCompletedTime", &time));
    }
    Entity {
        kind: "LocalEntity",
        name: schema.name(),
        description: schema.name(),
        annotations,
        attributes: attributes(&link.model, is_delete, schema),
        partitions: match shown {
            Shown::Snapshot => snapshot_partitions(link, table),
            Shown::Current => current_partitions(link, table, schema.name()),
            Shown::None => Vec::new(),
        },
    }
}

fn snapshot_partitions(link: &LinkEntry, table: &LinkTable) -> Vec<ModelPartition> {
    let published = table.partitions.iter();
    partitions(
        link,
        published.map(|(name, published)| (name.as_str(), published.file.clone())),
    )
}

fn current_partitions(link: &LinkEntry, table: &LinkTable, name: &str) -> Vec<ModelPartition> {
    // A snapshot that is being written makes its files the near-real-time ones as well.
    let files: BTreeSet<&String> = table
        .current
        .keys()
        .chain(table.partitions.keys())
        .collect();
    let files = files.into_iter();
    partitions(
        link,
        files.map(|file| (file.as_str(), current_path(name, file))),
    )
}

/// The partitions of some files, each with its path. A Parquet file that stands beside a CSV file is told with it, and
/// is no partition of its own: who reads all partitions must not find a row twice.
fn partitions<'f>(
    link: &LinkEntry,
    files: impl Iterator<Item = (&'f str, String)>,
) -> Vec<ModelPartition> {
    let files: BTreeMap<&str, String> = files.collect();
    let csv = |name: &str| name.strip_suffix(parquet::SUFFIX).map(str::to_owned);
    let mut shown = Vec::new();
    for (name, path) in &files {
        match csv(name) {
            Some(csv) if files.contains_key(csv.as_str()) => continue,
            Some(part) => {
                let mut partition = partition(link, &part, path);
                partition.traits = vec![Trait {
                    reference: "is.partition.format.parquet",
                    arguments: Vec::new(),
                }];
                partition.format = None;
                shown.push(partition);
            }
            None => {
                let mut partition = partition(link, name, path);
                let beside = format!("{name}{}", parquet::SUFFIX);
                if let Some(path) = files.get(beside.as_str()) {
                    let location = annotation(PARQUET_LOCATION, &location(link, path));
                    partition.annotations.push(location);
                }
                shown.push(partition);
            }
        }
    }
    shown
}

fn location(link: &LinkEntry, path: &str) -> String {
    format!("{}/{}/{path}", link.endpoint, link.filesystem)
}

fn annotation(name: &'static str, value: &str) -> Annotation {
    Annotation {
        name,
        value: value.to_owned(),
    }
}

fn attributes<'a>(
    settings: &ModelSettings,
    is_delete: Option<usize>,
    schema: &'a TableSchema,
) -> Vec<ModelAttribute<'a>> {
    let [id, created, modified] = SYSTEM_COLUMNS;
    let mut attributes = vec![
        plain(id, "guid"),
        plain(created, "dateTime"),
        plain(modified, "dateTime"),
    ];
    for (position, attribute) in schema.attributes().iter().enumerate() {
        if Some(position) == schema.created_on() {
            attributes.push(plain(&attribute.name, "dateTimeOffset"));
        } else {
            attributes.push(model_attribute(settings, attribute));
        }
    }
    if let Some(position) = is_delete {
        // Columns that were added later stand behind it.
        let place = (SYSTEM_COLUMNS.len() + position).min(attributes.len());
        attributes.insert(place, plain(IS_DELETE_COLUMN, "boolean"));
    }
    attributes
}

fn model_attribute<'a>(settings: &ModelSettings, attribute: &'a Attribute) -> ModelAttribute<'a> {
    use AttributeType as T;
    let name = &attribute.name;
    match &attribute.kind {
        T::UniqueIdentifier | T::Lookup { .. } => plain(name, "guid"),
        T::EntityType { .. } => text(name, ENTITY_NAME_LENGTH),
        T::Choice { .. } | T::Integer { .. } | T::BigInt => plain(name, "int64"),
        T::MultiSelect { .. } => text(name, MULTI_SELECT_LENGTH),
        T::Boolean => plain(name, "boolean"),
        // A double is a decimal in the exports of ordinary tables.
        T::Decimal { scale } | T::Money { scale } | T::Double { scale } => {
            decimal(name, settings.decimal_precision, *scale)
        }
        T::DateTime { .. } => plain(name, "dateTime"),
        T::String { max_length } => text(name, i64::from(*max_length)),
        T::Memo { max_length } if *max_length <= 4_000 => text(name, i64::from(*max_length)),
        T::Memo { .. } => ModelAttribute {
            name,
            data_type: "string",
            max_length: UNLIMITED_LENGTH,
            traits: Vec::new(),
        },
    }
}

fn plain<'a>(name: &'a str, data_type: &'static str) -> ModelAttribute<'a> {
    ModelAttribute {
        name,
        data_type,
        max_length: NO_LENGTH,
        traits: Vec::new(),
    }
}

fn text(name: &str, max_length: i64) -> ModelAttribute<'_> {
    ModelAttribute {
        name,
        data_type: "string",
        max_length,
        traits: vec![Trait {
            reference: "is.constrained",
            arguments: vec![argument("maximumLength", max_length)],
        }],
    }
}

/// Readers take precision and scale by position, from the first trait.
fn decimal(name: &str, precision: u32, scale: u32) -> ModelAttribute<'_> {
    ModelAttribute {
        name,
        data_type: "decimal",
        max_length: NO_LENGTH,
        traits: vec![Trait {
            reference: "is.dataFormat.numeric.shaped",
            arguments: vec![argument("precision", precision), argument("scale", scale)],
        }],
    }
}

fn argument(name: &'static str, value: impl Into<serde_json::Value>) -> Argument {
    Argument {
        name,
        value: value.into(),
    }
}

/// The name of a file without folders and ending.
fn file_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name)
}

fn partition(link: &LinkEntry, name: &str, file: &str) -> ModelPartition {
    let mut annotations = Vec::new();
    let whole = partition_of(name);
    if whole != NO_DATE {
        let mut parts = whole.split('-');
        let kinds = [
            "Athena:PartitionYear",
            "Athena:PartitionMonth",
            "Athena:PartitionDay",
        ];
        let shown = match link.model.month_annotation {
            true => kinds.len(),
            false => 1,
        };
        let parts = kinds.into_iter().take(shown).zip(&mut parts);
        annotations.extend(parts.map(|(kind, part)| annotation(kind, part)));
    }
    ModelPartition {
        name: match link.model.partition_names {
            PartitionNames::Partition => name.to_owned(),
            PartitionNames::File => file_name(file).to_owned(),
        },
        location: location(link, file),
        traits: vec![Trait {
            reference: "is.partition.format.CSV",
            arguments: vec![argument("raggedRight", "true")],
        }],
        format: Some(FormatSettings {
            kind: "CsvFormatSettings",
            column_headers: false,
            delimiter: ",",
            quote_style: "QuoteStyle.Csv",
            csv_style: "CsvStyle.QuoteAlways",
            encoding: "UTF-8",
        }),
        annotations,
    }
}
