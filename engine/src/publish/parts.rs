//! Which files a partition stands in: one, or a first one and continuation parts, `2024.csv`, `2024_001.csv`, …
//!
//! Where a part ends is remembered, so that a change of one row changes one file: rows belong to the part whose ids they
//! are among, and a part that gets too large is divided, where the new part takes the next free number. Parts of
//! append-only partitions follow each other as their blocks do, and only the last one grows.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::parquet;
use crate::block::{BlockEntry, Packs};
use crate::catalog::PartitionEntry;
use crate::compaction::Mode;
use crate::error::{Error, Result};
use crate::link::LinkTable;

/// Files are cut between blocks, which have about 64 KiB, so a smaller limit could not be kept.
const BYTES_MIN: u64 = 1 << 20;
/// The rows of the shortest table that fit into a block are fewer.
const ROWS_MIN: u64 = 10_000;

/// What the files of a link are: CSV or Parquet, and how much one of them holds before a continuation part begins.
/// Without limits a partition is one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileOptions {
    /// What each partition is written as.
    pub format: FileFormat,
    /// Bytes of CSV, at least 1 MiB.
    pub bytes_max: Option<u64>,
    /// Rows, at least 10,000.
    pub rows_max: Option<u64>,
}

/// What a partition is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileFormat {
    /// CSV, as the service does.
    #[default]
    Csv,
    /// Parquet, with typed columns.
    Parquet,
    /// Both; `model.json` names the CSV file, and the Parquet file in an annotation of its partition.
    Both,
}

impl FileOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.bytes_max.is_some_and(|bytes| bytes < BYTES_MIN) {
            return Err(Error::invalid(format!(
                "a file cannot be limited to less than {BYTES_MIN} bytes"
            )));
        }
        if self.rows_max.is_some_and(|rows| rows < ROWS_MIN) {
            return Err(Error::invalid(format!(
                "a file cannot be limited to less than {ROWS_MIN} rows"
            )));
        }
        Ok(())
    }

    fn fit(&self, size: Size) -> bool {
        self.bytes_max.is_none_or(|max| size.bytes <= max)
            && self.rows_max.is_none_or(|max| size.rows <= max)
    }

    fn are_set(&self) -> bool {
        self.bytes_max.is_some() || self.rows_max.is_some()
    }

    /// How many parts so much needs.
    fn parts(&self, size: Size) -> u64 {
        let parts = |size: u64, max: Option<u64>| max.map_or(1, |max| size.div_ceil(max));
        parts(size.bytes, self.bytes_max).max(parts(size.rows, self.rows_max))
    }
}

#[derive(Clone, Copy, Default)]
struct Size {
    bytes: u64,
    rows: u64,
}

impl Size {
    fn of(blocks: &[BlockEntry]) -> Self {
        let none = Size::default();
        blocks.iter().fold(none, |size, block| size.with(block))
    }

    fn with(self, block: &BlockEntry) -> Self {
        Size {
            bytes: self.bytes + block.extent.length,
            rows: self.rows + u64::from(block.rows),
        }
    }
}

/// A file that a table should have: a partition, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// The partition, with the rows, the bytes and the last change of this part.
    pub entry: PartitionEntry,
    /// Which blocks of the manifest it has; `None` has all.
    pub blocks: Option<Range<usize>>,
    /// Of a Parquet file: the CRC-32C of its content, once it was made. Until then its length is that of the CSV file.
    pub crc32c: Option<u32>,
}

impl DataFile {
    pub(crate) fn whole(entry: &PartitionEntry) -> Self {
        DataFile {
            entry: entry.clone(),
            blocks: None,
            crc32c: None,
        }
    }

