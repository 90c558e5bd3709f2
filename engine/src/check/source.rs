//! What there is to look at: a folder, and what its journal says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::catalog::{CATALOG_KEY, Catalog, FileEntry, catalog_entry, parse_catalog, read_file};
use crate::environment::{
    CATALOG_FOLDER, Environment, JOURNAL_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER, lock,
};
use crate::error::{Error, IoContext, Result};
use crate::files;
use crate::journal::{Commit, Gaps, Journal, LogEnd, LogImage, QUARANTINE, ReadLog, SledJournal};
use crate::segment::SegmentEntry;

/// A running journal may be sealed while it is read; then it is read again, so often at most.
const ATTEMPTS: u32 = 20;
const PAUSE_MS: u64 = 50;

/// An environment that is only looked at.
pub(crate) struct Source {
    pub folder: PathBuf,
    pub journal: JournalImage,
    _lock: Option<File>,
    _copy: Option<TempDir>,
}

/// What a journal holds.
#[derive(Default)]
pub(crate) struct JournalImage {
    pub log: LogImage,
    pub segments: Vec<SegmentEntry>,
    pub metas: Vec<(String, Vec<u8>)>,
    /// What is known of the end of the log beside the log itself.
    pub end: LogEnd,
    /// Why some of it could not be read.
    pub errors: Vec<Error>,
    /// Snapshots that sled could not read when it opened the copy.
    pub damaged_snapshots: Vec<String>,
}

impl JournalImage {
    fn of(journal: &dyn Journal, folder: &Path) -> Self {
        // Before the frames, so that a running journal gives more than its file had.
        let mut end = LogEnd::of(folder);
        end.is_metadata_lost = journal.end().is_metadata_lost;
        let mut image = JournalImage {
            end,
            ..JournalImage::default()
        };
        match journal.image() {
            Ok(log) => image.log = log,
            Err(error) => image.errors.push(error),
        }
        match journal.segments() {
            Ok(segments) => image.segments = segments,
            Err(error) => image.errors.push(error),
        }
        match journal.metas("") {
            Ok(metas) => image.metas = metas,
            Err(error) => image.errors.push(error),
        }
        image
    }

    pub(crate) fn meta(&self, key: &str) -> Option<&[u8]> {
        let found = self.metas.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }
}

impl Source {
    /// A folder that nobody has open. It is locked, and nothing in it changes: sled writes when it
    /// opens, so it opens a copy of the journal.
    ///
    /// # Errors
    /// `NotFound` if the folder holds no environment, `Conflict` if another process has it open.
    pub(crate) fn closed(folder: &Path) -> Result<Self> {
        let parts = [
            JOURNAL_FOLDER,
            CATALOG_FOLDER,
            PACKS_FOLDER,
            SEGMENTS_FOLDER,
        ];
        if !parts.iter().any(|part| folder.join(part).is_dir()) {
            return Err(Error::not_found(
                "environment in the folder",
                &folder.display().to_string(),
            ));
        }
        let lock = lock(folder)?;
        let (journal, copy) = match copy_of_journal(&folder.join(JOURNAL_FOLDER)) {
            Ok(copy) => match SledJournal::open(copy.path()) {
                Ok(journal) => {
                    let mut image = JournalImage::of(&journal, &folder.join(JOURNAL_FOLDER));
                    image.damaged_snapshots = snapshots_set_aside(copy.path())?;
                    (image, Some(copy))
                }
                Err(error) => (JournalImage::failed(error, folder), Some(copy)),
            },
            Err(error) => (JournalImage::failed(error, folder), None),
        };
        Ok(Source {
            folder: folder.to_owned(),
            journal,
            _lock: Some(lock),
            _copy: copy,
        })
    }

