//! The trickle feed of one link: near-real-time files follow the changes, and snapshots come at their interval.

use serde::Serialize;

use super::snapshot::SnapshotReport;
use super::sync::SyncReport;
use crate::backlog::Taken;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::link::{self, Activity};

/// How long a feed waits after the first of several failures; each further one doubles it.
const RETRY_AFTER_S: i64 = 1;
/// The longest that a feed waits after a failure.
const RETRY_AFTER_MAX_S: i64 = 60;
/// More doublings than it takes to wait the longest.
const DOUBLINGS_MAX: u32 = 16;

/// How often a feed works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrickleOptions {
    /// Between two looks for changes, in seconds.
    pub sync_every_s: u32,
    /// Between two snapshots, in seconds. One comes only where something changed.
    pub snapshot_every_s: u32,
}

impl Default for TrickleOptions {
    /// A minute and an hour. The service says "near real time" and hourly.
    fn default() -> Self {
        TrickleOptions {
            sync_every_s: 60,
            snapshot_every_s: 3_600,
        }
    }
}

/// What a step of a feed did.
#[derive(Debug)]
pub enum TrickleStep {
    /// It is not due yet, or its link rests.
    Idle,
    /// Nothing had changed.
    Unchanged,
    /// The near-real-time files were brought up to date.
    Synced(SyncReport),
    /// A snapshot was published.
    Published(SnapshotReport),
    /// A snapshot was taken, or would have been; it is published when the lake can be reached.
    Taken(Taken),
    /// The way to the lake is closed until then, in Unix seconds.
    Rests(i64),
    /// Something failed that may work later; the feed tries again after so many seconds.
    Failed {
        /// What failed.
        error: Error,
        /// Seconds until the next try.
        retry_after_s: i64,
    },
}

/// What a feed waits for, for a status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrickleDue {
    /// The next look for changes, in Unix seconds.
    pub sync_unix_s: i64,
    /// The next snapshot, in Unix seconds.
    pub snapshot_unix_s: i64,
}

/// The trickle feed of one link. It keeps nothing that the catalog does not know, so one that was cut off is simply made
/// again: what it had done is there once, and it goes on with the rest.
pub struct TrickleFeed {
    environment: Environment,
    link: String,
    options: TrickleOptions,
    next_sync: Ticks,
    next_snapshot: Ticks,
    failures: u32,
}

fn ticks(seconds: i64) -> Ticks {
    seconds.saturating_mul(TICKS_PER_SECOND)
}

impl TrickleFeed {
    /// The feed of a link. Its first snapshot is due at once, a further one at its interval after the last.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; `InvalidInput` if an interval is 0.
    pub fn new(environment: &Environment, link: &str, options: TrickleOptions) -> Result<Self> {
        if options.sync_every_s == 0 || options.snapshot_every_s == 0 {
            return Err(Error::invalid("an interval of a feed is at least a second"));
        }
        let state = environment.state();
        let entry = link::find(&state, link)?;
        // A link that writes folders has an interval of its own, and no near-real-time files.
        let options = match &entry.incremental {
            None => options,
            Some(incremental) => TrickleOptions {
                sync_every_s: incremental.interval_s,
                snapshot_every_s: incremental.interval_s,
            },
        };
        let now = environment.inner.clock.now_ticks();
        let next_snapshot = match entry.last_snapshot_s {
            0 => now,
            last => ticks(last.saturating_add(options.snapshot_every_s.into())),
        };
        Ok(TrickleFeed {
            environment: environment.clone(),
            link: link.to_owned(),
            options,
            next_sync: now,
            next_snapshot,
            failures: 0,
        })
    }

