//! A journal in memory, whose disk keeps what is durable apart from what is only written.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::frame::frames;
use super::{Commit, Durability, Journal};
use crate::error::{Error, Result};
use crate::segment::SegmentEntry;

#[derive(Default, Clone)]
struct Disk {
    commits: Vec<Commit>,
    segments: BTreeMap<u64, SegmentEntry>,
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

impl State {
    fn check(&self) -> Result<()> {
        match self.poisoned {
            false => Ok(()),
            true => Err(Error::Poisoned {
                reason: "the simulated disk failed".into(),
            }),
        }
    }
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

    /// Lets everything written reach the disk without a sync, as an operating system may at any time.
    pub fn write_back(&self) {
        let mut state = self.state();
        state.durable = state.live.clone();
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
        state.check()?;
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
    fn check(&self) -> Result<()> {
        self.state().check()
    }

    fn poison(&self, _reason: &str) {
        self.state().poisoned = true;
    }

    fn append(&self, commits: &[Commit], durability: Durability) -> Result<()> {
        self.write(durability, |disk| disk.commits.extend_from_slice(commits))
    }

    fn commits(&self) -> Result<Vec<Commit>> {
        Ok(self.state().live.commits.clone())
    }

    fn seal(&self, segment: &SegmentEntry) -> Result<()> {
        self.write(Durability::Synced, |disk| {
            disk.segments.insert(segment.number, segment.clone());
            let version = segment.last_version;
            disk.commits.retain(|c| c.last_version() > version);
        })
    }

    fn segments(&self) -> Result<Vec<SegmentEntry>> {
        Ok(self.state().live.segments.values().cloned().collect())
    }

    fn release(&self, numbers: &[u64]) -> Result<()> {
        self.write(Durability::Synced, |disk| {
            disk.segments.retain(|number, _| !numbers.contains(number));
        })
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state().live.meta.get(key).cloned())
    }

    fn metas(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let state = self.state();
        let metas = state.live.meta.iter();
        Ok(metas
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn set_meta(&self, key: &str, value: Option<&[u8]>) -> Result<()> {
        self.write(Durability::Synced, |disk| match value {
            Some(value) => {
                disk.meta.insert(key.to_owned(), value.to_owned());
            }
            None => {
                disk.meta.remove(key);
            }
        })
    }

    fn frames(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let commits = self.state().live.commits.clone();
        Ok((0..)
            .zip(
                commits
                    .iter()
                    .flat_map(|commit| frames(commit, commit.first_version - 1)),
            )
            .collect())
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
