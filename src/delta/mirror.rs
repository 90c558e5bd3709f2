//! Sending a Delta table on to a lake: the files that a commit names, then the commit.
//!
//! The folder of the table is where commits are made, also while the way to the lake is closed. Nothing in it changes
//! once a commit names it, so what is in the lake already is known by its name, and an interrupted sending goes on with
//! the first commit that is not there. Readers in the lake see a commit once all of its files are there.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use lakestage_engine::{Lake, Part};
use serde::Serialize;
use serde_json::Value;

use super::DeltaError;
use super::error::At as _;
use super::log::{LOG_FOLDER, Log};

const PARQUET: &str = "application/vnd.apache.parquet";
const JSON: &str = "application/json";

/// What was sent to a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorReport {
    /// The lake, as a person would name it.
    pub lake: String,
    /// The last version that the lake has.
    pub delta_version: u64,
    /// Commits that were sent.
    pub commits: u64,
    /// Files that were sent.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Brings the table in a lake, under its name, up to the last commit of its folder.
///
/// # Errors
/// Those of the lake and the disk, after which the next call goes on; `Conflict` if the lake has another table of that
/// name, or commits that the folder does not have.
pub fn mirror(folder: &Path, table: &str, lake: &dyn Lake) -> Result<MirrorReport, DeltaError> {
    let log = Log::of(folder);
    let versions = log.versions()?;
    let Some(last) = versions.last().copied() else {
        return Err(DeltaError::Refused(format!(
            "{} has no Delta table yet",
            folder.display()
        )));
    };
    lake.create()?;
    let mut report = MirrorReport {
        lake: lake.describe(),
        delta_version: last,
        commits: 0,
        files: 0,
        bytes: 0,
    };
    let next = next_commit(&log, table, lake)?;
    for version in next..=last {
        let path = log.path(version);
        let commit = fs::read(&path).at("reading a commit", &path)?;
        for file in named(&commit) {
            send(folder, table, &file, lake, &mut report)?;
        }
        let parts = [Part::Bytes(&commit)];
        lake.write(&in_lake(table, version), &parts, JSON)?;
        report.commits += 1;
    }
    Ok(report)
}

/// The first commit that the lake does not have.
fn next_commit(log: &Log, table: &str, lake: &dyn Lake) -> Result<u64, DeltaError> {
    let mut version = 0;
    while lake.stat(&in_lake(table, version))?.is_some() {
        version += 1;
    }
    let Some(last) = version.checked_sub(1) else {
        return Ok(0);
    };
    let path = in_lake(table, last);
    let there = lake.read(&path)?.unwrap_or_default();
    let here = fs::read(log.path(last)).unwrap_or_default();
    match there == here {
        true => Ok(version),
        false => Err(DeltaError::Conflict(format!(
            "{}: {path} is not of this table: somebody else writes there, or the folder is not the one that was sent before; send to another filesystem, or remove the table from the lake",
            lake.describe()
        ))),
    }
}

fn in_lake(table: &str, version: u64) -> String {
    format!("{table}/{LOG_FOLDER}/{version:020}.json")
}

/// The files that a commit brings.
fn named(commit: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(commit);
    let actions = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let paths = actions.flat_map(|action| {
        ["add", "cdc"].map(|kind| action[kind]["path"].as_str().map(str::to_owned))
    });
    paths.flatten().collect()
}

fn send(
    folder: &Path,
    table: &str,
    file: &str,
    lake: &dyn Lake,
    report: &mut MirrorReport,
) -> Result<(), DeltaError> {
    let path = folder.join(file);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        // A later version does without it, and it was vacuumed.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("reading a file of the table", &path),
    };
    let to = format!("{table}/{file}");
    let there = lake.stat(&to)?;
    if there.is_some_and(|entry| entry.length == bytes.len() as u64) {
        return Ok(());
    }
    lake.write(&to, &[Part::Bytes(&bytes)], PARQUET)?;
    report.files += 1;
    report.bytes += bytes.len() as u64;
    Ok(())
}
