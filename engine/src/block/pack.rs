//! Pack files: everything that one compaction wrote, in one file with one sync.
//!
//! A pack begins with eight bytes of magic; blocks and manifests follow, each addressed by an
//! [`Extent`]. A pack that no manifest of the catalog refers to is garbage.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::checksum::crc32c;
use crate::error::{Error, IoContext, Result};
use crate::files;
use crate::map;

const MAGIC: &[u8; 8] = b"LSPACK\x00\x01";
/// Small enough to stay in the processor's cache, with the block that comes into it.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = 4096;
/// The disk begins with a pack once this much of it is written.
const SYNC_BEHIND_BYTES: u64 = 16 << 20;

/// Where some bytes stand, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub pack: u64,
    pub offset: u64,
    pub length: u64,
    pub crc32c: u32,
}

/// A pack that a compaction is writing. Its file begins with the first bytes.
pub(crate) struct PackWriter {
    id: u64,
    path: PathBuf,
    file: Option<Writing>,
    offset: u64,
}

struct Writing {
    file: File,
    buffer: Aligned,
    /// Bytes of the file that are written.
    written: u64,
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
        }
    }

    fn begin(&mut self) -> Result<&mut Writing> {
        let writing = match self.file.take() {
            Some(writing) => writing,
            None => {
                let file = File::create(&self.path).context("creating", &self.path)?;
                let mut buffer = Aligned::new();
                buffer.take(MAGIC);
                self.offset = MAGIC.len() as u64;
                Writing {
                    file,
                    buffer,
                    written: 0,
                    syncer: None,
                    unsynced: 0,
                }
            }
        };
        Ok(self.file.insert(writing))
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Extent> {
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
        let mut begun = writers.filter_map(|w| w.file.map(|file| (w.path, file)));
        let first = begun.next();
        std::thread::scope(|scope| {
            let seal = |(path, file): (PathBuf, Writing)| file.seal().context("syncing", &path);
            let others: Vec<_> = begun.map(|w| scope.spawn(move || seal(w))).collect();
            let mut sealed = first.map_or(Ok(()), seal);
            for other in others {
                let other = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                sealed = sealed.and(other);
            }
            sealed
        })?;
        files::sync_folder(&packs.folder)
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
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
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
            None => Syncer::start(&self.file)?,
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
        self.file.sync_all()
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

/// The pack folder of an environment. Packs are mapped when they are first read.
pub(crate) struct Packs {
    folder: PathBuf,
    mapped: Mutex<HashMap<u64, Arc<Mmap>>>,
    manifests: Mutex<HashMap<Extent, Arc<Manifest>>>,
}

impl Packs {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        files::create_folder(folder)?;
        Ok(Self::at(folder))
    }

    /// The packs of a folder that is only looked at.
    pub(crate) fn at(folder: &Path) -> Self {
        Packs {
            folder: folder.to_owned(),
            mapped: Mutex::default(),
            manifests: Mutex::default(),
        }
    }

    /// The file of a pack.
    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("pack-{id:08}.blocks"))
    }

    fn map(&self, id: u64) -> Result<Arc<Mmap>> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = mapped.get(&id) {
            return Ok(map.clone());
        }
        let path = self.path(id);
        let map = Arc::new(map::sealed(&path)?);
        if !map.starts_with(MAGIC) {
            return Err(Error::corrupt(&path, "it is not a pack of this format"));
        }
        mapped.insert(id, map.clone());
        Ok(map)
    }

    /// The bytes of an extent, checked.
    ///
    /// # Errors
    /// `Corrupt` if the pack is too short or the checksum does not fit.
    pub(crate) fn read(&self, extent: &Extent) -> Result<PackBytes> {
        let map = self.map(extent.pack)?;
        let start = extent.offset as usize;
        let end = start.saturating_add(extent.length as usize);
        let path = || self.path(extent.pack);
        let Some(bytes) = map.get(start..end) else {
            return Err(Error::corrupt(
                &path(),
                format!("it ends before byte {end}"),
            ));
        };
        if crc32c(&[bytes]) != extent.crc32c {
            let detail = format!("the bytes {start} to {end} fail their checksum");
            return Err(Error::corrupt(&path(), detail));
        }
        Ok(PackBytes { map, start, end })
    }

    /// A manifest, read once and then kept until a later one replaces it.
    pub(crate) fn manifest(&self, extent: &Extent) -> Result<Arc<Manifest>> {
        let lock = || {
            self.manifests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(manifest) = lock().get(extent) {
            return Ok(manifest.clone());
        }
        let bytes = self.read(extent)?;
        let manifest = Manifest::decode(bytes.as_ref())
            .ok_or_else(|| Error::corrupt(&self.path(extent.pack), "a manifest does not parse"))?;
        let manifest = Arc::new(manifest);
        lock().insert(*extent, manifest.clone());
        Ok(manifest)
    }

    /// Removes the packs that `keep` denies, and forgets the manifests that `current` denies.
    pub(crate) fn collect(
        &self,
        keep: impl Fn(u64) -> bool,
        current: impl Fn(&Extent) -> bool,
    ) -> Result<()> {
        for name in files::names_in(&self.folder)? {
            let id = name
                .strip_prefix("pack-")
                .and_then(|n| n.strip_suffix(".blocks"))
                .and_then(|n| n.parse().ok());
            if id.is_some_and(&keep) {
                continue;
            }
            files::remove_file(&self.folder.join(&name))?;
        }
        self.mapped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|id, _| keep(*id));
        self.manifests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|extent, _| current(extent));
        Ok(())
    }
}

/// Checked bytes of a pack; they stay readable even if the pack is removed meanwhile.
pub(crate) struct PackBytes {
    map: Arc<Mmap>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for PackBytes {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.start..self.end]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let packs = Packs::open(folder.path()).unwrap();
        let mut writer = PackWriter::new(&packs, 3);
        let first = writer.append(b"hello").unwrap();
        let second = writer.append(b"world").unwrap();
        PackWriter::seal_all(&packs, [writer].into_iter()).unwrap();
        assert_eq!(packs.read(&second).unwrap().as_ref(), b"world");
        let mut bytes = std::fs::read(packs.path(3)).unwrap();
        bytes[first.offset as usize + 1] ^= 4;
        std::fs::write(packs.path(3), &bytes).unwrap();
        let packs = Packs::open(folder.path()).unwrap();
        assert!(matches!(packs.read(&first), Err(Error::Corrupt { .. })));
        assert!(packs.read(&second).is_ok());
    }
}
