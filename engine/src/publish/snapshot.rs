//! One snapshot: a consistent cut over all tables of a link.
//!
//! The order is what makes it safe: the catalog notes what is about to appear, the data files are
//! written, `model.json` is replaced in one step, and the catalog notes that it happened. Whoever
//! comes after a crash asks the lake's `model.json` which of the two it was.

use serde::Serialize;

use super::history::Kept;
use super::metadata::{self, MetadataFile};
use super::model_json;
use crate::catalog::{FileEntry, PartitionEntry};
use crate::checksum::crc32c;
use crate::clock::TICKS_PER_SECOND;
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::lake::{Lake, Part};
use crate::link::{self, LinkEntry, LinkTable, Pending, Published};

/// The file that always names the newest snapshot.
pub(crate) const MODEL_FILE: &str = "model.json";
const CSV: &str = "text/csv";
const JSON: &str = "application/json";

/// What a snapshot did.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// The number in the names of its files; of the last one where nothing had changed.
    pub snapshot_unix_s: i64,
    /// Every change up to this version is in it, and none after.
    pub version: u64,
    /// Whether anything had changed. If not, nothing was written.
    pub changed: bool,
    /// The snapshot files it wrote.
    pub files_written: Vec<String>,
    /// The snapshot files it took over from the one before.
    pub files_kept: Vec<String>,
    /// Rows in all files that `model.json` names.
    pub rows: u64,
    /// Bytes of all those files.
    pub bytes: u64,
    /// Bytes of the files it wrote. A lake that can share holds them once.
    pub bytes_written: u64,
}

impl Environment {
    /// Publishes everything committed so far as a snapshot, if anything changed since the last.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; what the lake or the disk answered otherwise. A snapshot
    /// that failed is invisible, and the next one clears it away.
    pub fn snapshot(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let _publishing = self.inner.lock_publication();
        self.settle(link, lake)?;
        let _packs = self.hold_packs();
        let state = self.fold()?;
        let before = link::find(&state, link)?;
        let Some(mut plan) = Plan::of(self, &state, before)? else {
            return Ok(report(before, false, Vec::new()));
        };
        let model = model_json::render(&state, &plan.link)?;
        let model_file = self.remember(link, &mut plan, &model);
        let pending = Pending {
            model_crc32c: model_file.crc32c,
            link: plan.link.clone(),
            files: plan.files.iter().map(|f| f.path.clone()).collect(),
            removed: plan.removed,
        };
        self.update_links(|store, links| {
            // Written under the catalog's lock: whatever the catalog does not name is garbage.
            store.write(model_file.file, &model)?;
            if let Some(entry) = links.get_mut(link) {
                entry.pending = Some(Box::new(pending.clone()));
            }
            Ok(())
        })?;
        for file in &plan.files {
            file.write(self, lake)?;
        }
        for file in &plan.metadata {
            lake.write(&file.path, &[Part::Bytes(&file.bytes)], file.content_type)?;
        }
        lake.write(MODEL_FILE, &[Part::Bytes(&model)], JSON)?;
        self.complete(link, &pending, lake)?;
        let written = plan.files.into_iter().map(|f| f.path).collect();
        Ok(report(&plan.link, true, written))
    }

    /// Enters the snapshot into the link's history, and plans to remove what falls out of it.
    fn remember(&self, link: &str, plan: &mut Plan, model: &[u8]) -> FileEntry {
        let number = plan.link.last_snapshot_s;
        let model_file = FileEntry {
            file: format!("model-{link}-{number}.json"),
            crc32c: crc32c(&[model]),
        };
        let published = || {
            plan.link
                .tables
                .values()
                .flat_map(|t| t.partitions.values())
        };
        let kept = Kept {
            version: plan.link.last_version,
            model: model_file.clone(),
            rows: published().map(|p| p.rows).sum(),
            bytes: published().map(|p| p.bytes).sum(),
            files: published().map(|p| p.file.clone()).collect(),
        };
        let history = &mut plan.link.history;
        history.kept.insert(number, kept);
        let now = self.inner.clock.now_ticks();
        let leases = &self.inner.leases;
        plan.removed
            .extend(history.expire(now, |number| leases.is_held(link, number)));
        model_file
    }

    /// Ends what an interrupted snapshot left: it either became visible, or it is cleared away.
    fn settle(&self, name: &str, lake: &dyn Lake) -> Result<()> {
        let state = self.state();
        let entry = link::find(&state, name)?;
        let Some(pending) = &entry.pending else {
            return Ok(());
        };
        let model = lake.read(MODEL_FILE)?;
        if model.is_some_and(|m| crc32c(&[&m]) == pending.model_crc32c) {
            return self.complete(name, pending, lake);
        }
        tracing::info!(link = name, "clearing away a snapshot that was cut off");
        for file in &pending.files {
            lake.delete(file)?;
        }
        let used_up = pending.link.last_snapshot_s;
        self.update_link(name, |entry| {
            entry.pending = None;
            // The number stays used, so that no file name ever comes back with other content.
            entry.last_snapshot_s = entry.last_snapshot_s.max(used_up);
        })
    }

    /// Ends a snapshot that is visible. The catalog is last, so that whoever comes after a crash
    /// knows what is left to do.
    fn complete(&self, name: &str, pending: &Pending, lake: &dyn Lake) -> Result<()> {
        for path in &pending.removed {
            lake.delete(path)?;
        }
        self.update_link(name, |entry| *entry = pending.link.clone())
    }

    pub(super) fn update_link(
        &self,
        name: &str,
        change: impl FnOnce(&mut LinkEntry),
    ) -> Result<()> {
        self.update_links(|_, links| {
            if let Some(entry) = links.get_mut(name) {
                change(entry);
            }
            Ok(())
        })
    }
}

