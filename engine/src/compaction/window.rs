//! A few changes of a run, copied out of the mapped file.
//!
//! A merge over many segments with random ids reads a row here and a row there, and each read maps
//! the pages around it. So each run gives its next changes at once, and the segment's pages are let
//! go before the next run is asked: what is in memory is the windows, which are bounded, and one
//! segment.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::clock::Ticks;
use crate::error::Result;
use crate::journal::Operation;
use crate::segment::{SegmentRun, StoredChange};

/// All windows of a merge together.
const WINDOWS_BYTES_MAX: usize = 64 << 20;
/// One window, however few there are.
const WINDOW_BYTES_MAX: usize = 2 << 20;

/// What a merge needs of each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Everything.
    Cells,
    /// Where it stands and what it does; cells are empty.
    Places,
}

/// A change, and where it stood.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub id: u128,
    pub version: u64,
    pub committed: Ticks,
    pub created: Option<Ticks>,
    /// `None` if the row was deleted.
    pub put: Option<Put>,
    /// The segment's place among the unmerged.
    pub segment: usize,
    pub row: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Put {
    pub existed: bool,
    pub version_offset: Option<u32>,
    pub cells: Bytes,
}

impl Placed {
    /// Whether it made the row.
    pub(super) fn is_new(&self) -> bool {
        self.put.as_ref().is_some_and(|put| !put.existed)
    }
}

/// A run, read a window at a time.
pub(super) struct Source<'a> {
    segment: usize,
    run: SegmentRun<'a>,
    next: u32,
    window: VecDeque<Placed>,
}

/// How a window is filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    pub want: Want,
    /// Changes up to this version stand in blocks already.
    pub above: u64,
    /// A window is full once it is this large.
    pub bytes: usize,
}

impl Filling {
    pub(super) fn of(want: Want, above: u64, sources: usize) -> Self {
        let bytes = (WINDOWS_BYTES_MAX / sources.max(1)).min(WINDOW_BYTES_MAX);
        Filling { want, above, bytes }
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(segment: usize, run: SegmentRun<'a>) -> Self {
        Source {
            segment,
            run,
            next: 0,
            window: VecDeque::new(),
        }
    }

    /// The next change, which stays.
    pub(super) fn peek(&mut self, filling: Filling) -> Result<Option<&Placed>> {
        if self.window.is_empty() && self.next < self.run.len() {
            self.fill(filling)?;
            self.run.segment.release();
        }
        Ok(self.window.front())
    }

    pub(super) fn pop(&mut self) -> Option<Placed> {
        self.window.pop_front()
    }

    fn fill(&mut self, filling: Filling) -> Result<()> {
        let first = self.run.segment.entry().first_version;
        let mut cells = Vec::new();
        let mut ends = Vec::new();
        let mut bytes = 0;
        while bytes < filling.bytes && self.next < self.run.len() {
            let row = self.run.row(self.next)?;
            self.next += 1;
            if first + u64::from(row) <= filling.above {
                continue;
            }
            let stored = self.run.segment.change(row)?;
            let start = cells.len();
            if let (Want::Cells, Operation::Put { cells: of_row, .. }) =
                (filling.want, stored.record.operation)
            {
                cells.extend_from_slice(of_row);
            }
            ends.push(cells.len());
            bytes += size_of::<Placed>() + cells.len() - start;
            self.window.push_back(placed(&stored, self.segment, row));
        }
        let cells = Bytes::from(cells);
        let mut start = 0;
        for (placed, end) in self.window.iter_mut().zip(ends) {
            if let Some(put) = &mut placed.put {
                put.cells = cells.slice(start..end);
            }
            start = end;
        }
        Ok(())
    }
}

/// The change without its cells.
fn placed(stored: &StoredChange<'_>, segment: usize, row: u32) -> Placed {
    Placed {
        id: stored.record.id,
        version: stored.version,
        committed: stored.committed,
        created: stored.record.created,
        put: match stored.record.operation {
            Operation::Delete => None,
            Operation::Put {
                existed,
                version_offset,
                ..
            } => Some(Put {
                existed,
                version_offset,
                cells: Bytes::new(),
            }),
        },
        segment,
        row,
    }
}
