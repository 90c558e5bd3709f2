//! The footer of a segment: where everything stands, and what its bytes add up to.
//!
//! ```text
//! u32 format, 2 | u32 batches | u32 runs | u32 rows | u64 first version
//! the parts, each u64 offset | u64 length | u32 CRC-32C: schema, order, filter, then a batch each
//! per run: u16 table | i32 partition | u32 start | u32 end | u128 least id | u128 greatest id
//! ```
//! In format 1 the cells of a batch stood in the order of its rows; it is still read.
//! A run is the rows of one table and partition in the order. All integers are little-endian.

use super::SegmentEntry;
use crate::checksum::crc32c;
use crate::clock::Ticks;

const FORMAT: u32 = 2;
const OLDEST_FORMAT: u32 = 1;
const HEADER_BYTES: usize = 24;
const PART_BYTES: usize = 20;
const RUN_BYTES: usize = 46;
/// Parts before those of the batches.
const FIXED_PARTS: usize = 3;

/// Ends the file, behind the footer's length and checksum.
pub(super) const MAGIC: &[u8; 8] = b"LSSEGM\x00\x01";
/// The length, the checksum and the magic.
pub(super) const TAIL_BYTES: usize = 16;

/// Some bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub offset: u64,
    pub length: u64,
    pub crc32c: u32,
}

/// The rows of one table and partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub table: u16,
    pub partition: i32,
    /// Its places in the order.
    pub start: u32,
    pub end: u32,
    pub least: u128,
    pub greatest: u128,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Footer {
    pub rows: u32,
    pub first_version: u64,
    pub schema: Part,
    pub order: Part,
    pub filter: Part,
    pub batches: Vec<Part>,
    pub runs: Vec<Run>,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&(self.batches.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.first_version.to_le_bytes());
        for part in [&self.schema, &self.order, &self.filter]
            .into_iter()
            .chain(&self.batches)
        {
            out.extend_from_slice(&part.offset.to_le_bytes());
            out.extend_from_slice(&part.length.to_le_bytes());
            out.extend_from_slice(&part.crc32c.to_le_bytes());
        }
        for run in &self.runs {
            out.extend_from_slice(&run.table.to_le_bytes());
            out.extend_from_slice(&run.partition.to_le_bytes());
            out.extend_from_slice(&run.start.to_le_bytes());
            out.extend_from_slice(&run.end.to_le_bytes());
            out.extend_from_slice(&run.least.to_le_bytes());
            out.extend_from_slice(&run.greatest.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let (format, batches) = (u32_at(header, 0)?, u32_at(header, 4)? as usize);
        let runs = u32_at(header, 8)? as usize;
        let parts = batches.checked_add(FIXED_PARTS)?;
        let (parts_bytes, runs_bytes) = rest.split_at_checked(parts.checked_mul(PART_BYTES)?)?;
        let is_known = (OLDEST_FORMAT..=FORMAT).contains(&format);
        if !is_known || runs_bytes.len() != runs.checked_mul(RUN_BYTES)? {
            return None;
        }
        let mut parts = parts_bytes
            .chunks_exact(PART_BYTES)
            .map(part)
            .collect::<Option<Vec<_>>>()?
            .into_iter();
        Some(Footer {
            rows: u32_at(header, 12)?,
            first_version: u64_at(header, 16)?,
            schema: parts.next()?,
            order: parts.next()?,
            filter: parts.next()?,
            batches: parts.collect(),
            runs: runs_bytes
                .chunks_exact(RUN_BYTES)
                .map(run)
                .collect::<Option<_>>()?,
        })
    }
}

/// The entry of a file, from its footer alone; `None` if that is not whole.
pub(super) fn entry_of(number: u64, bytes: &[u8]) -> Option<SegmentEntry> {
    let (rest, tail) = bytes.split_at_checked(bytes.len().checked_sub(TAIL_BYTES)?)?;
    let (length, footer_crc32c) = (u32_at(tail, 0)? as usize, u32_at(tail, 4)?);
    let footer = &rest[rest.len().checked_sub(length)?..];
    if tail.get(8..)? != MAGIC || crc32c(&[footer]) != footer_crc32c {
        return None;
    }
    let footer = Footer::decode(footer)?;
    Some(SegmentEntry {
        number,
        first_version: footer.first_version,
        last_version: footer.first_version + u64::from(footer.rows).checked_sub(1)?,
        last_committed: Ticks::MIN,
        bytes: bytes.len() as u64,
        footer_crc32c,
    })
}

fn part(bytes: &[u8]) -> Option<Part> {
    Some(Part {
        offset: u64_at(bytes, 0)?,
        length: u64_at(bytes, 8)?,
        crc32c: u32_at(bytes, 16)?,
    })
}

fn run(bytes: &[u8]) -> Option<Run> {
    Some(Run {
        table: u16::from_le_bytes(array(bytes, 0)?),
        partition: i32::from_le_bytes(array(bytes, 2)?),
        start: u32_at(bytes, 6)?,
        end: u32_at(bytes, 10)?,
        least: u128::from_le_bytes(array(bytes, 14)?),
        greatest: u128::from_le_bytes(array(bytes, 30)?),
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// The file with the checksum of its footer put right, as far as there is one.
#[cfg(any(test, fuzzing))]
pub(super) fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(tail) = bytes.len().checked_sub(TAIL_BYTES) else {
        return bytes;
    };
    let length = u32_at(&bytes, tail).unwrap_or_default() as usize;
    if let Some(start) = tail.checked_sub(length) {
        let crc = crc32c(&[&bytes[start..tail]]);
        bytes[tail + 4..tail + 8].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_and_not_by_half() {
        let part = |n: u64| Part {
            offset: n,
            length: n * 64,
            crc32c: n as u32,
        };
        let footer = Footer {
            rows: 5,
            first_version: 1 << 40,
            schema: part(1),
            order: part(2),
            filter: part(3),
            batches: vec![part(4), part(5)],
            runs: vec![Run {
                table: 3,
                partition: -7,
                start: 0,
                end: 5,
                least: 9,
                greatest: u128::MAX,
            }],
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Some(footer));
        for cut in 0..bytes.len() {
            assert_eq!(Footer::decode(&bytes[..cut]), None);
        }
    }
}
