//! Compaction: what was committed is merged into blocks, and the cost follows the change.

mod append_only;
mod build;
mod change;
mod in_place;
mod partition;
mod rows;
mod unmerged;
mod window;

pub use partition::{DeletePartition, Granularity, Layout, Mode, NO_DATE};

pub(crate) use build::{BaseRows, build};
pub(crate) use unmerged::Unmerged;

use std::collections::{BTreeMap, HashSet};

use change::Collapsed;

use crate::block::{Manifest, PackWriter, Packs};
use crate::catalog::{LayoutEntry, PartitionEntry};
use crate::error::Result;

/// Where a compaction reads and writes.
pub(crate) struct Compaction<'a> {
    pub packs: &'a Packs,
    pub pack: PackWriter,
    /// What each row ends with.
    pub line_end: &'static [u8],
    /// Packs of which little is in use: their blocks move to the new pack when they come by.
    pub sparse: HashSet<u64>,
}

impl Compaction<'_> {
    /// Merges a table's changes into one layout of it, and gives the layout as it is afterwards.
    /// `base` is how the table's base layout is partitioned.
    pub(crate) fn merge(
        &mut self,
        unmerged: &Unmerged<'_>,
        (table, base): (u16, Granularity),
        entry: &LayoutEntry,
        version: u64,
    ) -> Result<LayoutEntry> {
        let mut merged = entry.clone();
        match entry.layout.mode {
            Mode::InPlace => {
                let granularity = entry.layout.granularity;
                for key in unmerged.partitions(table, base, granularity)? {
                    let changes = Collapsed::of(unmerged, table, base, granularity, key)?;
                    if changes.peek().is_none() {
                        continue;
                    }
                    let partition = granularity.name_of(key);
                    let old = match entry.partitions.get(&partition) {
                        Some(entry) => self.packs.manifest(&entry.manifest)?,
                        None => Default::default(),
                    };
                    let new = in_place::merge(self, &old, Some(changes))?;
                    self.replace(&mut merged.partitions, partition, &new, version)?;
                }
            }
            Mode::AppendOnly => {
                for (partition, new) in append_only::extend(self, unmerged, table, entry)? {
                    self.replace(&mut merged.partitions, partition, &new, version)?;
                }
            }
        }
        self.move_sparse(entry, &mut merged)?;
        Ok(merged)
    }

    /// A layout of a table without changes: its blocks leave sparse packs.
    pub(crate) fn tidy(&mut self, entry: &LayoutEntry) -> Result<LayoutEntry> {
        let mut tidied = entry.clone();
        self.move_sparse(entry, &mut tidied)?;
        Ok(tidied)
    }

    fn replace(
        &mut self,
        partitions: &mut BTreeMap<String, PartitionEntry>,
        partition: String,
        manifest: &Manifest,
        version: u64,
    ) -> Result<()> {
        if manifest.blocks.is_empty() {
            partitions.remove(&partition);
            return Ok(());
        }
        let entry = PartitionEntry {
            manifest: self.pack.append(&manifest.encode())?,
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            changed_version: version,
        };
        partitions.insert(partition, entry);
        Ok(())
    }

    /// Takes the blocks of partitions without changes out of sparse packs. Their content stays, and
    /// so does the version of their last change.
    fn move_sparse(&mut self, before: &LayoutEntry, after: &mut LayoutEntry) -> Result<()> {
        for (partition, entry) in &before.partitions {
            if after.partitions.get(partition) != Some(entry) {
                continue;
            }
            let manifest = self.packs.manifest(&entry.manifest)?;
            let touched = self.sparse.contains(&entry.manifest.pack)
                || manifest
                    .blocks
                    .iter()
                    .any(|b| self.sparse.contains(&b.extent.pack));
            if touched {
                let moved = in_place::merge(self, &manifest, None)?;
                let version = entry.changed_version;
                self.replace(&mut after.partitions, partition.clone(), &moved, version)?;
            }
        }
        Ok(())
    }
}
