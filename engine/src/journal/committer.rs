//! One thread writes the journal: every transaction that waits joins one batch and one sync.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use super::{BackPressure, Chain, Commit, Durability, Journal};
use crate::clock::{Clock, Ticks};
use crate::environment::Reserved;
use crate::error::{Error, Result};
use crate::faults;
use crate::locks::HeldRows;
use crate::metrics::Counters;

/// Transactions that may wait; what happens to the next one is its sender's choice.
pub(crate) const QUEUE_COMMITS_MAX: usize = 1_024;
/// A batch takes no further transaction once it is this large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// A batch takes no further transaction once it holds this many.
const BATCH_COMMITS_MAX: usize = 1_024;

/// What a commit returned: everything in it is as durable as the environment's [`Durability`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The version of the transaction's first row change.
    pub first_version: u64,
    /// The version of its last.
    pub last_version: u64,
    /// The time of the commit.
    pub committed: Ticks,
}

/// A commit on its way, made by [`Transaction::commit_later`](crate::Transaction::commit_later).
///
/// Dropping it does not take the commit back; it only gives up the answer.
#[derive(Debug)]
#[must_use = "only the ticket tells whether the commit became durable"]
pub struct CommitTicket {
    answer: Receiver<Result<Receipt>>,
}

impl CommitTicket {
    /// Waits until the commit is durable.
    ///
    /// # Errors
    /// As [`Transaction::commit`](crate::Transaction::commit).
    pub fn wait(self) -> Result<Receipt> {
        self.answer.recv().map_err(|_| gone())?
    }

    /// The answer, if it is there already; it is given once.
    pub fn try_wait(&self) -> Option<Result<Receipt>> {
        self.answer.try_recv().ok()
    }
}

/// A transaction on its way to the journal.
pub(crate) struct Request {
    pub payload: Vec<u8>,
    pub rows: u32,
    /// Released once the commit can be read, so that who takes a row next reads what it became.
    pub held: HeldRows,
    /// Dropped once the commit is in the tail, which counts from then on.
    pub reserved: Option<Reserved>,
    /// Where a commit is refused after one that failed.
    pub chain: Option<Chain>,
}

struct Queued {
    request: Request,
    sent: Instant,
    reply: Sender<Result<Receipt>>,
}

/// What stands behind the journal.
pub(crate) trait Follower: Send + 'static {
    /// Waits until there is room for so many bytes more.
    ///
    /// # Errors
    /// Why there will be none; the commits that waited for it are refused.
    fn make_room(&mut self, bytes: usize) -> Result<()>;

    /// Takes commits that are durable, before anyone is told.
    fn durable(&mut self, commits: Vec<Commit>);
}

