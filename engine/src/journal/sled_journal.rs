//! The journal in sled, by the recipe that survived every power cut it was put through.
//!
//! sled's own `flush` writes but never syncs, so what is given to it is: one batch, `flush`, and an
//! `fdatasync` on our own handle of sled's file. Entries stay at most 4,000 bytes. That costs a quarter
//! of a millisecond beside the sync, so nobody waits for it: commits are acknowledged once they stand in
//! a file beside sled (`bulk/`). Large batches stay there; small ones are handed on to sled many at a
//! time, by a thread of its own (`hand_on.rs`).

mod hand_on;
mod write;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::bulk::{self, BULK, BulkLog, STRIP};
use super::frame::FRAME_BYTES_MAX;
use super::log_end::{LogEnd, Mark};
use super::opening::Room;
use super::replay::InSled;
use super::{Commit, Durability, Gaps, Journal, LogImage, VERSIONS_KEY, opening, replay};
use crate::error::{Error, IoContext, Result};
use crate::segment::SegmentEntry;
use hand_on::{HandingOn, Waiting};

/// Keys of the log with this bit name segments, so that one batch of one tree can name a segment
/// and remove its frames; the others are the numbers of frames.
const SEGMENT_BIT: u64 = 1 << 63;
/// sled is given so much at once, and is waited for in between: it writes in pieces of 512 KiB, and
/// where many of them are on their way at once it may stand still for ever (see `flush`).
const APPLY_BYTES_MAX: usize = 512 << 10;
/// Under this key of the metadata stands how often it was changed.
const CHANGES_KEY: &[u8] = b"\0changes";
/// As many keys are removed at once.
const APPLY_KEYS_MAX: usize = 1_024;

/// A [`Journal`] in a folder of its own.
pub struct SledJournal {
    shared: Arc<SledLog>,
    handing_on: HandingOn,
}

/// The journal itself, which its thread shares.
pub struct SledLog {
    folder: PathBuf,
    db: sled::Db,
    log: sled::Tree,
    meta: sled::Tree,
    /// Our own handle of sled's file, kept for as long as the journal is open.
    file: File,
    mark: Mark,
    end: Mutex<LogEnd>,
    /// Held by whoever adds commits. It is taken before the writer.
    beside: Mutex<Beside>,
    /// What stands up to here in bulk files is durable.
    bulk_version: AtomicU64,
    /// Up to here everything stands in segments.
    sealed_version: AtomicU64,
    /// Up to here everything that stood in the strip is durable in sled.
    handed_version: AtomicU64,
    /// What stands in the strip and not in sled.
    waiting: Mutex<Waiting>,
    /// Whether sled may hold commits that were not synced.
    is_behind: AtomicBool,
    writer: Mutex<Writer>,
    /// Why nothing more is written.
    poison: Mutex<Option<String>>,
}

/// The files beside sled.
struct Beside {
    bulk: BulkLog,
    strip: BulkLog,
    /// Whether it is known what the strip holds, so that nothing in it is overwritten.
    is_read: bool,
}

struct Writer {
    next_frame: u64,
    /// The last version of each commit in the log, and the number of the frame behind it.
    ends: VecDeque<(u64, u64)>,
    /// The last version that was given to sled.
    last_version: u64,
    /// How often the metadata was changed.
    metadata_changes: u64,
}

impl Deref for SledJournal {
    type Target = SledLog;

    fn deref(&self) -> &SledLog {
        &self.shared
    }
}

impl SledJournal {
    /// Opens the journal in `folder`, creating it if it is not there.
    ///
    /// # Errors
    /// `Conflict` if another process has it open, `Full` if there is no room to open it safely,
    /// `Corrupt` if sled cannot read its file.
    pub fn open(folder: &Path) -> Result<Self> {
        let shared = Arc::new(SledLog::open(folder)?);
        Ok(SledJournal {
            handing_on: HandingOn::start(shared.clone())?,
            shared,
        })
    }
}

