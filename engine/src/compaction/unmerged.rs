//! The changes since the last compaction, as sorted runs that are merged where they stand.
//!
//! Each segment sorts its rows by table, partition of the base layout, id and version. A merge over
//! the runs of a partition gives its changes by id, holding no more than a place in each run; the
//! cells are borrowed from the mapped files.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::partition::Granularity;
use crate::error::Result;
use crate::segment::{Segment, SegmentRun, StoredChange};
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
            }
        }
        Ok(keys)
    }

    /// The changes of a table by id and version, from the partitions of the base layout that
    /// `select` takes.
    pub(super) fn merged(&'a self, table: u16, select: impl Fn(i32) -> bool) -> Result<Merged<'a>> {
        let mut merged = Merged {
            unmerged: self,
            sources: Vec::new(),
            heap: BinaryHeap::new(),
        };
        for (number, segment) in self.segments.iter().enumerate() {
            for run in segment.runs(table)? {
                if select(run.partition) {
                    merged.add(number, run)?;
                }
            }
        }
        Ok(merged)
    }
}

/// A change, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub change: StoredChange<'a>,
    /// The segment's place among the unmerged.
    pub segment: usize,
    pub row: u32,
}

struct Source<'a> {
    segment: usize,
    run: SegmentRun<'a>,
    next: u32,
}

pub(super) struct Merged<'a> {
    unmerged: &'a Unmerged<'a>,
    sources: Vec<Source<'a>>,
    /// The next change of each source: its id, its version, the source, its row.
    heap: BinaryHeap<Reverse<(u128, u64, usize, u32)>>,
}

impl<'a> Merged<'a> {
    fn add(&mut self, segment: usize, run: SegmentRun<'a>) -> Result<()> {
        self.sources.push(Source {
            segment,
            run,
            next: 0,
        });
        self.advance(self.sources.len() - 1)
    }

    fn advance(&mut self, at: usize) -> Result<()> {
        let source = &mut self.sources[at];
        let first = source.run.segment.entry().first_version;
        while source.next < source.run.len() {
            let place = source.next;
            source.next += 1;
            let row = source.run.row(place)?;
            let version = first + u64::from(row);
            if version > self.unmerged.above {
                let id = source.run.id(place)?;
                self.heap.push(Reverse((id, version, at, row)));
                break;
            }
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Option<Placed<'a>>> {
        let Some(Reverse((_, _, at, row))) = self.heap.pop() else {
            return Ok(None);
        };
        self.advance(at)?;
        let Unmerged {
            residence,
            segments,
            ..
        } = self.unmerged;
        residence.read(segments.iter().copied());
        let segment = self.sources[at].segment;
        Ok(Some(Placed {
            change: self.unmerged.segments[segment].change(row)?,
            segment,
            row,
        }))
    }
}