    /// When it works next.
    pub fn due(&self) -> TrickleDue {
        TrickleDue {
            sync_unix_s: self.next_sync.div_euclid(TICKS_PER_SECOND),
            snapshot_unix_s: self.next_snapshot.div_euclid(TICKS_PER_SECOND),
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// What cannot get better by waiting: the link is gone, bytes are damaged, or the engine must be opened again.
    pub fn step(&mut self, lake: &dyn Lake) -> Result<TrickleStep> {
        let now = self.environment.inner.clock.now_ticks();
        if now < self.next_sync.min(self.next_snapshot) {
            return Ok(TrickleStep::Idle);
        }
        let state = self.environment.state();
        if link::find(&state, &self.link)?.activity != Activity::Active {
            self.next_sync = now + ticks(self.options.sync_every_s.into());
            return Ok(TrickleStep::Idle);
        }
        match self.work(now, lake) {
            Ok(step) => {
                if !matches!(step, TrickleStep::Taken(_)) {
                    self.failures = 0;
                }
                Ok(step)
            }
            // The way was closed while something was on it.
            Err(_) if lake.closed_until().is_some() => Ok(self.rest(now, lake)),
            Err(error) => self.failed(now, error),
        }
    }

    /// Waits until the way to the lake is open.
    fn rest(&mut self, now: Ticks, lake: &dyn Lake) -> TrickleStep {
        let Some(until_unix_s) = lake.closed_until() else {
            return TrickleStep::Idle;
        };
        let keeps = self.keeps_snapshots();
        self.next_sync = ticks(until_unix_s).max(now);
        if !keeps {
            self.next_snapshot = self.next_snapshot.max(self.next_sync);
        }
        TrickleStep::Rests(until_unix_s)
    }

    fn keeps_snapshots(&self) -> bool {
        self.environment
            .publish_policy(&self.link)
            .keeps_snapshots()
    }

    /// Takes snapshots at their hours, and publishes what waits whenever that works.
    fn work_on_backlog(&mut self, now: Ticks, lake: &dyn Lake) -> Result<TrickleStep> {
        if now >= self.next_snapshot {
            let taken = self.environment.take_snapshot(&self.link)?;
            self.next_snapshot = now + ticks(self.options.snapshot_every_s.into());
            // Where publishing fails at the moment, it is not tried sooner for this one.
            if self.failures == 0 {
                self.next_sync = now;
            }
            return Ok(match taken {
                Taken::Unchanged => TrickleStep::Unchanged,
                taken => TrickleStep::Taken(taken),
            });
        }
        if lake.closed_until().is_some() {
            return Ok(self.rest(now, lake));
        }
        match self.environment.publish_waiting(&self.link, lake)? {
            // The next one that waits is due at once.
            Some(report) => Ok(TrickleStep::Published(report)),
            None => {
                self.next_sync = now + ticks(self.options.sync_every_s.into());
                Ok(TrickleStep::Unchanged)
            }
        }
    }

    fn work(&mut self, now: Ticks, lake: &dyn Lake) -> Result<TrickleStep> {
        if self.keeps_snapshots() {
            return self.work_on_backlog(now, lake);
        }
        if lake.closed_until().is_some() {
            return Ok(self.rest(now, lake));
        }
        if now >= self.next_snapshot {
            let report = self.environment.snapshot(&self.link, lake)?;
            self.next_snapshot = now + ticks(self.options.snapshot_every_s.into());
            self.next_sync = now + ticks(self.options.sync_every_s.into());
            return Ok(match report.changed {
                true => TrickleStep::Published(report),
                false => TrickleStep::Unchanged,
            });
        }
        let state = self.environment.state();
        if link::find(&state, &self.link)?.incremental.is_some() {
            self.next_sync = self.next_snapshot;
            return Ok(TrickleStep::Idle);
        }
        let report = self.environment.sync(&self.link, lake)?;
        self.next_sync = now + ticks(self.options.sync_every_s.into());
        let is_nothing = report.files_written.is_empty() && report.files_removed.is_empty();
        Ok(match is_nothing {
            true => TrickleStep::Unchanged,
            false => TrickleStep::Synced(report),
        })
    }

    /// What may get better by waiting is tried again, later each time.
    fn failed(&mut self, now: Ticks, error: Error) -> Result<TrickleStep> {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Conflict | ErrorKind::Full => {}
            _ => return Err(error),
        }
        let retry_after_s =
            (RETRY_AFTER_S << self.failures.min(DOUBLINGS_MAX)).min(RETRY_AFTER_MAX_S);
        self.failures = self.failures.saturating_add(1);
        let again = now + ticks(retry_after_s);
        if now >= self.next_snapshot {
            self.next_snapshot = again;
        }
        self.next_sync = again;
        Ok(TrickleStep::Failed {
            error,
            retry_after_s,
        })
    }
}
