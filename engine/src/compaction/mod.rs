//! Compaction: what was committed is merged into blocks, and the cost follows the change.

mod append_only;
mod build;
mod change;
mod gather;
mod in_place;
mod partition;
mod rows;
mod threads;
mod unmerged;

pub use partition::{DeletePartition, Granularity, Layout, Mode, NO_DATE};

pub(crate) use build::{BaseRows, build};
pub(crate) use unmerged::Unmerged;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use gather::{Gathered, Ranges, Reading, Want};

use crate::block::{BlockEntry, Manifest, PackWriter, Packs};
use crate::catalog::{LayoutEntry, PartitionEntry, TableEntry};
use crate::error::Result;

/// Threads that merge. A disk is busy with two.
const THREADS_MAX: usize = 4;
/// A further thread is worth its pack for so much.
const THREAD_BYTES_MIN: u64 = 8 << 20;
/// A partition with more changes a block than this is cut anywhere, and not only between blocks.
const ROWS_A_BLOCK_MIN: u64 = 64;

/// Where a compaction reads and writes.
pub(crate) struct Compaction<'a> {
    pub packs: &'a Packs,
    pub pack: PackWriter,
    /// The packs of the threads that help. One that nothing was written to has no file.
    helpers: Vec<PackWriter>,
    /// What each row ends with.
    pub line_end: &'static [u8],
    /// Packs of which little is in use: their blocks move to the new pack when they come by.
    sparse: HashSet<u64>,
}

/// What threads that merge have in common.
pub(super) struct Place<'a> {
    packs: &'a Packs,
    line_end: &'static [u8],
    sparse: &'a HashSet<u64>,
}

/// A layout that changes are merged into.
pub(crate) struct Target<'l> {
    pub table: u16,
    /// How the table's base layout is partitioned.
    pub base: Granularity,
    pub layout: &'l mut LayoutEntry,
}

impl<'l> Target<'l> {
    /// Every layout of some tables. The first of each is its base.
    pub(crate) fn all(tables: impl Iterator<Item = &'l mut TableEntry>) -> Vec<Self> {
        let mut targets = Vec::new();
        for table in tables {
            let Some(base) = table.layouts.first().map(|l| l.layout.granularity) else {
                continue;
            };
            let id = table.id;
            let layouts = table.layouts.iter_mut();
            targets.extend(layouts.map(|layout| Target {
                table: id,
                base,
                layout,
            }));
        }
        targets
    }
}

/// A partition of an in-place layout, and the changes that may fall into it.
struct Partition<'a> {
    /// The place of its layout among the targets.
    target: usize,
    name: String,
    old: Arc<Manifest>,
    ranges: Ranges<'a>,
}

