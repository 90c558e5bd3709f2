//! A journal in memory, whose disk keeps what is durable apart from what is only written.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::frame::frames;
use super::{Commit, Durability, Journal, LogImage};
use crate::error::{Error, Result};
use crate::segment::SegmentEntry;

#[derive(Default, Clone)]
struct Disk {
    commits: Vec<Commit>,
    segments: BTreeMap<u64, SegmentEntry>,
    meta: BTreeMap<String, Vec<u8>>,
}

/// One write. A batch of commits is as many, since a power cut may leave a beginning of it.
#[derive(Clone)]
enum Change {
    Commit(Commit),
    Seal(SegmentEntry),
    Release(Vec<u64>),
    Meta(String, Option<Vec<u8>>),
}

impl Disk {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Commit(commit) => self.commits.push(commit),
            Change::Seal(segment) => {
                self.commits
                    .retain(|c| c.last_version() > segment.last_version);
                self.segments.insert(segment.number, segment);
            }
            Change::Release(numbers) => {
                self.segments.retain(|number, _| !numbers.contains(number));
            }
            Change::Meta(key, Some(value)) => drop(self.meta.insert(key, value)),
            Change::Meta(key, None) => drop(self.meta.remove(&key)),
        }
    }
}

#[derive(Default)]
struct State {
    durable: Disk,
    live: Disk,
    /// What is in the live disk and not in the durable one, oldest first.
    unsynced: Vec<Change>,
    /// Syncs that still succeed; `None` for all.
    syncs_left: Option<u64>,
    poisoned: bool,
    stalled: bool,
}

impl State {
    /// Makes so many of the oldest writes durable.
    fn write_back(&mut self, writes: usize) {
        let writes = writes.min(self.unsynced.len());
        for change in self.unsynced.drain(..writes) {
            self.durable.apply(change);
        }
    }

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
        self.state().write_back(usize::MAX);
    }

    /// Lets the oldest of what was written reach the disk without a sync: how many writes, the share tells modulo
    /// their number and one. sled writes in order, and what is not whole does not count, so a disk that was written in
    /// part holds a beginning.
    pub fn write_back_part(&self, share: usize) {
        let mut state = self.state();
        let writes = share % (state.unsynced.len() + 1);
        state.write_back(writes);
    }

    /// Cuts the power: what was not synced is gone, and the disk works again.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.live = state.durable.clone();
        state.unsynced.clear();
        state.syncs_left = None;
        state.poisoned = false;
    }

    fn write(&self, durability: Durability, changes: Vec<Change>) -> Result<()> {
        let stalled = |state: &mut State| state.stalled;
        let mut state = self
            .resumed
            .wait_while(self.state(), stalled)
            .unwrap_or_else(PoisonError::into_inner);
        state.check()?;
        for change in changes {
            state.live.apply(change.clone());
            state.unsynced.push(change);
        }
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
        state.write_back(usize::MAX);
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
        let commits = commits.iter().cloned();
        self.write(durability, commits.map(Change::Commit).collect())
    }

    fn commits(&self) -> Result<Vec<Commit>> {
        Ok(self.state().live.commits.clone())
    }

    fn seal(&self, segment: &SegmentEntry) -> Result<()> {
        self.write(Durability::Synced, vec![Change::Seal(segment.clone())])
    }

    fn segments(&self) -> Result<Vec<SegmentEntry>> {
        Ok(self.state().live.segments.values().cloned().collect())
    }

    fn release(&self, numbers: &[u64]) -> Result<()> {
        let numbers = numbers.to_vec();
        self.write(Durability::Synced, vec![Change::Release(numbers)])
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
        let change = Change::Meta(key.to_owned(), value.map(<[u8]>::to_vec));
        self.write(Durability::Synced, vec![change])
    }

    fn image(&self) -> Result<LogImage> {
        let commits = self.state().live.commits.clone();
        let framed = |commit| frames(commit, commit.first_version - 1);
        let frames = (0..).zip(commits.iter().flat_map(framed)).collect();
        Ok(LogImage::of_frames(frames))
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
