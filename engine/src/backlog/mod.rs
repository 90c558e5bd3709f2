//! Snapshots that were taken and wait for their lake.
//!
//! A link to a lake that is away for days can show its newest state once the lake is there again, or every state that
//! it had at its hours. For the latter a snapshot is taken where the rows are: the catalog notes which blocks make it, and
//! they stay until it is published. Taking needs no lake and does not wait for one.

mod forecast;
mod publish;
mod take;
mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use forecast::{Forecast, ForecastDepth, ForecastFile, ForecastSnapshot};
pub use take::Taken;
pub use verify::PublishedReport;

use crate::catalog::{FileEntry, LayoutEntry, PartitionEntry};
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::link;

/// How many snapshots may wait unless a link says otherwise: two days of hourly ones.
pub const BACKLOG_SNAPSHOTS: u32 = 48;

/// Which snapshots of a link go to its lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// The newest state whenever the lake can be reached.
    #[default]
    Newest,
    /// Each that was due and had something new, in their order; the first, then every so manieth.
    Every(u32),
}

/// What becomes of a snapshot for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// The oldest that waits makes room for it.
    #[default]
    DropOldest,
    /// It is not taken; its changes come with a later one.
    TakeNoMore,
}

/// Which snapshots go to a link's lake, and how many may wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPolicy {
    /// Which ones.
    pub selection: Selection,
    /// How many may wait.
    pub snapshots_max: u32,
    /// How many bytes of blocks may be kept for those that wait and nothing else; `None` sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// What becomes of one for which there is no room.
    pub when_full: WhenFull,
}

impl Default for PublishPolicy {
    fn default() -> Self {
        PublishPolicy {
            selection: Selection::default(),
            snapshots_max: BACKLOG_SNAPSHOTS,
            bytes_max: None,
            when_full: WhenFull::default(),
        }
    }
}

impl PublishPolicy {
    /// Whether snapshots wait, or only the newest state is published.
    #[must_use]
    pub fn keeps_snapshots(&self) -> bool {
        self.selection != Selection::Newest
    }

    /// Refuses a policy that leaves room for nothing.
    ///
    /// # Errors
    /// `InvalidInput` that says what is wrong.
    pub fn check(&self) -> Result<()> {
        if self.selection == Selection::Every(0) {
            return Err(Error::invalid(
                "every 0th snapshot is none; 1 publishes each",
            ));
        }
        if self.snapshots_max == 0 || self.bytes_max == Some(0) {
            return Err(Error::invalid(
                "a backlog has room for one snapshot at least",
            ));
        }
        Ok(())
    }
}

/// What the catalog knows of a link's backlog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backlog {
    pub policy: PublishPolicy,
    /// The snapshots that wait, oldest first.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    /// How many were due since the policy was set.
    #[serde(default)]
    pub due: u64,
    /// How many were dropped for others, ever.
    #[serde(default)]
    pub dropped: u64,
}

/// A snapshot that waits: which blocks make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    pub version: u64,
    pub taken: Ticks,
    pub tables: BTreeMap<String, TableCut>,
}

/// A linked table at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableCut {
    pub schema: FileEntry,
    pub layout: LayoutEntry,
}

impl Backlog {
    /// The partitions that it keeps.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &PartitionEntry> {
        let tables = self.waiting.iter().flat_map(|w| w.tables.values());
        tables.flat_map(|table| table.layout.partitions.values())
    }

    /// The files of the catalog folder that it needs.
    pub(crate) fn schema_files(&self) -> impl Iterator<Item = &str> {
        let tables = self.waiting.iter().flat_map(|w| w.tables.values());
        tables.map(|table| table.schema.file.as_str())
    }

    /// Keeps the policy and lets go of what waits, which is not there where the catalog came to.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// A link's backlog in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BacklogStatus {
    /// Which snapshots go to the lake.
    pub policy: PublishPolicy,
    /// How many wait.
    pub waiting: u64,
    /// When the oldest of them was taken, in Unix seconds.
    pub oldest_unix_s: Option<i64>,
    /// How many were dropped because others needed the room, ever.
    pub dropped: u64,
}

impl Backlog {
    pub(crate) fn status(&self) -> BacklogStatus {
        let oldest = self.waiting.first();
        BacklogStatus {
            policy: self.policy,
            waiting: self.waiting.len() as u64,
            oldest_unix_s: oldest.map(|waiting| waiting.taken.div_euclid(TICKS_PER_SECOND)),
            dropped: self.dropped,
        }
    }
}

impl Environment {
    /// Says which snapshots of a link go to its lake. Those that wait stay, unless only the newest state is wanted from
    /// now on.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; `InvalidInput` if the policy leaves room for nothing, or the link writes
    /// folders, which hold every change anyway.
    pub fn set_publish_policy(&self, link: &str, policy: PublishPolicy) -> Result<()> {
        policy.check()?;
        let entry = link::find(&self.state(), link)?.clone();
        entry.refuse_unlinking(link)?;
        if entry.incremental.is_some() && policy.keeps_snapshots() {
            return Err(Error::invalid(format!(
                "the link {link} writes folders, which hold every change whenever they are published"
            )));
        }
        self.update_backlog(link, |backlog| {
            if backlog.policy.selection != policy.selection {
                backlog.due = 0;
            }
            backlog.policy = policy;
            if !policy.keeps_snapshots() {
                backlog.clear();
            }
        })
    }

    /// Which snapshots of a link go to its lake.
    pub(crate) fn publish_policy(&self, link: &str) -> PublishPolicy {
        let state = self.state();
        let backlog = state.catalog.backlogs.get(link);
        backlog.map(|backlog| backlog.policy).unwrap_or_default()
    }

    fn update_backlog(&self, link: &str, change: impl FnOnce(&mut Backlog)) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        if !catalog.links.contains_key(link) {
            return Ok(());
        }
        let backlog = catalog.backlogs.entry(link.to_owned()).or_default();
        let before = backlog.clone();
        change(backlog);
        match *backlog == before {
            true => Ok(()),
            false => self.inner.replace_catalog(catalog).map(drop),
        }
    }
}
