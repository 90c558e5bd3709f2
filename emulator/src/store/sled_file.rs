//! The namespace database: sled, opened and synced so that what it acknowledges is on the disk.
//!
//! sled's own `flush` writes without `fsync`; durability comes from an `fdatasync` on a file descriptor of our own.
//! Entries stay small, because sled moves large pages into side files that it never syncs.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Result, StoreError};

/// The largest entry (key and value) the database is given.
pub const ENTRY_SIZE_MAX_BYTES: usize = 4_000;
const CACHE_CAPACITY_BYTES: u64 = 64 * 1024 * 1024;
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_RETRY_MS: u64 = 50;
/// sled writes in pieces of 512 KiB; a flush comes before two of them can be on their way.
const UNFLUSHED_BYTES_MAX: usize = 256 << 10;
const QUARANTINE: &str = "quarantine";

/// An opened database and the descriptor that makes it durable.
pub(crate) struct SledFile {
    pub(crate) db: sled::Db,
    log: File,
    log_path: PathBuf,
    /// Bytes applied since the last flush. Held by whoever writes: what one write leaves behind in sled's threads (see
    /// [`SledFile::flush`]), several at once leave several times.
    unflushed_bytes: Mutex<usize>,
}

impl SledFile {
    /// Opens or creates the database in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let fresh = !folder.join("db").exists();
        fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
        remove_half_snapshots(folder)?;
        let db = match open_with_retry(folder) {
            Ok(db) => db,
            Err(sled::Error::Corruption { .. }) => {
                // The snapshot only shortens recovery; without it sled reads its whole log.
                quarantine_snapshots(folder)?;
                open_with_retry(folder).map_err(|e| open_error(folder, &e))?
            }
            Err(error) => return Err(open_error(folder, &error)),
        };
        check_no_blobs(folder)?;
        let log_path = folder.join("db");
        let log = File::open(&log_path).map_err(|e| StoreError::io("open", &log_path, e))?;
        let opened = Self {
            db,
            log,
            log_path,
            unflushed_bytes: Mutex::new(0),
        };
        if fresh {
            opened.flush()?;
            opened.sync()?;
            sync_path(&folder.join("conf"))?;
            sync_path(folder)?;
            if let Some(parent) = folder.parent() {
                sync_path(parent)?;
            }
        }
        Ok(opened)
    }

    /// Applies a batch of so many bytes. Where nobody asks for flushes, one comes now and then, for the sake of what
    /// [`SledFile::flush`] waits for.
    pub(crate) fn apply(&self, batch: sled::Batch, bytes: usize) -> Result<()> {
        let mut unflushed_bytes = self.lock();
        self.db
            .apply_batch(batch)
            .map_err(|e| namespace_error("write", &e))?;
        *unflushed_bytes += bytes;
        match *unflushed_bytes > UNFLUSHED_BYTES_MAX {
            true => self.flush_held(&mut unflushed_bytes),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.unflushed_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands everything applied to the operating system, and waits until sled's threads have taken up all that was
    /// given to them.
    ///
    /// A write leaves one of sled's few threads behind, which tidies up under a lock after the write counts as done.
    /// Where many such wait for a lock whose holder waits for one more task of these threads, sled stands still for
    /// ever. A task that has come to its turn shows that a thread is free, so no more than one is left behind.
    pub(crate) fn flush(&self) -> Result<()> {
        self.flush_held(&mut self.lock())
    }

    fn flush_held(&self, unflushed_bytes: &mut usize) -> Result<()> {
        *unflushed_bytes = 0;
        self.db
            .flush()
            .and_then(|_| pollster::block_on(self.db.flush_async()))
            .map(|_| ())
            .map_err(|e| namespace_error("write its log", &e))
    }

    /// Makes everything flushed durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.log
            .sync_data()
            .map_err(|e| StoreError::io("sync", &self.log_path, e))
    }
}

