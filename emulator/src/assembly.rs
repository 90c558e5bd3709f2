//! Files that are put together from bytes and from ranges of callers' files.

use std::path::Path;

use crate::error::Result;
use crate::local::Part;
use crate::store::body::{Body, copy_range, cut_range};
use crate::store::content::{Piece, Segment};
use crate::store::core::View;
use crate::store::extent::{Floating, PIECE_SIZE_MAX_BYTES, Pins};
use crate::store::{Store, key};

pub(crate) fn shared_extent(value: &Option<Vec<u8>>) -> Option<u64> {
    let bytes = value.as_ref()?.get(..8)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// A caller's file as this write uses it.
pub(crate) struct SharedFile {
    pub(crate) key: String,
    pub(crate) extent: u64,
    pub(crate) is_new: bool,
}

/// Parts on their way to one body.
pub(crate) struct Assembly<'s> {
    store: &'s Store,
    pub(crate) body: Body,
    pub(crate) shared: Vec<SharedFile>,
    pub(crate) pins: Vec<Pins>,
}

impl<'s> Assembly<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        let body = Body {
            segments: Vec::new(),
            length: 0,
            floating: Floating::none(&store.core().extents),
        };
        Self {
            store,
            body,
            shared: Vec::new(),
            pins: Vec::new(),
        }
    }

    fn join(&mut self, body: Body) {
        self.body.segments.extend(body.segments);
        self.body.length += body.length;
        self.body.floating.join(body.floating);
    }

    pub(crate) fn add(&mut self, part: &Part<'_>) -> Result<()> {
        match *part {
            Part::Bytes(bytes) => {
                let core = self.store.core();
                let mut writer =
                    crate::store::BodyWriter::new(&core.extents, core.wants_sync(true));
                writer.push(bytes)?;
                self.join(writer.finish()?);
                Ok(())
            }
            // An encrypted store refers to nobody's file.
            Part::Shared {
                file,
                offset,
                length,
                crc32c,
                ..
            } if self.store.core().extents.is_encrypted() => {
                let range = offset..offset.saturating_add(length);
                let core = self.store.core();
                let writer = crate::store::BodyWriter::new(&core.extents, core.wants_sync(true));
                self.join(copy_range(file, writer, range, crc32c)?);
                Ok(())
            }
            Part::Shared {
                key,
                file,
                offset,
                length,
                crc32c,
            } => {
                let extent = self.extent(key, file)?;
                self.body.length += length;
                match u32::try_from(length) {
                    Ok(short) if short as usize <= PIECE_SIZE_MAX_BYTES => {
                        self.body
                            .segments
                            .push(Segment::Piece(Piece::whole(extent, offset, short, crc32c)));
                    }
                    _ => {
                        let range = offset..offset.saturating_add(length);
                        self.body
                            .segments
                            .extend(cut_range(file, extent, range, crc32c)?);
                    }
                }
                Ok(())
            }
        }
    }

    /// The extent that a caller's file is, linked now unless it was before.
    fn extent(&mut self, key: &str, file: &Path) -> Result<u64> {
        if let Some(known) = self.shared.iter().find(|shared| shared.key == key) {
            return Ok(known.extent);
        }
        let core = self.store.core();
        let known = {
            // Pinned before the namespace moves on, so that its file stays until it is referenced.
            let view = core.read();
            let known = shared_extent(&view.get(&key::shared(key))?);
            self.pins
                .extend(known.map(|extent| core.extents.pin(vec![extent])));
            known
        };
        let (extent, is_new) = match known {
            Some(extent) => (extent, false),
            None => {
                let (extent, floating) = core.extents.link(file, core.wants_sync(true))?;
                self.body.floating.join(floating);
                (extent, true)
            }
        };
        self.shared.push(SharedFile {
            key: key.to_owned(),
            extent,
            is_new,
        });
        Ok(extent)
    }
}
