//! What an environment holds, in numbers.

use serde::Serialize;

use super::{Environment, QuotaStatus};
use crate::catalog::EnvironmentSettings;
use crate::error::Result;

/// An environment in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// What it is called and how it writes.
    #[serde(flatten)]
    pub settings: EnvironmentSettings,
    /// The version up to which every change stands in blocks.
    pub compacted_version: u64,
    /// The version of the last commit.
    pub last_version: u64,
    /// Bytes of commits that are in no segment yet.
    pub tail_bytes: u64,
    /// Sealed segments.
    pub segments: usize,
    /// Bytes of their files.
    pub segment_bytes: u64,
    /// Bytes of the journal's files.
    pub journal_bytes: u64,
    /// The version at which the last run began a commit that it did not bring to its end: a crash or a
    /// power cut broke it off before it was acknowledged, and opening dropped it. Its versions are given
    /// to the next commit.
    pub unfinished_version: Option<u64>,
    /// The quota, and what counts towards it.
    pub quota: QuotaStatus,
    /// Commits that wait for the disk.
    pub waiting_commits: usize,
    /// The tables.
    pub tables: Vec<TableStatus>,
}

/// A table in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableStatus {
    /// The logical name.
    pub name: String,
    /// Whether change tracking is on.
    pub change_tracking: bool,
    /// How many columns the CSV has, the three system columns included.
    pub columns: usize,
    /// Rows in blocks.
    pub rows: u64,
    /// Bytes in blocks.
    pub bytes: u64,
    /// Partitions in blocks.
    pub partitions: usize,
}

impl Environment {
    /// The version of the last commit.
    pub fn last_version(&self) -> u64 {
        self.inner.staging.last_version()
    }

    /// What the environment holds.
    pub fn status(&self) -> Result<EnvironmentStatus> {
        let state = self.state();
        let catalog = &state.catalog;
        let tables = catalog.tables.iter().filter_map(|(name, entry)| {
            let schema = state.tables.get(name)?.plan.schema();
            let partitions = &entry.layouts.first()?.partitions;
            Some(TableStatus {
                name: name.clone(),
                change_tracking: schema.change_tracking(),
                columns: schema.csv_columns(),
                rows: partitions.values().map(|p| p.rows).sum(),
                bytes: partitions.values().map(|p| p.bytes).sum(),
                partitions: partitions.len(),
            })
        });
        let staging = &self.inner.staging;
        let segments = staging.segments();
        Ok(EnvironmentStatus {
            settings: catalog.settings.clone(),
            compacted_version: catalog.folded_version,
            last_version: self.last_version(),
            tail_bytes: staging.tail_bytes() as u64,
            segments: segments.len(),
            segment_bytes: segments.iter().map(|s| s.entry().bytes).sum(),
            journal_bytes: self.inner.journal.stored_bytes()?,
            unfinished_version: self.inner.unfinished_version,
            quota: self.quota_status(),
            waiting_commits: self.inner.committer.waiting(),
            tables: tables.collect(),
        })
    }
}
