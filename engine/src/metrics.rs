//! What an operator watches: counters since the environment was opened, and how it stands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::TICKS_PER_SECOND;
use crate::environment::{Environment, EnvironmentStatus};
use crate::error::{Error, Result};
use crate::feed::ConsumerStatus;
use crate::link::LinkStatus;

/// The upper bounds of the buckets of a commit's latency, in seconds. What takes longer is in one more.
pub const COMMIT_LATENCY_BOUNDS_S: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0,
];

/// Counts since an environment was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    row_changes: AtomicU64,
    commit_bytes: AtomicU64,
    batches: AtomicU64,
    refused_busy: AtomicU64,
    refused_over_quota: AtomicU64,
    failed: AtomicU64,
    latency_ns: AtomicU64,
    latency: [AtomicU64; COMMIT_LATENCY_BOUNDS_S.len() + 1],
}

impl Counters {
    pub(crate) fn batch(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// A commit became durable, so long after it was sent.
    pub(crate) fn durable(&self, rows: u64, bytes: u64, latency: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.row_changes.fetch_add(rows, Ordering::Relaxed);
        self.commit_bytes.fetch_add(bytes, Ordering::Relaxed);
        let seconds = latency.as_secs_f64();
        let bucket = COMMIT_LATENCY_BOUNDS_S.partition_point(|bound| *bound < seconds);
        self.latency[bucket].fetch_add(1, Ordering::Relaxed);
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency_ns.fetch_add(latency_ns, Ordering::Relaxed);
    }

    /// A commit was refused before it was written, or failed.
    pub(crate) fn refused(&self, error: &Error) {
        let counter = match error {
            Error::Busy(_) => &self.refused_busy,
            Error::OverQuota { .. } => &self.refused_over_quota,
            _ => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// An environment as an operator watches it.
#[derive(Debug, Clone)]
pub struct EnvironmentMetrics {
    /// Commits that became durable since it was opened.
    pub commits: u64,
    /// Row changes in them.
    pub row_changes: u64,
    /// Bytes of them.
    pub commit_bytes: u64,
    /// Batches that they were written in, each with a sync of its own.
    pub batches: u64,
    /// Commits that found too much on its way.
    pub refused_busy: u64,
    /// Commits that would have exceeded the quota.
    pub refused_over_quota: u64,
    /// Commits that could not be made durable or fitted an old schema.
    pub failed: u64,
    /// How many commits took so long from being sent to being durable: one number for each of
    /// [`COMMIT_LATENCY_BOUNDS_S`], and one for what took longer.
    pub latency: Vec<u64>,
    /// The sum of these times, in seconds.
    pub latency_sum_s: f64,
    /// Age of the oldest commit that is in no segment, in seconds; 0 if all are.
    pub unsealed_age_s: f64,
    /// Open readers of the change feed.
    pub readers: u64,
    /// Consumers, expired ones among them.
    pub consumers: Vec<ConsumerStatus>,
    /// The links.
    pub links: Vec<LinkStatus>,
    /// Everything else in numbers.
    pub status: EnvironmentStatus,
}

impl Environment {
    /// What an operator watches. It takes no lock that a commit waits for.
    pub fn metrics(&self) -> Result<EnvironmentMetrics> {
        let inner = &self.inner;
        let counters = &inner.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = inner.staging.oldest_unsealed();
        let age = oldest.map_or(0, |committed| (inner.clock.now_ticks() - committed).max(0));
        // Asked apart: the consumers are behind the same lock.
        let readers = inner.lock_holders().readers();
        Ok(EnvironmentMetrics {
            commits: count(&counters.commits),
            row_changes: count(&counters.row_changes),
            commit_bytes: count(&counters.commit_bytes),
            batches: count(&counters.batches),
            refused_busy: count(&counters.refused_busy),
            refused_over_quota: count(&counters.refused_over_quota),
            failed: count(&counters.failed),
            latency: counters.latency.iter().map(count).collect(),
            latency_sum_s: Duration::from_nanos(count(&counters.latency_ns)).as_secs_f64(),
            unsealed_age_s: age as f64 / TICKS_PER_SECOND as f64,
            readers,
            consumers: self.consumers(),
            links: self.links(),
            status: self.status()?,
        })
    }
}
