//! Compaction: the tail of the journal is merged into blocks, and the cost follows the change.

mod append_only;
mod build;
mod change;
mod in_place;
mod partition;
mod rows;

pub use partition::{DeletePartition, Granularity, Layout, Mode, NO_DATE};

pub(crate) use build::{BaseRows, build};
pub(crate) use change::Changes;

use std::collections::{BTreeMap, HashSet};

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
    pub(crate) fn merge(
        &mut self,
        changes: &Changes<'_>,
        entry: &LayoutEntry,
        version: u64,
    ) -> Result<LayoutEntry> {
        let by_partition = match entry.layout.mode {
            Mode::InPlace => changes.in_place(entry.layout.granularity),
            Mode::AppendOnly => changes.append_only(entry.layout),
        };
        let mut merged = entry.clone();
        for (partition, changes) in by_partition {
            let old = match entry.partitions.get(&partition) {
                Some(entry) => self.packs.manifest(&entry.manifest)?,
                None => Default::default(),
            };
            let new = match entry.layout.mode {
                Mode::InPlace => in_place::merge(self, &old, &changes)?,
                Mode::AppendOnly => append_only::extend(self, &old, &changes, entry)?,
            };
            self.replace(&mut merged.partitions, partition, &new, version)?;
        }
        self.move_sparse(entry, &mut merged)?;
        Ok(merged)
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
                let moved = in_place::merge(self, &manifest, &[])?;
                let version = entry.changed_version;
                self.replace(&mut after.partitions, partition.clone(), &moved, version)?;
            }
        }
        Ok(())
    }
}
