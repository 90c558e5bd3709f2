//! What a file consists of: pieces of extents and small runs of bytes, in order.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Result, StoreError};
use crate::store::extent::{Extents, OpenExtent, Pins};
use crate::store::seal::CustomerKey;

/// A stored content list up to this size stands in the inode's own record.
pub(crate) const CONTENT_INLINE_MAX_BYTES: usize = 2_100;
/// Inline bytes a file may gather by small appends before they are moved to an extent.
pub(crate) const INLINE_TOTAL_MAX_BYTES: u64 = 64 * 1024;

/// What a hole is read from.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A range of an extent, with the checksum of the range as it was stored.
///
/// A flush may take only a part of what was appended; then `skip` and `length` select it, and reading still verifies
/// the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) extent: u64,
    pub(crate) offset: u64,
    pub(crate) stored_length: u32,
    pub(crate) crc32c: u32,
    pub(crate) skip: u32,
    pub(crate) length: u32,
    /// Whether what is stored was sealed by a customer's key; `skip` and `length` are of what is sealed.
    pub(crate) is_customers: bool,
}

impl Piece {
    pub(crate) fn whole(extent: u64, offset: u64, length: u32, crc32c: u32) -> Self {
        Self {
            extent,
            offset,
            stored_length: length,
            crc32c,
            skip: 0,
            length,
            is_customers: false,
        }
    }
}

/// A run of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Inline(Vec<u8>),
    Piece(Piece),
    /// Zeros that nobody wrote: the empty pages of a page blob.
    Hole(u64),
}

impl Segment {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Piece(piece) => u64::from(piece.length),
            Self::Hole(length) => *length,
        }
    }

    /// The part from `from` of `length` bytes; the caller keeps within the segment.
    fn part(&self, from: u64, length: u64) -> Self {
        match self {
            Self::Inline(bytes) => Self::Inline(
                bytes
                    .iter()
                    .skip(from as usize)
                    .take(length as usize)
                    .copied()
                    .collect(),
            ),
            Self::Piece(piece) => Self::Piece(Piece {
                skip: piece.skip + from as u32,
                length: length as u32,
                ..piece.clone()
            }),
            Self::Hole(_) => Self::Hole(length),
        }
    }
}

/// A block of a committed block list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedBlock {
    pub(crate) id: Vec<u8>,
    pub(crate) length: u64,
}

/// A file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) segments: Vec<Segment>,
    /// Empty unless the file was written by Put Block List.
    pub(crate) blocks: Vec<CommittedBlock>,
}

impl Content {
    pub(crate) fn of(segments: Vec<Segment>) -> Self {
        Self {
            segments,
            blocks: Vec::new(),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.segments.iter().map(Segment::length).sum()
    }

    pub(crate) fn inline_length(&self) -> u64 {
        let inline = |segment: &Segment| match segment {
            Segment::Inline(bytes) => bytes.len() as u64,
            Segment::Piece(_) | Segment::Hole(_) => 0,
        };
        self.segments.iter().map(inline).sum()
    }

    pub(crate) fn extents(&self) -> BTreeSet<u64> {
        extents_of(&self.segments)
    }

    /// The segments that make up `range`, which the caller keeps within the length.
    pub(crate) fn range(&self, range: std::ops::Range<u64>) -> Vec<Segment> {
        let mut start = 0;
        let mut found = Vec::new();
        for segment in &self.segments {
            let end = start + segment.length();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                found.push(segment.part(from - start, to - from));
            }
            if end >= range.end {
                break;
            }
            start = end;
        }
        found
    }

