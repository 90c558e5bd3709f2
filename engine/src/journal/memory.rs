//! A journal in memory, whose disk keeps what is durable apart from what is only written.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Commit, Durability, Journal};
use crate::error::{Error, Result};

#[derive(Default, Clone)]
struct Disk {
    commits: Vec<Commit>,
    meta: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct State {
    durable: Disk,
    live: Disk,
    /// Syncs that still succeed; `None` for all.
    syncs_left: Option<u64>,
    poisoned: bool,
    stalled: bool,
}

/// A [`Journal`] in memory. Clones share one disk, so that a test can keep one, drop the engine, cut
/// the power and open the engine again on what was durable.
#[derive(Default, Clone)]
pub struct MemoryJournal {
    state: Arc<Mutex<State>>,
    resumed: Arc<Condvar>,
}

impl MemoryJournal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next `syncs` syncs succeed and every later one fail.
    pub fn fail_after(&self, syncs: u64) {
        self.state().syncs_left = Some(syncs);
    }

    /// Lets every write wait until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.state().stalled = true;
    }

    /// Ends [`stall`](Self::stall).
    pub fn resume(&self) {
        self.state().stalled = false;
        self.resumed.notify_all();
    }

    /// Cuts the power: what was not synced is gone, and the disk works again.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.live = state.durable.clone();
        state.syncs_left = None;
        state.poisoned = false;
    }

    fn write(&self, durability: Durability, change: impl FnOnce(&mut Disk)) -> Result<()> {
        let stalled = |state: &mut State| state.stalled;
        let mut state = self
            .resumed
            .wait_while(self.state(), stalled)
            .unwrap_or_else(PoisonError::into_inner);
        if state.poisoned {
            return Err(Error::Poisoned {
                reason: "the simulated disk failed".into(),
            });
        }
        change(&mut state.live);
        if durability == Durability::LostOnPowerCut {
            return Ok(());
        }
        match &mut state.syncs_left {
            Some(0) => {
                state.poisoned = true;
                return Err(Error::Poisoned {
                    reason: "the simulated disk failed".into(),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.durable = state.live.clone();
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn append(&self, commits: &[Commit], durability: Durability) -> Result<()> {
        self.write(durability, |disk| disk.commits.extend_from_slice(commits))
    }

    fn commits(&self) -> Result<Vec<Commit>> {
        Ok(self.state().live.commits.clone())
    }

    fn trim(&self, version: u64) -> Result<()> {
        self.write(Durability::Synced, |disk| {
            disk.commits.retain(|c| c.last_version() > version)
        })
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state().live.meta.get(key).cloned())
    }

    fn set_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        self.write(Durability::Synced, |disk| {
            disk.meta.insert(key.to_owned(), value.to_owned());
        })
    }

    fn stored_bytes(&self) -> Result<u64> {
        let state = self.state();
        Ok(state
            .live
            .commits
            .iter()
            .map(|c| c.payload.len() as u64)
            .sum())
    }
}
