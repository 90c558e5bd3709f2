//! A batch of commits as it stands in a bulk file.
//!
//! ```text
//!  0  u8[8]  magic                   48  u32  bytes of the commits behind this header
//!  8  u8[16] id of the file          52  u32  commits
//! 24  u64    first version           56  u32  zero
//! 32  u64    last version            60  u32  CRC-32C of the bytes before
//! 40  i64    committed, ticks
//! 64  commits: u32 rows | u32 bytes | u32 CRC-32C | payload
//! ```
//! All integers are little-endian. A batch begins at a multiple of 4,096 bytes, so its header stands in
//! one sector and is there whole or not at all. The checksum of a commit covers its first version, the
//! time, the number of rows and the payload. The id is random, so that no payload looks like a batch.

use std::io::{self, Write};

use super::FileId;
use crate::checksum::crc32c;
use crate::clock::Ticks;
use crate::journal::Commit;

/// Batches begin at multiples of this.
pub(super) const ALIGNMENT_BYTES: usize = 4_096;
const MAGIC: &[u8; 8] = b"LSBATCH1";
pub(super) const HEADER_BYTES: usize = 64;
const COMMIT_HEADER_BYTES: usize = 12;
/// Where more bits of the id differ it is no damaged header but something else.
const ID_BITS_FLIPPED_MAX: u32 = 8;

/// A batch, as its header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub first_version: u64,
    pub last_version: u64,
    pub committed: Ticks,
    /// Bytes of the commits.
    pub bytes: u32,
    pub commits: u32,
}

/// What stands at a place where a batch may begin.
pub(super) enum AtPlace {
    Nothing,
    Batch(Header),
    /// A header that fails its checksum, and the last version that it claims.
    Damaged(u64),
}

/// Bytes of the commits of a batch, without its header.
pub(super) fn body_bytes(commits: &[Commit]) -> usize {
    let of_one = |commit: &Commit| COMMIT_HEADER_BYTES + commit.payload.len();
    commits.iter().map(of_one).sum()
}

/// Writes commits, of which there is one at least, as a batch.
pub(super) fn write(out: &mut impl Write, id: &FileId, commits: &[Commit]) -> io::Result<()> {
    let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
        return Err(io::Error::other("a batch needs a commit"));
    };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(id);
    header.extend_from_slice(&first.first_version.to_le_bytes());
    header.extend_from_slice(&last.last_version().to_le_bytes());
    header.extend_from_slice(&first.committed.to_le_bytes());
    header.extend_from_slice(&(body_bytes(commits) as u32).to_le_bytes());
    header.extend_from_slice(&(commits.len() as u32).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&crc32c(&[&header]).to_le_bytes());
    out.write_all(&header)?;
    for commit in commits {
        out.write_all(&commit.rows.to_le_bytes())?;
        out.write_all(&(commit.payload.len() as u32).to_le_bytes())?;
        out.write_all(&checksum(commit).to_le_bytes())?;
        out.write_all(&commit.payload)?;
    }
    Ok(())
}

fn checksum(commit: &Commit) -> u32 {
    crc32c(&[
        &commit.first_version.to_le_bytes(),
        &commit.committed.to_le_bytes(),
        &commit.rows.to_le_bytes(),
        &commit.payload,
    ])
}

/// Reads what stands at the beginning of `bytes`.
pub(super) fn header(bytes: &[u8], id: &FileId) -> AtPlace {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return AtPlace::Nothing;
    };
    // Nobody who writes rows knows the id, so what nearly has it is a header.
    let flipped = header[8..24]
        .iter()
        .zip(id)
        .map(|(a, b)| (a ^ b).count_ones());
    if flipped.sum::<u32>() > ID_BITS_FLIPPED_MAX {
        return AtPlace::Nothing;
    }
    let u64_at = |at: usize| number(&header[at..at + 8]);
    let is_whole = header[..8] == *MAGIC
        && header[8..24] == *id
        && u64::from(crc32c(&[&header[..60]])) == number(&header[60..]);
    if !is_whole {
        return AtPlace::Damaged(u64_at(32));
    }
    AtPlace::Batch(Header {
        first_version: u64_at(24),
        last_version: u64_at(32),
        committed: u64_at(40) as i64,
        bytes: number(&header[48..52]) as u32,
        commits: number(&header[52..56]) as u32,
    })
}

/// The commits behind a header as far as they are whole, and what is wrong with the others.
pub(super) fn commits(header: &Header, bytes: &[u8]) -> (Vec<Commit>, Option<String>) {
    let mut commits = Vec::new();
    let mut first_version = header.first_version;
    let mut rest = bytes.get(..header.bytes as usize).unwrap_or(bytes);
    let mut fault = None;
    for _ in 0..header.commits {
        let Some((commit, crc, behind)) = commit_at(rest, first_version, header.committed) else {
            fault = Some(format!("the commit at version {first_version} is cut off"));
            break;
        };
        rest = behind;
        first_version = commit.last_version().saturating_add(1);
        if checksum(&commit) == crc {
            commits.push(commit);
            continue;
        }
        let version = commit.first_version;
        fault.get_or_insert(format!(
            "the commit at version {version} fails its checksum"
        ));
    }
    if fault.is_none() && first_version.checked_sub(1) != Some(header.last_version) {
        fault = Some("it does not end at the version that it says".to_owned());
    }
    (commits, fault)
}

fn commit_at(bytes: &[u8], first_version: u64, committed: Ticks) -> Option<(Commit, u32, &[u8])> {
    let (header, rest) = bytes.split_at_checked(COMMIT_HEADER_BYTES)?;
    let (payload, rest) = rest.split_at_checked(number(&header[4..8]) as usize)?;
    let commit = Commit {
        first_version,
        rows: number(&header[..4]) as u32,
        committed,
        payload: payload.to_vec(),
    };
    Some((commit, number(&header[8..]) as u32, rest))
}

/// An integer of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// A file with the checksum of the header behind its first block put right.
#[cfg(any(test, fuzzing))]
pub(super) fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(header) = bytes.get_mut(ALIGNMENT_BYTES..ALIGNMENT_BYTES + HEADER_BYTES) {
        let crc = crc32c(&[&header[..60]]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}
