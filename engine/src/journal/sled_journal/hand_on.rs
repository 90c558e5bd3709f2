//! What stands in the strip is handed on to sled, behind the backs of those who commit.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::super::{Commit, Durability};
use super::SledLog;
use crate::error::{Error, Result};

/// So many batches are handed on at once: half of what a file of the strip holds at least.
const BATCHES_DUE: usize = 128;

/// Commits that are acknowledged, and stand in the strip and not in sled.
#[derive(Default)]
pub(super) struct Waiting {
    commits: Vec<Commit>,
    batches: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, commits: &[Commit]) {
        self.commits.extend_from_slice(commits);
        self.batches += 1;
    }
}

impl SledLog {
    pub(super) fn lock_waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to here the strip holds nothing that does not stand elsewhere, durably.
    pub(super) fn passed_on(&self) -> u64 {
        self.handed_version
            .load(Ordering::SeqCst)
            .max(self.sealed())
    }

    /// Gives sled what waits in the strip, durably. What was sealed meanwhile need not go there.
    pub(in crate::journal) fn hand_on(&self) -> Result<()> {
        if self.lock_waiting().commits.is_empty() {
            // What another thread has taken is with sled once it lets go.
            drop(self.writer.lock());
            return Ok(());
        }
        let mut last = 0;
        self.write_as(Durability::Synced, |writer| {
            let waiting = std::mem::take(&mut *self.lock_waiting());
            let sealed = self.sealed();
            last = waiting.commits.last().map_or(0, Commit::last_version);
            let kept = waiting
                .commits
                .partition_point(|c| c.last_version() <= sealed);
            self.append_frames(writer, &waiting.commits[kept..])
        })?;
        self.handed_version.fetch_max(last, Ordering::SeqCst);
        Ok(())
    }

    /// Goes on behind what was read when the journal was opened: from then on the strip is empty.
    pub(super) fn go_on(&self, ends: VecDeque<(u64, u64)>, waiting: &[Commit]) -> Result<()> {
        {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.ends = ends;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        self.lock_waiting().add(waiting);
        self.hand_on()
    }
}

/// The thread that does it.
pub(super) struct HandingOn {
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HandingOn {
    pub(super) fn start(log: Arc<SledLog>) -> Result<Self> {
        let (wake, woken) = bounded(1);
        let thread = thread::Builder::new()
            .name("lakestage-journal".into())
            .spawn(move || run(&log, &woken))
            .map_err(|e| Error::io("starting a thread", "the journal".as_ref(), e))?;
        Ok(HandingOn {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    pub(super) fn wake_if_due(&self, log: &SledLog) {
        if let Some(wake) = &self.wake
            && log.lock_waiting().batches >= BATCHES_DUE
        {
            // One wake-up that waits already is enough.
            let _ = wake.try_send(());
        }
    }

    /// Ends the thread; whatever waits stays where it is.
    pub(super) fn end(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(log: &SledLog, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = log.hand_on() {
            tracing::error!(%error, "commits could not be handed on to sled; they are durable where they are");
        }
    }
}

impl Drop for HandingOn {
    fn drop(&mut self) {
        self.end();
    }
}