/// The committer thread and the queue before it.
pub(crate) struct Committer {
    queue: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
pub(crate) struct Start {
    pub counters: Arc<Counters>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub durability: Durability,
    pub next_version: u64,
    pub last_committed: Ticks,
}

impl Committer {
    /// Starts the thread.
    pub(crate) fn start(start: Start, follower: impl Follower) -> Result<Self> {
        let (queue, requests) = bounded(QUEUE_COMMITS_MAX);
        let thread = thread::Builder::new()
            .name("lakestage-committer".into())
            .spawn(move || Thread { start, follower }.run(&requests))
            .map_err(|e| Error::io("starting a thread", "the committer".as_ref(), e))?;
        Ok(Committer {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Sends a transaction on its way.
    ///
    /// # Errors
    /// `Busy` if the queue stayed full for longer than `pressure` allows; nothing of it was kept.
    pub(crate) fn send(&self, request: Request, pressure: BackPressure) -> Result<CommitTicket> {
        let (reply, answer) = bounded(1);
        let mut request = request;
        // It stays in memory until it is sealed.
        request.payload.shrink_to_fit();
        let queued = Queued {
            request,
            sent: Instant::now(),
            reply,
        };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        match pressure {
            BackPressure::Reject => queue.try_send(queued).map_err(|e| match e {
                TrySendError::Full(_) => busy("the queue is full"),
                TrySendError::Disconnected(_) => gone(),
            })?,
            BackPressure::Wait { timeout_ms } => queue
                .send_timeout(queued, Duration::from_millis(timeout_ms))
                .map_err(|e| match e {
                    SendTimeoutError::Timeout(_) => {
                        busy(&format!("the queue stayed full for {timeout_ms} ms"))
                    }
                    SendTimeoutError::Disconnected(_) => gone(),
                })?,
        }
        Ok(CommitTicket { answer })
    }

    /// Commits that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }
}

fn gone() -> Error {
    Error::Poisoned {
        reason: "the committer thread ended".into(),
    }
}

fn busy(why: &str) -> Error {
    Error::Busy(format!(
        "{why}: {QUEUE_COMMITS_MAX} commits are waiting for the disk; nothing of this one was kept, so wait for some of them and send it again"
    ))
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
    follower: F,
}

impl<F: Follower> Thread<F> {
    fn run(mut self, requests: &Receiver<Queued>) {
        while let Ok(first) = requests.recv() {
            let mut bytes = first.request.payload.len();
            let mut batch = vec![first];
            while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_COMMITS_MAX {
                let Ok(next) = requests.try_recv() else { break };
                bytes += next.request.payload.len();
                batch.push(next);
            }
            batch.retain(|queued| self.is_kept(queued));
            self.commit(batch, bytes);
        }
    }

    /// Refuses a commit whose chain is broken off.
    fn is_kept(&self, queued: &Queued) -> bool {
        let chain = queued.request.chain.as_ref();
        let Some(Err(error)) = chain.map(Chain::check) else {
            return true;
        };
        self.start.counters.refused(&error);
        // Who does not wait for the answer any more has no use for it.
        let _ = queued.reply.try_send(Err(error));
        false
    }

    fn commit(&mut self, batch: Vec<Queued>, bytes: usize) {
        if batch.is_empty() {
            return;
        }
        let counters = self.start.counters.clone();
        // Time never runs backwards in the log, whatever the clock does.
        let committed = self.start.clock.now_ticks().max(self.start.last_committed);
        let mut next_version = self.start.next_version;
        let mut waiting = Vec::with_capacity(batch.len());
        let mut commits = Vec::with_capacity(batch.len());
        for Queued {
            request,
            sent,
            reply,
        } in batch
        {
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
            let bytes = commit.payload.len() as u64;
            waiting.push((
                request.held,
                (request.reserved, request.chain),
                reply,
                receipt,
                (sent, bytes),
            ));
            commits.push(commit);
        }
        let Start {
            journal,
            durability,
            ..
        } = &self.start;
        if faults::makes("a commit is acknowledged before it is written") {
            let first = waiting.first();
            if let Some((_, _, reply, receipt, _)) = first {
                let _ = reply.send(Ok(*receipt));
            }
        }
        let written = self
            .follower
            .make_room(bytes)
            .and_then(|()| journal.append(&commits, *durability));
        if written.is_ok() {
            self.start.next_version = next_version;
            self.start.last_committed = committed;
            self.follower.durable(commits);
        }
        let mut all_held = Vec::with_capacity(waiting.len());
        counters.batch();
        if let Err(error) = &written {
            tracing::error!(%error, commits = waiting.len(), "commits could not be made durable");
        }
        for (held, (reserved, chain), reply, receipt, (sent, bytes)) in waiting {
            if let (Some(chain), Err(_)) = (chain, &written) {
                chain.break_off();
            }
            match &written {
                Ok(()) => {
                    let rows = receipt.last_version - receipt.first_version + 1;
                    counters.durable(rows, bytes, sent.elapsed());
                }
                Err(error) => counters.refused(error),
            }
            all_held.push(held);
            drop(reserved);
            // Who does not wait for the answer any more has no use for it.
            let _ = reply.try_send(match &written {
                Ok(()) => Ok(receipt),
                Err(error) => Err(error.again()),
            });
        }
        // Whoever takes one of the rows waits for this; whoever waits for an answer need not.
        drop(all_held);
    }
}
