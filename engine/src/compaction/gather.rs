//! The changes of a range of ids, collapsed as a sync cycle collapses them: the last of each row
//! counts.
//!
//! With random ids every segment has some rows of every range. So a range is gathered segment by
//! segment: its rows are copied out of the file in one visit, and the file's pages go before the next
//! one is asked. What is in memory is the range, which is bounded, and a segment for each thread.

use super::change::{Change, What};
use super::partition::Granularity;
use super::rows::Cells;
use super::threads;
use super::unmerged::Unmerged;
use crate::clock::Ticks;
use crate::error::Result;
use crate::journal::Operation;
use crate::segment::{SegmentRun, StoredChange};

/// How many ids of a run tell how its rows are spread.
const SAMPLES_A_RUN: u32 = 64;
/// What is kept of a row that was gathered, beside its cells.
const ROW_BYTES: u64 = (size_of::<Last>() + size_of::<Key>()) as u64;
/// Ranges are made smaller than they may be, so that each thread gets so many…
const RANGES_A_THREAD: u64 = 4;
/// …but not smaller than this: every range visits every segment.
const RANGE_BYTES_MIN: u64 = 12 << 20;

/// What a merge needs of each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Everything.
    Cells,
    /// Where it stands and what it does; cells are empty.
    Places,
}

/// A run, and its segment's place among the unmerged.
#[derive(Clone)]
pub(super) struct Source<'a> {
    pub segment: usize,
    pub run: SegmentRun<'a>,
}

/// Runs that are read together, a range of ids at a time.
pub(super) struct Ranges<'a> {
    unmerged: &'a Unmerged<'a>,
    sources: Vec<Source<'a>>,
    /// Where the ranges of each source begin, and where the last one ends.
    places: Vec<Vec<u32>>,
    /// Where each range but the first begins.
    cuts: Vec<u128>,
    /// Only rows of this partition, where the runs have others as well.
    only: Option<(Granularity, i32)>,
    want: Want,
    /// About how many bytes the changes have, and the blocks that they touch.
    pub bytes: u64,
}

/// What is read, and how.
pub(super) struct Reading {
    pub want: Want,
    pub only: Option<(Granularity, i32)>,
    /// How much a range may take, about.
    pub range_bytes: u64,
    /// What a change costs beside its own bytes, for the block that it touches.
    pub touch_bytes: u64,
    /// How many threads share the ranges, and the work of cutting them.
    pub threads: usize,
}

impl<'a> Ranges<'a> {
    /// Cuts runs into ranges that are about equally large. `snap` may move a cut.
    pub(super) fn of(
        unmerged: &'a Unmerged<'a>,
        sources: Vec<Source<'a>>,
        reading: &Reading,
        snap: impl Fn(u128) -> u128,
    ) -> Result<Self> {
        let samples = each(&sources, reading, |run| samples(run, reading))?.concat();
        let bytes: u64 = samples.iter().map(|(_, weight)| weight).sum();
        let of_thread = bytes / (RANGES_A_THREAD * reading.threads as u64);
        let range_bytes = of_thread.max(RANGE_BYTES_MIN).min(reading.range_bytes);
        let mut cuts: Vec<u128> = cuts(samples, range_bytes);
        cuts.iter_mut().for_each(|cut| *cut = snap(*cut));
        cuts.dedup();
        let places = each(&sources, reading, |run| places(run, &cuts))?;
        Ok(Ranges {
            unmerged,
            sources,
            places,
            cuts,
            only: reading.only,
            want: reading.want,
            bytes,
        })
    }

