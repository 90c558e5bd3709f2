//! The committer with its queue and its tickets, before a disk of a few lines.

#[path = "../../src/journal/chain.rs"]
mod chain;
#[path = "../../src/journal/committer.rs"]
mod committer;
#[path = "../../src/journal/durability.rs"]
mod durability;
#[path = "../../src/journal/queue.rs"]
mod queue;
#[path = "../../src/journal/ticket.rs"]
mod ticket;

use shuttle::sync::{Arc, Mutex};

pub(crate) use chain::Chain;
pub(crate) use committer::{Committer, Follower, Request, Start as CommitterStart};
pub(crate) use durability::{BackPressure, Durability};

use crate::clock::Ticks;
use crate::error::{Error, Result};

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub first_version: u64,
    pub rows: u32,
    pub committed: Ticks,
    pub payload: Vec<u8>,
}

impl Commit {
    pub(crate) fn last_version(&self) -> u64 {
        self.first_version + u64::from(self.rows) - 1
    }

    fn versions(&self) -> std::ops::RangeInclusive<u64> {
        self.first_version..=self.last_version()
    }
}

pub(crate) trait Journal: Send + Sync {
    fn append(&self, commits: &[Commit], durability: Durability) -> Result<()>;
}

/// Nothing is reserved where commits are synced.
pub(crate) struct Versions;

impl Versions {
    pub(crate) fn reserve(&mut self, _last: u64) -> Result<()> {
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The versions that are durable.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<DiskState>>);

#[derive(Default)]
struct DiskState {
    versions: Vec<u64>,
    appends_left: Option<u32>,
}

impl Disk {
    pub(crate) fn fail_after(&self, appends: u32) {
        self.0.lock().unwrap().appends_left = Some(appends);
    }

    pub(crate) fn holds(&self, version: u64) -> bool {
        self.versions().contains(&version)
    }

    pub(crate) fn versions(&self) -> Vec<u64> {
        self.0.lock().unwrap().versions.clone()
    }
}

impl Journal for Disk {
    fn append(&self, commits: &[Commit], _durability: Durability) -> Result<()> {
        // A sync takes its time.
        shuttle::thread::yield_now();
        let mut state = self.0.lock().unwrap();
        match &mut state.appends_left {
            Some(0) => {
                return Err(Error::Poisoned {
                    reason: "the disk failed".into(),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state
            .versions
            .extend(commits.iter().flat_map(Commit::versions));
        Ok(())
    }
}

/// The versions that can be read.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Vec<u64>>>);

impl Tail {
    pub(crate) fn holds(&self, version: u64) -> bool {
        self.0.lock().unwrap().contains(&version)
    }
}

impl Follower for Tail {
    fn make_room(&mut self, _bytes: usize) -> Result<()> {
        Ok(())
    }

    fn durable(&mut self, commits: Vec<Commit>) {
        let versions = commits.iter().flat_map(Commit::versions);
        self.0.lock().unwrap().extend(versions);
    }
}
