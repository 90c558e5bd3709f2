//! Restoring a backup into an empty place.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::file::Origin;
use super::manifest::Manifest;
use crate::backlog::Backlog;
use crate::catalog::{Catalog, CatalogStore, parse_catalog, read_file};
use crate::environment::{
    CATALOG_FOLDER, Environment, JOURNAL_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER, lock,
};
use crate::error::{Error, IoContext, Result};
use crate::files::{self, NewFile};
use crate::journal::{Journal, SledJournal};
use crate::link::Activity;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// The environment's name.
    pub environment: String,
    /// The version that it is at.
    pub version: u64,
    /// When the backup was made, in Unix seconds.
    pub backup_unix_s: i64,
    /// Its links. They are paused, because the environment that was backed up may still publish.
    pub links: Vec<String>,
}

/// The name of the environment in a backup.
///
/// # Errors
/// `Corrupt` if it is no backup, or an unfinished one.
pub fn backup_environment(backup: &Path) -> Result<String> {
    Ok(Origin::open(backup)?.1.environment)
}

/// Restores a backup as an environment in a folder where nothing may be yet. The whole backup is
/// checked before anything is written.
///
/// The environment gets an identity of its own: tokens of the one that was backed up are refused,
/// because both go on from here.
///
/// # Errors
/// `AlreadyExists` if the folder holds anything; `Corrupt` names what is damaged or missing in the
/// backup. After a failure the folder holds no environment.
pub fn restore(backup: &Path, folder: &Path) -> Result<RestoreReport> {
    if folder.exists() && !(folder.is_dir() && files::names_in(folder)?.is_empty()) {
        return Err(Error::AlreadyExists {
            what: "file or folder",
            name: folder.display().to_string(),
        });
    }
    let (mut origin, manifest) = Origin::open(backup)?;
    let sink = |_: &_| Ok(Box::new(io::sink()) as Box<dyn Write>);
    origin.each(&manifest, sink)?;
    files::create_folder(folder)?;
    let restored = write(&mut origin, &manifest, folder);
    if restored.is_err()
        && let Err(error) = files::remove_folder(folder)
    {
        tracing::warn!(%error, "what a failed restore left could not be removed");
    }
    restored
}

fn write(origin: &mut Origin, manifest: &Manifest, folder: &Path) -> Result<RestoreReport> {
    let _lock = lock(folder)?;
    let parts = [CATALOG_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER];
    for part in parts {
        files::create_folder(&folder.join(part))?;
    }
    origin.each(manifest, |saved| {
        let path = folder.join(&saved.path);
        let file = NewFile::create(&path).context("creating", &path)?;
        Ok(Box::new(Synced(file)))
    })?;
    for part in parts {
        files::sync_folder(&folder.join(part))?;
    }
    let catalog_folder = folder.join(CATALOG_FOLDER);
    let bytes = read_file(&catalog_folder, &manifest.catalog)?;
    let mut catalog = parse_catalog(&catalog_folder.join(&manifest.catalog.file), &bytes)?;
    let links = take_over(&mut catalog);
    let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&folder.join(JOURNAL_FOLDER))?);
    for segment in &manifest.segments {
        journal.seal(segment)?;
    }
    for (key, value) in &manifest.consumers {
        journal.set_meta(key, Some(value.as_bytes()))?;
    }
    // The pointer to the catalog comes last: with it the folder holds an environment.
    CatalogStore::open(&catalog_folder, journal)?.store(&mut catalog)?;
    Ok(RestoreReport {
        environment: manifest.environment.clone(),
        version: manifest.version,
        backup_unix_s: manifest.unix_s,
        links,
    })
}

/// Tells the environment apart from the one that was backed up, whose packs a lake may hold under
/// the same numbers, and lets its links rest.
fn take_over(catalog: &mut Catalog) -> Vec<String> {
    catalog.id = Uuid::new_v4();
    // Whoever was backed up publishes them; here they would come behind what is newer.
    catalog.backlogs.values_mut().for_each(Backlog::clear);
    for link in catalog.links.values_mut() {
        if link.activity == Activity::Active {
            link.activity = Activity::Paused;
        }
        if let Some(pending) = &mut link.pending {
            pending.link.activity = link.activity;
        }
    }
    catalog.links.keys().cloned().collect()
}

/// A file that is on the disk once it is flushed.
struct Synced(NewFile);

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Environment {
    /// As [`restore`], and opens the environment.
    ///
    /// # Errors
    /// As [`restore`], and what opening it answers.
    pub fn restore(backup: &Path, folder: &Path) -> Result<Self> {
        restore(backup, folder)?;
        Environment::open(folder)
    }
}