    /// How many ranges there are: at least one.
    pub(super) fn len(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The ids of a range: from the first, to below the second.
    pub(super) fn bounds(&self, range: usize) -> (u128, Option<u128>) {
        let low = range.checked_sub(1).map_or(0, |before| self.cuts[before]);
        (low, self.cuts.get(range).copied())
    }

    /// Gathers the changes of a range in the place of what was gathered before.
    pub(super) fn gather(&self, range: usize, into: &mut Gathered) -> Result<()> {
        into.lasts.clear();
        into.order.clear();
        into.cells.clear();
        for (source, places) in self.sources.iter().zip(&self.places) {
            let (start, end) = (places[range], places[range + 1]);
            if start < end {
                self.take(source, start..end, into)?;
                source.run.segment.release();
            }
        }
        into.collapse();
        Ok(())
    }

    fn take(
        &self,
        source: &Source<'_>,
        places: std::ops::Range<u32>,
        into: &mut Gathered,
    ) -> Result<()> {
        let segment = source.run.segment;
        let first = segment.entry().first_version;
        let begin = into.lasts.len();
        for place in places {
            let row = source.run.row(place)?;
            if first + u64::from(row) <= self.unmerged.above {
                continue;
            }
            let stored = segment.change(row)?;
            if let Some((granularity, partition)) = self.only
                && granularity.key(stored.record.created) != partition
            {
                continue;
            }
            let same = into.lasts[begin..].last();
            if let Some(before) = same.filter(|before| before.id == stored.record.id) {
                // Its cells are the last that were taken.
                let start = before.put.as_ref().map(|put| put.start);
                into.cells.truncate(start.unwrap_or(usize::MAX));
            }
            let next = Last::of(&stored, (source.segment, row), into.cells.len());
            if let (Want::Cells, Operation::Put { cells, .. }) =
                (self.want, stored.record.operation)
            {
                into.cells.extend_from_slice(cells);
            }
            match into.lasts[begin..].last_mut() {
                Some(before) if before.id == next.id => before.follow(next),
                _ => into.lasts.push(next),
            }
        }
        Ok(())
    }
}

/// Asks each run something, with all threads: to be asked the first time a segment is read whole and checked.
fn each<R: Send>(
    sources: &[Source<'_>],
    reading: &Reading,
    ask: impl Fn(&SegmentRun<'_>) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let tools = std::iter::repeat_n((), reading.threads);
    threads::share(tools, sources.len(), |(), _: &mut (), at| {
        let run = &sources[at].run;
        let answer = ask(run);
        run.segment.release();
        answer
    })
}

/// Ids here and there, and what the rows around each weigh.
fn samples(run: &SegmentRun<'_>, reading: &Reading) -> Result<Vec<(u128, u64)>> {
    let entry = run.segment.entry();
    let row_bytes = entry.bytes / entry.rows().max(1) + ROW_BYTES + reading.touch_bytes;
    let step = run.len().div_ceil(SAMPLES_A_RUN).max(1);
    let places = (step / 2..run.len()).step_by(step as usize);
    places
        .map(|place| Ok((run.id(place)?, u64::from(step) * row_bytes)))
        .collect()
}

/// Where the ranges of a run begin, and where the last one ends.
fn places(run: &SegmentRun<'_>, cuts: &[u128]) -> Result<Vec<u32>> {
    let mut places = vec![0];
    for cut in cuts {
        places.push(run.place_of(*cut)?);
    }
    places.push(run.len());
    Ok(places)
}

/// Where to cut, so that each range weighs about the same and no more than `range_bytes`.
fn cuts(mut samples: Vec<(u128, u64)>, range_bytes: u64) -> Vec<u128> {
    let total: u64 = samples.iter().map(|(_, weight)| weight).sum();
    let target = total / total.div_ceil(range_bytes.max(1)).max(1);
    samples.sort_unstable_by_key(|(id, _)| *id);
    let mut cuts = Vec::new();
    let mut weighed = 0;
    for (id, weight) in samples {
        if weighed + weight / 2 > target {
            cuts.push(id);
            weighed = 0;
        }
        weighed += weight;
    }
    cuts
}

/// The last change of a row since the last compaction.
pub(super) struct Last {
    id: u128,
    version: u64,
    committed: Ticks,
    /// When the row was created, if that was since the last compaction.
    created: Option<Ticks>,
    /// The first change of the row, and whether that made it.
    first: (u64, bool),
    /// `None` if the row was deleted.
    put: Option<Put>,
    /// The segment's place among the unmerged, and the row in it.
    pub place: (usize, u32),
}

struct Put {
    start: usize,
    length: usize,
    version_offset: Option<u32>,
}

impl Last {
    fn of(stored: &StoredChange<'_>, place: (usize, u32), start: usize) -> Self {
        let (put, is_new) = match stored.record.operation {
            Operation::Delete => (None, false),
            Operation::Put {
                existed,
                version_offset,
                cells,
            } => {
                let length = cells.len();
                let put = Put {
                    start,
                    length,
                    version_offset,
                };
                (Some(put), !existed)
            }
        };
        Last {
            id: stored.record.id,
            version: stored.version,
            committed: stored.committed,
            created: is_new.then_some(stored.committed),
            first: (stored.version, is_new),
            put,
            place,
        }
    }

    /// Takes a later change of the row.
    fn follow(&mut self, next: Last) {
        // What a deleted row was created at says nothing about the one after it.
        let before = self.created.filter(|_| self.put.is_some());
        *self = Last {
            created: next.created.or(before),
            first: self.first.min(next.first),
            ..next
        };
    }

    /// Whether it came and went: nobody outside has seen the row.
    pub(super) fn leaves_no_trace(&self) -> bool {
        self.put.is_none() && self.first.1
    }
}

/// The place of a row's last change among those that were gathered.
#[derive(Clone, Copy)]
struct Key {
    id: u128,
    version: u64,
    at: u32,
}

/// The changes of a range, the last of each row, by id.
#[derive(Default)]
pub(super) struct Gathered {
    lasts: Vec<Last>,
    order: Vec<Key>,
    cells: Vec<u8>,
}

impl Gathered {
    /// Sorts what the segments gave, each in its own order, and keeps the last change of each row.
    fn collapse(&mut self) {
        let lasts = &mut self.lasts;
        let keys = (0u32..).zip(lasts.iter()).map(|(at, last)| Key {
            id: last.id,
            version: last.version,
            at,
        });
        self.order.extend(keys);
        // A stable sort merges the runs that it finds.
        self.order.sort_by_key(|key| (key.id, key.version));
        self.order.dedup_by(|next, kept| {
            let is_same = next.id == kept.id;
            if is_same {
                // The later change takes the place of the earlier one.
                let before = &lasts[kept.at as usize];
                let (created, first) = (
                    before.created.filter(|_| before.put.is_some()),
                    before.first,
                );
                let last = &mut lasts[next.at as usize];
                last.created = last.created.or(created);
                last.first = last.first.min(first);
                kept.at = next.at;
            }
            is_same
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The id of the change at a place; `None` behind the last.
    pub(super) fn id(&self, at: usize) -> Option<u128> {
        self.order.get(at).map(|key| key.id)
    }

    /// The rows of the range, by id.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Last> {
        self.order.iter().map(|key| &self.lasts[key.at as usize])
    }

    /// The change at a place.
    pub(super) fn change(&self, at: usize) -> Option<Change<'_>> {
        let last = &self.lasts[self.order.get(at)?.at as usize];
        Some(Change {
            id: last.id,
            version: last.version,
            modified: last.committed,
            what: match &last.put {
                None => What::Remove,
                Some(put) => What::Put {
                    created: last.created,
                    cells: Cells {
                        bytes: self.cells.get(put.start..put.start + put.length)?,
                        version_offset: put.version_offset,
                        version: last.version,
                    },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_weigh_about_the_same() {
        let samples: Vec<(u128, u64)> = (0..1_000u128).rev().map(|id| (id * 3, 10)).collect();
        let cuts = cuts(samples, 2_500);
        assert_eq!(cuts.len(), 3);
        let starts = [&[0], &cuts[..], &[3_000]].concat();
        for pair in starts.windows(2) {
            assert!((720..=780).contains(&(pair[1] - pair[0])), "{starts:?}");
        }
        assert_eq!(super::cuts(vec![(5, 100)], 1_000), []);
        assert_eq!(super::cuts(Vec::new(), 1_000), []);
    }
}
