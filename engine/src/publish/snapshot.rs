//! One snapshot: a consistent cut over all tables of a link.
//!
//! The order is what makes it safe: the catalog notes what is about to appear, the data files are
//! written, `model.json` is replaced in one step, and the catalog notes that it happened. Whoever
//! comes after a crash asks the lake's `model.json` which of the two it was.

use serde::Serialize;

use super::history::Kept;
use super::incremental::Closing;
use super::plan::{Aim, Plan};
use super::{model_json, parquet};
use crate::catalog::FileEntry;
use crate::checksum::crc32c;
use crate::clock::Ticks;
use crate::environment::{Environment, State};
use crate::error::Result;
use crate::faults;
use crate::lake::{Lake, Part, Traffic};
use crate::link::{self, Activity, LinkEntry, Pending};

/// The file that always names the newest snapshot.
pub const MODEL_FILE: &str = "model.json";
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
    /// Files of the lake that somebody else had removed or changed, and that it put right.
    pub repaired: Vec<String>,
    /// What went over the wire; `None` for a lake on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

impl Environment {
    /// Publishes everything committed so far as a snapshot, if anything changed since the last.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; what the lake or the disk answered otherwise. A snapshot
    /// that failed is invisible, and the next one clears it away.
    pub fn snapshot(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let before = lake.traffic().unwrap_or_default();
        let mut report = self.publish_new(link, lake)?;
        report.traffic = lake.traffic().map(|traffic| traffic.since(before));
        Ok(report)
    }

    fn publish_new(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        if self.publish_policy(link).keeps_snapshots() {
            return self.publish_backlog(link, lake);
        }
        let _publishing = self.inner.lock_publication();
        link::find(&self.state(), link)?;
        let attempts = &self.inner.attempts;
        attempts.of(link, || self.attempt_snapshot(link, lake))
    }

    /// Makes a lake ready to be published to; gives what an interruption had left open of a folder.
    pub(crate) fn prepare_lake(
        &self,
        link: &str,
        lake: &dyn Lake,
    ) -> Result<Option<SnapshotReport>> {
        self.ensure_filesystem(link, lake)?;
        match link::find(&self.state(), link)?.incremental.is_some() {
            true => self.finish_folder(link, lake).map(Some),
            false => self.settle(link, lake).map(|()| None),
        }
    }

    pub(crate) fn attempt_snapshot(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let finished = self.prepare_lake(link, lake)?;
        link::find(&self.state(), link)?.refuse_to_rest(link)?;
        let Some(finished) = finished else {
            return self.publish(link, lake, &[]);
        };
        let closed = self.close_folder(link, lake)?;
        // What an interruption had left open and is complete now is news as well.
        Ok(match closed.changed {
            true => closed,
            false => finished,
        })
    }

    /// Makes a filesystem anew that somebody removed, or that a restored environment never had.
    fn ensure_filesystem(&self, link: &str, lake: &dyn Lake) -> Result<()> {
        let is_active = link::find(&self.state(), link)?.activity == Activity::Active;
        if !is_active || !lake.create()? {
            return Ok(());
        }
        tracing::warn!(%link, "the lake's filesystem was gone; everything is published anew");
        // The snapshots that were kept there went with it.
        self.update_link(link, |entry| {
            entry.metadata.clear();
            entry.history.kept.clear();
            entry.history.pins.clear();
        })
    }

    /// Publishes, and takes tables out of the link with it. The caller holds the publication lock and has settled what
    /// was before.
    pub(super) fn publish(
        &self,
        link: &str,
        lake: &dyn Lake,
        without: &[String],
    ) -> Result<SnapshotReport> {
        let _packs = self.hold_packs();
        let state = self.fold()?;
        let now = self.inner.clock.now_ticks();
        self.publish_from(link, lake, (&state, now), without)
    }

    /// Publishes a state that was taken at some time. The caller holds the publication lock and the packs.
    pub(crate) fn publish_state(
        &self,
        link: &str,
        lake: &dyn Lake,
        state: &State,
        taken: Ticks,
    ) -> Result<SnapshotReport> {
        self.publish_from(link, lake, (state, taken), &[])
    }

