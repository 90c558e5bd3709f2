//! Extents: immutable files that hold bytes, apart from the names that lead to them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::content::{Piece, Segment};
use crate::store::sled_file::sync_path;

/// Bytes of a piece when the emulator cuts a body itself; a piece is read and verified whole.
pub const PIECE_SIZE_BYTES: usize = 256 * 1024;
/// The largest piece kept; a larger range of a shared file is verified once and cut.
pub const PIECE_SIZE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Contents up to this size live in the namespace itself.
pub const INLINE_SIZE_MAX_BYTES: usize = 2_048;

const TEMPORARY_SUFFIX: &str = ".new";

/// CRC-32C, the checksum of every piece.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The digest of a 32-bit algorithm fits 32 bits.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The folder of extents.
#[derive(Debug)]
pub(crate) struct Extents {
    folder: PathBuf,
    /// Whether new extents are synced before they are referenced.
    pub(crate) sync: bool,
    next_id: AtomicU64,
    pins: Mutex<HashMap<u64, u32>>,
}

impl Extents {
    pub(crate) fn open(folder: PathBuf, sync: bool, next_id: u64) -> Result<Arc<Self>> {
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        if let (true, Some(parent)) = (sync, folder.parent()) {
            sync_path(parent)?;
        }
        Ok(Arc::new(Self {
            folder,
            sync,
            next_id: AtomicU64::new(next_id),
            pins: Mutex::default(),
        }))
    }

    /// A number never used before, for an extent, inode or filesystem.
    pub(crate) fn allocate_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{id:016x}"))
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps extents on the disk while the guard lives, whatever becomes of the names.
    pub(crate) fn pin(self: &Arc<Self>, ids: Vec<u64>) -> Pins {
        let mut pins = self.pins();
        for id in &ids {
            *pins.entry(*id).or_default() += 1;
        }
        drop(pins);
        Pins {
            extents: Arc::clone(self),
            ids,
        }
    }

    pub(crate) fn is_pinned(&self, id: u64) -> bool {
        self.pins().contains_key(&id)
    }

    /// Removes an extent that nothing references; one that is gone already is fine.
    pub(crate) fn remove(&self, id: u64) -> Result<()> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path, e))
            }
            _ => Ok(()),
        }
    }

    /// Removes every file that `referenced` does not claim: leftovers of writes that were never acknowledged.
    pub(crate) fn remove_orphans(&self, referenced: impl Fn(u64) -> Result<bool>) -> Result<usize> {
        let mut removed = 0;
        for entry in
            fs::read_dir(&self.folder).map_err(|e| StoreError::io("list", &self.folder, e))?
        {
            let path = entry
                .map_err(|e| StoreError::io("list", &self.folder, e))?
                .path();
            let name = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let keep = match u64::from_str_radix(&name, 16) {
                Ok(id) => referenced(id)?,
                Err(_) => false,
            };
            if !keep {
                fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Reads a piece whole and checks it.
    pub(crate) fn read_piece(&self, files: &mut OpenExtent, piece: &Piece) -> Result<Vec<u8>> {
        let path = self.path(piece.extent);
        let file = files.open(piece.extent, &path)?;
        file.seek(SeekFrom::Start(piece.offset))
            .map_err(|e| StoreError::io("read", &path, e))?;
        let mut bytes = vec![0; piece.stored_length as usize];
        file.read_exact(&mut bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                StoreError::corrupt(path.display().to_string(), "it is shorter than it was")
            }
            _ => StoreError::io("read", &path, e),
        })?;
        if crc32c(&bytes) != piece.crc32c {
            let detail = format!(
                "checksum of {} bytes at {} differs",
                piece.stored_length, piece.offset
            );
            return Err(StoreError::corrupt(path.display().to_string(), detail));
        }
        if piece.skip > 0 || piece.length < piece.stored_length {
            bytes.drain(..piece.skip as usize);
            bytes.truncate(piece.length as usize);
        }
        Ok(bytes)
    }

    /// Writes `bytes` as one extent of one piece.
    pub(crate) fn write(self: &Arc<Self>, bytes: &[u8], sync: bool) -> Result<(Piece, Floating)> {
        let mut writer = ExtentWriter::create(self)?;
        writer.write(bytes)?;
        let (id, floating) = writer.finish(sync)?;
        let length = u32::try_from(bytes.len()).map_err(|_| {
            StoreError::with_message(ErrorCode::OutOfRangeInput, "the record is too large")
        })?;
        Ok((Piece::whole(id, 0, length, crc32c(bytes)), floating))
    }

    /// Makes the immutable file `source` an extent without copying it, where the file system can.
    pub(crate) fn link(self: &Arc<Self>, source: &Path, sync: bool) -> Result<(u64, Floating)> {
        let id = self.allocate_id();
        let path = self.path(id);
        if fs::hard_link(source, &path).is_err() {
            // Another device, or a file system without links.
            let temporary = self.folder.join(format!("{id:016x}{TEMPORARY_SUFFIX}"));
            fs::copy(source, &temporary).map_err(|e| StoreError::io("copy", source, e))?;
            if sync {
                sync_path(&temporary)?;
            }
            fs::rename(&temporary, &path).map_err(|e| StoreError::io("rename", &temporary, e))?;
        }
        let floating = Floating {
            extents: Arc::clone(self),
            ids: vec![id],
        };
        if sync {
            sync_path(&self.folder)?;
        }
        Ok((id, floating))
    }
}

