//! The commits that stand in the journal and in no segment yet, and the current row of each id in
//! them.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::HashMap;

use crate::clock::Ticks;
use crate::journal::{Commit, Operation, Record, Records};

/// What the tail knows of a row.
pub(crate) enum TailRow {
    /// The row was deleted.
    Deleted,
    /// Its current cells.
    Present(TailPut),
}

/// A row's current cells.
pub(crate) struct TailPut {
    pub cells: Vec<u8>,
    pub version_offset: Option<u32>,
    pub version: u64,
    pub created: Option<Ticks>,
}

#[derive(Clone)]
struct Place {
    commit: Arc<Commit>,
    offset: usize,
    version: u64,
}

/// The commits that are not sealed.
#[derive(Default)]
pub(super) struct Tail {
    pub commits: VecDeque<Arc<Commit>>,
    rows: HashMap<(u16, u128), Place>,
    /// Bytes of the commits.
    pub bytes: usize,
}

impl Tail {
    /// Adds commits that are durable.
    pub(super) fn push(&mut self, commits: Vec<Commit>) {
        for commit in commits {
            let commit = Arc::new(commit);
            self.bytes += commit.payload.len();
            for (version, (offset, record)) in
                (commit.first_version..).zip(Records::of(&commit.payload))
            {
                let place = Place {
                    commit: commit.clone(),
                    offset,
                    version,
                };
                self.rows.insert((record.table, record.id), place);
            }
            self.commits.push_back(commit);
        }
    }

    /// The row as the tail has it; `None` if only segments and blocks can know.
    pub(super) fn row(&self, table: u16, id: u128) -> Option<TailRow> {
        let place = self.rows.get(&(table, id))?;
        let (record, _) = Record::decode(&place.commit.payload, place.offset)?;
        Some(match record.operation {
            Operation::Delete => TailRow::Deleted,
            Operation::Put {
                cells,
                version_offset,
                ..
            } => TailRow::Present(TailPut {
                cells: cells.to_vec(),
                version_offset,
                version: place.version,
                created: record.created,
            }),
        })
    }

    /// Forgets the commits up to a version, which a segment holds now.
    pub(super) fn forget(&mut self, version: u64) {
        while let Some(first) = self.commits.front() {
            if first.last_version() > version {
                break;
            }
            self.bytes -= first.payload.len();
            self.commits.pop_front();
        }
        self.rows.retain(|_, place| place.version > version);
        // A map keeps the room of its largest day.
        self.rows.shrink_to(self.rows.len() * 2);
    }
}
