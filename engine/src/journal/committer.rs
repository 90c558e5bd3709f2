//! One thread writes the journal: every transaction that waits joins one batch and one sync.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Queue, Refused};
use super::ticket::{CommitTicket, Receipt, Reply, gone, ticket};
use super::{BackPressure, Chain, Commit, Durability, Journal, Versions};
use crate::clock::{Clock, Ticks};
use crate::environment::Reserved;
use crate::error::{Error, Result};
use crate::faults;
use crate::locks::HeldRows;
use crate::metrics::Counters;
use crate::sync::Arc as Shared;
use crate::sync::thread::{self, JoinHandle};

/// Transactions that may wait; what happens to the next one is its sender's choice.
pub(crate) const QUEUE_COMMITS_MAX: usize = 1_024;
/// A batch takes no further transaction once it is this large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// A batch takes no further transaction once it holds this many.
const BATCH_COMMITS_MAX: usize = 1_024;

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
    reply: Reply,
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
    queue: Shared<Queue<Queued>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
pub(crate) struct Start {
    pub counters: Arc<Counters>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub durability: Durability,
    /// Where commits may be lost whose versions must not come again.
    pub versions: Option<Versions>,
    pub next_version: u64,
    pub last_committed: Ticks,
}

impl Committer {
    /// Starts the thread.
    pub(crate) fn start(start: Start, follower: impl Follower) -> Result<Self> {
        Committer::start_with(start, follower, QUEUE_COMMITS_MAX)
    }

    /// Starts it with a queue for so many.
    pub(crate) fn start_with(
        start: Start,
        follower: impl Follower,
        capacity: usize,
    ) -> Result<Self> {
        let queue = Shared::new(Queue::new(capacity));
        let requests = Requests(queue.clone());
        let thread = thread::Builder::new()
            .name("lakestage-committer".into())
            .spawn(move || Thread { start, follower }.run(&requests.0))
            .map_err(|e| Error::io("starting a thread", "the committer".as_ref(), e))?;
        Ok(Committer {
            queue,
            thread: Some(thread),
        })
    }

    /// Sends a transaction on its way.
    ///
    /// # Errors
    /// `Busy` if the queue stayed full for longer than `pressure` allows; nothing of it was kept.
    pub(crate) fn send(&self, request: Request, pressure: BackPressure) -> Result<CommitTicket> {
        let (ticket, reply) = ticket();
        let mut request = request;
        // It stays in memory until it is sealed.
        request.payload.shrink_to_fit();
        let queued = Queued {
            request,
            sent: Instant::now(),
            reply,
        };
        let (timeout_ms, full) = match pressure {
            BackPressure::Reject => (0, "the queue is full".to_owned()),
            BackPressure::Wait { timeout_ms } => {
                let full = format!("the queue stayed full for {timeout_ms} ms");
                (timeout_ms, full)
            }
        };
        match self.queue.put(queued, Duration::from_millis(timeout_ms)) {
            Ok(()) => Ok(ticket),
            Err(Refused::Full) => Err(busy(&full)),
            Err(Refused::Closed) => Err(gone()),
        }
    }

    /// Commits that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

fn busy(why: &str) -> Error {
    Error::Busy(format!(
        "{why}: {QUEUE_COMMITS_MAX} commits are waiting for the disk; nothing of this one was kept, so wait for some of them and send it again"
    ))
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The queue as the thread has it: where the thread ends, however it does, nobody waits for it.
struct Requests(Shared<Queue<Queued>>);

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Thread<F> {
    start: Start,
    follower: F,
}

impl<F: Follower> Thread<F> {
    fn run(mut self, requests: &Queue<Queued>) {
        loop {
            let (mut bytes, mut commits) = (0, 0);
            let batch = requests.take(|queued| {
                bytes += queued.request.payload.len();
                commits += 1;
                bytes < BATCH_BYTES_MAX && commits < BATCH_COMMITS_MAX
            });
            let Some(mut batch) = batch else { break };
            batch.retain(|queued| self.is_kept(queued));
            self.commit(batch, bytes);
        }
        // What cannot be given back is left out at the next opening.
        if let Some(versions) = &mut self.start.versions
            && let Err(error) = versions.close()
        {
            tracing::warn!(%error, "the environment could not be closed well");
        }
    }

    /// Refuses a commit whose chain is broken off.
    fn is_kept(&self, queued: &Queued) -> bool {
        let chain = queued.request.chain.as_ref();
        let Some(Err(error)) = chain.map(Chain::check) else {
            return true;
        };
        self.start.counters.refused(&error);
        queued.reply.send(Err(error));
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
            versions,
            ..
        } = &mut self.start;
        if faults::makes("a commit is acknowledged before it is written") {
            let first = waiting.first();
            if let Some((_, _, reply, receipt, _)) = first {
                reply.send(Ok(*receipt));
            }
        }
        let written = self
            .follower
            .make_room(bytes)
            .and_then(|()| match versions {
                Some(versions) => versions.reserve(next_version - 1),
                None => Ok(()),
            })
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
            reply.send(match &written {
                Ok(()) => Ok(receipt),
                Err(error) => Err(error.again()),
            });
        }
        // Whoever takes one of the rows waits for this; whoever waits for an answer need not.
        drop(all_held);
    }
}
