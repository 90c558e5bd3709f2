//! Writing an extent, piece by piece.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Result, StoreError};
use crate::store::extent::{Extents, Floating, Place, SALT_BYTES, TEMPORARY_SUFFIX, path, write};
use crate::store::seal::{Sealer, TAG_BYTES, random};
use crate::store::sled_file::sync_path;

/// Writes one extent; what is not finished leaves nothing.
pub(crate) struct ExtentWriter {
    extents: Arc<Extents>,
    id: u64,
    target: Target,
    /// Where the next piece begins.
    offset: u64,
}

enum Target {
    File {
        folder: PathBuf,
        temporary: PathBuf,
        file: File,
        sealer: Option<Box<Sealer>>,
    },
    Memory(Vec<Bytes>),
}

impl ExtentWriter {
    pub(crate) fn create(extents: &Arc<Extents>) -> Result<Self> {
        let id = extents.allocate_id();
        let target = match &extents.place {
            Place::Memory(_) => Target::Memory(Vec::new()),
            Place::Folder(folder, keys) => {
                let temporary = folder.join(format!("{id:016x}{TEMPORARY_SUFFIX}"));
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&temporary)
                    .map_err(|e| StoreError::io("create", &temporary, e))?;
                let sealer = match keys {
                    None => None,
                    Some(keys) => {
                        let salt: [u8; SALT_BYTES] = random()?;
                        file.write_all(&salt)
                            .map_err(|e| StoreError::io("write", &temporary, e))?;
                        Some(Box::new(keys.extent(id, &salt)?))
                    }
                };
                let folder = folder.clone();
                Target::File {
                    folder,
                    temporary,
                    file,
                    sealer,
                }
            }
        };
        Ok(Self {
            extents: Arc::clone(extents),
            id,
            target,
            offset: 0,
        })
    }

    /// Adds what is in the buffer as a piece, leaves the buffer empty, and says where the piece begins.
    pub(crate) fn take(&mut self, buffer: &mut Vec<u8>) -> Result<u64> {
        let offset = self.offset;
        self.offset += buffer.len() as u64;
        match &mut self.target {
            Target::Memory(pieces) => pieces.push(std::mem::take(buffer).into()),
            Target::File {
                temporary,
                file,
                sealer,
                ..
            } => {
                if let Some(sealer) = sealer {
                    sealer.seal_at(offset, b"", buffer)?;
                    self.offset += TAG_BYTES as u64;
                }
                file.write_all(buffer)
                    .map_err(|e| StoreError::io("write", temporary, e))?;
                buffer.clear();
            }
        }
        Ok(offset)
    }

    pub(crate) fn finish(mut self, sync: bool) -> Result<(u64, Floating)> {
        let floating = Floating::of(&self.extents, self.id);
        match &mut self.target {
            Target::Memory(pieces) => {
                if let Place::Memory(extents) = &self.extents.place {
                    write(extents).insert(self.id, Arc::new(std::mem::take(pieces)));
                }
            }
            Target::File {
                folder,
                temporary,
                file,
                ..
            } => {
                if sync {
                    file.sync_data()
                        .map_err(|e| StoreError::io("sync", temporary, e))?;
                }
                fs::rename(&*temporary, path(folder, self.id))
                    .map_err(|e| StoreError::io("rename", temporary, e))?;
                if sync {
                    sync_path(folder)?;
                }
            }
        }
        Ok((self.id, floating))
    }
}

impl Drop for ExtentWriter {
    fn drop(&mut self) {
        // After `finish` the name is gone and this does nothing.
        if let Target::File { temporary, .. } = &self.target {
            let _ = fs::remove_file(temporary);
        }
    }
}
