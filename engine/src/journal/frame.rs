//! A commit cut into frames.
//!
//! ```text
//!  0  u8   format, 2                16  u64  first version
//!  1  u8[3] zero                    24  i64  committed, ticks
//!  4  u32  place of this frame      32  u32  rows
//!  8  u32  frames of the commit     36  u64  acknowledged
//! 12  u32  CRC-32C of the commit    44  u32  CRC-32C of the bytes 0 to 43
//! 48  a part of the payload
//! ```
//! All integers are little-endian. The checksum of the commit covers the first version, the time, the
//! number of rows, the number of frames, what was acknowledged and the whole payload, and stands in
//! every frame. "Acknowledged" is the version up to which everything was durable when the frame was
//! written; the frame's own checksum lets it bear witness of that wherever it is found.

use super::Commit;
use crate::checksum::crc32c;
use crate::clock::Ticks;
use crate::faults;

/// No entry in sled is larger: above about 8 KiB sled makes files that it never syncs.
pub(super) const FRAME_BYTES_MAX: usize = 4_000;
pub(super) const HEADER_BYTES: usize = 48;
const FORMAT: u8 = 2;
/// A frame of an engine that is told to make a mistake.
const MISTAKEN_BYTES: usize = 16 << 10;

/// How large the frames are that are written.
pub(super) fn frame_bytes_max() -> usize {
    match faults::makes("entries of 16 KiB") {
        true => MISTAKEN_BYTES,
        false => FRAME_BYTES_MAX,
    }
}

/// How much of a payload a frame holds.
fn chunk_bytes() -> usize {
    frame_bytes_max() - HEADER_BYTES
}

/// Whether a frame holds as much as all but the last of a commit do.
fn is_full(chunk: &[u8]) -> bool {
    let by_mistake = cfg!(debug_assertions) && chunk.len() == MISTAKEN_BYTES - HEADER_BYTES;
    chunk.len() == FRAME_BYTES_MAX - HEADER_BYTES || by_mistake
}

/// What stands before the payload of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub index: u32,
    pub count: u32,
    pub crc32c: u32,
    pub first_version: u64,
    pub committed: Ticks,
    pub rows: u32,
    /// Everything up to this version was durable when the frame was written.
    pub acknowledged: u64,
}

impl FrameHeader {
    /// What every frame begins with.
    pub(super) const BEGIN: [u8; 4] = [FORMAT, 0, 0, 0];

    fn encode(&self, frame: &mut Vec<u8>) {
        let start = frame.len();
        frame.extend_from_slice(&Self::BEGIN);
        frame.extend_from_slice(&self.index.to_le_bytes());
        frame.extend_from_slice(&self.count.to_le_bytes());
        frame.extend_from_slice(&self.crc32c.to_le_bytes());
        frame.extend_from_slice(&self.first_version.to_le_bytes());
        frame.extend_from_slice(&self.committed.to_le_bytes());
        frame.extend_from_slice(&self.rows.to_le_bytes());
        frame.extend_from_slice(&self.acknowledged.to_le_bytes());
        let crc = crc32c(&[&frame[start..]]);
        frame.extend_from_slice(&crc.to_le_bytes());
    }

    /// The header that some bytes begin with; `None` if they do not begin with one that is whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, crc) = bytes.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 4);
        if !header.starts_with(&Self::BEGIN) || crc != crc32c(&[header]).to_le_bytes() {
            return None;
        }
        let u32_at = |at: usize| -> Option<u32> {
            let bytes = header.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        let u64_at = |at: usize| Some(u64::from(u32_at(at + 4)?) << 32 | u64::from(u32_at(at)?));
        Some(FrameHeader {
            index: u32_at(4)?,
            count: u32_at(8)?,
            crc32c: u32_at(12)?,
            first_version: u64_at(16)?,
            committed: u64_at(24)? as i64,
            rows: u32_at(32)?,
            acknowledged: u64_at(36)?,
        })
    }
}

/// Cuts a commit into frames, when everything up to `acknowledged` is durable.
pub(super) fn frames(commit: &Commit, acknowledged: u64) -> impl Iterator<Item = Vec<u8>> + '_ {
    let chunk_bytes = chunk_bytes();
    let count = commit.payload.len().div_ceil(chunk_bytes).max(1) as u32;
    let crc = checksum(commit, count, acknowledged);
    (0..count).map(move |index| {
        let start = index as usize * chunk_bytes;
        let end = commit.payload.len().min(start + chunk_bytes);
        let mut frame = Vec::with_capacity(HEADER_BYTES + end - start);
        let header = FrameHeader {
            index,
            count,
            crc32c: crc,
            first_version: commit.first_version,
            committed: commit.committed,
            rows: commit.rows,
            acknowledged,
        };
        header.encode(&mut frame);
        frame.extend_from_slice(&commit.payload[start..end]);
        frame
    })
}

fn checksum(commit: &Commit, count: u32, acknowledged: u64) -> u32 {
    crc32c(&[
        &commit.first_version.to_le_bytes(),
        &commit.committed.to_le_bytes(),
        &commit.rows.to_le_bytes(),
        &count.to_le_bytes(),
        &acknowledged.to_le_bytes(),
        &commit.payload,
    ])
}

/// Puts frames together to commits, checking each.
#[derive(Default)]
pub(super) struct Assembler {
    open: Option<Open>,
    next_version: Option<u64>,
    /// Commits up to this version stand in segments; the log may begin in the middle of one.
    sealed: u64,
}

