//! Parquet files of partitions, beside the CSV files or instead of them.
//!
//! A file is made of the blocks of its CSV file: typed columns by the table's schema, a row group for some of the blocks,
//! statistics of each column, zstd. It is made in a file of the environment first, because `model.json` and what is noted
//! before it need its length and its checksum, and then handed to the lake as any other range. The same blocks give the
//! same bytes.

mod columns;
mod read;
mod write;

pub(super) use read::ParquetRows;
pub(crate) use write::Encoder;
pub(super) use write::{Encoded, clear_away};

/// What the name of a Parquet file ends with.
pub(super) const SUFFIX: &str = ".parquet";
