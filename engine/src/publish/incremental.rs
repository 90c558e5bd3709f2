//! Links that write folders: what changed since the last folder stands in a folder of its own.
//!
//! A folder is named after the time at which its interval began. When it is closed, its rows are first taken out of
//! the link's layouts, in one step with a note of where they go; then its files are written, its `model.json` last; then
//! `Synapse.log` names it; then `changelog.info` names the next. Whatever interrupts that, the note is carried out to its
//! end by whoever comes next, and every file it writes again has the bytes that it had.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::DataFiles;
use super::plan::NewFile;
use super::snapshot::SnapshotReport;
use super::{MODEL_FILE, metadata, model_json, parquet, parts};
use crate::catalog::PartitionEntry;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::lake::{Lake, Part};
use crate::link::{self, LinkEntry, NewLink, Published};
use crate::value::to_civil;

/// The least and the greatest interval, as the service allows them.
const INTERVAL_MIN_S: u32 = 5 * 60;
const INTERVAL_MAX_S: u32 = 24 * 3_600;

const CURRENT_FOLDER_FILE: &str = "Changelog/changelog.info";
const CLOSED_FOLDERS_FILE: &str = "Changelog/Synapse.log";
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// What a link that writes folders remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Incremental {
    pub interval_s: u32,
    /// Marks the layouts that are this link's alone.
    pub owner: u32,
    /// The folder that what changes now will stand in.
    pub open: String,
    /// The folders that are complete, oldest first.
    pub closed: Vec<String>,
    /// A folder that is being closed.
    pub closing: Option<Closing>,
}

/// A folder that is being closed: the rows that were taken out of the layouts for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Closing {
    /// The folder that is open after it.
    pub next: String,
    pub closed: Ticks,
    /// Every change up to this version is in it or in those before it.
    pub version: u64,
    pub tables: BTreeMap<String, BTreeMap<String, PartitionEntry>>,
}

impl Incremental {
    pub(crate) fn of(environment: &Environment, new: &NewLink) -> Result<Option<Self>> {
        let Some(interval_s) = new.incremental_every_s else {
            return Ok(None);
        };
        if !(INTERVAL_MIN_S..=INTERVAL_MAX_S).contains(&interval_s) {
            return Err(Error::invalid(format!(
                "an interval of {interval_s} s is not possible: folders come every {INTERVAL_MIN_S} to {INTERVAL_MAX_S} s"
            )));
        }
        let state = environment.state();
        let links = state.catalog.links.values();
        let owners = links.filter_map(|link| link.incremental.as_ref().map(|i| i.owner));
        Ok(Some(Incremental {
            interval_s,
            owner: owners.max().unwrap_or(0) + 1,
            open: folder_name(environment.inner.clock.now_ticks()),
            closed: Vec::new(),
            closing: None,
        }))
    }

    /// The partitions that were taken out of layouts and are not published yet.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &PartitionEntry> {
        let tables = self.closing.iter().flat_map(|c| c.tables.values());
        tables.flat_map(BTreeMap::values)
    }
}

/// `2024-05-21T08.07.17Z`: the time in UTC, with points where a path cannot have colons.
fn folder_name(ticks: Ticks) -> String {
    to_civil(ticks).strftime("%Y-%m-%dT%H.%M.%SZ").to_string()
}

/// The name of the folder after `open`; names rise even when the clock does not.
fn next_name(open: &str, now: Ticks) -> String {
    let mut at = now;
    while folder_name(at).as_str() <= open {
        at += TICKS_PER_SECOND;
    }
    folder_name(at)
}

impl Environment {
    /// Closes the open folder, if anything changed since it was opened.
    pub(super) fn close_folder(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        self.fold()?;
        if !self.take_rows(link)? {
            self.refresh_root(link, lake)?;
            return Ok(SnapshotReport::unchanged(link::find(&self.state(), link)?));
        }
        self.finish_folder(link, lake)
    }

