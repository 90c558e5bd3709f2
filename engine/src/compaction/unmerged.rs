//! The changes since the last compaction, as sorted runs that are merged where they stand.
//!
//! Each segment sorts its rows by table, partition of the base layout, id and version.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Source;
use super::partition::Granularity;
use crate::error::Result;
use crate::segment::Segment;
use crate::staging::Residence;

/// Segments, oldest first, and the version up to which their changes stand in blocks already.
pub(crate) struct Unmerged<'a> {
    pub segments: Vec<&'a Segment>,
    pub above: u64,
    pub residence: &'a Residence,
    /// About how much of the changes may be in memory at a time, of all threads together.
    pub range_bytes: u64,
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

    /// All runs of a table.
    pub(super) fn sources(&'a self, table: u16) -> Result<Vec<Source<'a>>> {
        let mut sources = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let runs = segment.runs(table)?.into_iter();
            sources.extend(runs.map(|run| Source {
                segment: number,
                run,
            }));
        }
        Ok(sources)
    }

    /// The partitions in which a table may have changed, each with the runs that have rows of it.
    /// The granularity need not be that of the base layout; then the runs have other rows as well.
    pub(super) fn by_partition(
        &'a self,
        table: u16,
        base: Granularity,
        granularity: Granularity,
    ) -> Result<BTreeMap<i32, Vec<Source<'a>>>> {
        let mut partitions: BTreeMap<i32, Vec<Source<'a>>> = BTreeMap::new();
        for source in self.sources(table)? {
            let run = &source.run;
            if base == granularity {
                partitions.entry(run.partition).or_default().push(source);
                continue;
            }
            let mut keys = BTreeSet::new();
            for place in 0..run.len() {
                let change = run.segment.change(run.row(place)?)?;
                keys.insert(granularity.key(change.record.created));
            }
            run.segment.release();
            for key in keys {
                partitions.entry(key).or_default().push(source.clone());
            }
        }
        Ok(partitions)
    }
}