/// Keeps extents from being removed.
#[derive(Debug)]
pub(crate) struct Pins {
    extents: Arc<Extents>,
    ids: Vec<u64>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pins = self.extents.pins();
        for id in &self.ids {
            if let Some(count) = pins.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(id);
                }
            }
        }
    }
}

/// Extents that are written and not yet referenced: removed on drop unless [`Floating::keep`] was called.
#[derive(Debug)]
pub(crate) struct Floating {
    extents: Arc<Extents>,
    ids: Vec<u64>,
}

impl Floating {
    pub(crate) fn none(extents: &Arc<Extents>) -> Self {
        Self {
            extents: Arc::clone(extents),
            ids: Vec::new(),
        }
    }

    pub(crate) fn join(&mut self, mut other: Self) {
        self.ids.append(&mut other.ids);
    }

    /// The batch that references them was applied.
    pub(crate) fn keep(mut self) {
        self.ids.clear();
    }
}

impl Drop for Floating {
    fn drop(&mut self) {
        for id in &self.ids {
            if let Err(error) = self.extents.remove(*id) {
                tracing::debug!(%error, "left for the next open to remove");
            }
        }
    }
}

/// The extent read last stays open, because neighbouring pieces mostly share it.
#[derive(Debug, Default)]
pub(crate) struct OpenExtent {
    current: Option<(u64, File)>,
}

impl OpenExtent {
    fn open(&mut self, id: u64, path: &Path) -> Result<&mut File> {
        if self.current.as_ref().is_none_or(|(open, _)| *open != id) {
            let file = File::open(path).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => {
                    StoreError::corrupt(path.display().to_string(), "the file is gone")
                }
                _ => StoreError::io("open", path, e),
            })?;
            self.current = Some((id, file));
        }
        match &mut self.current {
            Some((_, file)) => Ok(file),
            None => Err(StoreError::corrupt(
                path.display().to_string(),
                "the file is gone",
            )),
        }
    }
}

struct ExtentWriter {
    extents: Arc<Extents>,
    id: u64,
    temporary: PathBuf,
    file: Option<File>,
}