    /// Takes the rows out of the link's layouts. `false` if there are none.
    fn take_rows(&self, link: &str) -> Result<bool> {
        let now = self.inner.clock.now_ticks();
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        let Some(entry) = catalog.links.get_mut(link) else {
            return Ok(false);
        };
        let Some(incremental) = &mut entry.incremental else {
            return Ok(false);
        };
        let mut tables = BTreeMap::new();
        for (name, linked) in &entry.tables {
            let layouts = catalog.tables.get_mut(name).map(|t| &mut t.layouts);
            let layout = layouts.and_then(|l| l.iter_mut().find(|l| l.layout == linked.layout));
            let layout = layout.filter(|layout| !layout.partitions.is_empty());
            if let Some(layout) = layout {
                tables.insert(name.clone(), std::mem::take(&mut layout.partitions));
            }
        }
        if tables.is_empty() {
            return Ok(false);
        }
        incremental.closing = Some(Closing {
            next: next_name(&incremental.open, now),
            closed: now,
            version: catalog.folded_version,
            tables,
        });
        self.inner.replace_catalog(catalog)?;
        Ok(true)
    }

    /// Shows schemas that changed since the last folder, though no row did.
    fn refresh_root(&self, link: &str, lake: &dyn Lake) -> Result<()> {
        let state = self.state();
        let before = link::find(&state, link)?;
        let mut after = before.clone();
        after.note_schemas(&state)?;
        let Some(incremental) = &before.incremental else {
            return Ok(());
        };
        if incremental.closed.is_empty() || after == *before {
            return Ok(());
        }
        let folder = Folder {
            environment: self,
            state: &state,
            lake,
            name: &incremental.open,
        };
        folder.write_root(&after)?;
        self.update_link(link, |entry| *entry = after)
    }

    /// Brings a folder that is being closed to its end; nothing happens where there is none.
    pub(super) fn finish_folder(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let _packs = self.hold_packs();
        let state = self.state();
        let before = link::find(&state, link)?;
        let Some((incremental, closing)) = before
            .incremental
            .as_ref()
            .and_then(|incremental| Some((incremental, incremental.closing.as_ref()?)))
        else {
            return Ok(SnapshotReport::unchanged(before));
        };
        let folder = Folder {
            environment: self,
            state: &state,
            lake,
            name: &incremental.open,
        };
        lake.write(
            CURRENT_FOLDER_FILE,
            &[Part::Bytes(folder.name.as_bytes())],
            TEXT,
        )?;
        let mut after = before.clone();
        let (tables, new) = folder.files(before, closing)?;
        after.note_folder(folder.name, closing, &tables);
        after.note_schemas(&state)?;
        let files = folder.write(&after, &tables, new)?;
        let log = after.incremental.as_ref().map(|i| i.closed.join(","));
        let log = log.unwrap_or_default();
        folder.write_root(&after)?;
        lake.write(CLOSED_FOLDERS_FILE, &[Part::Bytes(log.as_bytes())], TEXT)?;
        lake.write(
            CURRENT_FOLDER_FILE,
            &[Part::Bytes(closing.next.as_bytes())],
            TEXT,
        )?;
        let report = SnapshotReport::of_folder(&after, closing, files);
        self.update_link(link, |entry| *entry = after)?;
        Ok(report)
    }
}

impl LinkEntry {
    fn note_schemas(&mut self, state: &State) -> Result<()> {
        for (name, table) in &mut self.tables {
            table.schema = Some(state.table(name)?.schema.clone());
        }
        Ok(())
    }

    /// The link as it is once the folder is closed.
    fn note_folder(
        &mut self,
        folder: &str,
        closing: &Closing,
        tables: &BTreeMap<String, DataFiles>,
    ) {
        self.last_version = closing.version;
        self.synced_version = closing.version;
        self.last_snapshot_s = closing.closed.div_euclid(TICKS_PER_SECOND);
        for (name, table) in &mut self.tables {
            table.initial_sync_completed.get_or_insert(closing.closed);
            table.last_synced = closing.closed;
            for (partition, file) in tables.get(name).into_iter().flatten() {
                let entry = &file.entry;
                let before = table.partitions.get(partition);
                let published = Published {
                    file: file_path(folder, name, partition),
                    changed_version: entry.changed_version,
                    // All changes that were ever published, as the service counts them.
                    rows: entry.rows + before.map_or(0, |p| p.rows),
                    bytes: entry.bytes,
                    etag: None,
                    crc32c: file.crc32c,
                };
                table.partitions.insert(partition.clone(), published);
                table.last_version = table.last_version.max(entry.changed_version);
            }
        }
        if let Some(incremental) = &mut self.incremental {
            incremental.closed.push(folder.to_owned());
            incremental.open.clone_from(&closing.next);
            incremental.closing = None;
        }
    }
}

