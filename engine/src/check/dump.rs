//! What stands in an environment's files, item by item, as a person or a script reads it.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Source;
use super::blocks::layout_text;
use crate::block::Packs;
use crate::catalog::{Catalog, LayoutEntry};
use crate::environment::{Environment, PACKS_FOLDER, SEGMENTS_FOLDER, with_version};
use crate::error::{Error, Result};
use crate::journal::{Operation, Record, Records};
use crate::row::RowsIn;
use crate::segment::SegmentStore;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpPart {
    /// The commits in the journal, with the changes that they hold, and its metadata.
    Journal,
    /// The sealed segments, or the changes of one.
    Segments {
        /// The number of the one whose changes are shown.
        number: Option<u64>,
    },
    /// The catalog, then each partition and its blocks.
    Catalog,
    /// The rows of a block.
    Block {
        /// The number of its pack.
        pack: u64,
        /// Where in the pack it begins, in bytes.
        offset: u64,
    },
}

/// Takes the items, one after the other.
type Out<'a> = dyn FnMut(Value) -> Result<()> + 'a;

/// Shows what stands in the folder of an environment that nobody has open. Nothing in it changes.
///
/// # Errors
/// `NotFound` if the folder holds no environment, or there is no such segment or block; `Conflict`
/// if another process has it open; `Corrupt` at the first item that cannot be shown.
pub fn dump_folder(folder: &Path, part: &DumpPart, out: &mut Out<'_>) -> Result<()> {
    dump(&Source::closed(folder)?, part, out)
}

impl Environment {
    /// Shows what stands in the environment's files while it is used.
    ///
    /// # Errors
    /// As [`dump_folder`].
    pub fn dump(&self, part: &DumpPart, out: &mut Out<'_>) -> Result<()> {
        let _packs = self.hold_packs();
        let reader = self.inner.lock_holders().open_reader(0);
        let guard = self.inner.lock_catalog();
        let source = Source::open(self);
        let done = dump(&source, part, out);
        drop(guard);
        self.inner.lock_holders().close_reader(reader);
        done
    }
}

fn dump(source: &Source, part: &DumpPart, out: &mut Out<'_>) -> Result<()> {
    match part {
        DumpPart::Journal => journal(source, out),
        DumpPart::Segments { number: None } => source
            .journal
            .segments
            .iter()
            .try_for_each(|entry| out(json!({ "segment": entry }))),
        DumpPart::Segments {
            number: Some(number),
        } => segment(source, *number, out),
        DumpPart::Catalog => catalog(source, out),
        DumpPart::Block { pack, offset } => block(source, *pack, *offset, out),
    }
}

fn journal(source: &Source, out: &mut Out<'_>) -> Result<()> {
    let journal = &source.journal;
    for error in &journal.errors {
        out(json!({ "damage": error.to_string() }))?;
    }
    for (key, value) in &journal.metas {
        let value: Value =
            serde_json::from_slice(value).unwrap_or_else(|_| json!(String::from_utf8_lossy(value)));
        out(json!({ "meta": key, "value": value }))?;
    }
    let read = journal.read();
    for fault in &read.faults {
        out(json!({ "damage": fault.rule, "file": fault.file, "place": fault.place }))?;
    }
    if let Some(version) = journal.unfinished(&read) {
        out(json!({ "brokenOff": version }))?;
    }
    for commit in &read.commits {
        out(json!({
            "commit": commit.first_version,
            "lastVersion": commit.last_version(),
            "committed": commit.committed,
            "payloadBytes": commit.payload.len(),
        }))?;
        for (version, (_, record)) in (commit.first_version..).zip(Records::of(&commit.payload)) {
            out(change(version, &record))?;
        }
    }
    Ok(())
}

fn segment(source: &Source, number: u64, out: &mut Out<'_>) -> Result<()> {
    let mut entries = source.journal.segments.iter();
    let entry = entries
        .find(|entry| entry.number == number)
        .ok_or_else(|| Error::not_found("segment", &number.to_string()))?;
    let store = SegmentStore::at(&source.folder.join(SEGMENTS_FOLDER));
    let segment = store.segment(entry.clone());
    for row in 0..entry.rows() as u32 {
        let stored = segment.change(row)?;
        out(change(stored.version, &stored.record))?;
    }
    Ok(())
}

fn change(version: u64, record: &Record<'_>) -> Value {
    let (operation, cells) = match record.operation {
        Operation::Delete => ("delete", Value::Null),
        Operation::Put {
            existed,
            cells,
            version_offset,
        } => {
            let cells = with_version(cells, version_offset, version);
            let operation = if existed { "update" } else { "create" };
            (operation, json!(String::from_utf8_lossy(&cells)))
        }
    };
    json!({
        "version": version,
        "table": record.table,
        "id": Uuid::from_u128(record.id).to_string(),
        "operation": operation,
        "created": record.created,
        "cells": cells,
    })
}

fn catalog(source: &Source, out: &mut Out<'_>) -> Result<()> {
    let catalog = source.catalog()?;
    let whole = serde_json::to_value(&catalog)
        .map_err(|e| Error::invalid(format!("the catalog cannot be shown: {e}")))?;
    out(json!({ "catalog": whole }))?;
    let packs = packs(source);
    for (table, layout) in layouts(&catalog) {
        for (partition, entry) in &layout.partitions {
            let manifest = packs.manifest(&entry.manifest)?;
            for block in &manifest.blocks {
                out(json!({
                    "table": table,
                    "layout": layout_text(&layout.layout),
                    "partition": partition,
                    "pack": block.extent.pack,
                    "offset": block.extent.offset,
                    "bytes": block.extent.length,
                    "crc32c": block.extent.crc32c,
                    "rows": block.rows,
                    "firstId": Uuid::from_u128(block.first).to_string(),
                    "lastId": Uuid::from_u128(block.last).to_string(),
                }))?;
            }
        }
    }
    Ok(())
}

fn block(source: &Source, pack: u64, offset: u64, out: &mut Out<'_>) -> Result<()> {
    let catalog = source.catalog()?;
    let packs = packs(source);
    for (_, layout) in layouts(&catalog) {
        for entry in layout.partitions.values() {
            let manifest = packs.manifest(&entry.manifest)?;
            let mut blocks = manifest.blocks.iter().map(|block| block.extent);
            let Some(extent) = blocks.find(|e| e.pack == pack && e.offset == offset) else {
                continue;
            };
            let bytes = packs.read(&extent)?;
            return RowsIn::block(bytes.as_ref())
                .try_for_each(|row| out(json!({ "row": String::from_utf8_lossy(row) })));
        }
    }
    Err(Error::NotFound {
        what: "block",
        name: format!("{pack}@{offset}"),
        hint: "; `lakestage dump catalog` lists the blocks".into(),
    })
}

fn packs(source: &Source) -> Packs {
    Packs::at(&source.folder.join(PACKS_FOLDER))
}

fn layouts(catalog: &Catalog) -> impl Iterator<Item = (&String, &LayoutEntry)> {
    let tables = catalog.tables.iter();
    tables.flat_map(|(name, table)| table.layouts.iter().map(move |layout| (name, layout)))
}
