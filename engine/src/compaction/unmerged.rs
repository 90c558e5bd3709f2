//! The changes since the last compaction, as sorted runs that are merged where they stand.
//!
//! Each segment sorts its rows by table, partition of the base layout, id and version. A merge over
//! the runs of a partition gives its changes by id, holding no more than a window of each run.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::partition::Granularity;
use super::window::{Filling, Placed, Source, Want};
use crate::error::Result;
use crate::segment::Segment;
use crate::staging::Residence;

/// Segments, oldest first, and the version up to which their changes stand in blocks already.
pub(crate) struct Unmerged<'a> {
    pub segments: Vec<&'a Segment>,
    pub above: u64,
    pub residence: &'a Residence,
}

impl<'a> Unmerged<'a> {
    /// The tables that changed.
    pub(crate) fn tables(&self) -> Result<BTreeSet<u16>> {
        let mut tables = BTreeSet::new();
        for segment in &self.segments {
            tables.extend(segment.tables()?);
        }
        Ok(tables)
    }

    /// The partitions in which a table may have changed, for a granularity that need not be the
    /// one of the base layout.
    pub(super) fn partitions(
        &self,
        table: u16,
        base: Granularity,
        granularity: Granularity,
    ) -> Result<BTreeSet<i32>> {
        let mut keys = BTreeSet::new();
        for segment in &self.segments {
            for run in segment.runs(table)? {
                if base == granularity {
                    keys.insert(run.partition);
                    continue;
                }
                for place in 0..run.len() {
                    let change = segment.change(run.row(place)?)?;
                    keys.insert(granularity.key(change.record.created));
                }
                segment.release();
            }
        }
        Ok(keys)
    }

    /// The changes of a table by id and version, from the partitions of the base layout that
    /// `select` takes.
    pub(super) fn merged(
        &'a self,
        table: u16,
        want: Want,
        select: impl Fn(i32) -> bool,
    ) -> Result<Merged<'a>> {
        let mut sources = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let runs = segment.runs(table)?.into_iter();
            let selected = runs.filter(|run| select(run.partition));
            sources.extend(selected.map(|run| Source::new(number, run)));
        }
        let mut merged = Merged {
            filling: Filling::of(want, self.above, sources.len()),
            heap: BinaryHeap::with_capacity(sources.len()),
            sources,
        };
        for at in 0..merged.sources.len() {
            merged.queue(at)?;
        }
        Ok(merged)
    }
}

/// The changes of several runs in one order.
pub(super) struct Merged<'a> {
    sources: Vec<Source<'a>>,
    filling: Filling,
    /// The next change of each source: its id, its version, the source.
    heap: BinaryHeap<Reverse<(u128, u64, usize)>>,
}

impl Merged<'_> {
    fn queue(&mut self, at: usize) -> Result<()> {
        if let Some(next) = self.sources[at].peek(self.filling)? {
            self.heap.push(Reverse((next.id, next.version, at)));
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Option<Placed>> {
        let Some(Reverse((_, _, at))) = self.heap.pop() else {
            return Ok(None);
        };
        let next = self.sources[at].pop();
        self.queue(at)?;
        Ok(next)
    }
}
