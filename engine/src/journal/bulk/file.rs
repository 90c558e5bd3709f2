//! One bulk file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::batch::{self, ALIGNMENT_BYTES, HEADER_BYTES};
use super::{FileId, STRIP};
use crate::checksum::crc32c;
use crate::error::{IoContext, Result};
use crate::faults::{self, Operation};
use crate::journal::Commit;

const MAGIC: &[u8; 8] = b"LSBULK01";
const BUFFER_BYTES: usize = 64 << 10;
/// Files are whole multiples of this.
const STEP_BYTES: u64 = 1 << 20;

pub(super) struct BulkFile {
    path: PathBuf,
    file: File,
    id: FileId,
    bytes: u64,
    /// The next batch begins here.
    used: u64,
    /// The last version in it.
    last_version: u64,
}

/// How large a file must be for a batch.
pub(super) fn bytes_for(body: usize) -> u64 {
    aligned((ALIGNMENT_BYTES + HEADER_BYTES + body) as u64).next_multiple_of(STEP_BYTES)
}

fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT_BYTES as u64)
}

impl BulkFile {
    /// Makes a file whose blocks are all on the disk, so that a later sync writes nothing but data. Its
    /// name is not durable yet.
    pub(super) fn create(path: &Path, bytes: u64) -> Result<Self> {
        let id = *uuid::Uuid::new_v4().as_bytes();
        let made = faults::meet(Operation::Create, path)
            .and_then(|()| {
                File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(path)
            })
            .and_then(|file| {
                faults::meet(Operation::Write, path)?;
                let mut block = [0; ALIGNMENT_BYTES];
                block[..8].copy_from_slice(MAGIC);
                block[8..24].copy_from_slice(&id);
                let crc = crc32c(&[&block[..24]]);
                block[24..28].copy_from_slice(&crc.to_le_bytes());
                file.write_all_at(&block, 0)?;
                let zeros = vec![0; STEP_BYTES as usize];
                let mut at = ALIGNMENT_BYTES as u64;
                while at < bytes {
                    let step = (bytes - at).min(STEP_BYTES);
                    file.write_all_at(&zeros[..step as usize], at)?;
                    at += step;
                }
                faults::meet(Operation::Sync, path)?;
                file.sync_all()?;
                Ok(file)
            });
        Ok(BulkFile {
            file: made.context("making room for large commits", path)?,
            path: path.to_owned(),
            id,
            bytes,
            used: ALIGNMENT_BYTES as u64,
            last_version: 0,
        })
    }

    /// Opens a file, or tells what is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Result<Self, String>> {
        let file = match File::options().read(true).write(true).open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Err("the file is missing".to_owned()));
            }
            opened => opened.context("opening", path)?,
        };
        let bytes = file.metadata().context("measuring", path)?.len();
        let mut head = [0; 28];
        if bytes % STEP_BYTES != 0 || file.read_exact_at(&mut head, 0).is_err() {
            return Ok(Err("the file is cut off".to_owned()));
        }
        if head[..8] != *MAGIC || crc32c(&[&head[..24]]).to_le_bytes() != head[24..] {
            return Ok(Err("its first block fails its checksum".to_owned()));
        }
        let mut id = FileId::default();
        id.copy_from_slice(&head[8..24]);
        Ok(Ok(BulkFile {
            path: path.to_owned(),
            file,
            id,
            bytes,
            used: ALIGNMENT_BYTES as u64,
            last_version: 0,
        }))
    }

    pub(super) fn id(&self) -> &FileId {
        &self.id
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn last_version(&self) -> u64 {
        self.last_version
    }

    pub(super) fn has_room(&self, body: usize) -> bool {
        self.used + (HEADER_BYTES + body) as u64 <= self.bytes
    }

    pub(super) fn would_have_room(&self, body: usize) -> bool {
        (ALIGNMENT_BYTES + HEADER_BYTES + body) as u64 <= self.bytes
    }

    /// Whether nothing in it counts any more where everything stands elsewhere up to a version.
    pub(super) fn is_free(&self, elsewhere: u64) -> bool {
        self.last_version <= elsewhere
    }

    /// Begins to fill it anew. What stands in it stands elsewhere, and so it does not count.
    pub(super) fn begin_again(&mut self) {
        self.used = ALIGNMENT_BYTES as u64;
    }

    /// It holds a batch that ends here.
    pub(super) fn holds(&mut self, end: u64, last_version: u64) {
        self.used = self.used.max(aligned(end));
        self.last_version = self.last_version.max(last_version);
    }

    /// Writes a batch and syncs it.
    pub(super) fn append(&mut self, commits: &[Commit]) -> Result<()> {
        let end = self
            .write(commits)
            .context("writing large commits", &self.path)?;
        let last_version = commits.last().map_or(0, Commit::last_version);
        self.holds(end, last_version);
        Ok(())
    }

    fn write(&self, commits: &[Commit]) -> io::Result<u64> {
        faults::meet(Operation::Write, &self.path)?;
        let at = At {
            file: &self.file,
            offset: self.used,
        };
        let bytes = HEADER_BYTES + batch::body_bytes(commits);
        // Whole pages, so that none has to be read first.
        let padding = bytes.next_multiple_of(ALIGNMENT_BYTES) - bytes;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES.min(bytes + padding), at);
        batch::write(&mut out, &self.id, commits)?;
        out.write_all(&[0; ALIGNMENT_BYTES][..padding])?;
        out.flush()?;
        let end = out.get_ref().offset;
        drop(out);
        self.fdatasync()?;
        Ok(end)
    }

    fn fdatasync(&self) -> io::Result<()> {
        faults::meet(Operation::Sync, &self.path)?;
        let is_strip = self.path.ends_with(STRIP.name(0));
        if faults::makes("the journal is not synced")
            || is_strip && faults::makes("the strip is not synced")
        {
            return Ok(());
        }
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.fdatasync()
            .context("syncing commits that were read", &self.path)
    }

    pub(super) fn content(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).context("reading", &self.path)
    }

    /// Takes a batch back, durably.
    pub(super) fn erase(&self, offset: u64) -> Result<()> {
        faults::meet(Operation::Write, &self.path)
            .and_then(|()| self.file.write_all_at(&[0; HEADER_BYTES], offset))
            .and_then(|()| Ok(rustix::fs::fdatasync(&self.file)?))
            .context("taking back a write that was broken off", &self.path)
    }
}

/// Writes at a place, and moves it.
struct At<'f> {
    file: &'f File,
    offset: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.offset)?;
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
