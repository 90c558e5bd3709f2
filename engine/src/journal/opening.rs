//! Opening sled so that neither a crash nor a full disk at the wrong moment makes it unreadable.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::sled_journal::sled_error;
use crate::error::{Error, IoContext, Result};
use crate::faults::{self, Operation};
use crate::files::{self, NewFile};

/// Memory for sled's pages. The log is small; most of it is read once.
const CACHE_BYTES: u64 = 8 << 20;
/// Dropping a database does not wait for its threads, so a lock may be held a little longer.
const LOCK_ATTEMPTS: u32 = 30;
const LOCK_PAUSE_MS: u64 = 100;
/// Opening writes a snapshot of sled's page table; less room than this and it might break off.
const OPEN_FREE_BYTES_MIN: u64 = 24 << 20;
/// Commits end while so much is left: enough to open the journal again, and for the metadata.
const COMMIT_FREE_BYTES_MIN: u64 = 16 << 20;
/// sled writes a little more than it is given.
const WRITTEN_TIMES_MAX: u64 = 3;
/// Metadata is written while so much is left.
const METADATA_FREE_BYTES_MIN: u64 = files::RESERVE_BYTES;
/// Kept aside, and given back when the disk is full, so that the journal can always be opened.
const BALLAST_BYTES: u64 = 16 << 20;
const BALLAST: &str = "ballast";
/// Where snapshots are set aside that sled cannot read.
pub(crate) const QUARANTINE: &str = "quarantine";

pub(super) fn open(folder: &Path) -> Result<sled::Db> {
    files::create_folder(folder)?;
    make_room(folder)?;
    remove_unfinished_snapshots(folder)?;
    let db = match attempt(folder)? {
        Attempt::Open(db) => db,
        Attempt::Corrupt => {
            quarantine_snapshots(folder)?;
            match attempt(folder)? {
                Attempt::Open(db) => db,
                Attempt::Corrupt => {
                    return Err(Error::corrupt(
                        &folder.join("db"),
                        "sled cannot read its log, with or without its snapshots",
                    ));
                }
            }
        }
    };
    refuse_blobs(folder)?;
    keep_ballast(folder)?;
    Ok(db)
}

/// Makes the names of a new database durable: sled syncs none of them.
pub(super) fn sync_new_names(folder: &Path) -> Result<()> {
    let conf = folder.join("conf");
    faults::meet(Operation::Sync, &conf)
        .and_then(|()| File::open(&conf))
        .and_then(|f| f.sync_all())
        .context("syncing", &conf)?;
    files::sync_folder(folder)?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => files::sync_folder(parent),
        _ => Ok(()),
    }
}

/// Whether there is room to write so much, with what must stay free behind it. sled has no way back
/// from a write that found the disk full, so it is never let to meet one.
///
/// # Errors
/// `Full`; nothing was written.
pub(super) fn check_room(folder: &Path, need: Room) -> Result<()> {
    let (bytes, action) = match need {
        Room::Commits { bytes } => (
            COMMIT_FREE_BYTES_MIN + WRITTEN_TIMES_MAX * bytes as u64,
            "committing, which leaves 16 MiB for what must be written to make room",
        ),
        Room::Metadata => (METADATA_FREE_BYTES_MIN, "writing to the journal"),
    };
    if files::free_bytes(folder)? >= bytes {
        return Ok(());
    }
    if matches!(need, Room::Metadata) && folder.join(BALLAST).exists() {
        release_ballast(folder);
        if files::free_bytes(folder)? >= bytes {
            return Ok(());
        }
    }
    Err(Error::Full {
        action,
        path: folder.to_owned(),
    })
}

/// What is to be written.
pub(super) enum Room {
    /// Commits of so many bytes.
    Commits { bytes: usize },
    /// The little that names a file or releases one.
    Metadata,
}

/// Gives the ballast back to a full disk.
pub(super) fn release_ballast(folder: &Path) {
    if let Err(error) = files::remove_file(&folder.join(BALLAST)) {
        tracing::warn!(%error, "the ballast could not be released");
    }
}

fn make_room(folder: &Path) -> Result<()> {
    if files::free_bytes(folder)? >= OPEN_FREE_BYTES_MIN {
        return Ok(());
    }
    release_ballast(folder);
    if files::free_bytes(folder)? >= OPEN_FREE_BYTES_MIN / 2 {
        return Ok(());
    }
    Err(Error::Full {
        action: "opening the journal",
        path: folder.to_owned(),
    })
}

fn keep_ballast(folder: &Path) -> Result<()> {
    let path = folder.join(BALLAST);
    if path.exists() || files::free_bytes(folder)? < 4 * BALLAST_BYTES {
        return Ok(());
    }
    let file = NewFile::create(&path).context("creating", &path)?;
    rustix::fs::fallocate(
        file.file(),
        rustix::fs::FallocateFlags::empty(),
        0,
        BALLAST_BYTES,
    )
    .or_else(|e| match e {
        // Not every file system can reserve; a ballast without blocks is only useless.
        rustix::io::Errno::OPNOTSUPP => Ok(()),
        other => Err(std::io::Error::from(other)),
    })
    .context("reserving", &path)
}

/// A leftover of a snapshot that was cut off makes every later opening fail.
fn remove_unfinished_snapshots(folder: &Path) -> Result<()> {
    for name in snapshots(folder)? {
        if name.ends_with(".generating") {
            files::remove_file(&folder.join(name))?;
        }
    }
    Ok(())
}

fn snapshots(folder: &Path) -> Result<Vec<String>> {
    let mut names = files::names_in(folder)?;
    names.retain(|name| name.starts_with("snap."));
    Ok(names)
}

enum Attempt {
    Open(sled::Db),
    Corrupt,
}

fn attempt(folder: &Path) -> Result<Attempt> {
    for pause in 0..LOCK_ATTEMPTS {
        let config = sled::Config::default()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        // Damage makes sled panic in places; a panic is an answer, not our end.
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(Attempt::Open(db)),
            Ok(Err(sled::Error::Corruption { .. })) | Err(_) => return Ok(Attempt::Corrupt),
            Ok(Err(error)) if !error.to_string().contains("lock") => {
                return Err(sled_error("opening the journal", folder, error));
            }
            Ok(Err(_)) if pause + 1 < LOCK_ATTEMPTS => {
                thread::sleep(Duration::from_millis(LOCK_PAUSE_MS));
            }
            Ok(Err(_)) => {}
        }
    }
    Err(Error::Conflict(format!(
        "{}: another process has this journal open; stop it, or use another data folder",
        folder.display()
    )))
}

/// Without its snapshots sled reads its whole log, which holds everything.
fn quarantine_snapshots(folder: &Path) -> Result<()> {
    let quarantine = folder.join(QUARANTINE);
    for name in snapshots(folder)? {
        files::create_folder(&quarantine)?;
        let from = folder.join(&name);
        tracing::warn!(file = %from.display(), "a damaged snapshot of sled's was set aside");
        files::rename(&from, &quarantine.join(&name))?;
    }
    files::sync_folder(folder)
}

/// sled syncs no file of this folder; our entries are small enough that there is none.
fn refuse_blobs(folder: &Path) -> Result<()> {
    let blobs: PathBuf = folder.join("blobs");
    if !blobs.is_dir() || files::names_in(&blobs)?.is_empty() {
        return Ok(());
    }
    Err(Error::corrupt(
        &blobs,
        "the folder holds files that lakestage never writes",
    ))
}
