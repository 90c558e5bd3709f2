//! Adding to the log and taking from it: in sled, and past it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::super::bulk::{self, BULK, Kind, STRIP};
use super::super::frame::{frame_bytes_max, frames};
use super::super::{Commit, Durability, opening};
use super::{APPLY_BYTES_MAX, APPLY_KEYS_MAX, Beside, SEGMENT_BIT, SledLog, Writer};
use super::{frame_number, sled_error};
use crate::error::{Error, IoContext, Result};
use crate::faults::{self, Operation};

impl SledLog {
    /// Runs one write, then makes it durable; the first failure ends all writing.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Writer) -> Result<(), sled::Error>,
    ) -> Result<()> {
        self.write_as(Durability::Synced, change)
    }

    pub(super) fn lock_beside(&self) -> MutexGuard<'_, Beside> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_poison(&self) -> Result<()> {
        match &*self.poison.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned {
                reason: reason.clone(),
            }),
        }
    }

    pub(super) fn set_poison(&self, reason: &str) {
        let mut poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        poison.get_or_insert_with(|| reason.to_owned());
    }

    pub(super) fn sealed(&self) -> u64 {
        self.sealed_version.load(Ordering::SeqCst)
    }

    /// Notes in sled which files of a kind there are, to be made durable by whoever calls.
    pub(super) fn note_files(&self, kind: Kind, files: usize) -> Result<(), sled::Error> {
        if files == 0 {
            return Ok(());
        }
        // Up to where the strip holds commits is not noted: they go on to sled.
        let last_version = match kind == BULK {
            true => self.bulk_version.load(Ordering::SeqCst),
            false => 0,
        };
        let note = bulk::Note {
            files,
            last_version,
        };
        let note =
            serde_json::to_vec(&note).map_err(|e| sled::Error::Unsupported(e.to_string()))?;
        self.meta.insert(kind.prefix, note).map(drop)
    }

    /// Writes a batch beside sled; `false` if there is no room for it there.
    pub(super) fn append_beside(&self, beside: &mut Beside, commits: &[Commit]) -> Result<bool> {
        self.check_poison()?;
        let is_small = beside.is_read && STRIP.takes(commits);
        if !is_small && !BULK.takes(commits) {
            return Ok(false);
        }
        // What came before must not be lost where this is not.
        if self.is_behind.swap(false, Ordering::SeqCst) {
            self.write(|_| Ok(()))?;
        }
        let has_room = match is_small {
            true => self.make_room_in_strip(beside, commits)?,
            false => self.make_room_in_bulk(beside, commits)?,
        };
        if !has_room {
            return Ok(false);
        }
        let last = commits.last().map_or(0, Commit::last_version);
        if is_small {
            beside.strip.append(commits)?;
            self.lock_waiting().add(commits);
        } else {
            beside.bulk.append(commits)?;
            self.bulk_version.store(last, Ordering::SeqCst);
        }
        self.mark.note_version(last)?;
        Ok(true)
    }

    fn make_room_in_bulk(&self, beside: &mut Beside, commits: &[Commit]) -> Result<bool> {
        if beside.bulk.place(commits, self.sealed()) {
            return Ok(true);
        }
        if !beside.bulk.grow(commits)? {
            return Ok(false);
        }
        self.write(|_| self.note_files(BULK, beside.bulk.count()))?;
        Ok(true)
    }

    fn make_room_in_strip(&self, beside: &mut Beside, commits: &[Commit]) -> Result<bool> {
        if beside.strip.place(commits, self.passed_on()) {
            return Ok(true);
        }
        if beside.strip.grow(commits)? {
            self.write(|_| self.note_files(STRIP, beside.strip.count()))?;
            return Ok(true);
        }
        // sled is slower than the commits, which wait for it now.
        self.hand_on()?;
        Ok(beside.strip.place(commits, self.passed_on()))
    }

    pub(super) fn fail(&self, error: &Error) {
        self.set_poison(&error.to_string());
        if matches!(error, Error::Full { .. }) {
            opening::release_ballast(&self.folder);
        }
    }

    pub(super) fn write_as(
        &self,
        durability: Durability,
        change: impl FnOnce(&mut Writer) -> Result<(), sled::Error>,
    ) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_poison()?;
        let written = faults::meet(Operation::Write, &self.folder.join("db"))
            .map_err(sled::Error::Io)
            .and_then(|()| change(&mut writer))
            .and_then(|()| self.flush())
            .map_err(|e| sled_error("writing to the journal", &self.folder, e))
            .and_then(|()| match durability {
                Durability::Synced => {
                    self.fdatasync()?;
                    self.mark.note(writer.last_version, writer.metadata_changes)
                }
                Durability::LostOnPowerCut => Ok(()),
            });
        if let Err(error) = &written {
            self.fail(error);
        }
        written
    }

    /// Hands everything to the operating system, and waits until sled's threads have taken up all that
    /// was given to them.
    ///
    /// A write leaves one of sled's few threads behind, which tidies up under a lock after the write
    /// counts as done. Where many such wait for a lock whose holder waits for one more task of these
    /// threads, sled stands still for ever. A task that has come to its turn shows that a thread is
    /// free, so no more than one is left behind.
    pub(super) fn flush(&self) -> Result<(), sled::Error> {
        self.db.flush()?;
        pollster::block_on(self.db.flush_async()).map(drop)
    }

    /// Removes frames from the front of a range, a bounded number at a time.
    pub(super) fn remove_frames(&self, numbers: std::ops::Range<u64>) -> Result<()> {
        let range = numbers.start.to_be_bytes()..numbers.end.to_be_bytes();
        loop {
            let keys: Vec<sled::IVec> = self
                .log
                .range(range.clone())
                .keys()
                .take(APPLY_KEYS_MAX)
                .collect::<Result<_, _>>()
                .map_err(|e| sled_error("reading", &self.folder, e))?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut batch = sled::Batch::default();
            keys.into_iter().for_each(|key| batch.remove(key));
            // Should they come back, they count no more than before.
            self.write_as(Durability::LostOnPowerCut, |_| self.log.apply_batch(batch))?;
        }
    }

    pub(super) fn append_frames(
        &self,
        writer: &mut Writer,
        commits: &[Commit],
    ) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        let mut batch_bytes = 0;
        let acknowledged = self.mark.version();
        let mut next = writer.next_frame;
        let mut ends = Vec::with_capacity(commits.len());
        for commit in commits {
            for frame in frames(commit, acknowledged) {
                assert!(
                    frame.len() <= frame_bytes_max(),
                    "a frame is too large for sled"
                );
                batch_bytes += frame.len();
                batch.insert(&next.to_be_bytes(), frame);
                next += 1;
                if batch_bytes >= APPLY_BYTES_MAX {
                    self.log.apply_batch(std::mem::take(&mut batch))?;
                    self.flush()?;
                    batch_bytes = 0;
                }
            }
            ends.push((commit.last_version(), next));
        }
        self.log.apply_batch(batch)?;
        writer.next_frame = next;
        if let Some((last, _)) = ends.last() {
            writer.last_version = *last;
        }
        writer.ends.extend(ends);
        Ok(())
    }

    pub(super) fn frames(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let entries = self.log.range(..SEGMENT_BIT.to_be_bytes());
        entries
            .map(|entry| {
                let (key, frame) = entry.map_err(|e| sled_error("reading", &self.folder, e))?;
                Ok((frame_number(&self.folder, &key)?, frame.to_vec()))
            })
            .collect()
    }

    pub(super) fn fdatasync(&self) -> Result<()> {
        if faults::makes("the journal is not synced") {
            return Ok(());
        }
        let database = self.folder.join("db");
        faults::meet(Operation::Sync, &database)
            .and_then(|()| rustix::fs::fdatasync(&self.file).map_err(io::Error::from))
            .context("syncing the journal", &database)
    }
}
