//! What was committed and may not stand in blocks yet: sealed segments, and the journal's tail.

mod sealed;
mod sealing;
mod tail;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub(crate) use sealed::Sealed;
pub(crate) use sealing::{Limits, Sealer, Sealing};
pub(crate) use tail::{TailPut, TailRow};

use crate::clock::Ticks;
use crate::journal::Commit;
use crate::map;
use crate::segment::{Segment, SegmentGroup};
use tail::Tail;

/// Pages of mapped segments stay in memory up to this; beyond it they are let go.
const MAPPED_BYTES_MAX: u64 = 24 << 20;
/// How often that is looked at: a look costs as much as a few rows.
const READS_A_LOOK: u32 = 1_024;

/// Segments, oldest first.
pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// Segments and tail; together they have every commit from the oldest segment on.
pub(crate) struct Staging {
    inner: RwLock<Inner>,
    /// The last version, for those who wait for a later one.
    news: Mutex<u64>,
    arrived: Condvar,
}

struct Inner {
    sealed: Sealed,
    tail: Tail,
    /// The last version there is, in here or in blocks.
    last_version: u64,
}

/// Everything staged, at one moment.
pub(crate) struct Cut {
    pub segments: Segments,
    pub commits: Vec<Arc<Commit>>,
}

impl Cut {
    /// The version and the time of the last commit in it.
    pub(crate) fn last(&self) -> Option<(u64, Ticks)> {
        let sealed = || self.segments.last().map(|s| s.entry());
        match self.commits.last() {
            Some(commit) => Some((commit.last_version(), commit.committed)),
            None => sealed().map(|e| (e.last_version, e.last_committed)),
        }
    }
}

impl Staging {
    pub(crate) fn new(
        segments: Vec<Arc<Segment>>,
        commits: Vec<Commit>,
        last_version: u64,
    ) -> Self {
        let mut tail = Tail::default();
        tail.push(commits);
        Staging {
            inner: RwLock::new(Inner {
                sealed: Sealed::new(segments),
                tail,
                last_version,
            }),
            news: Mutex::new(last_version),
            arrived: Condvar::new(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds commits that are durable.
    fn push(&self, commits: Vec<Commit>) {
        let last = commits.last().map(Commit::last_version);
        let mut inner = self.write();
        inner.tail.push(commits);
        if let Some(last) = last {
            inner.last_version = last;
            *self.news.lock().unwrap_or_else(PoisonError::into_inner) = last;
            self.arrived.notify_all();
        }
    }

    /// The row as the tail has it, and what was sealed at the same moment.
    pub(crate) fn row(&self, table: u16, id: u128) -> (Option<TailRow>, Sealed) {
        let inner = self.read();
        (inner.tail.row(table, id), inner.sealed.clone())
    }

    /// Everything, a consistent cut.
    pub(crate) fn cut(&self) -> Cut {
        let inner = self.read();
        Cut {
            segments: inner.sealed.segments.clone(),
            commits: inner.tail.commits.iter().cloned().collect(),
        }
    }

    /// The oldest commits of the tail up to a version, until they are at least so large.
    fn oldest(&self, bytes: usize, version: u64) -> Vec<Arc<Commit>> {
        let inner = self.read();
        let mut taken = 0;
        let commits = inner.tail.commits.iter().take_while(|commit| {
            let more = taken < bytes && commit.last_version() <= version;
            taken += commit.payload.len();
            more
        });
        commits.cloned().collect()
    }

    /// Puts a segment in the place of the commits that it holds.
    fn seal(&self, segment: Arc<Segment>) {
        let mut inner = self.write();
        inner.tail.forget(segment.entry().last_version);
        inner.sealed.push(segment);
    }

    /// Takes segments out.
    pub(crate) fn remove(&self, numbers: &[u64]) {
        let mut inner = self.write();
        inner.sealed.remove(numbers);
    }

    /// Makes a group of the oldest segments above a version that have none and are enough for one.
    fn group(&self, above: u64) {
        let sealed = self.read().sealed.clone();
        let Some(segments) = SegmentGroup::next(sealed.ungrouped(above)) else {
            return;
        };
        let group = SegmentGroup::of(segments).unwrap_or_else(|error| {
            tracing::warn!(%error, "segments stay without a common filter");
            SegmentGroup::of_unread(segments)
        });
        self.write().sealed.add_group(group, above);
    }

    pub(crate) fn segments(&self) -> Segments {
        self.read().sealed.segments.clone()
    }

    /// Bytes of the tail's commits.
    pub(crate) fn tail_bytes(&self) -> usize {
        self.read().tail.bytes
    }

    /// When the oldest commit was made that is in no segment.
    pub(crate) fn oldest_unsealed(&self) -> Option<Ticks> {
        self.read().tail.commits.front().map(|c| c.committed)
    }

    /// The version of the last commit there is.
    pub(crate) fn last_version(&self) -> u64 {
        self.read().last_version
    }

    /// The version of the oldest change that is still here; the next one's if there is none.
    pub(crate) fn oldest_version(&self) -> u64 {
        let inner = self.read();
        let sealed = inner
            .sealed
            .segments
            .first()
            .map(|s| s.entry().first_version);
        let tail = || inner.tail.commits.front().map(|c| c.first_version);
        sealed.or_else(tail).unwrap_or(inner.last_version + 1)
    }

    /// Waits for a version above the given one; tells whether there is one.
    pub(crate) fn wait_beyond(&self, version: u64, timeout: Duration) -> bool {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .arrived
            .wait_timeout_while(news, timeout, |last| *last <= version);
        let (last, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *last > version
    }

    /// Bytes of the segments that hold changes above a version.
    pub(crate) fn bytes_above(&self, version: u64) -> u64 {
        let segments = self.segments();
        let entries = segments.iter().map(|s| s.entry());
        entries
            .filter(|e| e.last_version > version)
            .map(|e| e.bytes)
            .sum()
    }
}

/// Keeps the memory that mapped segments take within its bound.
#[derive(Default)]
pub(crate) struct Residence(AtomicU32);

impl Residence {
    /// To be called for each row that is read; now and then it lets go of all pages.
    pub(crate) fn read<'s>(&self, segments: impl Iterator<Item = &'s Segment>) {
        self.used(1, segments);
    }

    /// To be called for each search in a segment, which touches many pages.
    pub(crate) fn searched<'s>(&self, segments: impl Iterator<Item = &'s Segment>) {
        const READS: u32 = 64;
        self.used(READS, segments);
    }

    fn used<'s>(&self, reads: u32, segments: impl Iterator<Item = &'s Segment>) {
        let before = self.0.fetch_add(reads, Ordering::Relaxed);
        if before / READS_A_LOOK == before.wrapping_add(reads) / READS_A_LOOK {
            return;
        }
        // Where the system does not tell, they are let go at each look.
        if map::resident_bytes().is_none_or(|bytes| bytes > MAPPED_BYTES_MAX) {
            segments.for_each(Segment::release);
        }
    }
}
