//! What was kept and what was lost.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalog::Catalog;
use crate::error::{IoContext, Result};
use crate::files;

const QUARANTINE_FOLDER: &str = "quarantine";

/// What a salvage kept and lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SalvageReport {
    /// The environment's name.
    pub environment: String,
    /// The version that the new environment is at.
    pub version: u64,
    /// Tables that were kept, with their rows.
    pub kept: Vec<(String, u64)>,
    /// What was lost; empty if nothing was.
    pub lost: Vec<Loss>,
    /// Whether the journal was damaged, so that versions are left out lest one be used again.
    pub journal_is_damaged: bool,
}

/// Something that was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// What it is, in words.
    pub what: String,
    /// Why it could not be kept.
    pub reason: String,
    /// The table, where it is of one.
    pub table: Option<String>,
    /// The partition, where it is of one.
    pub partition: Option<String>,
    /// The least id that may be among it.
    pub first_id: Option<String>,
    /// The greatest.
    pub last_id: Option<String>,
    /// The first version that is among it.
    pub first_version: Option<u64>,
    /// The last.
    pub last_version: Option<u64>,
    /// How many rows, where that is known.
    pub rows: Option<u64>,
}

impl Loss {
    /// A whole table.
    pub(super) fn of(table: &str, reason: &str) -> Self {
        Loss {
            what: format!("table {table}"),
            reason: reason.to_owned(),
            table: Some(table.to_owned()),
            ..Loss::default()
        }
    }

    /// Changes, which leave their rows as they were before.
    pub(super) fn of_versions(first: u64, last: Option<u64>, reason: &str) -> Self {
        let what = match last {
            Some(last) => {
                format!("the changes {first} to {last}; their rows are as they were before")
            }
            None => format!("changes from {first} on; their rows are as they were before"),
        };
        Loss {
            what,
            reason: reason.to_owned(),
            first_version: Some(first),
            last_version: last,
            rows: last.map(|last| last - first + 1),
            ..Loss::default()
        }
    }
}

impl SalvageReport {
    /// Tells that changes are lost, together with those right before them.
    pub(super) fn lose_versions(&mut self, first: u64, last: u64, reason: &str) {
        if let Some(before) = self.lost.last()
            && before.last_version.is_some_and(|v| v + 1 == first)
            && let Some(start) = before.first_version
        {
            let reason = before.reason.clone();
            self.lost.pop();
            self.lost
                .push(Loss::of_versions(start, Some(last), &reason));
            return;
        }
        self.lost.push(Loss::of_versions(first, Some(last), reason));
    }

    /// Counts the rows of the new environment.
    pub(super) fn count(&mut self, catalog: &Catalog) {
        let rows = catalog.tables.iter().map(|(name, table)| {
            let partitions = table
                .layouts
                .first()
                .into_iter()
                .flat_map(|l| l.partitions.values());
            (name.clone(), partitions.map(|p| p.rows).sum())
        });
        self.kept = rows.collect();
    }
}

/// Where damaged bytes are set aside.
pub(super) struct Quarantine(PathBuf);

impl Quarantine {
    pub(super) fn at(to: &Path) -> Self {
        Quarantine(to.join(QUARANTINE_FOLDER))
    }

    /// Sets a copy of a file aside; it is fine if there is none.
    pub(super) fn file(&self, path: &Path) -> Result<()> {
        if !path.is_file() {
            return Ok(());
        }
        files::create_folder(&self.0)?;
        let to = self.0.join(path.file_name().unwrap_or_default());
        fs::copy(path, &to).context("setting aside", path).map(drop)
    }

    /// Sets a part of a file aside.
    pub(super) fn part(&self, path: &Path, offset: u64, length: u64) -> Result<()> {
        let Ok(bytes) = fs::read(path) else {
            return Ok(());
        };
        let start = (offset as usize).min(bytes.len());
        let end = start.saturating_add(length as usize).min(bytes.len());
        files::create_folder(&self.0)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        files::write_file(&self.0.join(format!("{name}@{offset}")), &bytes[start..end])
    }
}
