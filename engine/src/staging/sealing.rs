//! From the journal's tail to a sealed segment.
//!
//! The file is written and synced, then its folder, and then one write of the journal names the
//! segment; from then on the commits in the journal do not count. A crash before that write leaves a
//! file that nothing names, which is removed at opening; a crash after it leaves the segment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Staging;
use crate::environment::State;
use crate::error::{Error, Result};
use crate::journal::{Commit, Follower, Journal};
use crate::segment::SegmentStore;

/// How much may be where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The tail is sealed once it is this large.
    pub segment_bytes: usize,
    /// The tail never grows beyond this, unless one commit alone is larger.
    pub tail_bytes_max: usize,
}

/// Seals the tail.
pub(crate) struct Sealing {
    staging: Arc<Staging>,
    store: SegmentStore,
    journal: Arc<dyn Journal>,
    state: Arc<RwLock<Arc<State>>>,
    limits: Limits,
    /// The number of the next segment. Held while one is being sealed.
    next_number: Mutex<u64>,
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

#[derive(Default)]
struct Outcome {
    /// Why the last attempt failed, until the next one.
    failure: Option<Error>,
    /// Why nothing more is written.
    poison: Option<String>,
    /// Whether somebody waits for room, so that less than a segment is sealed too.
    is_urgent: bool,
}

impl Sealing {
    pub(crate) fn new(
        staging: Arc<Staging>,
        store: SegmentStore,
        journal: Arc<dyn Journal>,
        state: Arc<RwLock<Arc<State>>>,
        limits: Limits,
    ) -> Self {
        let last = staging.segments().last().map_or(0, |s| s.entry().number);
        Sealing {
            staging,
            store,
            journal,
            state,
            limits,
            next_number: Mutex::new(last + 1),
            outcome: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Seals segments until less than `bytes_min` is left in the tail of what is there now.
    pub(crate) fn seal_down_to(&self, bytes_min: usize) -> Result<()> {
        let last = self.staging.last_version();
        let mut number = self
            .next_number
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while self.staging.tail_bytes() >= bytes_min.max(1) {
            let commits = self.staging.oldest(self.limits.segment_bytes, last);
            if commits.is_empty() {
                break;
            }
            let sealed = self.seal_one(&mut number, &commits);
            self.note(&sealed);
            sealed?;
        }
        Ok(())
    }

    fn seal_one(&self, number: &mut u64, commits: &[Arc<Commit>]) -> Result<()> {
        self.journal.check()?;
        if let Some(reason) = &self.outcome().poison {
            return Err(Error::Poisoned {
                reason: reason.clone(),
            });
        }
        let state = self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let granularity = |table| state.base_granularity(table);
        let entry = match self.store.write(*number, commits, &granularity) {
            Ok(entry) => entry,
            Err(error) => {
                // Half a file on a full disk only makes it fuller.
                if let Err(error) = self.store.remove(*number) {
                    tracing::warn!(%error, "an unfinished segment stays until the next opening");
                }
                return Err(error);
            }
        };
        *number += 1;
        self.journal.seal(&entry)?;
        tracing::debug!(number = entry.number, bytes = entry.bytes, "sealed");
        self.staging.seal(self.store.segment(entry));
        Ok(())
    }

    /// Removes segments: first their names, then their files.
    pub(crate) fn remove(&self, numbers: &[u64]) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        self.journal.release(numbers)?;
        self.staging.remove(numbers);
        numbers
            .iter()
            .try_for_each(|number| self.store.remove(*number))
    }

    /// Up to here a lookup asks blocks, not segments.
    fn folded_version(&self) -> u64 {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.catalog.folded_version
    }

    fn note(&self, sealed: &Result<()>) {
        let mut outcome = self.outcome();
        outcome.failure = sealed.as_ref().err().map(Error::again);
        // A full disk may be emptied; whatever else fails leaves the disk in doubt.
        if let Err(error) = sealed
            && !matches!(error, Error::Full { .. })
        {
            self.journal.poison(&error.to_string());
            outcome.poison.get_or_insert_with(|| error.to_string());
        }
        self.changed.notify_all();
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, bytes: usize) -> bool {
        let held = self.staging.tail_bytes();
        held == 0 || held + bytes <= self.limits.tail_bytes_max
    }
}

/// The thread that seals in the background.
pub(crate) struct Sealer {
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sealer {
    pub(crate) fn start(sealing: Arc<Sealing>) -> Result<(Self, SealingFollower)> {
        let (wake, woken) = bounded(1);
        let worker = sealing.clone();
        let thread = thread::Builder::new()
            .name("lakestage-sealer".into())
            .spawn(move || run(&worker, &woken))
            .map_err(|e| Error::io("starting a thread", "the sealer".as_ref(), e))?;
        let follower = SealingFollower {
            sealing,
            wake: wake.clone(),
        };
        let sealer = Sealer {
            wake: Some(wake),
            thread: Some(thread),
        };
        Ok((sealer, follower))
    }
}

fn run(sealing: &Sealing, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let is_urgent = std::mem::take(&mut sealing.outcome().is_urgent);
        let bytes_min = if is_urgent {
            1
        } else {
            sealing.limits.segment_bytes
        };
        if let Err(error) = sealing.seal_down_to(bytes_min) {
            tracing::warn!(%error, "the journal's tail could not be sealed");
        }
        sealing.staging.group(sealing.folded_version());
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Stands behind the committer: keeps the tail, and has it sealed in time.
pub(crate) struct SealingFollower {
    sealing: Arc<Sealing>,
    wake: Sender<()>,
}

impl SealingFollower {
    fn wake(&self) {
        // One wake-up that waits already is enough.
        let _ = self.wake.try_send(());
    }
}

impl Follower for SealingFollower {
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let sealing = &self.sealing;
        let mut outcome = sealing.outcome();
        if !sealing.has_room(bytes) {
            outcome.failure = None;
            outcome.is_urgent = true;
            self.wake();
        }
        loop {
            if let Some(reason) = &outcome.poison {
                return Err(Error::Poisoned {
                    reason: reason.clone(),
                });
            }
            if sealing.has_room(bytes) {
                return Ok(());
            }
            if let Some(failure) = &outcome.failure {
                return Err(failure.again());
            }
            outcome = sealing
                .changed
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn durable(&mut self, commits: Vec<Commit>) {
        self.sealing.staging.push(commits);
        if self.sealing.staging.tail_bytes() >= self.sealing.limits.segment_bytes {
            self.wake();
        }
    }
}
