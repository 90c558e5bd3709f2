//! Makes a Parquet file of the blocks of a partition.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use csv::{ByteRecord, ReaderBuilder};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::super::parts::DataFile;
use super::columns::{Builder, Columns};
use crate::block::{BlockEntry, Packs};
use crate::checksum::{crc32c, crc32c_of_both};
use crate::error::{Error, IoContext, Result};
use crate::files;
use crate::schema::TableSchema;

/// Where files are made, beside the packs; what stands there is garbage whenever nobody publishes.
const FOLDER: &str = "parquet";
/// A row group ends with the block that brings it to this, in bytes of CSV.
const ROW_GROUP_BYTES: u64 = 8 << 20;
/// A range that the lake is handed at a time.
const RANGE_BYTES: u64 = 1 << 20;
const ZSTD_LEVEL: i32 = 3;

/// A Parquet file that is made and in no lake yet; it goes when this does.
#[derive(Debug)]
pub(in crate::publish) struct Encoded {
    pub path: PathBuf,
    pub bytes: u64,
    pub crc32c: u32,
    /// The length and the CRC-32C of each piece.
    pub ranges: Vec<(u64, u32)>,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if let Err(error) = files::remove_file(&self.path) {
            tracing::warn!(%error, "a file that was made for the lake stays until the next publication");
        }
    }
}

fn folder(packs: &Packs) -> PathBuf {
    packs.folder().with_file_name(FOLDER)
}

/// Removes what a publication that was cut off left.
pub(in crate::publish) fn clear_away(packs: &Packs) -> Result<()> {
    let folder = folder(packs);
    if !folder.is_dir() {
        return Ok(());
    }
    let mut names = files::names_in(&folder)?.into_iter();
    names.try_for_each(|name| files::remove_file(&folder.join(name)))
}

/// Makes the Parquet files of one table.
pub(crate) struct Encoder<'p> {
    packs: &'p Packs,
    table: String,
    columns: Columns,
}

impl<'p> Encoder<'p> {
    /// `is_delete` tells behind how many attributes `IsDelete` stands, `precision` how many digits decimals have at
    /// least.
    pub(in crate::publish) fn of(
        packs: &'p Packs,
        schema: &TableSchema,
        is_delete: Option<usize>,
        precision: u32,
    ) -> Self {
        Encoder {
            packs,
            table: schema.name().to_owned(),
            columns: Columns::of(schema, is_delete, precision),
        }
    }

    /// Makes the file of a partition or a part.
    ///
    /// # Errors
    /// `Corrupt` if a block is damaged, `Full` or `Io` as the disk says.
    pub(in crate::publish) fn encode(&self, name: &str, file: &DataFile) -> Result<Encoded> {
        let manifest = self.packs.manifest(&file.entry.manifest)?;
        let blocks = file.of(&manifest.blocks);
        let folder = folder(self.packs);
        files::create_scratch_folder(&folder)?;
        let path = folder.join(format!("{}-{name}", self.table));
        files::check_room(
            &folder,
            blocks.iter().map(|block| block.extent.length).sum(),
            "making a Parquet file",
        )?;
        let mut encoded = Encoded {
            bytes: 0,
            crc32c: 0,
            ranges: Vec::new(),
            path,
        };
        let file = files::NewFile::create(&encoded.path).context("creating", &encoded.path)?;
        let summed = Summed {
            file,
            collected: Vec::new(),
            ranges: Vec::new(),
        };
        let mut file = self.write(&encoded.path, summed, blocks)?;
        let written = file.end_range().and_then(|()| file.file.sync());
        written.context("writing", &encoded.path)?;
        encoded.ranges = file.ranges;
        for (length, sum) in &encoded.ranges {
            encoded.crc32c = match encoded.bytes {
                0 => *sum,
                _ => crc32c_of_both(encoded.crc32c, *sum, *length),
            };
            encoded.bytes += length;
        }
        Ok(encoded)
    }

    fn write(&self, path: &Path, file: Summed, blocks: &[BlockEntry]) -> Result<Summed> {
        let failed = |error: parquet::errors::ParquetError| match error {
            parquet::errors::ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => Error::io("writing", path, *error),
                Err(error) => Error::Lake(format!("{}: {error}", path.display())),
            },
            error => Error::Lake(format!("{}: {error}", path.display())),
        };
        let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_created_by("lakestage".to_owned())
            .set_compression(Compression::ZSTD(level))
            // Row groups end where blocks do, and nowhere else.
            .set_max_row_group_row_count(None)
            .build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let schema = self.columns.schema.clone();
        let mut writer =
            ArrowWriter::try_new_with_options(file, schema.clone(), options).map_err(failed)?;
        let mut builders = self.columns.builders();
        let mut collected = 0;
        for (at, block) in blocks.iter().enumerate() {
            self.take(block, &mut builders)?;
            let arrays = builders.iter_mut().map(Builder::finish).collect();
            let batch = RecordBatch::try_new(schema.clone(), arrays)
                .map_err(|e| Error::Lake(format!("{}: {e}", path.display())))?;
            writer.write(&batch).map_err(failed)?;
            collected += block.extent.length;
            if collected >= ROW_GROUP_BYTES && at + 1 < blocks.len() {
                writer.flush().map_err(failed)?;
                collected = 0;
            }
        }
        writer.into_inner().map_err(failed)
    }

    /// The values of a block's rows. A row that is older than a column ends before it.
    fn take(&self, block: &BlockEntry, builders: &mut [Builder]) -> Result<()> {
        let bytes = self.packs.read(&block.extent)?;
        let damaged = |what: &str| {
            let pack = self.packs.path(block.extent.pack);
            let rule = format!(
                "a row of table {} is none: {what}, in the block from byte {} on",
                self.table, block.extent.offset
            );
            Error::corrupt(&pack, rule)
        };
        let mut rows = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes.as_ref());
        let mut row = ByteRecord::new();
        while rows
            .read_byte_record(&mut row)
            .map_err(|e| damaged(&e.to_string()))?
        {
            if row.len() > builders.len() {
                return Err(damaged("it has more cells than the table has columns"));
            }
            for (at, builder) in builders.iter_mut().enumerate() {
                let cell = row.get(at).unwrap_or_default();
                let cell = std::str::from_utf8(cell).map_err(|e| damaged(&e.to_string()))?;
                builder.push(cell).ok_or_else(|| {
                    let column = self.columns.schema.field(at).name();
                    damaged(&format!("column {column} cannot be \"{cell}\""))
                })?;
            }
        }
        Ok(())
    }
}

/// Notes the checksum of each range as it is written.
struct Summed {
    file: files::NewFile,
    collected: Vec<u8>,
    ranges: Vec<(u64, u32)>,
}

impl Summed {
    fn end_range(&mut self) -> io::Result<()> {
        if !self.collected.is_empty() {
            self.file.write_all(&self.collected)?;
            let length = self.collected.len() as u64;
            self.ranges.push((length, crc32c(&[&self.collected])));
            self.collected.clear();
        }
        Ok(())
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (RANGE_BYTES as usize).saturating_sub(self.collected.len());
        let taken = &bytes[..room.min(bytes.len())];
        self.collected.extend_from_slice(taken);
        if self.collected.len() as u64 >= RANGE_BYTES {
            self.end_range()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
