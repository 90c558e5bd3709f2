//! Reading a snapshot as a consumer reads it: by its `model.json`, file by file.

use std::io::Read;

use csv::ByteRecord;
use serde::Deserialize;

use super::lease::Lease;
use super::parquet::ParquetRows;
use super::parts::is_parquet;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::link::LinkEntry;
use crate::schema::IS_DELETE_COLUMN;
use crate::value::DateTimeFormat;

/// A snapshot that is being read; its files stay as long as this lives.
pub struct SnapshotReader<'l> {
    lake: &'l dyn Lake,
    number: i64,
    tables: Vec<SnapshotTable>,
    /// How the environment writes date-times.
    format: DateTimeFormat,
    _lease: Lease,
}

/// A table of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotTable {
    /// Its name.
    pub name: String,
    /// Its columns, the system columns first.
    pub columns: Vec<SnapshotColumn>,
    /// Its files, a partition each.
    pub files: Vec<String>,
}

/// A column of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotColumn {
    /// Its name.
    pub name: String,
    /// Its data type in `model.json`, such as `int64`.
    pub data_type: String,
}

impl SnapshotTable {
    /// Whether its files only grow, so that a row may stand in them several times.
    pub fn is_append_only(&self) -> bool {
        let mut columns = self.columns.iter();
        columns.any(|column| column.name == IS_DELETE_COLUMN)
    }
}

#[derive(Deserialize)]
struct Model {
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    name: String,
    attributes: Vec<Attribute>,
    partitions: Vec<Partition>,
}

#[derive(Deserialize)]
struct Attribute {
    name: String,
    #[serde(rename = "dataType")]
    data_type: String,
}

#[derive(Deserialize)]
struct Partition {
    location: String,
}

impl<'l> SnapshotReader<'l> {
    pub(super) fn new(
        lake: &'l dyn Lake,
        link: &LinkEntry,
        (number, model): (i64, &[u8]),
        format: DateTimeFormat,
        lease: Lease,
    ) -> Result<Self> {
        let model: Model = serde_json::from_slice(model)
            .map_err(|e| Error::Lake(format!("the model.json of snapshot {number}: {e}")))?;
        let root = format!("{}/{}/", link.endpoint, link.filesystem);
        let tables = model
            .entities
            .into_iter()
            .map(|entity| table(entity, &root))
            .collect::<Result<_>>()?;
        Ok(SnapshotReader {
            lake,
            number,
            tables,
            format,
            _lease: lease,
        })
    }

    /// The number in the names of its files, in Unix seconds.
    pub fn snapshot_unix_s(&self) -> i64 {
        self.number
    }

    /// Its tables, by name.
    pub fn tables(&self) -> &[SnapshotTable] {
        &self.tables
    }

    /// A table of it.
    ///
    /// # Errors
    /// `NotFound` if it has no such table.
    pub fn table(&self, name: &str) -> Result<&SnapshotTable> {
        let found = self.tables.iter().find(|table| table.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.tables.iter().map(|t| t.name.as_str()).collect();
            Error::NotFound {
                what: "table in the snapshot",
                name: name.to_owned(),
                hint: format!("; it has {}", names.join(", ")),
            }
        })
    }

    /// The bytes of one of its files.
    ///
    /// # Errors
    /// `Lake` if the file is not there, which only somebody else's hand can have done.
    pub fn open(&self, file: &str) -> Result<Box<dyn Read + Send>> {
        let missing = || Error::Lake(format!("{file} of snapshot {} is gone", self.number));
        self.lake.open(file)?.ok_or_else(missing)
    }

    /// The rows of one of its files.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn rows(&self, file: &str) -> Result<SnapshotRows> {
        if is_parquet(file) {
            let rows = ParquetRows::open(
                file,
                &mut self.open(file)?,
                self.columns_of(file),
                self.format,
            )?;
            return Ok(SnapshotRows(Rows::Parquet(Box::new(rows))));
        }
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(self.open(file)?);
        Ok(SnapshotRows(Rows::Csv {
            file: file.to_owned(),
            reader,
        }))
    }

    /// Names and data types of the columns of the table that has the file.
    fn columns_of(&self, file: &str) -> Vec<(String, String)> {
        let has_it = |table: &&SnapshotTable| table.files.iter().any(|named| named == file);
        let columns = self.tables.iter().find(has_it).map(|table| &table.columns);
        let columns = columns.into_iter().flatten();
        columns
            .map(|column| (column.name.clone(), column.data_type.clone()))
            .collect()
    }
}

fn table(entity: Entity, root: &str) -> Result<SnapshotTable> {
    let files = entity
        .partitions
        .into_iter()
        .map(|partition| match partition.location.strip_prefix(root) {
            Some(path) => Ok(path.to_owned()),
            None => Err(Error::Lake(format!(
                "{} is not in {root}",
                partition.location
            ))),
        })
        .collect::<Result<_>>()?;
    let columns = entity.attributes.into_iter().map(|a| SnapshotColumn {
        name: a.name,
        data_type: a.data_type,
    });
    Ok(SnapshotTable {
        name: entity.name,
        columns: columns.collect(),
        files,
    })
}

/// The rows of a file, one after the other, as cells of CSV without their quotes.
pub struct SnapshotRows(Rows);

enum Rows {
    Csv {
        file: String,
        reader: csv::Reader<Box<dyn Read + Send>>,
    },
    Parquet(Box<ParquetRows>),
}

impl Iterator for SnapshotRows {
    type Item = Result<ByteRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rows::Parquet(rows) => rows.next().transpose(),
            Rows::Csv { file, reader } => {
                let mut record = ByteRecord::new();
                match reader.read_byte_record(&mut record) {
                    Ok(true) => Some(Ok(record)),
                    Ok(false) => None,
                    Err(error) => Some(Err(Error::Lake(format!("{file}: {error}")))),
                }
            }
        }
    }
}