fn report(link: &LinkEntry, changed: bool, files_written: Vec<String>) -> SnapshotReport {
    let all = || link.tables.values().flat_map(|t| t.partitions.values());
    let (written, kept): (Vec<_>, Vec<_>) = all().partition(|p| files_written.contains(&p.file));
    SnapshotReport {
        snapshot_unix_s: link.last_snapshot_s,
        version: link.last_version,
        changed,
        files_kept: kept.iter().map(|p| p.file.clone()).collect(),
        rows: all().map(|p| p.rows).sum(),
        bytes: all().map(|p| p.bytes).sum(),
        bytes_written: written.iter().map(|p| p.bytes).sum(),
        files_written,
    }
}

/// What a snapshot will write, and the link as it is afterwards.
struct Plan {
    link: LinkEntry,
    files: Vec<NewFile>,
    /// Near-real-time files of partitions that are gone, and files of snapshots that are not kept.
    removed: Vec<String>,
    /// Metadata files that differ from what stands in the lake.
    metadata: Vec<MetadataFile>,
}

/// A snapshot file that is to be written, and then stands as the near-real-time file as well.
struct NewFile {
    path: String,
    current: String,
    partition: PartitionEntry,
}

impl Plan {
    /// `None` if the lake shows this state already.
    fn of(environment: &Environment, state: &State, before: &LinkEntry) -> Result<Option<Self>> {
        let now = environment.inner.clock.now_ticks();
        let number = (now.div_euclid(TICKS_PER_SECOND)).max(before.last_snapshot_s + 1);
        let mut plan = Plan {
            link: before.clone(),
            files: Vec::new(),
            removed: Vec::new(),
            metadata: Vec::new(),
        };
        plan.link.last_snapshot_s = number;
        plan.link.last_version = state.catalog.folded_version;
        let mut changed = before.last_snapshot_s == 0;
        for (name, table) in &before.tables {
            let mut after = table.clone();
            changed |= plan.table(state, name, number, &mut after)?;
            changed |= after.initial_sync_completed.is_none();
            after.initial_sync_completed.get_or_insert(now);
            plan.link.tables.insert(name.clone(), after);
        }
        changed |= plan.metadata(state)?;
        Ok(changed.then_some(plan))
    }

    /// Plans the metadata files that are not in the lake as they should be; `true` if there are any.
    fn metadata(&mut self, state: &State) -> Result<bool> {
        let files = metadata::files(state, &self.link)?;
        let after = metadata::checksums(&files);
        let before = std::mem::replace(&mut self.link.metadata, after);
        let after = &self.link.metadata;
        let gone = before.keys().filter(|path| !after.contains_key(*path));
        self.removed.extend(gone.cloned());
        self.metadata = files
            .into_iter()
            .filter(|file| before.get(&file.path) != after.get(&file.path))
            .collect();
        Ok(before != *after)
    }

    fn table(
        &mut self,
        state: &State,
        name: &str,
        number: i64,
        table: &mut LinkTable,
    ) -> Result<bool> {
        let entry = state.catalog.tables.get(name);
        let layout = entry.and_then(|t| t.layout(&table.layout)).ok_or_else(|| {
            Error::invalid(format!("table {name} is gone, but the link still has it"))
        })?;
        let mut changed = false;
        let gone: Vec<String> = table
            .partitions
            .keys()
            .filter(|partition| !layout.partitions.contains_key(*partition))
            .cloned()
            .collect();
        for partition in gone {
            table.partitions.remove(&partition);
            self.removed.push(format!("{name}/{partition}.csv"));
            changed = true;
        }
        for (partition, entry) in &layout.partitions {
            let published = table.partitions.get(partition);
            if published.is_some_and(|p| p.changed_version == entry.changed_version) {
                continue;
            }
            let path = format!("{name}/Snapshot/{partition}_{number}.csv");
            table.partitions.insert(
                partition.clone(),
                Published {
                    file: path.clone(),
                    changed_version: entry.changed_version,
                    rows: entry.rows,
                    bytes: entry.bytes,
                },
            );
            table.last_version = table.last_version.max(entry.changed_version);
            self.files.push(NewFile {
                path,
                current: format!("{name}/{partition}.csv"),
                partition: entry.clone(),
            });
            changed = true;
        }
        Ok(changed)
    }
}

impl NewFile {
    fn write(&self, environment: &Environment, lake: &dyn Lake) -> Result<()> {
        let packs = &environment.inner.packs;
        let manifest = packs.manifest(&self.partition.manifest)?;
        let files: Vec<_> = manifest
            .blocks
            .iter()
            .map(|block| {
                (
                    pack_name(environment, block.extent.pack),
                    packs.path(block.extent.pack),
                )
            })
            .collect();
        let parts: Vec<Part<'_>> = manifest
            .blocks
            .iter()
            .zip(&files)
            .map(|(block, (name, file))| Part::Range {
                name,
                file,
                offset: block.extent.offset,
                length: block.extent.length,
                crc32c: block.extent.crc32c,
            })
            .collect();
        let written = lake.write(&self.path, &parts, CSV)?;
        if written.length != self.partition.bytes {
            return Err(Error::Lake(format!(
                "{} has {} bytes after it was written, and should have {}",
                self.path, written.length, self.partition.bytes
            )));
        }
        lake.copy(&self.path, &self.current)
    }
}

/// A name for a pack that no other environment's pack has.
fn pack_name(environment: &Environment, pack: u64) -> String {
    format!("{}/{pack}", environment.state().catalog.id.simple())
}
