//! Links in numbers.

use serde::Serialize;

use super::{Activity, Attempt, LinkEntry, LinkTable, find};
use crate::backlog::{Backlog, BacklogStatus};
use crate::clock::TICKS_PER_SECOND;
use crate::compaction::Mode;
use crate::environment::Environment;
use crate::error::Result;

/// A link in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// Its name.
    pub name: String,
    /// The lake's address.
    pub lake: String,
    /// The filesystem.
    pub filesystem: String,
    /// What locations start with.
    pub endpoint: String,
    /// Whether it publishes.
    pub activity: Activity,
    /// How many versions its near-real-time files are behind the last commit.
    pub lag_versions: u64,
    /// The number of the last snapshot, Unix seconds; 0 before the first.
    pub last_snapshot_unix_s: i64,
    /// The cut of the last snapshot.
    pub last_version: u64,
    /// How many snapshots are there to be read.
    pub snapshots: u64,
    /// How many the link keeps; `None` keeps all.
    pub snapshots_kept: Option<u32>,
    /// Of a link that writes what changed into folders: how it stands with them.
    pub incremental: Option<IncrementalStatus>,
    /// Why the last attempt to publish failed, as far as this process knows. `None` once one worked.
    pub last_failure: Option<String>,
    /// The snapshots that wait for the lake, where the link keeps them.
    pub backlog: Option<BacklogStatus>,
    /// The tables.
    pub tables: Vec<LinkTableStatus>,
}

/// The folders of a link that writes what changed into folders.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncrementalStatus {
    /// Seconds between two folders.
    pub every_s: u32,
    /// The folder that the next changes will stand in.
    pub open_folder: String,
    /// The folders that are complete, oldest first.
    pub closed_folders: Vec<String>,
}

/// A linked table in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkTableStatus {
    /// The table's name.
    pub name: String,
    /// The state in the service's words: `NotStarted`; `InProgress` until its first snapshot stands; `Completed`;
    /// `PostProcessing` while a later snapshot is written; `CompletedWithFailures` after the last attempt failed or was
    /// cut off, until one works; `Paused`.
    pub state: &'static str,
    /// Whether it is append-only.
    pub append_only: bool,
    /// How it is partitioned.
    pub partition_strategy: &'static str,
    /// In-place: rows; append-only: changes.
    pub count: u64,
    /// The files that `model.json` names.
    pub files: Vec<String>,
    /// The cut at which it changed last, as published.
    pub last_synced_version: u64,
    /// When a snapshot looked at it last, in Unix seconds; 0 before the first.
    pub last_synced_unix_s: i64,
}

impl Environment {
    /// The links, by name.
    pub fn links(&self) -> Vec<LinkStatus> {
        let state = self.state();
        let links = state.catalog.links.iter();
        let last_version = self.last_version();
        links
            .map(|(name, link)| {
                let backlog = state.catalog.backlogs.get(name);
                self.link_status(name, link, backlog, last_version)
            })
            .collect()
    }

    /// One link.
    pub fn link(&self, name: &str) -> Result<LinkStatus> {
        let state = self.state();
        let last_version = self.last_version();
        let backlog = state.catalog.backlogs.get(name);
        find(&state, name).map(|link| self.link_status(name, link, backlog, last_version))
    }
}

/// The state in the service's words.
fn table_state(link: &LinkEntry, table: &LinkTable, attempt: Option<&Attempt>) -> &'static str {
    let is_begun = link.pending.is_some() || attempt.is_some();
    let is_running = attempt == Some(&Attempt::Running);
    match (link.activity, table.initial_sync_completed) {
        (Activity::Paused, _) => "Paused",
        (_, None) if is_begun => "InProgress",
        (_, None) => "NotStarted",
        (_, Some(_)) if is_running && link.pending.is_some() => "PostProcessing",
        (_, Some(_)) if is_begun && !is_running => "CompletedWithFailures",
        (_, Some(_)) => "Completed",
    }
}

impl Environment {
    fn link_status(
        &self,
        name: &str,
        link: &LinkEntry,
        backlog: Option<&Backlog>,
        last_version: u64,
    ) -> LinkStatus {
        let attempt = self.inner.attempts.last(name);
        let tables = link.tables.iter().map(|(name, table)| LinkTableStatus {
            name: name.clone(),
            state: table_state(link, table, attempt.as_ref()),
            append_only: table.layout.mode == Mode::AppendOnly,
            partition_strategy: table.layout.granularity.name(),
            count: table.partitions.values().map(|p| p.rows).sum(),
            files: table.partitions.values().map(|p| p.file.clone()).collect(),
            last_synced_version: table.last_version,
            last_synced_unix_s: table.last_synced.div_euclid(TICKS_PER_SECOND),
        });
        LinkStatus {
            name: name.to_owned(),
            lake: link.lake.clone(),
            filesystem: link.filesystem.clone(),
            endpoint: link.endpoint.clone(),
            activity: link.activity,
            lag_versions: last_version.saturating_sub(link.synced_version.max(link.last_version)),
            last_snapshot_unix_s: link.last_snapshot_s,
            last_version: link.last_version,
            snapshots: link.history.kept.len() as u64,
            snapshots_kept: link.history.limit,
            incremental: link.incremental.as_ref().map(|i| IncrementalStatus {
                every_s: i.interval_s,
                open_folder: i.open.clone(),
                closed_folders: i.closed.clone(),
            }),
            backlog: backlog
                .filter(|b| b.policy.keeps_snapshots())
                .map(Backlog::status),
            tables: tables.collect(),
            last_failure: match attempt {
                Some(Attempt::Failed(why)) => Some(why),
                _ => None,
            },
        }
    }
}