    /// An open environment. The caller keeps its packs and segments from being removed.
    pub(crate) fn open(environment: &Environment) -> Self {
        let inner = &environment.inner;
        let folder = inner.store.folder();
        let journal_folder = folder.with_file_name(JOURNAL_FOLDER);
        let mut journal = JournalImage::default();
        for _ in 0..ATTEMPTS {
            journal = JournalImage::of(&*inner.journal, &journal_folder);
            let after = inner.journal.segments();
            let is_same = after.is_ok_and(|after| after == journal.segments);
            if is_same && journal.read().faults.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(PAUSE_MS));
        }
        Source {
            folder: folder.parent().unwrap_or(folder).to_owned(),
            journal,
            _lock: None,
            _copy: None,
        }
    }

    /// Which file is the catalog.
    pub(crate) fn catalog_entry(&self) -> Result<FileEntry> {
        let pointer = self.journal.meta(CATALOG_KEY).ok_or_else(|| {
            let detail = "the journal does not say which file is the catalog";
            Error::corrupt(&self.folder.join(JOURNAL_FOLDER), detail)
        })?;
        catalog_entry(&self.catalog_folder(), pointer)
    }

    pub(crate) fn catalog(&self) -> Result<Catalog> {
        let folder = self.catalog_folder();
        let entry = self.catalog_entry()?;
        parse_catalog(&folder.join(&entry.file), &read_file(&folder, &entry)?)
    }

    pub(crate) fn catalog_folder(&self) -> PathBuf {
        self.folder.join(CATALOG_FOLDER)
    }

    /// A path as it is told: from the environment's folder on.
    pub(crate) fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.folder).unwrap_or(path);
        inside.display().to_string()
    }
}

impl JournalImage {
    /// The commit behind a version that was broken off before it was acknowledged, if anything of one is
    /// there.
    pub(crate) fn unfinished(&self, read: &ReadLog) -> Option<u64> {
        let sealed = self.segments.last().map_or(0, |entry| entry.last_version);
        let last = read
            .commits
            .last()
            .map_or(0, Commit::last_version)
            .max(sealed);
        let last = last.max(self.end.acknowledged_version);
        read.unfinished.or_else(|| self.end.unfinished(last))
    }

    /// The versions that are left out; a note that does not parse says nothing, and then they are missed.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps::of(&self.metas).unwrap_or_default()
    }

    /// Its commits, as far as they are whole and not sealed.
    pub(crate) fn read(&self) -> ReadLog {
        let sealed = self.segments.last().map_or(0, |entry| entry.last_version);
        ReadLog::of(
            &self.log,
            sealed,
            self.end.acknowledged_version,
            &self.gaps(),
        )
    }

    /// Names the folder that is looked at instead of its copy.
    fn failed(error: Error, folder: &Path) -> Self {
        let journal = folder.join(JOURNAL_FOLDER);
        let error = match error {
            Error::Corrupt { path, detail } => {
                let name = path.file_name().unwrap_or_default().to_owned();
                Error::corrupt(&journal.join(name), detail)
            }
            other => other,
        };
        JournalImage {
            errors: vec![error],
            ..JournalImage::default()
        }
    }
}

/// The copy comes without a folder for what was set aside, so all in there is of this opening.
fn snapshots_set_aside(copy: &Path) -> Result<Vec<String>> {
    let folder = copy.join(QUARANTINE);
    match folder.is_dir() {
        true => files::names_in(&folder),
        false => Ok(Vec::new()),
    }
}

fn copy_of_journal(journal: &Path) -> Result<TempDir> {
    let temporary = std::env::temp_dir();
    let copy = TempDir::with_prefix("lakestage-").context("creating a folder", &temporary)?;
    if !journal.join("db").is_file() {
        return Err(Error::corrupt(
            &journal.join("db"),
            "the journal is missing",
        ));
    }
    for name in files::names_in(journal)? {
        let from = journal.join(&name);
        if from.is_file() && name != "ballast" {
            fs::copy(&from, copy.path().join(&name)).context("copying", &from)?;
        }
    }
    let blobs = journal.join("blobs");
    if blobs.is_dir() {
        let to = copy.path().join("blobs");
        fs::create_dir(&to).context("creating the folder", &to)?;
        for name in files::names_in(&blobs)? {
            let from = blobs.join(&name);
            fs::copy(&from, to.join(&name)).context("copying", &from)?;
        }
    }
    Ok(copy)
}
