//! Pack files: everything that one thread of a compaction wrote, in one file.
//!
//! A pack begins with eight bytes of magic; blocks and manifests follow, each addressed by an
//! [`Extent`]. A pack that no manifest of the catalog refers to is garbage.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::files;
use crate::map;

pub(super) const MAGIC: &[u8; 8] = b"LSPACK\x00\x01";
/// Pages of mapped packs stay in memory up to this, with those of segments.
const MAPPED_BYTES_MAX: u64 = 128 << 20;
/// That is looked at whenever so much was read.
const BYTES_A_LOOK: u64 = 8 << 20;

/// Where some bytes stand, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub pack: u64,
    pub offset: u64,
    pub length: u64,
    pub crc32c: u32,
}

/// The pack folder of an environment. Packs are mapped when they are first read.
pub(crate) struct Packs {
    folder: PathBuf,
    mapped: Mutex<HashMap<u64, Arc<Mmap>>>,
    /// Bytes that were read, ever.
    read: AtomicU64,
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
            read: AtomicU64::new(0),
            manifests: Mutex::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
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
        self.keep_small(extent.length);
        Ok(PackBytes { map, start, end })
    }

    /// Now and then lets go of pages, when those of mapped files take too much memory.
    fn keep_small(&self, bytes: u64) {
        let before = self.read.fetch_add(bytes, Ordering::Relaxed);
        if before / BYTES_A_LOOK == (before + bytes) / BYTES_A_LOOK {
            return;
        }
        if map::resident_bytes().is_none_or(|bytes| bytes > MAPPED_BYTES_MAX) {
            let mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
            mapped
                .values()
                .for_each(|map| map::release(map, 0, map.len()));
        }
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
    use crate::block::PackWriter;

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