fn file_path(folder: &str, table: &str, partition: &str) -> String {
    format!("{folder}/{table}/{}", parts::file_name(partition, None))
}

/// A folder while it is written.
struct Folder<'a> {
    environment: &'a Environment,
    state: &'a State,
    lake: &'a dyn Lake,
    name: &'a str,
}

impl Folder<'_> {
    /// The files of each table, and what makes them.
    fn files(
        &self,
        link: &LinkEntry,
        closing: &Closing,
    ) -> Result<(BTreeMap<String, DataFiles>, Vec<NewFile>)> {
        let packs = &self.environment.inner.packs;
        parquet::clear_away(packs)?;
        let (mut tables, mut new) = (BTreeMap::new(), Vec::new());
        for (table, partitions) in &closing.tables {
            // A table that left the link meanwhile leaves no files.
            let Some(linked) = link.tables.get(table) else {
                continue;
            };
            let encoder = self
                .environment
                .encoder(self.state, table, (link, linked))?;
            let mut files = parts::once(packs, partitions, link.files)?;
            for (name, file) in &mut files {
                let path = file_path(self.name, table, name);
                let made = NewFile::new(Some(&encoder), table, name, file, path)?;
                *file = made.file.clone();
                new.push(made);
            }
            tables.insert(table.clone(), files);
        }
        Ok((tables, new))
    }

    /// Writes data, then metadata, then `model.json`. Gives the data files.
    fn write(
        &self,
        link: &LinkEntry,
        tables: &BTreeMap<String, DataFiles>,
        new: Vec<NewFile>,
    ) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for file in new {
            self.write_data(&file)?;
            files.push(file.path.clone());
        }
        let shown = |table: &str| tables.get(table);
        let model =
            |tables: &[&str]| model_json::render_folder(self.state, link, self.name, tables, shown);
        for file in metadata::of_schemas(self.state, link)? {
            self.write_whole(
                &format!("{}/{}", self.name, file.path),
                &file.bytes,
                file.content_type,
            )?;
        }
        for table in tables.keys() {
            let path = format!("{}/{}", self.name, metadata::table_model_path(table));
            self.write_whole(&path, &model(&[table])?, JSON)?;
        }
        let all: Vec<&str> = link.tables.keys().map(String::as_str).collect();
        self.write_whole(&format!("{}/{MODEL_FILE}", self.name), &model(&all)?, JSON)?;
        Ok(files)
    }

    fn write_data(&self, file: &NewFile) -> Result<()> {
        let there = self.lake.stat(&file.path)?;
        // It was written before something interrupted, and a file that is there does not change.
        if there.is_some_and(|there| there.length == file.file.entry.bytes) {
            return Ok(());
        }
        file.write_alone(self.environment, self.lake).map(drop)
    }

    fn write_whole(&self, path: &str, bytes: &[u8], content_type: &str) -> Result<()> {
        if self.lake.read(path)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        self.lake
            .write(path, &[Part::Bytes(bytes)], content_type)
            .map(drop)
    }

    /// The schemas of all tables as they are now, at the root, where they changed.
    fn write_root(&self, link: &LinkEntry) -> Result<()> {
        let tables: Vec<&str> = link.tables.keys().map(String::as_str).collect();
        let model = model_json::render_folder(self.state, link, self.name, &tables, |_| None)?;
        if self.lake.read(MODEL_FILE)?.as_deref() != Some(&model[..]) {
            self.lake.publish(MODEL_FILE, &model, JSON)?;
        }
        for file in metadata::of_schemas(self.state, link)? {
            self.write_whole(&file.path, &file.bytes, file.content_type)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rise_even_when_the_clock_does_not() {
        let now = 1_716_278_837 * TICKS_PER_SECOND;
        assert_eq!(folder_name(now), "2024-05-21T08.07.17Z");
        assert_eq!(
            next_name("2024-05-21T08.00.00Z", now),
            "2024-05-21T08.07.17Z"
        );
        assert_eq!(
            next_name("2024-05-21T08.07.17Z", now),
            "2024-05-21T08.07.18Z"
        );
        assert_eq!(
            next_name("2024-05-21T08.07.20Z", now),
            "2024-05-21T08.07.21Z"
        );
    }
}
