//! A journal in memory, whose disk keeps what is durable apart from what is only written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Commit, Journal};
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
}

/// A [`Journal`] in memory. Clones share one disk, so that a test can keep one, drop the engine, cut
/// the power and open the engine again on what was durable.
#[derive(Default, Clone)]
pub struct MemoryJournal {
    state: Arc<Mutex<State>>,
}

impl MemoryJournal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next `syncs` syncs succeed and every later one fail.
    pub fn fail_after(&self, syncs: u64) {
        self.state().syncs_left = Some(syncs);
    }

    /// Cuts the power: what was not synced is gone, and the disk works again.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.live = state.durable.clone();
        state.syncs_left = None;
        state.poisoned = false;
    }

    fn write(&self, change: impl FnOnce(&mut Disk)) -> Result<()> {
        let mut state = self.state();
        if state.poisoned {
            return Err(Error::Poisoned {
                reason: "the simulated disk failed".into(),
            });
        }
        change(&mut state.live);
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
    fn append(&self, commits: &[Commit]) -> Result<()> {
        self.write(|disk| disk.commits.extend_from_slice(commits))
    }

    fn commits(&self) -> Result<Vec<Commit>> {
        Ok(self.state().live.commits.clone())
    }

    fn trim(&self, version: u64) -> Result<()> {
        self.write(|disk| disk.commits.retain(|c| c.last_version() > version))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state().live.meta.get(key).cloned())
    }

    fn set_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        self.write(|disk| {
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
