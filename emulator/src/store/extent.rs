//! Extents: immutable files that hold bytes, apart from the names that lead to them. A store that keeps nothing has them
//! in memory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::content::Piece;
use crate::store::encryption::Keys;
use crate::store::extent_writer::ExtentWriter;
use crate::store::seal::{CustomerKey, Sealer, TAG_BYTES};
use crate::store::sled_file::sync_path;

/// Bytes of a piece when the emulator cuts a body itself; a piece is read and verified whole.
pub const PIECE_SIZE_BYTES: usize = 256 * 1024;
/// The largest piece kept; a larger range of a shared file is verified once and cut.
pub const PIECE_SIZE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Contents up to this size live in the namespace itself.
pub const INLINE_SIZE_MAX_BYTES: usize = 2_048;

pub(super) const TEMPORARY_SUFFIX: &str = ".new";

/// CRC-32C, the checksum of every piece.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The digest of a 32-bit algorithm fits 32 bits.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// An extent in memory, in the pieces it was written in.
pub(super) type Pieces = Arc<Vec<Bytes>>;

/// What stands before the pieces of an extent in an encrypted store: what its key is derived with.
pub(super) const SALT_BYTES: usize = 16;

/// Where extents are.
#[derive(Debug)]
pub(super) enum Place {
    Folder(PathBuf, Option<Arc<Keys>>),
    Memory(RwLock<HashMap<u64, Pieces>>),
}

/// All extents of a store.
#[derive(Debug)]
pub(crate) struct Extents {
    pub(super) place: Place,
    /// Whether new extents are synced before they are referenced.
    pub(crate) sync: bool,
    next_id: AtomicU64,
    pins: Mutex<HashMap<u64, u32>>,
}

impl Extents {
    pub(crate) fn open(
        folder: PathBuf,
        keys: Option<Arc<Keys>>,
        sync: bool,
        next_id: u64,
    ) -> Result<Arc<Self>> {
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        if let (true, Some(parent)) = (sync, folder.parent()) {
            sync_path(parent)?;
        }
        Ok(Self::at(Place::Folder(folder, keys), sync, next_id))
    }

    pub(crate) fn in_memory(next_id: u64) -> Arc<Self> {
        Self::at(Place::Memory(RwLock::default()), false, next_id)
    }

    fn at(place: Place, sync: bool, next_id: u64) -> Arc<Self> {
        Arc::new(Self {
            place,
            sync,
            next_id: AtomicU64::new(next_id),
            pins: Mutex::default(),
        })
    }

    /// Whether what is stored is sealed, so that nobody else's file can become an extent as it is.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.place, Place::Folder(_, Some(_)))
    }

    /// A number never used before, for an extent, inode or filesystem.
    pub(crate) fn allocate_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
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
        match &self.place {
            Place::Memory(extents) => {
                write(extents).remove(&id);
                Ok(())
            }
            Place::Folder(folder, _) => {
                let path = path(folder, id);
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        Err(StoreError::io("remove", &path, e))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Removes every file that `referenced` does not claim: leftovers of writes that were never acknowledged.
    pub(crate) fn remove_orphans(&self, referenced: impl Fn(u64) -> Result<bool>) -> Result<()> {
        let Place::Folder(folder, _) = &self.place else {
            return Ok(());
        };
        for entry in fs::read_dir(folder).map_err(|e| StoreError::io("list", folder, e))? {
            let path = entry.map_err(|e| StoreError::io("list", folder, e))?.path();
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
            }
        }
        Ok(())
    }

    /// Reads a piece whole and checks it.
    pub(crate) fn read_piece(&self, files: &mut OpenExtent, piece: &Piece) -> Result<Bytes> {
        let (name, bytes) = match &self.place {
            Place::Memory(extents) => {
                let extents = extents.read().unwrap_or_else(PoisonError::into_inner);
                let found = extents
                    .get(&piece.extent)
                    .and_then(|pieces| in_pieces(pieces, piece.offset, piece.stored_length));
                let name = PathBuf::from(format!("extent {:016x}", piece.extent));
                let bytes =
                    found.ok_or_else(|| StoreError::corrupt(name.display().to_string(), GONE))?;
                (name, bytes)
            }
            Place::Folder(folder, keys) => {
                let path = path(folder, piece.extent);
                let bytes = read_file(files, &path, piece, keys.as_deref())?;
                (path, bytes)
            }
        };
        if crc32c(&bytes) != piece.crc32c {
            let detail = format!(
                "checksum of {} bytes at {} differs",
                piece.stored_length, piece.offset
            );
            return Err(StoreError::corrupt(name.display().to_string(), detail));
        }
        let bytes = match (piece.is_customers, &files.customer_key) {
            (false, _) => bytes,
            (true, None) => return Err(ErrorCode::BlobUsesCustomerSpecifiedEncryption.into()),
            (true, Some(key)) => key
                .open(&bytes)
                .ok_or(ErrorCode::BlobCustomerSpecifiedEncryptionMismatch)?
                .into(),
        };
        let from = bytes.len().min(piece.skip as usize);
        let to = bytes.len().min(from + piece.length as usize);
        Ok(bytes.slice(from..to))
    }

    /// Writes `bytes` as one extent of one piece.
    pub(crate) fn write(self: &Arc<Self>, bytes: &[u8], sync: bool) -> Result<(Piece, Floating)> {
        let mut writer = ExtentWriter::create(self)?;
        writer.take(&mut bytes.to_vec())?;
        let (id, floating) = writer.finish(sync)?;
        let length = u32::try_from(bytes.len()).map_err(|_| {
            StoreError::with_message(ErrorCode::OutOfRangeInput, "the record is too large")
        })?;
        Ok((Piece::whole(id, 0, length, crc32c(bytes)), floating))
    }

    /// Makes the immutable file `source` an extent without copying it, where the file system can.
    pub(crate) fn link(self: &Arc<Self>, source: &Path, sync: bool) -> Result<(u64, Floating)> {
        let id = self.allocate_id();
        match &self.place {
            Place::Memory(extents) => {
                let pieces = read_in_pieces(source)?;
                write(extents).insert(id, Arc::new(pieces));
            }
            Place::Folder(folder, _) => link_file(folder, id, source, sync)?,
        }
        let floating = Floating {
            extents: Arc::clone(self),
            ids: vec![id],
        };
        Ok((id, floating))
    }
}

