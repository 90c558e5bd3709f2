//! Batches of commits, in files of their own beside sled.
//!
//! sled writes each page several times and takes much of a processor for it: a quarter of a millisecond
//! before a commit of one row can be synced, and far more for a load. So a batch is written once, into a
//! file whose blocks are on the disk already, and one fdatasync makes it durable. There are two kinds:
//!
//! - [`BULK`] takes large batches. They stand there until they stand in segments, and never go to sled.
//! - [`STRIP`] takes small ones, which are acknowledged as soon as they stand there. Behind the producers'
//!   backs many of them are handed on to sled at once, which is where small commits stay.
//!
//! Once all that a file holds stands in segments, or durably in sled, it is used again from its beginning,
//! so there are never more of them than are needed.
//!
//! ```text
//! block 0      4,096 bytes: magic, the file's id (16 random bytes), CRC-32C of both, zeros
//! batches      each at a multiple of 4,096 bytes (batch.rs); what stands elsewhere does not count
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
pub(super) const BATCH_BYTES_MIN: usize = 8 << 10;
/// Larger ones do not: a file for them would seldom be used again.
const BATCH_BYTES_MAX: u64 = 32 << 20;
/// No file is made where it would leave less room than this.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// A kind of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What their names begin with.
    pub prefix: &'static str,
    /// A file is this large unless a batch needs more.
    file_bytes: u64,
    /// All files together.
    files_bytes_max: u64,
}

/// Files for large batches.
pub(super) const BULK: Kind = Kind {
    prefix: "bulk",
    file_bytes: 4 << 20,
    files_bytes_max: 64 << 20,
};
/// Files for small ones: so small that what waits in them is with sled in a moment, and so many that
/// commits need not wait for that moment.
pub(super) const STRIP: Kind = Kind {
    prefix: "strip",
    file_bytes: 1 << 20,
    files_bytes_max: 4 << 20,
};

impl Kind {
    /// The name of a file.
    pub(super) fn name(self, number: usize) -> String {
        format!("{}-{number:02}", self.prefix)
    }

    /// Whether a batch may stand in such a file.
    pub(super) fn takes(self, commits: &[Commit]) -> bool {
        let bytes = batch::body_bytes(commits);
        let fits = match self == STRIP {
            true => bytes < BATCH_BYTES_MIN,
            false => bytes >= BATCH_BYTES_MIN && file::bytes_for(bytes) <= BATCH_BYTES_MAX,
        };
        fits && !faults::makes("entries of 16 KiB")
    }
}

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

/// The files of one kind of a journal.
pub(super) struct BulkLog {
    folder: PathBuf,
    kind: Kind,
    files: Vec<BulkFile>,
    /// The one that is being filled.
    current: usize,
    faults: Vec<BulkFault>,
}

impl BulkLog {
    /// Opens the files that there must be. One that was being made when the process ended is made anew.
    /// Damage is told when they are read.
    pub(super) fn open(folder: &Path, kind: Kind, files: usize) -> Result<Self> {
        let mut log = BulkLog {
            folder: folder.to_owned(),
            kind,
            files: Vec::with_capacity(files),
            current: 0,
            faults: Vec::new(),
        };
        for number in 0..files {
            match BulkFile::open(&log.path(number))? {
                Ok(file) => log.files.push(file),
                Err(rule) => log.faults.push(BulkFault {
                    file: kind.name(number),
                    offset: 0,
                    rule,
                    first_version: None,
                    last_version: None,
                }),
            }
        }
        Ok(log)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(self.kind.name(number))
    }

    /// How many files there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(BulkFile::bytes).sum()
    }

    /// Finds room for a batch where everything stands elsewhere up to a version.
    pub(super) fn place(&mut self, commits: &[Commit], elsewhere: u64) -> bool {
        let bytes = batch::body_bytes(commits);
        if faults::makes("the strip is used again before sled has it")
            && self.kind == STRIP
            && let Some(file) = self.files.get_mut(self.current)
        {
            file.begin_again();
        }
        if self
            .files
            .get(self.current)
            .is_some_and(|f| f.has_room(bytes))
        {
            return true;
        }
        let free = |file: &BulkFile| file.is_free(elsewhere) && file.would_have_room(bytes);
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
        let bytes = file::bytes_for(batch::body_bytes(commits)).max(self.kind.file_bytes);
        if self.bytes() + bytes > self.kind.files_bytes_max
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
    pub(super) fn read(&self, elsewhere: u64) -> Result<BulkRead> {
        let mut read = BulkRead {
            faults: self.faults.clone(),
            ..BulkRead::default()
        };
        for (number, file) in self.files.iter().enumerate() {
            let number = (self.kind, number);
            read.file(number, &file.content()?, file.id(), elsewhere);
        }
        read.batches.sort_by_key(|batch| batch.first_version);
        Ok(read)
    }

    /// Goes on behind the batches that were read.
    pub(super) fn go_on_behind(&mut self, read: &BulkRead) {
        let here = |batch: &&BulkBatch| batch.kind == self.kind;
        for batch in read.batches.iter().filter(here) {
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
            Some(file) if batch.kind == self.kind => file.erase(batch.offset),
            _ => Ok(()),
        }
    }

    /// Makes what was read durable: the process before may have ended between a write and its sync.
    pub(super) fn sync(&self, read: &BulkRead) -> Result<()> {
        for (number, file) in self.files.iter().enumerate() {
            let is_read = |batch: &BulkBatch| (batch.kind, batch.file) == (self.kind, number);
            if read.batches.iter().any(is_read) {
                file.sync()?;
            }
        }
        Ok(())
    }
}

/// The id of a file that a fuzzer is given.
#[cfg(any(test, fuzzing))]
const FUZZED_ID: FileId = [7; 16];

/// A file with commits as one batch, for a fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) fn batch_file(commits: &[Commit]) -> Vec<u8> {
    let mut file = vec![0; batch::ALIGNMENT_BYTES];
    // A vector takes all that is written.
    let _ = batch::write(&mut file, &FUZZED_ID, commits);
    file
}

/// The commits of a file, and of the same file with the checksum of its first header put right.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_batches(bytes: &[u8]) -> Vec<Commit> {
    let mut read = BulkRead::default();
    read.file((STRIP, 0), bytes, &FUZZED_ID, 0);
    let mut put_right = BulkRead::default();
    put_right.file((BULK, 0), &batch::with_checksum(bytes), &FUZZED_ID, 0);
    let mut commits: Vec<Commit> = put_right
        .batches
        .into_iter()
        .flat_map(|b| b.commits)
        .collect();
    if commits.is_empty() {
        commits.extend(read.batches.into_iter().flat_map(|b| b.commits));
    }
    commits
}
