//! A link in numbers.

use serde::Serialize;

use crate::clock::TICKS_PER_SECOND;
use crate::compaction::Mode;
use crate::link::{Activity, LinkEntry, LinkTable};

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
    /// The tables.
    pub tables: Vec<LinkTableStatus>,
}

/// A linked table in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkTableStatus {
    /// The table's name.
    pub name: String,
    /// The state in the service's words: `NotStarted`, `InProgress` while its first snapshot is being written,
    /// `Completed`, `PostProcessing` while a later one is, `Paused`.
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

/// The state in the service's words.
fn table_state(link: &LinkEntry, table: &LinkTable) -> &'static str {
    match (link.activity, table.initial_sync_completed, &link.pending) {
        (Activity::Paused, _, _) => "Paused",
        (_, None, None) => "NotStarted",
        (_, None, Some(_)) => "InProgress",
        (_, Some(_), Some(_)) => "PostProcessing",
        (_, Some(_), None) => "Completed",
    }
}

/// What a link shows, beside the version of the last commit.
pub(crate) fn status(name: &str, link: &LinkEntry, last_version: u64) -> LinkStatus {
    let tables = link.tables.iter().map(|(name, table)| LinkTableStatus {
        name: name.clone(),
        state: table_state(link, table),
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
        tables: tables.collect(),
    }
}
