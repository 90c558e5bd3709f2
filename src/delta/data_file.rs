//! The Parquet files of a Delta table.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::columns::Columns;
use super::error::At as _;
use super::{CHANGE_DATA_FOLDER, DeltaError};

/// The column that says what a change was.
const CHANGE_TYPE: &str = "_change_type";
/// Rows that are read from a file at a time.
const READ_ROWS: usize = 8_192;
const ROW_GROUP_ROWS: usize = 65_536;

/// A file of the table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    /// Below the table's folder.
    pub path: String,
    pub bytes: u64,
    /// How many rows it has, and the least and the greatest id; unknown where another program wrote it.
    pub known: Option<Known>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub rows: u64,
    pub first: String,
    pub last: String,
}

impl DataFile {
    /// Whether rows with ids in the range may stand in it.
    pub(super) fn overlaps(&self, first: &str, last: &str) -> bool {
        let known = self.known.as_ref();
        known.is_none_or(|known| known.first.as_str() <= last && first <= known.last.as_str())
    }
}

/// A file that is being written. It counts only once the log names it.
pub(super) struct FileWriter {
    path: String,
    whole: std::path::PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
    first: Option<String>,
    last: Option<String>,
    key: usize,
}

impl FileWriter {
    pub(super) fn create(
        folder: &Path,
        path: String,
        schema: &SchemaRef,
        key: usize,
    ) -> Result<Self, DeltaError> {
        let whole = folder.join(&path);
        let file = File::create(&whole).at("creating a file of the table", &whole)?;
        let level = ZstdLevel::try_new(1).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_created_by("lakestage".to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)
            .at("writing", &whole)?;
        Ok(FileWriter {
            path,
            whole,
            writer,
            rows: 0,
            first: None,
            last: None,
            key,
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), DeltaError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = batch.column(self.key).as_string::<i32>();
        for key in keys.iter().flatten() {
            if self.first.as_deref().is_none_or(|first| key < first) {
                self.first = Some(key.to_owned());
            }
            if self.last.as_deref().is_none_or(|last| key > last) {
                self.last = Some(key.to_owned());
            }
        }
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).at("writing", &self.whole)
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// About how long the file would be now.
    pub(super) fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Ends the file; it is on the disk then, and its name once its folder is synced.
    pub(super) fn finish(self) -> Result<DataFile, DeltaError> {
        let file = self.writer.into_inner().at("writing", &self.whole)?;
        file.sync_all().at("syncing", &self.whole)?;
        let bytes = file.metadata().at("looking at", &self.whole)?.len();
        Ok(DataFile {
            path: self.path,
            bytes,
            known: Some(Known {
                rows: self.rows,
                first: self.first.unwrap_or_default(),
                last: self.last.unwrap_or_default(),
            }),
        })
    }
}

/// Writes a file of changes, whose rows are given with what was done to them.
pub(super) fn write_changes(
    folder: &Path,
    name: &str,
    columns: &Columns,
    changes: &[(&str, RecordBatch)],
) -> Result<Option<DataFile>, DeltaError> {
    if changes.iter().all(|(_, batch)| batch.num_rows() == 0) {
        return Ok(None);
    }
    let changes_folder = folder.join(CHANGE_DATA_FOLDER);
    fs::create_dir_all(&changes_folder).at("creating", &changes_folder)?;
    let mut fields = columns.schema.fields().to_vec();
    fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(fields));
    let path = format!("{CHANGE_DATA_FOLDER}/{name}");
    let mut writer = FileWriter::create(folder, path, &schema, columns.key)?;
    for (change, batch) in changes {
        let kinds: ArrayRef = Arc::new(StringArray::from(vec![*change; batch.num_rows()]));
        let arrays = batch.columns().iter().cloned().chain([kinds]).collect();
        writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
    }
    writer.finish().map(Some)
}

/// The ids of a file, in the order of its rows.
pub(super) fn read_keys(
    folder: &Path,
    file: &DataFile,
    columns: &Columns,
) -> Result<Vec<String>, DeltaError> {
    let path = folder.join(&file.path);
    let opened = File::open(&path).at("reading a file of the table", &path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).at("reading", &path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [columns.key_name()]);
    let builder = builder.with_projection(mask).with_batch_size(READ_ROWS);
    let mut keys = Vec::new();
    for batch in builder.build().at("reading", &path)? {
        let column = batch?.columns().first().cloned();
        let column = column.ok_or_else(|| DeltaError::Log {
            path: path.clone(),
            rule: format!("the file has no column {}", columns.key_name()),
        })?;
        let text = cast(&column, &DataType::Utf8)?;
        let values = text.as_string::<i32>().iter();
        keys.extend(values.map(|key| key.unwrap_or_default().to_owned()));
    }
    Ok(keys)
}

/// All rows of a file, with the columns that the table has now.
pub(super) fn read(
    folder: &Path,
    file: &DataFile,
    columns: &Columns,
) -> Result<RecordBatch, DeltaError> {
    let path = folder.join(&file.path);
    let opened = File::open(&path).at("reading a file of the table", &path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened)
        .at("reading", &path)?
        .with_batch_size(READ_ROWS);
    let mut batches = Vec::new();
    for batch in builder.build().at("reading", &path)? {
        let batch = batch?;
        let arrays =
            columns
                .schema
                .fields()
                .iter()
                .map(|field| match batch.column_by_name(field.name()) {
                    Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
                    Some(column) => cast(column, field.data_type()),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        batches.push(RecordBatch::try_new(columns.schema.clone(), arrays)?);
    }
    Ok(concat_batches(&columns.schema, &batches)?)
}