    /// Joins neighbouring inline runs, and neighbouring holes.
    pub(crate) fn tidy(&mut self) {
        let mut tidy: Vec<Segment> = Vec::with_capacity(self.segments.len());
        for segment in self.segments.drain(..) {
            match (tidy.last_mut(), segment) {
                (Some(Segment::Inline(before)), Segment::Inline(bytes)) => {
                    before.extend_from_slice(&bytes)
                }
                (Some(Segment::Hole(before)), Segment::Hole(length)) => *before += length,
                (_, segment) => tidy.push(segment),
            }
        }
        self.segments = tidy;
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u32(&mut out, self.segments.len() as u32);
        for segment in &self.segments {
            encode_segment(&mut out, segment);
        }
        put_u32(&mut out, self.blocks.len() as u32);
        for block in &self.blocks {
            out.push(block.id.len() as u8);
            out.extend_from_slice(&block.id);
            put_u64(&mut out, block.length);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let count = input.u32()?;
        let mut content = Self::default();
        for _ in 0..count {
            content.segments.push(decode_segment(&mut input)?);
        }
        let count = input.u32()?;
        for _ in 0..count {
            let length = input.u8()?;
            let id = input.take(length as usize)?.to_vec();
            content.blocks.push(CommittedBlock {
                id,
                length: input.u64()?,
            });
        }
        input.0.is_empty().then_some(content)
    }
}

pub(crate) fn extents_of(segments: &[Segment]) -> BTreeSet<u64> {
    let extent = |segment: &Segment| match segment {
        Segment::Piece(piece) => Some(piece.extent),
        Segment::Inline(_) | Segment::Hole(_) => None,
    };
    segments.iter().filter_map(extent).collect()
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn encode_segment(out: &mut Vec<u8>, segment: &Segment) {
    match segment {
        Segment::Inline(bytes) => {
            out.push(0);
            put_u32(out, bytes.len() as u32);
            out.extend_from_slice(bytes);
        }
        Segment::Piece(piece) => {
            out.push(if piece.is_customers { 3 } else { 1 });
            put_u64(out, piece.extent);
            put_u64(out, piece.offset);
            for value in [piece.stored_length, piece.crc32c, piece.skip, piece.length] {
                put_u32(out, value);
            }
        }
        Segment::Hole(length) => {
            out.push(2);
            put_u64(out, *length);
        }
    }
}

fn decode_segment(input: &mut Input<'_>) -> Option<Segment> {
    match input.u8()? {
        0 => {
            let length = input.u32()?;
            Some(Segment::Inline(input.take(length as usize)?.to_vec()))
        }
        tag @ (1 | 3) => {
            let piece = Piece {
                extent: input.u64()?,
                offset: input.u64()?,
                stored_length: input.u32()?,
                crc32c: input.u32()?,
                skip: input.u32()?,
                length: input.u32()?,
                is_customers: tag == 3,
            };
            let inside =
                u64::from(piece.skip) + u64::from(piece.length) <= u64::from(piece.stored_length);
            inside.then_some(Segment::Piece(piece))
        }
        2 => Some(Segment::Hole(input.u64()?)),
        _ => None,
    }
}

/// What is left to decode.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Reads one version of a file to its end, whatever happens to the name meanwhile.
///
/// Every piece is verified whole before any of its bytes are given out.
#[derive(Debug)]
pub struct ContentReader {
    extents: Arc<Extents>,
    content: Arc<Content>,
    /// Where each segment begins.
    starts: Vec<u64>,
    length: u64,
    position: u64,
    loaded: Option<(usize, Bytes)>,
    open: OpenExtent,
    _pins: Pins,
}

impl ContentReader {
    pub(crate) fn new(extents: &Arc<Extents>, content: Arc<Content>, pins: Pins) -> Self {
        let mut starts = Vec::with_capacity(content.segments.len());
        let mut length = 0;
        for segment in &content.segments {
            starts.push(length);
            length += segment.length();
        }
        let extents = Arc::clone(extents);
        let open = OpenExtent::default();
        Self {
            extents,
            content,
            starts,
            length,
            position: 0,
            loaded: None,
            open,
            _pins: pins,
        }
    }

    /// Bytes of the whole content.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from the position to the end of the segment there, at most `limit`; empty at the end.
    pub(crate) fn next_run(&mut self, limit: usize) -> Result<Bytes> {
        if self.position >= self.length {
            return Ok(Bytes::new());
        }
        let index = self
            .starts
            .partition_point(|start| *start <= self.position)
            .saturating_sub(1);
        let from = self.position - self.starts.get(index).copied().unwrap_or(0);
        if let Some(Segment::Hole(length)) = self.content.segments.get(index) {
            // A hole may be larger than memory.
            let left = usize::try_from(length.saturating_sub(from)).unwrap_or(usize::MAX);
            let run = ZEROS.get(..limit.min(left)).unwrap_or(&ZEROS);
            self.position += run.len() as u64;
            return Ok(Bytes::from_static(run));
        }
        let bytes = match &self.loaded {
            Some((loaded, bytes)) if *loaded == index => bytes,
            _ => {
                let bytes = self.load(index)?;
                &self.loaded.insert((index, bytes)).1
            }
        };
        let from = bytes.len().min(from as usize);
        let to = bytes.len().min(from.saturating_add(limit));
        self.position += (to - from) as u64;
        Ok(bytes.slice(from..to))
    }

    fn load(&mut self, index: usize) -> Result<Bytes> {
        match self.content.segments.get(index) {
            Some(Segment::Inline(bytes)) => Ok(Bytes::copy_from_slice(bytes)),
            Some(Segment::Piece(piece)) => self.extents.read_piece(&mut self.open, piece),
            Some(Segment::Hole(_)) | None => Ok(Bytes::new()),
        }
    }

    /// Reads `length` bytes from `offset`, or what there is of them.
    ///
    /// # Errors
    /// `Corrupt` when a piece is not what was stored.
    pub fn read_range(&mut self, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.position = offset;
        let mut left = length.min(self.length.saturating_sub(offset));
        let mut out = Vec::with_capacity(left as usize);
        while left > 0 {
            let run = self.next_run(usize::try_from(left).unwrap_or(usize::MAX))?;
            if run.is_empty() {
                break;
            }
            out.extend_from_slice(&run);
            left -= run.len() as u64;
        }
        Ok(out)
    }

    /// What pieces that a customer's key sealed are opened by.
    pub(crate) fn set_customer_key(&mut self, key: Option<CustomerKey>) {
        self.open.customer_key = key;
    }

    pub(crate) fn set_position(&mut self, position: u64) {
        self.position = position;
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let run = self.next_run(buffer.len()).map_err(io_error)?;
        let taken = run.len();
        if let Some(target) = buffer.get_mut(..taken) {
            target.copy_from_slice(&run);
        }
        Ok(taken)
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(delta) => self.length.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        match position {
            Some(position) => {
                self.position = position;
                Ok(position)
            }
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "seek before the beginning",
            )),
        }
    }
}