pub(crate) fn namespace_error(action: &'static str, error: &sled::Error) -> StoreError {
    StoreError::Namespace {
        action,
        reason: error.to_string(),
    }
}

/// `fsync` of a file or directory.
pub(crate) fn sync_path(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| StoreError::io("sync", path, e))
}

fn open_error(folder: &Path, error: &sled::Error) -> StoreError {
    if is_locked(error) {
        return StoreError::InUse {
            folder: folder.to_owned(),
        };
    }
    match error {
        sled::Error::Corruption { .. } => StoreError::corrupt(
            format!("the namespace database in {}", folder.display()),
            error.to_string(),
        ),
        _ => namespace_error("open", error),
    }
}

/// sled reports a held lock only by its text, and its threads hold it a moment longer than the handle lives.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("lock"))
}

fn open_with_retry(folder: &Path) -> Result<sled::Db, sled::Error> {
    let mut attempt = 0;
    loop {
        match open_once(folder) {
            Err(error) if is_locked(&error) && attempt < LOCK_ATTEMPTS => {
                attempt += 1;
                thread::sleep(Duration::from_millis(LOCK_RETRY_MS));
            }
            other => return other,
        }
    }
}

fn open_once(folder: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new()
        .path(folder)
        .flush_every_ms(None)
        .cache_capacity(CACHE_CAPACITY_BYTES);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(result) => result,
        Err(_) => Err(sled::Error::Unsupported(
            "sled panicked while it read the database".to_owned(),
        )),
    }
}

fn snapshots(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| StoreError::io("list", folder, e))? {
        let path = entry.map_err(|e| StoreError::io("list", folder, e))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(suffix) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A snapshot that was being written when the process ended makes every later open fail.
fn remove_half_snapshots(folder: &Path) -> Result<()> {
    for path in snapshots(folder, ".generating")? {
        fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    Ok(())
}

fn quarantine_snapshots(folder: &Path) -> Result<()> {
    let quarantine = folder.join(QUARANTINE);
    fs::create_dir_all(&quarantine).map_err(|e| StoreError::io("create", &quarantine, e))?;
    for path in snapshots(folder, "")? {
        let Some(name) = path.file_name() else {
            continue;
        };
        tracing::warn!(snapshot = %path.display(), "moved aside: the database is read from its log instead");
        fs::rename(&path, quarantine.join(name)).map_err(|e| StoreError::io("move", &path, e))?;
    }
    Ok(())
}

/// Side files mean that an entry grew too large: they are never synced, so nothing in them can be trusted.
fn check_no_blobs(folder: &Path) -> Result<()> {
    let blobs = folder.join("blobs");
    let Ok(mut entries) = fs::read_dir(&blobs) else {
        return Ok(());
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::corrupt(
            blobs.display().to_string(),
            "it should be empty and is not",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_half_written_snapshot_does_not_stop_the_next_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namespace");
        drop(SledFile::open(&path).unwrap());
        fs::write(path.join("snap.0000000000000000.generating"), b"half").unwrap();
        drop(SledFile::open(&path).unwrap());
    }

    #[test]
    fn a_corrupt_snapshot_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namespace");
        let opened = SledFile::open(&path).unwrap();
        opened.db.insert(b"k", b"v").unwrap();
        opened.flush().unwrap();
        drop(opened);
        thread::sleep(Duration::from_millis(200));
        for snapshot in snapshots(&path, "").unwrap() {
            fs::write(snapshot, [7_u8; 64]).unwrap();
        }
        let opened = SledFile::open(&path).unwrap();
        assert_eq!(opened.db.get(b"k").unwrap().unwrap().as_ref(), b"v");
    }

    #[test]
    fn a_second_opener_is_told_who_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let _first = SledFile::open(folder.path()).unwrap();
        assert!(matches!(
            SledFile::open(folder.path()),
            Err(StoreError::InUse { .. })
        ));
    }
}
