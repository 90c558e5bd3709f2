//! Writing a backup while others write to the environment.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::file::Target;
use super::manifest::Manifest;
use crate::catalog::{CATALOG_KEY, catalog_entry};
use crate::clock::TICKS_PER_SECOND;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::journal::VERSIONS_KEY;
use crate::link::LinkEntry;

const CONSUMERS: &str = "consumer/";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    /// The environment's name.
    pub environment: String,
    /// Every change up to this version is in it, and none after.
    pub version: u64,
    /// Its files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Environment {
    /// Writes the environment as it is now to a folder, or to one file, where nothing may be yet.
    /// Others go on writing. In a folder of the same file system the files are linked, not copied:
    /// they never change.
    ///
    /// # Errors
    /// `AlreadyExists` if something is there; `Poisoned` if the environment does not write any more.
    /// What was begun is not a backup, and restoring it is refused.
    pub fn backup(&self, to: &Path, is_folder: bool) -> Result<BackupReport> {
        let mut target = Target::create(to, is_folder)?;
        let _packs = self.hold_packs();
        let reader = self.inner.lock_holders().open_reader(0);
        let done = self.back_up(&mut target);
        self.inner.lock_holders().close_reader(reader);
        let manifest = done?;
        target.finish(&manifest)?;
        Ok(BackupReport {
            environment: manifest.environment.clone(),
            version: manifest.version,
            files: manifest.files.len(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        })
    }

    fn back_up(&self, target: &mut Target) -> Result<Manifest> {
        let inner = &self.inner;
        // The files of the catalog go with the next one, so they are saved under its lock; packs and
        // segments are held.
        let guard = inner.lock_catalog();
        // Before the tail is sealed, so that none is ahead of the backup.
        let mut consumers = inner.journal.metas(CONSUMERS)?;
        consumers.extend(inner.journal.metas(VERSIONS_KEY)?);
        inner.sealing.seal_down_to(1)?;
        let state = self.state();
        let segments: Vec<_> = inner
            .staging
            .segments()
            .iter()
            .map(|segment| (segment.path().to_owned(), segment.entry().clone()))
            .collect();
        let folder = inner.store.folder();
        let pointer = inner.journal.meta(CATALOG_KEY)?;
        let pointer = pointer.ok_or_else(|| Error::corrupt(folder, "there is no catalog"))?;
        let catalog = catalog_entry(folder, &pointer)?;
        let mut manifest = Manifest {
            format: Manifest::format(),
            environment: state.catalog.settings.name.clone(),
            version: state.catalog.folded_version,
            unix_s: inner.clock.now_ticks().div_euclid(TICKS_PER_SECOND),
            catalog: catalog.clone(),
            segments: segments.iter().map(|(_, entry)| entry.clone()).collect(),
            consumers: consumers
                .into_iter()
                .map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned()))
                .collect(),
            files: Vec::new(),
        };
        if let Some(last) = manifest.segments.last() {
            manifest.version = manifest.version.max(last.last_version);
        }
        let schemas = state
            .catalog
            .tables
            .values()
            .map(|t| t.schema.file.as_str());
        let models = state
            .catalog
            .links
            .values()
            .flat_map(LinkEntry::model_files);
        let named: BTreeSet<&str> = schemas
            .chain(models)
            .chain([catalog.file.as_str()])
            .collect();
        for name in named {
            let saved = target.save(&folder.join(name), &format!("catalog/{name}"))?;
            manifest.files.push(saved);
        }
        drop(guard);
        for (path, _) in segments {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let saved = target.save(&path, &format!("segments/{name}"))?;
            manifest.files.push(saved);
        }
        let packs: BTreeSet<u64> = state
            .catalog
            .live_bytes(&inner.packs)?
            .into_keys()
            .collect();
        for pack in packs {
            let path = inner.packs.path(pack);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let saved = target.save(&path, &format!("packs/{name}"))?;
            manifest.files.push(saved);
        }
        Ok(manifest)
    }
}