impl SledLog {
    fn open(folder: &Path) -> Result<Self> {
        // sled writes when it opens, so the witnesses are heard before.
        let mut end = LogEnd::of(folder);
        let db = opening::open(folder)?;
        let database = folder.join("db");
        let file = File::open(&database).context("opening", &database)?;
        let tree = |name: &str| {
            db.open_tree(name)
                .map_err(|e| sled_error("opening a tree", folder, e))
        };
        let (log, meta) = (tree("log")?, tree("meta")?);
        let last = log
            .range(..SEGMENT_BIT.to_be_bytes())
            .next_back()
            .transpose()
            .map_err(|e| sled_error("reading", folder, e))?
            .map(|(key, _)| frame_number(folder, &key))
            .transpose()?;
        let metadata_changes = read_changes(folder, &meta)?;
        let mark = Mark::open(folder, &end)?;
        if let Some(fault) = &end.fault {
            tracing::warn!(%fault, "what was acknowledged last is not known for sure");
        }
        if metadata_changes < end.metadata_changes {
            end.is_metadata_lost = true;
        }
        let note = bulk_note(folder, &meta, BULK)?;
        let strips = bulk_note(folder, &meta, STRIP)?.files;
        let log = SledLog {
            beside: Mutex::new(Beside {
                bulk: BulkLog::open(folder, BULK, note.files)?,
                strip: BulkLog::open(folder, STRIP, strips)?,
                is_read: strips == 0,
            }),
            bulk_version: AtomicU64::new(note.last_version),
            sealed_version: AtomicU64::new(0),
            handed_version: AtomicU64::new(0),
            waiting: Mutex::default(),
            is_behind: AtomicBool::new(false),
            folder: folder.to_owned(),
            log,
            meta,
            db,
            file,
            mark,
            writer: Mutex::new(Writer {
                next_frame: last.map_or(0, |n| n + 1),
                ends: VecDeque::new(),
                last_version: end.acknowledged_version,
                metadata_changes: metadata_changes.max(end.metadata_changes),
            }),
            poison: Mutex::default(),
            end: Mutex::new(end),
        };
        // The trees' own entries must survive as well.
        log.write(|_| Ok(()))?;
        opening::sync_new_names(folder)?;
        // Should sled have overwritten the frames that told it, it is not forgotten.
        log.mark.sync()?;
        let sealed = log.named_segments()?.last().map_or(0, |s| s.last_version);
        log.sealed_version.store(sealed, Ordering::SeqCst);
        Ok(log)
    }

    fn gaps(&self) -> Result<Gaps> {
        Gaps::of(&self.metas_of(VERSIONS_KEY)?)
            .map_err(|detail| Error::corrupt(&self.folder.join("db"), detail))
    }

    fn metas_of(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let entries = self.meta.scan_prefix(prefix);
        entries
            .filter(|entry| entry.as_ref().map_or(true, |(key, _)| key != CHANGES_KEY))
            .map(|entry| {
                let (key, value) = entry.map_err(|e| sled_error("reading", &self.folder, e))?;
                let key = String::from_utf8_lossy(&key).into_owned();
                Ok((key, value.to_vec()))
            })
            .collect()
    }

    fn named_segments(&self) -> Result<Vec<SegmentEntry>> {
        let entries = self.log.range(SEGMENT_BIT.to_be_bytes()..);
        entries
            .map(|entry| {
                let (_, value) = entry.map_err(|e| sled_error("reading", &self.folder, e))?;
                serde_json::from_slice(&value).map_err(|e| {
                    let detail = format!("the entry of a segment: {e}");
                    Error::corrupt(&self.folder.join("db"), detail)
                })
            })
            .collect()
    }
}

impl Journal for SledJournal {
    fn check(&self) -> Result<()> {
        self.check_poison()
    }

    fn check_room(&self) -> Result<()> {
        opening::check_room(&self.folder, Room::Metadata)
    }

    fn poison(&self, reason: &str) {
        self.set_poison(reason);
    }

    fn append(&self, commits: &[Commit], durability: Durability) -> Result<()> {
        let bytes = commits.iter().map(|commit| commit.payload.len()).sum();
        opening::check_room(&self.folder, Room::Commits { bytes })?;
        let mut beside = self.lock_beside();
        if durability == Durability::Synced {
            let done = self.append_beside(&mut beside, commits);
            if let Err(error) = &done {
                self.fail(error);
            }
            if done? {
                self.handing_on.wake_if_due(&self.shared);
                return Ok(());
            }
        }
        // sled takes commits in their order.
        self.hand_on()?;
        if durability == Durability::LostOnPowerCut {
            self.is_behind.store(true, Ordering::SeqCst);
        }
        self.write_as(durability, |writer| self.append_frames(writer, commits))
    }

    fn commits(&self) -> Result<Vec<Commit>> {
        let mut beside = self.lock_beside();
        let sealed = self.sealed();
        let in_sled = InSled::of(&self.folder, &self.frames()?, sealed)?;
        let mut read = beside.bulk.read(sealed)?;
        read.add(beside.strip.read(sealed.max(in_sled.last_version()))?);
        let replay = replay::replay(&self.folder, in_sled, read, sealed, &self.gaps()?)?;
        let last = replay.commits.last().map_or(0, Commit::last_version);
        let last = last.max(sealed);
        // What was being written when the process ended; nobody was told that it is there. What was acknowledged is
        // damage, and stays for whoever looks for it.
        if last >= self.end().acknowledged_version {
            self.remove_frames(replay.end - replay.unfinished_frames..replay.end)?;
            if let Some(batch) = &replay.unfinished_batch {
                beside.bulk.erase(batch)?;
                beside.strip.erase(batch)?;
                let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
                end.versions_in_file.push(batch.first_version);
            }
            // Whoever reads a commit may rely on it.
            beside.bulk.sync(&replay.bulk)?;
            self.go_on(replay.ends, &replay.waiting)?;
            beside.is_read = true;
        }
        beside.bulk.go_on_behind(&replay.bulk);
        Ok(replay.commits)
    }

    fn end(&self) -> LogEnd {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.clone()
    }

