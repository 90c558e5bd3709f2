//! The commits that stand in the journal but not in blocks yet, and the current row of each id in
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Ticks;
use crate::journal::{Commit, Operation, Record, Records};

/// What the tail knows of a row.
pub(crate) enum TailRow {
    /// The row was deleted.
    Deleted,
    /// Its current cells.
    Present {
        cells: Vec<u8>,
        version_offset: Option<u32>,
        version: u64,
        created: Option<Ticks>,
    },
}

#[derive(Clone)]
struct Place {
    commit: Arc<Commit>,
    offset: usize,
    version: u64,
}

#[derive(Default)]
struct Inner {
    commits: VecDeque<Arc<Commit>>,
    rows: HashMap<(u16, u128), Place>,
    bytes: usize,
}

/// The commits since the last compaction.
#[derive(Default)]
pub(crate) struct Tail {
    inner: RwLock<Inner>,
}

impl Tail {
    /// Adds commits that are durable.
    pub(crate) fn push(&self, commits: Vec<Commit>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            let commit = Arc::new(commit);
            inner.bytes += commit.payload.len();
            for (version, (offset, record)) in
                (commit.first_version..).zip(Records::of(&commit.payload))
            {
                let place = Place {
                    commit: commit.clone(),
                    offset,
                    version,
                };
                inner.rows.insert((record.table, record.id), place);
            }
            inner.commits.push_back(commit);
        }
    }

    /// The row as the tail has it; `None` if only the blocks can know.
    pub(crate) fn row(&self, table: u16, id: u128) -> Option<TailRow> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let place = inner.rows.get(&(table, id))?;
        let (record, _) = Record::decode(&place.commit.payload, place.offset)?;
        Some(match record.operation {
            Operation::Delete => TailRow::Deleted,
            Operation::Put {
                cells,
                version_offset,
                ..
            } => TailRow::Present {
                cells: cells.to_vec(),
                version_offset,
                version: place.version,
                created: record.created,
            },
        })
    }

    /// All commits, a consistent cut.
    pub(crate) fn commits(&self) -> Vec<Arc<Commit>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.commits.iter().cloned().collect()
    }

    /// Forgets the commits up to a version, which now stand in blocks.
    pub(crate) fn forget(&self, version: u64) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = inner.commits.front() {
            if first.last_version() > version {
                break;
            }
            inner.bytes -= first.payload.len();
            inner.commits.pop_front();
        }
        inner.rows.retain(|_, place| place.version > version);
    }

    /// Bytes of the commits.
    pub(crate) fn bytes(&self) -> usize {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }
}
