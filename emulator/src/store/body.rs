//! Bodies as they arrive, and ranges of callers' files: cut into pieces with a checksum each.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{Result, StoreError};
use crate::store::content::{Piece, Segment};
use crate::store::extent::{Extents, Floating, INLINE_SIZE_MAX_BYTES, PIECE_SIZE_BYTES, crc32c};
use crate::store::extent_writer::ExtentWriter;
use crate::store::seal::CustomerKey;

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
    pieces: Vec<Cut>,
    length: u64,
    sync: bool,
    key: Option<CustomerKey>,
}

/// A piece that is written.
struct Cut {
    offset: u64,
    stored_length: u32,
    crc32c: u32,
    length: u32,
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
            key: None,
        }
    }

    /// Seals everything by a customer's key; nothing of it stands in the namespace then.
    pub(crate) fn sealed_by(mut self, key: Option<CustomerKey>) -> Self {
        self.key = key;
        self
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
        let length = self.buffer.len() as u32;
        if let Some(key) = &self.key {
            self.buffer = key.seal(&self.buffer)?;
        }
        let (stored_length, crc32c) = (self.buffer.len() as u32, crc32c(&self.buffer));
        let offset = writer.take(&mut self.buffer)?;
        self.pieces.push(Cut {
            offset,
            stored_length,
            crc32c,
            length,
        });
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Body> {
        let length = self.length;
        let stays_here = self.key.is_none() || self.buffer.is_empty();
        if self.writer.is_none() && self.buffer.len() <= INLINE_SIZE_MAX_BYTES && stays_here {
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
            .map(|cut| {
                Segment::Piece(Piece {
                    length: cut.length,
                    is_customers: self.key.is_some(),
                    ..Piece::whole(id, cut.offset, cut.stored_length, cut.crc32c)
                })
            })
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

/// Copies a range of a caller's file, and checks it against `expected`.
pub(crate) fn copy_range(
    path: &Path,
    mut writer: BodyWriter,
    range: std::ops::Range<u64>,
    expected: u32,
) -> Result<Body> {
    let failed = |e| StoreError::io("read", path, e);
    let mut file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    let mut whole = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let mut bytes = vec![0; PIECE_SIZE_BYTES];
    let mut left = range.end.saturating_sub(range.start);
    while left > 0 {
        let length =
            usize::try_from(left).map_or(PIECE_SIZE_BYTES, |left| left.min(PIECE_SIZE_BYTES));
        let (run, _) = bytes.split_at_mut(length);
        file.read_exact(run).map_err(failed)?;
        whole.update(run);
        writer.push(run)?;
        left -= length as u64;
    }
    match whole.finalize() as u32 == expected {
        true => writer.finish(),
        false => Err(StoreError::corrupt(
            path.display().to_string(),
            "its checksum is not the one given",
        )),
    }
}