const GONE: &str = "it is gone";

pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:016x}"))
}

pub(super) fn write(
    extents: &RwLock<HashMap<u64, Pieces>>,
) -> std::sync::RwLockWriteGuard<'_, HashMap<u64, Pieces>> {
    extents.write().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of an extent in memory; `None` when it does not have so many.
fn in_pieces(pieces: &[Bytes], offset: u64, length: u32) -> Option<Bytes> {
    let (mut offset, mut left) = (usize::try_from(offset).ok()?, length as usize);
    let mut found = Vec::new();
    for piece in pieces {
        if offset >= piece.len() {
            offset -= piece.len();
            continue;
        }
        if offset + left <= piece.len() && found.is_empty() {
            return Some(piece.slice(offset..offset + left));
        }
        let here = left.min(piece.len() - offset);
        found.extend_from_slice(piece.get(offset..offset + here)?);
        (offset, left) = (0, left - here);
        if left == 0 {
            break;
        }
    }
    (left == 0).then(|| found.into())
}

fn read_file(
    files: &mut OpenExtent,
    path: &Path,
    piece: &Piece,
    keys: Option<&Keys>,
) -> Result<Bytes> {
    let (file, sealer) = files.open(piece.extent, path, keys)?;
    let (before, behind) = match sealer {
        Some(_) => (SALT_BYTES as u64, TAG_BYTES),
        None => (0, 0),
    };
    file.seek(SeekFrom::Start(piece.offset.saturating_add(before)))
        .map_err(|e| StoreError::io("read", path, e))?;
    let mut bytes = vec![0; piece.stored_length as usize + behind];
    file.read_exact(&mut bytes).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            StoreError::corrupt(path.display().to_string(), "it is shorter than it was")
        }
        _ => StoreError::io("read", path, e),
    })?;
    match sealer {
        None => Ok(bytes.into()),
        Some(sealer) => sealer
            .open_at(piece.offset, b"", bytes)
            .map(Bytes::from)
            .ok_or_else(|| StoreError::corrupt(path.display().to_string(), "its seal is broken")),
    }
}

fn read_in_pieces(source: &Path) -> Result<Vec<Bytes>> {
    let failed = |e| StoreError::io("read", source, e);
    let mut file = File::open(source).map_err(failed)?;
    let mut pieces = Vec::new();
    loop {
        let mut piece = Vec::new();
        let limit = PIECE_SIZE_BYTES as u64;
        Read::by_ref(&mut file)
            .take(limit)
            .read_to_end(&mut piece)
            .map_err(failed)?;
        if piece.is_empty() {
            return Ok(pieces);
        }
        pieces.push(piece.into());
    }
}

fn link_file(folder: &Path, id: u64, source: &Path, sync: bool) -> Result<()> {
    let path = path(folder, id);
    if fs::hard_link(source, &path).is_err() {
        // Another device, or a file system without links.
        let temporary = folder.join(format!("{id:016x}{TEMPORARY_SUFFIX}"));
        fs::copy(source, &temporary).map_err(|e| StoreError::io("copy", source, e))?;
        if sync {
            sync_path(&temporary)?;
        }
        fs::rename(&temporary, &path).map_err(|e| StoreError::io("rename", &temporary, e))?;
    }
    match sync {
        true => sync_path(folder),
        false => Ok(()),
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
    pub(super) fn of(extents: &Arc<Extents>, id: u64) -> Self {
        Self {
            extents: Arc::clone(extents),
            ids: vec![id],
        }
    }

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
    current: Option<(u64, File, Option<Sealer>)>,
    /// What pieces that a customer's key sealed are opened by.
    pub(crate) customer_key: Option<CustomerKey>,
}

impl OpenExtent {
    fn open(
        &mut self,
        id: u64,
        path: &Path,
        keys: Option<&Keys>,
    ) -> Result<(&mut File, Option<&Sealer>)> {
        if self.current.as_ref().is_none_or(|(open, ..)| *open != id) {
            let mut file = File::open(path).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => {
                    StoreError::corrupt(path.display().to_string(), "the file is gone")
                }
                _ => StoreError::io("open", path, e),
            })?;
            let sealer = match keys {
                None => None,
                Some(keys) => {
                    let mut salt = [0; SALT_BYTES];
                    file.read_exact(&mut salt)
                        .map_err(|e| StoreError::io("read", path, e))?;
                    Some(keys.extent(id, &salt)?)
                }
            };
            self.current = Some((id, file, sealer));
        }
        match &mut self.current {
            Some((_, file, sealer)) => Ok((file, sealer.as_ref())),
            None => Err(StoreError::corrupt(
                path.display().to_string(),
                "the file is gone",
            )),
        }
    }
}