impl ExtentWriter {
    fn create(extents: &Arc<Extents>) -> Result<Self> {
        let id = extents.allocate_id();
        let temporary = extents.folder.join(format!("{id:016x}{TEMPORARY_SUFFIX}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|e| StoreError::io("create", &temporary, e))?;
        Ok(Self {
            extents: Arc::clone(extents),
            id,
            temporary,
            file: Some(file),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.file {
            Some(file) => file
                .write_all(bytes)
                .map_err(|e| StoreError::io("write", &self.temporary, e)),
            None => Ok(()),
        }
    }

    fn finish(mut self, sync: bool) -> Result<(u64, Floating)> {
        if let (Some(file), true) = (self.file.take(), sync) {
            file.sync_data()
                .map_err(|e| StoreError::io("sync", &self.temporary, e))?;
        }
        let path = self.extents.path(self.id);
        fs::rename(&self.temporary, &path)
            .map_err(|e| StoreError::io("rename", &self.temporary, e))?;
        let floating = Floating {
            extents: Arc::clone(&self.extents),
            ids: vec![self.id],
        };
        if sync {
            sync_path(&self.extents.folder)?;
        }
        Ok((self.id, floating))
    }
}

impl Drop for ExtentWriter {
    fn drop(&mut self) {
        // After `finish` the name is gone and this does nothing.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A body that is stored and not yet part of any file.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) segments: Vec<Segment>,
    pub(crate) length: u64,
    pub(crate) floating: Floating,
}

/// Takes a body as it arrives: small ones stay in memory, larger ones become one extent cut into pieces.
pub(crate) struct BodyWriter {
    extents: Arc<Extents>,
    writer: Option<ExtentWriter>,
    buffer: Vec<u8>,
    pieces: Vec<(u64, u32, u32)>,
    length: u64,
    sync: bool,
}

impl BodyWriter {
    /// `sync` asks for durability; a store without it (memory) stays without.
    pub(crate) fn new(extents: &Arc<Extents>, sync: bool) -> Self {
        let extents = Arc::clone(extents);
        Self {
            extents,
            writer: None,
            buffer: Vec::new(),
            pieces: Vec::new(),
            length: 0,
            sync,
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PIECE_SIZE_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PIECE_SIZE_BYTES {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(ExtentWriter::create(&self.extents)?),
        };
        writer.write(&self.buffer)?;
        let offset = self
            .pieces
            .last()
            .map_or(0, |(offset, length, _)| offset + u64::from(*length));
        self.pieces
            .push((offset, self.buffer.len() as u32, crc32c(&self.buffer)));
        self.buffer.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Body> {
        let length = self.length;
        if self.writer.is_none() && self.buffer.len() <= INLINE_SIZE_MAX_BYTES {
            let floating = Floating::none(&self.extents);
            let segments = if self.buffer.is_empty() {
                Vec::new()
            } else {
                vec![Segment::Inline(self.buffer)]
            };
            return Ok(Body {
                segments,
                length,
                floating,
            });
        }
        if !self.buffer.is_empty() {
            self.cut()?;
        }
        let Some(writer) = self.writer else {
            return Ok(Body {
                segments: Vec::new(),
                length,
                floating: Floating::none(&self.extents),
            });
        };
        let (id, floating) = writer.finish(self.sync)?;
        let segments = self
            .pieces
            .iter()
            .map(|(offset, length, crc)| Segment::Piece(Piece::whole(id, *offset, *length, *crc)))
            .collect();
        Ok(Body {
            segments,
            length,
            floating,
        })
    }
}

/// Reads a range of a caller's file once: checks it against `expected` and cuts it into pieces of `extent`.
pub(crate) fn cut_range(
    path: &Path,
    extent: u64,
    range: std::ops::Range<u64>,
    expected: u32,
) -> Result<Vec<Segment>> {
    let mut file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
    file.seek(SeekFrom::Start(range.start))
        .map_err(|e| StoreError::io("read", path, e))?;
    let mut whole = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let mut segments = Vec::new();
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(PIECE_SIZE_BYTES as u64);
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes)
            .map_err(|e| StoreError::io("read", path, e))?;
        whole.update(&bytes);
        segments.push(Segment::Piece(Piece::whole(
            extent,
            offset,
            length as u32,
            crc32c(&bytes),
        )));
        offset += length;
    }
    if whole.finalize() as u32 != expected {
        return Err(StoreError::corrupt(
            path.display().to_string(),
            "its checksum is not the one given",
        ));
    }
    Ok(segments)
}
