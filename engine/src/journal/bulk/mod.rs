//! Large batches of commits, in files of their own beside sled.
//!
//! sled writes each page several times and takes much of a processor for it, which commits of a single
//! row do not feel and loads do. A batch that is large is written once, into a file whose blocks are on
//! the disk already, and one fdatasync makes it durable. Once all that a file holds stands in segments it
//! is used again from its beginning, so there are never more of them than the tail needs.
//!
//! ```text
//! block 0      4,096 bytes: magic, the file's id (16 random bytes), CRC-32C of both, zeros
//! batches      each at a multiple of 4,096 bytes (batch.rs); what is sealed among them does not count
//! ```
//! A batch is the unit of a sync. One that is not whole is a write that was broken off if nothing was
//! committed after it, and damage otherwise. sled knows how many files there are, and up to which version
//! they held commits when it was last asked.

mod batch;
mod file;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use read::{BulkBatch, BulkFault, BulkRead};

use super::Commit;
use crate::error::{Error, Result};
use crate::faults;
use crate::files;
use file::BulkFile;

/// Batches from this size on go into a bulk file.
pub(super) const BATCH_BYTES_MIN: usize = 16 << 10;
/// Larger ones do not: a file for them would seldom be used again.
const BATCH_BYTES_MAX: u64 = 32 << 20;
/// A file is this large unless a batch needs more.
const FILE_BYTES: u64 = 4 << 20;
/// All files together.
const FILES_BYTES_MAX: u64 = 64 << 20;
/// No file is made where it would leave less room than this.
const FREE_BYTES_MIN: u64 = 64 << 20;

type FileId = [u8; 16];

/// What sled knows of the bulk files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    /// How many there are.
    pub files: usize,
    /// Commits up to this version were durable.
    pub last_version: u64,
}

/// The bulk files of a journal.
pub(super) struct BulkLog {
    folder: PathBuf,
    files: Vec<BulkFile>,
    /// The one that is being filled.
    current: usize,
    faults: Vec<BulkFault>,
}

impl BulkLog {
    /// Opens the files that there must be. One that was being made when the process ended is made anew.
    /// Damage is told when they are read.
    pub(super) fn open(folder: &Path, files: usize) -> Result<Self> {
        let mut log = BulkLog {
            folder: folder.to_owned(),
            files: Vec::with_capacity(files),
            current: 0,
            faults: Vec::new(),
        };
        for number in 0..files {
            match BulkFile::open(&log.path(number))? {
                Ok(file) => log.files.push(file),
                Err(rule) => log.faults.push(BulkFault {
                    file: name(number),
                    offset: 0,
                    rule,
                    first_version: None,
                }),
            }
        }
        Ok(log)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(name(number))
    }

    /// How many files there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(BulkFile::bytes).sum()
    }

    /// Whether a batch may be written here at all.
    pub(super) fn takes(commits: &[Commit]) -> bool {
        let bytes = batch::body_bytes(commits);
        let is_large = bytes >= BATCH_BYTES_MIN && !faults::makes("entries of 16 KiB");
        is_large && file::bytes_for(bytes) <= BATCH_BYTES_MAX
    }

    /// Finds room for a batch where everything is sealed up to a version.
    pub(super) fn place(&mut self, commits: &[Commit], sealed: u64) -> bool {
        let bytes = batch::body_bytes(commits);
        if self
            .files
            .get(self.current)
            .is_some_and(|f| f.has_room(bytes))
        {
            return true;
        }
        let free = |file: &BulkFile| file.is_sealed(sealed) && file.would_have_room(bytes);
        let Some(next) = self.files.iter().position(free) else {
            return false;
        };
        self.files[next].begin_again();
        self.current = next;
        true
    }

    /// Makes one more file that has room for a batch; `false` if there must not be one. It counts once
    /// sled knows of it.
    pub(super) fn grow(&mut self, commits: &[Commit]) -> Result<bool> {
        let bytes = file::bytes_for(batch::body_bytes(commits)).max(FILE_BYTES);
        if self.bytes() + bytes > FILES_BYTES_MAX
            || files::free_bytes(&self.folder)? < bytes + FREE_BYTES_MIN
        {
            return Ok(false);
        }
        let path = self.path(self.files.len());
        match BulkFile::create(&path, bytes) {
            Ok(file) => {
                files::sync_folder(&self.folder)?;
                self.current = self.files.len();
                self.files.push(file);
                Ok(true)
            }
            Err(Error::Full { .. }) => files::remove_file(&path).map(|()| false),
            Err(error) => Err(error),
        }
    }

    /// Writes a batch for which there is room, and syncs it.
    pub(super) fn append(&mut self, commits: &[Commit]) -> Result<()> {
        match self.files.get_mut(self.current) {
            Some(file) => file.append(commits),
            None => Err(Error::invalid("there is no file for the batch")),
        }
    }

    /// Reads every batch with commits behind a version.
    pub(super) fn read(&self, sealed: u64) -> Result<BulkRead> {
        let mut read = BulkRead {
            faults: self.faults.clone(),
            ..BulkRead::default()
        };
        for (number, file) in self.files.iter().enumerate() {
            read.file(number, &file.content()?, file.id(), sealed);
        }
        read.batches.sort_by_key(|batch| batch.first_version);
        Ok(read)
    }

    /// Goes on behind the batches that were read.
    pub(super) fn go_on_behind(&mut self, read: &BulkRead) {
        for batch in &read.batches {
            if let Some(file) = self.files.get_mut(batch.file) {
                file.holds(batch.end, batch.last_version);
            }
        }
        let newest = (0..self.files.len()).max_by_key(|n| self.files[*n].last_version());
        self.current = newest.unwrap_or_default();
    }

    /// Takes back a batch that was broken off, durably.
    pub(super) fn erase(&mut self, batch: &BulkBatch) -> Result<()> {
        match self.files.get(batch.file) {
            Some(file) => file.erase(batch.offset),
            None => Ok(()),
        }
    }
}

/// The name of a bulk file.
pub(super) fn name(number: usize) -> String {
    format!("bulk-{number:02}")
}
