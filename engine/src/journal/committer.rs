//! One thread writes the journal: every transaction that waits joins one batch and one sync.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::{Commit, Journal};
use crate::clock::{Clock, Ticks};
use crate::error::{Error, Result};

/// Transactions that may wait; the next one blocks until there is room.
const QUEUE_COMMITS_MAX: usize = 1_024;
/// A batch takes no further transaction once it is this large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// A batch takes no further transaction once it holds this many.
const BATCH_COMMITS_MAX: usize = 1_024;

/// What a commit returned: everything in it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The version of the transaction's first row change.
    pub first_version: u64,
    /// The version of its last.
    pub last_version: u64,
    /// The time of the commit.
    pub committed: Ticks,
}

struct Request {
    payload: Vec<u8>,
    rows: u32,
    reply: Sender<Result<Receipt>>,
}

/// The committer thread and the queue before it.
pub(crate) struct Committer {
    queue: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
pub(crate) struct Start {
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub next_version: u64,
    pub last_committed: Ticks,
}

impl Committer {
    /// Starts the thread. `durable` is called with each batch once it is durable and before anyone
    /// is told.
    pub(crate) fn start(
        start: Start,
        durable: impl FnMut(Vec<Commit>) + Send + 'static,
    ) -> Result<Self> {
        let (queue, requests) = bounded(QUEUE_COMMITS_MAX);
        let thread = thread::Builder::new()
            .name("lakestage-committer".into())
            .spawn(move || Thread { start, durable }.run(&requests))
            .map_err(|e| Error::io("starting a thread", "the committer".as_ref(), e))?;
        Ok(Committer {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Commits a transaction and waits until it is durable.
    pub(crate) fn commit(&self, payload: Vec<u8>, rows: u32) -> Result<Receipt> {
        let gone = || Error::Poisoned {
            reason: "the committer thread ended".into(),
        };
        let (reply, answer) = bounded(1);
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue
            .send(Request {
                payload,
                rows,
                reply,
            })
            .map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread<F> {
    start: Start,
    durable: F,
}

impl<F: FnMut(Vec<Commit>)> Thread<F> {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            let mut bytes = batch[0].payload.len();
            while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_COMMITS_MAX {
                let Ok(next) = requests.try_recv() else { break };
                bytes += next.payload.len();
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        // Time never runs backwards in the log, whatever the clock does.
        let committed = self.start.clock.now_ticks().max(self.start.last_committed);
        let mut next_version = self.start.next_version;
        let mut replies = Vec::with_capacity(batch.len());
        let mut commits = Vec::with_capacity(batch.len());
        for request in batch {
            let commit = Commit {
                first_version: next_version,
                rows: request.rows,
                committed,
                payload: request.payload,
            };
            next_version = commit.last_version() + 1;
            let receipt = Receipt {
                first_version: commit.first_version,
                last_version: commit.last_version(),
                committed,
            };
            replies.push((request.reply, receipt));
            commits.push(commit);
        }
        match self.start.journal.append(&commits) {
            Ok(()) => {
                self.start.next_version = next_version;
                self.start.last_committed = committed;
                (self.durable)(commits);
                // Who does not wait for the answer any more has no use for it.
                for (reply, receipt) in replies {
                    let _ = reply.send(Ok(receipt));
                }
            }
            Err(error) => {
                let reason = error.to_string();
                for (reply, _) in replies {
                    let _ = reply.send(Err(again(&error, &reason)));
                }
            }
        }
    }
}

/// The same failure once more, for everyone whose transaction was in the batch.
fn again(error: &Error, reason: &str) -> Error {
    match error {
        Error::Full { action, path } => Error::Full {
            action,
            path: path.clone(),
        },
        Error::Poisoned { reason } => Error::Poisoned {
            reason: reason.clone(),
        },
        _ => Error::Poisoned {
            reason: reason.to_owned(),
        },
    }
}
