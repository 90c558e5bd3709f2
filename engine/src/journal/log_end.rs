//! What is known of the end of the log beside the log itself.
//!
//! sled takes damage in what was written last for a write that a power cut broke off, drops it in
//! silence, and gives what was before. Two witnesses tell the one from the other. The file
//! `acknowledged` says up to where everything was durable; it is written after each sync and before
//! anybody is told, so that the end of a process cannot take it, and only a power cut can make it older
//! than it was. And each frame says up to where everything was durable when it was written, so that any
//! frame that stands somewhere in sled's file bears witness for those before its batch.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::{FrameHeader, HEADER_BYTES};
use crate::checksum::crc32c;
use crate::error::{Error, IoContext, Result};
use crate::faults::{self, Operation};
use crate::files::{self, NewFile};

const MAGIC: &[u8; 8] = b"LSACKN\x00\x01";
const MARK_BYTES: usize = 28;
const MARK_FILE: &str = "acknowledged";
const READ_BYTES: usize = 4 << 20;

/// The end of the log as others than sled tell it.
#[derive(Debug, Clone, Default)]
pub struct LogEnd {
    /// Every commit up to this version was durable.
    pub acknowledged_version: u64,
    /// The first versions of commits of which frames stand anywhere in the file, sorted.
    pub(crate) versions_in_file: Vec<u64>,
    /// So many changes of the metadata were durable.
    pub(crate) metadata_changes: u64,
    /// Whether the log has fewer changes of the metadata than that.
    pub(crate) is_metadata_lost: bool,
    /// Why one of the witnesses cannot be heard.
    pub(crate) fault: Option<String>,
}

impl LogEnd {
    /// Asks both witnesses. Whoever has the journal open may go on.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut end = LogEnd::default();
        match Mark::read(folder) {
            Ok(Some((version, changes))) => {
                end.acknowledged_version = version;
                end.metadata_changes = changes;
            }
            Ok(None) => {}
            Err(error) => end.fault = Some(error.to_string()),
        }
        let mut versions = Vec::new();
        let mut acknowledged = 0;
        let scanned = scan(&folder.join("db"), |header| {
            versions.push(header.first_version);
            acknowledged = acknowledged.max(header.acknowledged);
        });
        if let Err(error) = scanned
            && error.kind() != io::ErrorKind::NotFound
        {
            end.fault = Some(format!("the journal cannot be read: {error}"));
        }
        versions.sort_unstable();
        versions.dedup();
        end.versions_in_file = versions;
        end.acknowledged_version = end.acknowledged_version.max(acknowledged);
        end
    }

    /// The commit behind a version that was broken off before it was acknowledged, if frames of one are
    /// there.
    pub fn unfinished(&self, last_version: u64) -> Option<u64> {
        let mut versions = self.versions_in_file.iter();
        versions.find(|version| **version > last_version).copied()
    }
}

/// Gives the header of each frame that stands in a file, by its own checksum.
fn scan(path: &Path, mut found: impl FnMut(FrameHeader)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = Vec::with_capacity(READ_BYTES + HEADER_BYTES);
    loop {
        let kept = buffer.len();
        file.by_ref()
            .take(READ_BYTES as u64)
            .read_to_end(&mut buffer)?;
        if buffer.len() == kept {
            return Ok(());
        }
        for at in memchr::memmem::find_iter(&buffer, &FrameHeader::BEGIN) {
            if let Some(header) = FrameHeader::decode(&buffer[at..]) {
                found(header);
            }
        }
        // A header may stand across the border.
        buffer.drain(..buffer.len().saturating_sub(HEADER_BYTES - 1));
    }
}

/// The file that says up to where everything was durable.
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    said: Mutex<Said>,
}

/// What it says. Commits and metadata become durable beside each other, so it never goes back.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    version: u64,
    metadata_changes: u64,
}

impl Mark {
    /// Opens it, creating it if it is not there. Whatever it says stays until the next `note`; what the
    /// witnesses know is what it goes on from.
    pub(super) fn open(folder: &Path, end: &LogEnd) -> Result<Self> {
        let path = folder.join(MARK_FILE);
        if !path.exists() {
            let file = NewFile::create(&path).context("creating", &path)?;
            let written = file.file().write_all_at(&encode(0, 0), 0);
            written
                .and_then(|()| file.sync())
                .context("writing", &path)?;
            files::sync_folder(folder)?;
        }
        let file = OpenOptions::new().write(true).open(&path);
        Ok(Mark {
            file: file.context("opening", &path)?,
            path,
            said: Mutex::new(Said {
                version: end.acknowledged_version,
                metadata_changes: end.metadata_changes,
            }),
        })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to this version is durable.
    pub(super) fn version(&self) -> u64 {
        self.said().version
    }

    /// Says that everything up to a version is durable.
    pub(super) fn note_version(&self, version: u64) -> Result<()> {
        self.note(version, 0)
    }

    /// Says that everything up to a version, and so many changes of the metadata, are durable.
    pub(super) fn note(&self, version: u64, metadata_changes: u64) -> Result<()> {
        let mut said = self.said();
        said.version = said.version.max(version);
        said.metadata_changes = said.metadata_changes.max(metadata_changes);
        let bytes = encode(said.version, said.metadata_changes);
        faults::meet(Operation::Write, &self.path)
            .and_then(|()| self.file.write_all_at(&bytes, 0))
            .context("writing", &self.path)
    }

    /// As if nothing behind a version had been acknowledged.
    #[cfg(test)]
    pub(super) fn go_back_to(&self, version: u64) -> Result<()> {
        self.said().version = version;
        self.note(version, 0)
    }

    /// Makes what it says outlive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        faults::meet(Operation::Sync, &self.path)
            .and_then(|()| self.file.sync_data())
            .context("syncing", &self.path)
    }

    fn read(folder: &Path) -> Result<Option<(u64, u64)>> {
        let path = folder.join(MARK_FILE);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.context("reading", &path)?,
        };
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        match (number(8), number(16)) {
            (Some(version), Some(changes)) if bytes == encode(version, changes) => {
                Ok(Some((version, changes)))
            }
            _ => Err(Error::corrupt(&path, "it fails its checksum")),
        }
    }
}

fn encode(version: u64, metadata_changes: u64) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&version.to_le_bytes());
    bytes[16..24].copy_from_slice(&metadata_changes.to_le_bytes());
    let crc = crc32c(&[&bytes[..24]]);
    bytes[24..].copy_from_slice(&crc.to_le_bytes());
    bytes
}