    fn publish_from(
        &self,
        link: &str,
        lake: &dyn Lake,
        (state, taken): (&State, Ticks),
        without: &[String],
    ) -> Result<SnapshotReport> {
        let current = self.state();
        let before = link::find(&current, link)?;
        parquet::clear_away(&self.inner.packs)?;
        let aim = Aim {
            without,
            taken,
            is_forecast: false,
        };
        let Some(mut plan) = Plan::of(self, state, before, Some(lake), aim)? else {
            return Ok(report(before, None));
        };
        for file in &plan.files {
            plan.link.note_current(file);
        }
        let model = model_json::render(state, &plan.link)?;
        let model_file = self.remember(link, &mut plan, &model);
        let mut pending = Pending {
            model_crc32c: model_file.crc32c,
            link: plan.link.clone(),
            files: plan.files.iter().map(|f| f.path.clone()).collect(),
            removed: plan.removed.clone(),
            removed_folders: without.to_vec(),
        };
        self.update_links(|store, links| {
            // Written under the catalog's lock: whatever the catalog does not name is garbage.
            store.write(model_file.file, &model)?;
            if let Some(entry) = links.get_mut(link) {
                entry.pending = Some(Box::new(pending.clone()));
            }
            Ok(())
        })?;
        if faults::makes("model.json comes first") {
            lake.write(MODEL_FILE, &[Part::Bytes(&model)], JSON)?;
        }
        for file in &plan.files {
            let written = file.write(self, lake)?;
            pending.link.note_etag(file, written.etag);
        }
        for file in &plan.metadata {
            lake.write(&file.path, &[Part::Bytes(&file.bytes)], file.content_type)?;
        }
        lake.publish(MODEL_FILE, &model, JSON)?;
        self.complete(link, &pending, lake)?;
        Ok(report(&pending.link, Some(plan)))
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
        let held = |number| leases.is_held(link, number);
        let retired = std::mem::take(&mut plan.retired);
        plan.removed.extend(history.expire(now, held, retired));
        model_file
    }

    /// Ends what an interrupted snapshot left: it either became visible, or it is cleared away.
    pub(super) fn settle(&self, name: &str, lake: &dyn Lake) -> Result<()> {
        let state = self.state();
        let entry = link::find(&state, name)?;
        if entry.incremental.is_some() {
            return self.finish_folder(name, lake).map(drop);
        }
        let Some(pending) = &entry.pending else {
            return Ok(());
        };
        let model = lake.read(MODEL_FILE)?;
        if model.is_some_and(|m| crc32c(&[&m]) == pending.model_crc32c) {
            return self.complete(name, pending, lake);
        }
        tracing::info!(link = name, "clearing away a snapshot that was cut off");
        let mut kept = Vec::new();
        match lake.takes_over() {
            true => kept.clone_from(&pending.files),
            false => {
                for file in &pending.files {
                    lake.delete(file)?;
                }
            }
        }
        let used_up = pending.link.last_snapshot_s;
        self.update_link(name, |entry| {
            entry.cut_off.extend(kept);
            if let Some(pending) = entry.pending.take() {
                entry.forget_replaced(&pending);
            }
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
        for path in &pending.removed_folders {
            lake.delete_directory(path)?;
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

impl SnapshotReport {
    /// Of a link in which nothing changed.
    pub(super) fn unchanged(link: &LinkEntry) -> Self {
        report(link, None)
    }

    /// Of a folder that was closed.
    pub(super) fn of_folder(link: &LinkEntry, closing: &Closing, files: Vec<String>) -> Self {
        let partitions = || closing.tables.values().flat_map(|p| p.values());
        let bytes = partitions().map(|p| p.bytes).sum();
        SnapshotReport {
            snapshot_unix_s: link.last_snapshot_s,
            version: link.last_version,
            changed: true,
            files_written: files,
            files_kept: Vec::new(),
            rows: partitions().map(|p| p.rows).sum(),
            bytes,
            bytes_written: bytes,
            repaired: Vec::new(),
            traffic: None,
        }
    }
}

/// `plan` is what was carried out; `None` if the lake showed everything already.
fn report(link: &LinkEntry, plan: Option<Plan>) -> SnapshotReport {
    let changed = plan.is_some();
    let (files_written, repaired): (Vec<String>, _) = match plan {
        None => (Vec::new(), Vec::new()),
        Some(plan) => (
            plan.files.into_iter().map(|file| file.path).collect(),
            plan.repaired,
        ),
    };
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
        repaired,
        traffic: None,
    }
}