impl<'a> Compaction<'a> {
    /// Begins with the next numbers of packs.
    pub(crate) fn begin(
        packs: &'a Packs,
        next_pack: &mut u64,
        line_end: &'static [u8],
        sparse: HashSet<u64>,
    ) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut pack = || {
            *next_pack += 1;
            PackWriter::new(packs, *next_pack - 1)
        };
        Compaction {
            packs,
            pack: pack(),
            helpers: (1..threads.min(THREADS_MAX)).map(|_| pack()).collect(),
            line_end,
            sparse,
        }
    }

    /// Merges changes into layouts. Layouts of tables without changes only leave sparse packs.
    pub(crate) fn merge(
        &mut self,
        unmerged: &Unmerged<'_>,
        targets: Vec<Target<'_>>,
        version: u64,
    ) -> Result<()> {
        let changed = unmerged.tables()?;
        let mut partitions = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            if changed.contains(&target.table) && target.layout.layout.mode == Mode::InPlace {
                self.partitions(unmerged, at, target, &mut partitions)?;
            }
        }
        let blocks = self.merge_in_place(&partitions, unmerged.range_bytes)?;
        let mut in_place: BTreeMap<usize, Vec<(String, Manifest)>> = BTreeMap::new();
        for (partition, blocks) in partitions.into_iter().zip(blocks) {
            let merged = in_place.entry(partition.target).or_default();
            merged.extend(blocks.map(|blocks| (partition.name, Manifest { blocks })));
        }
        for (at, target) in targets.into_iter().enumerate() {
            let before = target.layout.clone();
            let merged = &mut target.layout.partitions;
            for (name, manifest) in in_place.remove(&at).unwrap_or_default() {
                self.replace(merged, name, &manifest, version)?;
            }
            if changed.contains(&target.table) && before.layout.mode == Mode::AppendOnly {
                for (name, manifest) in append_only::extend(self, unmerged, target.table, &before)?
                {
                    self.replace(merged, name, &manifest, version)?;
                }
            }
            self.move_sparse(&before, target.layout)?;
        }
        Ok(())
    }

    /// Cuts the changes of a layout's partitions into ranges that threads can merge one by one.
    fn partitions<'u>(
        &self,
        unmerged: &'u Unmerged<'u>,
        at: usize,
        target: &Target<'_>,
        partitions: &mut Vec<Partition<'u>>,
    ) -> Result<()> {
        let granularity = target.layout.layout.granularity;
        let threads = 1 + self.helpers.len();
        for (key, sources) in unmerged.by_partition(target.table, target.base, granularity)? {
            let name = granularity.name_of(key);
            let old = match target.layout.partitions.get(&name) {
                Some(entry) => self.packs.manifest(&entry.manifest)?,
                None => Arc::default(),
            };
            let changes: u64 = sources.iter().map(|s| u64::from(s.run.len())).sum();
            let blocks = old.blocks.len() as u64;
            let reading = Reading {
                want: Want::Cells,
                only: (target.base != granularity).then_some((granularity, key)),
                range_bytes: unmerged.range_bytes / threads as u64,
                touch_bytes: old.bytes() / blocks.max(changes).max(1),
                threads,
            };
            // Where there are few changes a cut stands between two blocks.
            let snap = |cut| match blocks > changes / ROWS_A_BLOCK_MIN {
                true => old.start_of_block(cut),
                false => cut,
            };
            partitions.push(Partition {
                target: at,
                name,
                ranges: Ranges::of(unmerged, sources, &reading, snap)?,
                old,
            });
        }
        Ok(())
    }

    /// The blocks of each partition after its changes; `None` where nothing changed in it.
    fn merge_in_place(
        &mut self,
        partitions: &[Partition<'_>],
        range_bytes: u64,
    ) -> Result<Vec<Option<Vec<BlockEntry>>>> {
        let tasks: Vec<(usize, usize)> = partitions
            .iter()
            .enumerate()
            .flat_map(|(at, p)| (0..p.ranges.len()).map(move |range| (at, range)))
            .collect();
        let place = Place {
            packs: self.packs,
            line_end: self.line_end,
            sparse: &self.sparse,
        };
        // Another pack costs another sync, so a little work is done by one.
        let bytes: u64 = partitions.iter().map(|p| p.ranges.bytes).sum();
        let threads = 1 + (bytes / THREAD_BYTES_MIN.min(range_bytes.max(1))) as usize;
        let writers = std::iter::once(&mut self.pack).chain(&mut self.helpers);
        let writers = writers.take(threads);
        let parts = threads::share(
            writers,
            tasks.len(),
            |pack, gathered: &mut Gathered, task| {
                let (at, range) = tasks[task];
                let Partition { old, ranges, .. } = &partitions[at];
                ranges.gather(range, gathered)?;
                let blocks = in_place::merge(&place, pack, old, ranges.bounds(range), gathered)?;
                Ok((blocks, !gathered.is_empty()))
            },
        )?;
        let mut merged: Vec<(Vec<BlockEntry>, bool)> = Vec::new();
        merged.resize_with(partitions.len(), Default::default);
        for ((at, _), (blocks, is_changed)) in tasks.iter().zip(parts) {
            merged[*at].0.extend(blocks);
            merged[*at].1 |= is_changed;
        }
        let changed = merged.into_iter();
        Ok(changed
            .map(|(blocks, is_changed)| is_changed.then_some(blocks))
            .collect())
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.pack.bytes() + self.helpers.iter().map(PackWriter::bytes).sum::<u64>()
    }

    /// Seals the packs: they and their names are durable, and they never change again.
    pub(crate) fn seal(self) -> Result<()> {
        let writers = std::iter::once(self.pack).chain(self.helpers);
        PackWriter::seal_all(self.packs, writers)
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
                let place = Place {
                    packs: self.packs,
                    line_end: self.line_end,
                    sparse: &self.sparse,
                };
                let none = Gathered::default();
                let pack = &mut self.pack;
                let blocks = in_place::merge(&place, pack, &manifest, (0, None), &none)?;
                let version = entry.changed_version;
                let moved = Manifest { blocks };
                self.replace(&mut after.partitions, partition.clone(), &moved, version)?;
            }
        }
        Ok(())
    }
}
