//! Writing a pack, while the disk already takes what is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::pack::{Extent, MAGIC, Packs};
use crate::checksum::crc32c;
use crate::error::{IoContext, Result};
use crate::faults;
use crate::files::{self, NewFile};

/// Small enough to stay in the processor's cache, with the block that comes into it.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 4096;
/// The disk begins with a pack once this much of it is written.
const SYNC_BEHIND_BYTES: u64 = 16 << 20;

/// A pack that a compaction is writing. Its file begins with the first bytes.
pub(crate) struct PackWriter {
    id: u64,
    path: PathBuf,
    file: Option<Writing>,
    offset: u64,
    /// Whether there is a file that nothing may name yet.
    is_unsealed: bool,
}

struct Writing {
    file: NewFile,
    buffer: Aligned,
    syncer: Option<Syncer>,
    /// Bytes since the last request to sync.
    unsynced: u64,
}

impl PackWriter {
    pub(crate) fn new(packs: &Packs, id: u64) -> Self {
        PackWriter {
            id,
            path: packs.path(id),
            file: None,
            offset: 0,
            is_unsealed: false,
        }
    }

    fn begin(&mut self) -> Result<&mut Writing> {
        let writing = match self.file.take() {
            Some(writing) => writing,
            None => {
                let file = NewFile::create(&self.path).context("creating", &self.path)?;
                self.is_unsealed = true;
                let mut buffer = Aligned::new();
                buffer.take(MAGIC);
                self.offset = MAGIC.len() as u64;
                Writing {
                    file,
                    buffer,
                    syncer: None,
                    unsynced: 0,
                }
            }
        };
        Ok(self.file.insert(writing))
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Extent> {
        if let Some(folder) = self.path.parent() {
            files::check_room(folder, bytes.len() as u64, "writing a pack")?;
        }
        let writing = self.begin()?;
        let written = writing.append(bytes);
        written.context("writing", &self.path)?;
        let extent = Extent {
            pack: self.id,
            offset: self.offset,
            length: bytes.len() as u64,
            crc32c: crc32c(&[bytes]),
        };
        self.offset += extent.length;
        Ok(extent)
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.offset
    }

    /// Seals packs: they and their names are durable, and they never change again.
    pub(crate) fn seal_all(packs: &Packs, writers: impl Iterator<Item = Self>) -> Result<()> {
        let mut begun: Vec<Self> = writers.filter(|writer| writer.file.is_some()).collect();
        std::thread::scope(|scope| {
            let mut writers = begun.iter_mut();
            let first = writers.next();
            let others: Vec<_> = writers.map(|w| scope.spawn(move || w.seal())).collect();
            let mut sealed = first.map_or(Ok(()), Self::seal);
            for other in others {
                let other = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                sealed = sealed.and(other);
            }
            sealed
        })?;
        files::sync_folder(packs.folder())
    }

    fn seal(&mut self) -> Result<()> {
        if let Some(writing) = self.file.take() {
            writing.seal().context("syncing", &self.path)?;
        }
        self.is_unsealed = false;
        Ok(())
    }
}

/// Half a pack on a full disk only makes it fuller.
impl Drop for PackWriter {
    fn drop(&mut self) {
        if self.is_unsealed
            && let Err(error) = files::remove_file(&self.path)
        {
            tracing::warn!(%error, "an unfinished pack stays until the next opening");
        }
    }
}

impl Writing {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            bytes = self.buffer.take(bytes);
            if bytes.is_empty() {
                return Ok(());
            }
            self.write()?;
            self.sync_behind()?;
        }
    }

    /// Writes what is in the buffer.
    fn write(&mut self) -> io::Result<()> {
        let bytes = self.buffer.bytes();
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Lets the disk begin with what is written, while more is made.
    fn sync_behind(&mut self) -> io::Result<()> {
        if self.unsynced < SYNC_BEHIND_BYTES {
            return Ok(());
        }
        let syncer = match self.syncer.take() {
            Some(syncer) => syncer,
            None => Syncer::start(self.file.file())?,
        };
        if syncer.request() {
            self.unsynced = 0;
        }
        self.syncer = Some(syncer);
        Ok(())
    }

    fn seal(mut self) -> io::Result<()> {
        self.write()?;
        // A failed sync is told once, so it must not be told to a thread that nobody asks.
        self.syncer.map_or(Ok(()), Syncer::end)?;
        match faults::makes("a pack is not synced") {
            true => Ok(()),
            false => self.file.sync(),
        }
    }
}

/// What is written next, in memory at the border of a page, as it will stand in the file: the system copies such pages
/// twice as fast as others.
struct Aligned {
    memory: Vec<u8>,
    /// Where the page begins.
    start: usize,
    length: usize,
}

impl Aligned {
    fn new() -> Self {
        let memory = vec![0; WRITE_BUFFER_BYTES + PAGE_BYTES];
        let start = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        Aligned {
            memory,
            start,
            length: 0,
        }
    }

    /// Takes as many bytes as there is room for, and gives the rest.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(WRITE_BUFFER_BYTES - self.length));
        let at = self.start + self.length;
        self.memory[at..at + now.len()].copy_from_slice(now);
        self.length += now.len();
        rest
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    fn clear(&mut self) {
        self.length = 0;
    }
}

/// A thread that syncs a file again and again while it is written.
struct Syncer {
    requests: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Syncer {
    fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (requests, asked) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("pack sync".to_owned())
            .spawn(move || asked.iter().try_for_each(|()| file.sync_data()))?;
        Ok(Syncer { requests, thread })
    }

    /// `false` while the one before is still waited for.
    fn request(&self) -> bool {
        self.requests.try_send(()).is_ok()
    }

    fn end(self) -> io::Result<()> {
        drop(self.requests);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
