//! Near-real-time files: between two snapshots `<table>/<partition>.csv` follows the changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metadata;
use super::parquet;
use super::parts::{DataFile, DataFiles};
use super::plan::{NewFile, current_path};
use crate::catalog::PartitionEntry;
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::lake::{Lake, Part};
use crate::link::{self, LinkEntry, LinkTable, Pending};

/// A near-real-time file as it stands in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CurrentFile {
    /// The cut at which its content changed last.
    pub changed_version: u64,
    pub bytes: u64,
    /// Of a Parquet file: the CRC-32C of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
}

impl CurrentFile {
    pub(super) fn of(file: &DataFile) -> Self {
        CurrentFile {
            changed_version: file.entry.changed_version,
            bytes: file.entry.bytes,
            crc32c: file.crc32c,
        }
    }

    fn shows(&self, file: &DataFile) -> bool {
        self.changed_version == file.entry.changed_version
    }
}

/// The near-real-time files of a table by partition.
pub(crate) type CurrentFiles = BTreeMap<String, CurrentFile>;

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// Every change up to this version is in the near-real-time files.
    pub version: u64,
    /// The files it replaced or created.
    pub files_written: Vec<String>,
    /// The files of partitions that are gone.
    pub files_removed: Vec<String>,
    /// Bytes of the files it wrote. A lake that can share holds them once.
    pub bytes_written: u64,
}

impl Environment {
    /// Brings the near-real-time files of a link up to what was committed. `model.json` and the snapshots stay as they
    /// are. Each file is replaced whole; after an interruption the next sync goes on.
    ///
    /// # Errors
    /// `NotFound` if there is no such link, `InvalidInput` if it rests; what the lake or the disk answered otherwise.
    pub fn sync(&self, link: &str, lake: &dyn Lake) -> Result<SyncReport> {
        let _publishing = self.inner.lock_publication();
        link::find(&self.state(), link)?;
        let attempts = &self.inner.attempts;
        attempts.of(link, || self.attempt_sync(link, lake))
    }

    fn attempt_sync(&self, link: &str, lake: &dyn Lake) -> Result<SyncReport> {
        self.settle(link, lake)?;
        let _packs = self.hold_packs();
        let state = self.fold()?;
        let before = link::find(&state, link)?;
        before.refuse_to_rest(link)?;
        if before.incremental.is_some() {
            return Err(Error::invalid(format!(
                "the link {link} writes folders, and has no near-real-time files"
            )));
        }
        if self.publish_policy(link).keeps_snapshots() {
            return Err(Error::invalid(format!(
                "the link {link} publishes its snapshots in their order, and its near-real-time files come with them"
            )));
        }
        parquet::clear_away(&self.inner.packs)?;
        self.note_replacing(link, &state, before)?;
        let mut after = before.clone();
        after.synced_version = state.catalog.folded_version;
        let mut report = SyncReport {
            version: state.catalog.folded_version,
            files_written: Vec::new(),
            files_removed: Vec::new(),
            bytes_written: 0,
        };
        for (name, table) in &mut after.tables {
            let done = report.files_written.len() + report.files_removed.len();
            self.sync_table(&state, (name, table), before, lake, &mut report)?;
            if report.files_written.len() + report.files_removed.len() > done {
                table.last_synced = self.inner.clock.now_ticks();
            }
        }
        if after == *before {
            return Ok(report);
        }
        for file in metadata::files(&state, &after)? {
            let checksum = crate::checksum::crc32c(&[&file.bytes]);
            if before.metadata.get(&file.path) != Some(&checksum) {
                lake.write(&file.path, &[Part::Bytes(&file.bytes)], file.content_type)?;
                after.metadata.insert(file.path, checksum);
            }
        }
        self.update_link(link, |entry| *entry = after)?;
        Ok(report)
    }

    /// Forgets what the files were that are about to be replaced, so that after an interruption they are written anew
    /// and nobody takes them for damaged meanwhile.
    fn note_replacing(&self, link: &str, state: &State, before: &LinkEntry) -> Result<()> {
        let mut during = before.clone();
        for (name, table) in &mut during.tables {
            let partitions = partitions(state, name, table)?;
            let files = table.files(&self.inner.packs, partitions, before.files)?;
            table.current.retain(|partition, current| {
                let file = files.get(partition);
                file.is_none_or(|file| current.shows(file))
            });
        }
        if during == *before {
            return Ok(());
        }
        during.metadata.clear();
        self.update_link(link, |entry| *entry = during)
    }

    fn sync_table(
        &self,
        state: &State,
        (name, table): (&str, &mut LinkTable),
        before: &LinkEntry,
        lake: &dyn Lake,
        report: &mut SyncReport,
    ) -> Result<()> {
        let partitions = partitions(state, name, table)?;
        let files = table.files(&self.inner.packs, partitions, before.files)?;
        let encoder = self.encoder(state, name, (before, table))?;
        for (partition, file) in &files {
            let current = table.current.get(partition);
            if current.is_some_and(|current| current.shows(file)) {
                continue;
            }
            let path = current_path(name, partition);
            let file = NewFile::new(Some(&encoder), name, partition, file, path)?;
            file.write_alone(self, lake)?;
            let current = CurrentFile::of(&file.file);
            report.bytes_written += current.bytes;
            report.files_written.push(file.path);
            table.current.insert(partition.clone(), current);
        }
        for path in table.drop_gone(name, &files) {
            lake.delete(&path)?;
            report.files_removed.push(path);
        }
        Ok(())
    }
}

/// The partitions of a linked table as they stand in blocks.
pub(super) fn partitions<'s>(
    state: &'s State,
    name: &str,
    table: &LinkTable,
) -> Result<&'s BTreeMap<String, PartitionEntry>> {
    let entry = state.catalog.tables.get(name);
    let layout = entry.and_then(|t| t.layout(&table.layout));
    layout
        .map(|layout| &layout.partitions)
        .ok_or_else(|| Error::invalid(format!("table {name} is gone, but the link still has it")))
}

impl LinkTable {
    /// Forgets the near-real-time files of partitions and parts that are gone, and gives their paths.
    pub(super) fn drop_gone(&mut self, name: &str, files: &DataFiles) -> Vec<String> {
        let is_gone = |file: &String| !files.contains_key(file);
        let gone: Vec<String> = self
            .current
            .keys()
            .filter(|p| is_gone(p))
            .cloned()
            .collect();
        self.current.retain(|partition, _| !is_gone(partition));
        gone.iter().map(|p| current_path(name, p)).collect()
    }
}

impl LinkEntry {
    /// Forgets what the files were that a snapshot replaces, or was replacing when it was cut off.
    pub(crate) fn forget_replaced(&mut self, pending: &Pending) {
        for (name, table) in &mut self.tables {
            let after = pending.link.tables.get(name).map(|t| &t.current);
            table.current.retain(|partition, current| {
                let after = after.and_then(|after| after.get(partition));
                after.is_none_or(|after| after == current)
            });
        }
        let after = &pending.link.metadata;
        let is_same = |path: &String, sum: &u32| after.get(path).is_none_or(|after| after == sum);
        self.metadata.retain(|path, sum| is_same(path, sum));
    }

    /// Notes that the near-real-time files are what the snapshot shows.
    pub(super) fn note_current(&mut self, file: &NewFile) {
        if let Some(table) = self.tables.get_mut(&file.table) {
            let current = CurrentFile::of(&file.file);
            table.current.insert(file.name.clone(), current);
        }
    }
}