    /// The blocks that it is made of.
    pub(crate) fn of<'b>(&self, blocks: &'b [BlockEntry]) -> &'b [BlockEntry] {
        match &self.blocks {
            None => blocks,
            Some(range) => blocks.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// The files of a table by their names: `2024` of a CSV file, `2024.parquet` of a Parquet file.
pub(crate) type DataFiles = BTreeMap<String, DataFile>;

/// How the partitions of a table were cut last.
pub(crate) type Cuts = BTreeMap<String, Cut>;

/// How a partition was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cut {
    /// The last change of the partition when it was cut.
    changed_version: u64,
    parts: Vec<CutPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CutPart {
    number: u32,
    /// In-place: its rows have this id or a later one.
    first: Uuid,
    /// Names the blocks by where they stand.
    blocks: Uuid,
    /// Names their content, which stays when they are moved.
    content: Uuid,
    changed_version: u64,
}

/// The partition that a file belongs to, by the file's name without folder.
pub(crate) fn partition_of(file: &str) -> &str {
    file.split(['_', '.']).next().unwrap_or(file)
}

/// Whether that is the name of a Parquet file; that of a CSV file stands without its ending.
pub(crate) fn is_parquet(name: &str) -> bool {
    name.ends_with(parquet::SUFFIX)
}

/// The name with its ending, and with a snapshot's number if there is one.
pub(super) fn file_name(name: &str, number: Option<i64>) -> String {
    let (stem, suffix) = match name.strip_suffix(parquet::SUFFIX) {
        Some(stem) => (stem, parquet::SUFFIX),
        None => (name, ".csv"),
    };
    match number {
        Some(number) => format!("{stem}_{number}{suffix}"),
        None => format!("{stem}{suffix}"),
    }
}

/// The files as the format asks for them.
fn in_format(files: DataFiles, format: FileFormat) -> DataFiles {
    let mut all = DataFiles::new();
    for (name, file) in files {
        if format != FileFormat::Csv {
            let mut file = file.clone();
            if format == FileFormat::Both {
                // They are counted with the CSV file.
                file.entry.rows = 0;
            }
            all.insert(format!("{name}{}", parquet::SUFFIX), file);
        }
        if format != FileFormat::Parquet {
            all.insert(name, file);
        }
    }
    all
}

fn part_name(partition: &str, number: u32) -> String {
    match number {
        0 => partition.to_owned(),
        _ => format!("{partition}_{number:03}"),
    }
}

/// The files of partitions that are written once.
pub(super) fn once(
    packs: &Packs,
    partitions: &BTreeMap<String, PartitionEntry>,
    limits: FileOptions,
) -> Result<DataFiles> {
    cut(
        packs,
        Mode::AppendOnly,
        partitions,
        limits,
        &mut Cuts::new(),
    )
}

impl LinkTable {
    /// The files that the table should have, and notes how they were cut.
    pub(crate) fn files(
        &mut self,
        packs: &Packs,
        partitions: &BTreeMap<String, PartitionEntry>,
        limits: FileOptions,
    ) -> Result<DataFiles> {
        let mode = self.layout.mode;
        cut(packs, mode, partitions, limits, &mut self.cuts)
    }
}

fn cut(
    packs: &Packs,
    mode: Mode,
    partitions: &BTreeMap<String, PartitionEntry>,
    limits: FileOptions,
    cuts: &mut Cuts,
) -> Result<DataFiles> {
    let mut files = DataFiles::new();
    cuts.retain(|partition, _| partitions.contains_key(partition));
    for (partition, entry) in partitions {
        let size = Size {
            bytes: entry.bytes,
            rows: entry.rows,
        };
        if !limits.are_set() || (limits.fit(size) && !cuts.contains_key(partition)) {
            files.insert(partition.clone(), DataFile::whole(entry));
            continue;
        }
        let manifest = packs.manifest(&entry.manifest)?;
        let before = cuts.get(partition);
        let pieces = match mode {
            Mode::InPlace => by_id(&manifest.blocks, limits, before),
            Mode::AppendOnly => in_order(&manifest.blocks, limits),
        };
        let after = Cut::of(entry, &manifest.blocks, &pieces, before);
        for (part, (_, blocks)) in after.parts.iter().zip(pieces) {
            let size = Size::of(&manifest.blocks[blocks.clone()]);
            let file = DataFile {
                entry: PartitionEntry {
                    rows: size.rows,
                    bytes: size.bytes,
                    changed_version: part.changed_version,
                    ..entry.clone()
                },
                blocks: Some(blocks),
                crc32c: None,
            };
            files.insert(part_name(partition, part.number), file);
        }
        cuts.insert(partition.clone(), after);
    }
    Ok(in_format(files, limits.format))
}

type Piece = (u32, Range<usize>);

/// One part behind the other, each as full as the limits let.
fn in_order(blocks: &[BlockEntry], limits: FileOptions) -> Vec<Piece> {
    (0..)
        .zip(filled(blocks, 0..blocks.len(), limits, None))
        .collect()
}

/// `enough` are the bytes and the rows with which a part ends though there is room for more.
fn filled(
    blocks: &[BlockEntry],
    of: Range<usize>,
    limits: FileOptions,
    enough: Option<Size>,
) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut size) = (of.start, Size::default());
    for at in of.clone() {
        let grown = size.with(&blocks[at]);
        let has_enough = enough.is_some_and(|e| size.bytes >= e.bytes || size.rows >= e.rows);
        if at == start || (limits.fit(grown) && !has_enough) {
            size = grown;
            continue;
        }
        pieces.push(start..at);
        (start, size) = (at, Size::default().with(&blocks[at]));
    }
    pieces.push(start..of.end);
    pieces
}