fn io_error(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::Corrupt { .. } => io::ErrorKind::InvalidData,
        StoreError::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sample() -> Content {
        let piece = Piece::whole(7, 100, 50, 0xdead_beef);
        let blocks = vec![CommittedBlock {
            id: b"a1".to_vec(),
            length: 53,
        }];
        Content {
            segments: vec![
                Segment::Inline(b"abc".to_vec()),
                Segment::Piece(piece),
                Segment::Hole(9),
            ],
            blocks,
        }
    }

    #[test]
    fn a_customers_piece_is_decoded_as_one() {
        let mut piece = Piece::whole(8, 0, 28 + 4, 1);
        (piece.length, piece.is_customers) = (4, true);
        let content = Content::of(vec![Segment::Piece(piece)]);
        assert_eq!(Content::decode(&content.encode()), Some(content));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(Content::decode(&sample().encode()), Some(sample()));
        assert_eq!(Content::decode(&sample().encode()[1..]), None);
    }

    #[test]
    fn a_range_takes_parts_of_segments() {
        let part = sample().range(2..10);
        assert_eq!(part[0], Segment::Inline(b"c".to_vec()));
        let Segment::Piece(piece) = &part[1] else {
            panic!("not a piece")
        };
        assert_eq!((piece.skip, piece.length, piece.stored_length), (0, 7, 50));
        assert_eq!(sample().range(54..60), [Segment::Hole(6)]);
    }
}