    fn seal(&self, segment: &SegmentEntry) -> Result<()> {
        let value = serde_json::to_vec(segment)
            .map_err(|e| Error::invalid(format!("a segment cannot be named: {e}")))?;
        opening::check_room(&self.folder, Room::Metadata)?;
        let files = self.lock_beside().bulk.count();
        self.write(|_| {
            self.note_files(BULK, files)?;
            self.log
                .insert(segment_key(segment.number), value)
                .map(drop)
        })?;
        self.sealed_version
            .fetch_max(segment.last_version, Ordering::SeqCst);
        {
            // A restored environment begins with segments.
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.last_version = writer.last_version.max(segment.last_version);
        }
        // From here on the frames do not count any more, so they may go piece by piece.
        let sealed = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let ends = &mut writer.ends;
            let sealed = ends.partition_point(|(v, _)| *v <= segment.last_version);
            ends.drain(..sealed).next_back()
        };
        match sealed {
            Some((_, end)) => self.remove_frames(0..end),
            None => Ok(()),
        }
    }

    fn segments(&self) -> Result<Vec<SegmentEntry>> {
        self.named_segments()
    }

    fn release(&self, numbers: &[u64]) -> Result<()> {
        let mut batch = sled::Batch::default();
        for number in numbers {
            batch.remove(&segment_key(*number));
        }
        opening::check_room(&self.folder, Room::Metadata)?;
        self.write(|_| self.log.apply_batch(batch))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let value = self
            .meta
            .get(key)
            .map_err(|e| sled_error("reading", &self.folder, e))?;
        Ok(value.map(|v| v.to_vec()))
    }

    fn metas(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.metas_of(prefix)
    }

    fn set_meta(&self, key: &str, value: Option<&[u8]>) -> Result<()> {
        if value.is_some_and(|value| value.len() > FRAME_BYTES_MAX) {
            return Err(Error::invalid(format!(
                "the metadata \"{key}\" is larger than {FRAME_BYTES_MAX} bytes"
            )));
        }
        opening::check_room(&self.folder, Room::Metadata)?;
        self.write(|writer| {
            let mut batch = sled::Batch::default();
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
            let changes = writer.metadata_changes + 1;
            batch.insert(CHANGES_KEY, &changes.to_be_bytes());
            self.meta.apply_batch(batch)?;
            writer.metadata_changes = changes;
            Ok(())
        })
    }

    fn image(&self) -> Result<LogImage> {
        // Nothing is added meanwhile, so the two fit together.
        let beside = self.lock_beside();
        let frames = self.frames()?;
        let mut read = beside.bulk.read(self.sealed())?;
        read.noted_version = self.bulk_version.load(Ordering::SeqCst);
        read.add(beside.strip.read(self.sealed())?);
        Ok(LogImage { frames, bulk: read })
    }

    fn stored_bytes(&self) -> Result<u64> {
        let sled = self.db.size_on_disk();
        let sled = sled.map_err(|e| sled_error("measuring", &self.folder, e))?;
        let beside = self.lock_beside();
        Ok(sled + beside.bulk.bytes() + beside.strip.bytes())
    }
}

fn read_changes(folder: &Path, meta: &sled::Tree) -> Result<u64> {
    let changes = meta
        .get(CHANGES_KEY)
        .map_err(|e| sled_error("reading", folder, e))?;
    let changes = changes.and_then(|bytes| bytes.as_ref().try_into().ok());
    Ok(changes.map_or(0, u64::from_be_bytes))
}

fn bulk_note(folder: &Path, meta: &sled::Tree, kind: bulk::Kind) -> Result<bulk::Note> {
    let value = meta
        .get(kind.prefix)
        .map_err(|e| sled_error("reading", folder, e))?;
    let Some(value) = value else {
        return Ok(bulk::Note::default());
    };
    serde_json::from_slice(&value).map_err(|e| {
        let detail = format!("the note about {} files: {e}", kind.prefix);
        Error::corrupt(&folder.join("db"), detail)
    })
}

fn segment_key(number: u64) -> [u8; 8] {
    (SEGMENT_BIT | number).to_be_bytes()
}

fn frame_number(folder: &Path, key: &[u8]) -> Result<u64> {
    let bytes = key.try_into().map_err(|_| {
        Error::corrupt(&folder.join("db"), "a key of the log is not a frame number")
    })?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn sled_error(action: &'static str, folder: &Path, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(source) => Error::io(action, folder, source),
        sled::Error::Corruption { .. } => {
            Error::corrupt(&folder.join("db"), "sled reports corruption")
        }
        other => Error::io(action, folder, io::Error::other(other.to_string())),
    }
}

// Opened files may only be dropped after sled's threads are gone; the last flush is ours.
impl Drop for SledJournal {
    fn drop(&mut self) {
        self.handing_on.end();
        let files = self.lock_beside().bulk.count();
        let _ = self
            .hand_on()
            .and_then(|()| self.write(|_| self.note_files(BULK, files)))
            .and_then(|()| self.mark.sync());
    }
}

#[cfg(test)]
mod strip_tests;
#[cfg(test)]
mod tests;