/// The parts that there were, each with the blocks that begin among its ids; one that is too large is divided.
fn by_id(blocks: &[BlockEntry], limits: FileOptions, before: Option<&Cut>) -> Vec<Piece> {
    let Some(before) = before else {
        return in_order(blocks, limits);
    };
    let mut starts: Vec<(u128, u32)> = before
        .parts
        .iter()
        .map(|part| (part.first.as_u128(), part.number))
        .collect();
    starts.sort_unstable();
    let mut next_number = starts
        .iter()
        .map(|(_, number)| number + 1)
        .max()
        .unwrap_or(0);
    let mut pieces = Vec::new();
    for (place, (_, number)) in starts.iter().enumerate() {
        // What comes before the first part belongs to it.
        let begin = match place {
            0 => 0,
            _ => blocks.partition_point(|block| block.first < starts[place].0),
        };
        let end = match starts.get(place + 1) {
            Some((next, _)) => blocks.partition_point(|block| block.first < *next),
            None => blocks.len(),
        };
        if begin == end {
            continue;
        }
        let size = Size::of(&blocks[begin..end]);
        if limits.fit(size) {
            pieces.push((*number, begin..end));
            continue;
        }
        // Parts of about the same size, so that there is room in each of them.
        let parts = limits.parts(size);
        let enough = Size {
            bytes: size.bytes.div_ceil(parts),
            rows: size.rows.div_ceil(parts),
        };
        let divided = filled(blocks, begin..end, limits, Some(enough));
        for (nth, piece) in divided.into_iter().enumerate() {
            let number = match nth {
                0 => *number,
                _ => {
                    next_number += 1;
                    next_number - 1
                }
            };
            pieces.push((number, piece));
        }
    }
    pieces
}

impl Cut {
    fn of(
        entry: &PartitionEntry,
        blocks: &[BlockEntry],
        pieces: &[Piece],
        before: Option<&Cut>,
    ) -> Self {
        let parts = pieces.iter().map(|(number, range)| {
            let blocks = &blocks[range.clone()];
            let mut part = CutPart {
                number: *number,
                first: Uuid::from_u128(blocks.first().map_or(0, |block| block.first)),
                blocks: places(blocks),
                content: content(blocks),
                changed_version: entry.changed_version,
            };
            let mut old = before.iter().flat_map(|before| &before.parts);
            if let Some(old) = old.find(|old| old.number == *number)
                && (old.blocks == part.blocks
                    // Nothing changed since, but blocks may have moved.
                    || before.is_some_and(|b| b.changed_version == entry.changed_version)
                        && old.content == part.content)
            {
                part.changed_version = old.changed_version;
            }
            part
        });
        Cut {
            changed_version: entry.changed_version,
            parts: parts.collect(),
        }
    }
}

/// A name that other blocks do not have: packs are never written again.
fn places(blocks: &[BlockEntry]) -> Uuid {
    name_of(blocks.iter().flat_map(|block| {
        let extent = &block.extent;
        [extent.pack, extent.offset, extent.length]
    }))
}

fn content(blocks: &[BlockEntry]) -> Uuid {
    name_of(blocks.iter().flat_map(|block| {
        let extent = &block.extent;
        [
            extent.length,
            u64::from(extent.crc32c),
            u64::from(block.rows),
        ]
    }))
}

fn name_of(numbers: impl Iterator<Item = u64>) -> Uuid {
    let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes)
}