/// A commit of which some frames were seen.
struct Open {
    header: FrameHeader,
    seen: u32,
    payload: Vec<u8>,
}

impl Assembler {
    /// For a log behind segments up to a version.
    pub(super) fn behind(sealed: u64) -> Self {
        Assembler {
            sealed,
            ..Assembler::default()
        }
    }

    /// Takes the next frame, and gives the commit that it completes.
    ///
    /// # Errors
    /// What is wrong with the frame.
    pub(super) fn push(&mut self, frame: &[u8]) -> Result<Option<Commit>, String> {
        let chunk = frame
            .get(HEADER_BYTES..)
            .ok_or("a frame is shorter than its header")?;
        if frame[0] != FORMAT {
            return Err(format!("a frame has the unknown format {}", frame[0]));
        }
        let header =
            FrameHeader::decode(frame).ok_or("the header of a frame fails its checksum")?;
        let mut open = match self.open.take() {
            None if header.index > 0 && header.first_version <= self.sealed => return Ok(None),
            None => Open {
                header,
                seen: 0,
                payload: Vec::new(),
            },
            Some(open) => open,
        };
        let expected = FrameHeader {
            index: open.seen,
            ..open.header
        };
        let (index, count) = (header.index, header.count);
        if header != expected {
            return Err(format!(
                "frame {index} of {count} follows frame {} of {}",
                open.seen, open.header.count
            ));
        }
        // So that damage to the count of the last commit is not taken for a commit that was broken off.
        if index + 1 < count && !is_full(chunk) {
            return Err(format!(
                "frame {index} of {count} is shorter than all but the last are"
            ));
        }
        open.payload.extend_from_slice(chunk);
        open.seen += 1;
        if open.seen < count {
            self.open = Some(open);
            return Ok(None);
        }
        self.complete(open).map(Some)
    }

    fn complete(&mut self, open: Open) -> Result<Commit, String> {
        let Open {
            header, payload, ..
        } = open;
        let commit = Commit {
            first_version: header.first_version,
            rows: header.rows,
            committed: header.committed,
            payload,
        };
        if checksum(&commit, header.count, header.acknowledged) != header.crc32c {
            return Err(format!(
                "the commit at version {} fails its checksum",
                commit.first_version
            ));
        }
        // What lies between two may stand in a bulk file.
        if self.next_version.is_some_and(|v| v > commit.first_version) {
            return Err(format!(
                "the commit at version {} does not follow the one before it",
                commit.first_version
            ));
        }
        self.next_version = Some(commit.last_version() + 1);
        Ok(commit)
    }

    /// The first version of a commit at the end that is not there whole.
    pub(super) fn unfinished_version(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.header.first_version)
    }

    /// How many frames at the end belong to a commit that is not there whole.
    pub(super) fn unfinished(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.seen.into())
    }
}

/// A frame that is a whole commit with its checksums put right, for a test of what comes behind them.
#[cfg(any(test, fuzzing))]
pub(crate) fn with_checksums(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame.len() < HEADER_BYTES {
        return frame;
    }
    let number = |at: usize| {
        let bytes = frame[at..at + 8].iter().rev();
        bytes.fold(0, |n, b| n << 8 | u64::from(*b))
    };
    let commit = Commit {
        first_version: number(16),
        committed: number(24) as i64,
        rows: number(32) as u32,
        payload: frame[HEADER_BYTES..].to_vec(),
    };
    let crc = checksum(&commit, number(8) as u32, number(36));
    frame[12..16].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c(&[&frame[..HEADER_BYTES - 4]]);
    frame[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn commit(first_version: u64, bytes: usize) -> Commit {
        Commit {
            first_version,
            rows: 2,
            committed: 12345,
            payload: (0..bytes).map(|n| n as u8).collect(),
        }
    }

    #[test]
    fn commits_come_back_whole() {
        let commits = [
            commit(1, 0),
            commit(3, 3_952),
            commit(5, 3_953),
            commit(7, 20_000),
        ];
        let mut assembler = Assembler::default();
        let mut back = Vec::new();
        for frame in commits.iter().flat_map(|c| frames(c, 0)) {
            assert!(frame.len() <= FRAME_BYTES_MAX);
            back.extend(assembler.push(&frame).unwrap());
        }
        assert_eq!(assembler.unfinished(), 0);
        assert_eq!(back, commits);
    }

    #[test]
    fn a_sealed_commit_may_be_there_without_its_first_frames() {
        let commits = [commit(1, 10_000), commit(3, 10)];
        let frames: Vec<_> = commits.iter().flat_map(|c| frames(c, 0)).collect();
        let back = |mut assembler: Assembler| {
            let all = frames[1..].iter().map(|frame| assembler.push(frame));
            all.collect::<Result<Vec<_>, _>>()
        };
        let found = back(Assembler::behind(2)).unwrap();
        assert_eq!(
            found.into_iter().flatten().collect::<Vec<_>>(),
            commits[1..]
        );
        assert!(back(Assembler::behind(0)).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good: Vec<_> = frames(&commit(1, 5_000), 0).collect();
        for frame in 0..good.len() {
            for byte in 0..good[frame].len() {
                let mut frames = good.clone();
                frames[frame][byte] ^= 1 << (byte % 8);
                let mut assembler = Assembler::default();
                let refused = frames.iter().any(|f| assembler.push(f).is_err());
                let noticed = refused || assembler.unfinished() > 0;
                assert!(noticed, "frame {frame} byte {byte}");
            }
        }
    }
}
