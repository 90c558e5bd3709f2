//! Adding to the log and taking from it: in sled, and past it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::super::bulk::{self, BulkLog};
use super::super::frame::{frame_bytes_max, frames};
use super::super::{Commit, Durability, Journal as _, opening};
use super::{APPLY_BYTES_MAX, APPLY_KEYS_MAX, BULK_KEY, SEGMENT_BIT, SledJournal, Writer};
use super::{frame_number, sled_error};
use crate::error::{Error, IoContext, Result};
use crate::faults::{self, Operation};

impl SledJournal {
    /// Runs one write, then makes it durable; the first failure ends all writing.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Writer) -> Result<(), sled::Error>,
    ) -> Result<()> {
        self.write_as(Durability::Synced, change)
    }

    pub(super) fn lock_bulk(&self) -> MutexGuard<'_, BulkLog> {
        self.bulk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sealed(&self) -> u64 {
        self.sealed_version.load(Ordering::SeqCst)
    }

    /// Notes in sled which bulk files there are, to be made durable by whoever calls.
    pub(super) fn note_bulk(&self, files: usize) -> Result<(), sled::Error> {
        if files == 0 {
            return Ok(());
        }
        let note = bulk::Note {
            files,
            last_version: self.bulk_version.load(Ordering::SeqCst),
        };
        let note =
            serde_json::to_vec(&note).map_err(|e| sled::Error::Unsupported(e.to_string()))?;
        self.meta.insert(BULK_KEY, note).map(drop)
    }

    /// Writes a batch past sled; `false` if there is no room for it there.
    pub(super) fn append_bulk(&self, bulk: &mut BulkLog, commits: &[Commit]) -> Result<bool> {
        self.check()?;
        // What came before must not be lost where this is not.
        if self.is_behind.swap(false, Ordering::SeqCst) {
            self.write(|_| Ok(()))?;
        }
        if !bulk.place(commits, self.sealed()) {
            if !bulk.grow(commits)? {
                return Ok(false);
            }
            self.write(|_| self.note_bulk(bulk.count()))?;
        }
        bulk.append(commits)?;
        let last = commits.last().map_or(0, Commit::last_version);
        self.bulk_version.store(last, Ordering::SeqCst);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.last_version = last;
        writer.durable_version = last;
        self.mark.note(last, writer.metadata_changes)?;
        Ok(true)
    }

    pub(super) fn fail(&self, error: &Error) {
        self.poison(&error.to_string());
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
        writer.check()?;
        let written = faults::meet(Operation::Write, &self.folder.join("db"))
            .map_err(sled::Error::Io)
            .and_then(|()| change(&mut writer))
            .and_then(|()| self.flush())
            .map_err(|e| sled_error("writing to the journal", &self.folder, e))
            .and_then(|()| match durability {
                Durability::Synced => {
                    self.fdatasync()?;
                    writer.durable_version = writer.last_version;
                    self.mark
                        .note(writer.durable_version, writer.metadata_changes)
                }
                Durability::LostOnPowerCut => Ok(()),
            });
        if let Err(error) = &written {
            writer.poison = Some(error.to_string());
            if matches!(error, Error::Full { .. }) {
                opening::release_ballast(&self.folder);
            }
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
        let mut next = writer.next_frame;
        let mut ends = Vec::with_capacity(commits.len());
        for commit in commits {
            for frame in frames(commit, writer.durable_version) {
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
