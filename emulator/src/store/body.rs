//! Bodies as they arrive, and ranges of callers' files: cut into pieces with a checksum each.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{Result, StoreError};
use crate::store::content::{Piece, Segment};
use crate::store::extent::{
    ExtentWriter, Extents, Floating, INLINE_SIZE_MAX_BYTES, PIECE_SIZE_BYTES, crc32c,
};

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
        let offset = self
            .pieces
            .last()
            .map_or(0, |(offset, length, _)| offset + u64::from(*length));
        self.pieces
            .push((offset, self.buffer.len() as u32, crc32c(&self.buffer)));
        writer.take(&mut self.buffer)
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
