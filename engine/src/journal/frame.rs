//! A commit cut into frames.
//!
//! ```text
//!  0  u8   format, 1                12  u32  CRC-32C of the commit
//!  1  u8[3] zero                    16  u64  first version
//!  4  u32  place of this frame      24  i64  committed, ticks
//!  8  u32  frames of the commit     32  u32  rows
//! 36  a part of the payload
//! ```
//! All integers are little-endian. The checksum covers the first version, the time, the number of
//! rows, the number of frames and the whole payload, and stands in every frame.

use super::Commit;
use crate::checksum::crc32c;

/// No entry in sled is larger: above about 8 KiB sled makes files that it never syncs.
pub(super) const FRAME_BYTES_MAX: usize = 4_000;
pub(super) const HEADER_BYTES: usize = 36;
const CHUNK_BYTES: usize = FRAME_BYTES_MAX - HEADER_BYTES;
const FORMAT: u8 = 1;

/// Cuts a commit into frames.
pub(super) fn frames(commit: &Commit) -> impl Iterator<Item = Vec<u8>> + '_ {
    let count = commit.payload.len().div_ceil(CHUNK_BYTES).max(1) as u32;
    let crc = checksum(commit, count);
    (0..count).map(move |index| {
        let start = index as usize * CHUNK_BYTES;
        let end = commit.payload.len().min(start + CHUNK_BYTES);
        let mut frame = Vec::with_capacity(HEADER_BYTES + end - start);
        frame.extend_from_slice(&[FORMAT, 0, 0, 0]);
        frame.extend_from_slice(&index.to_le_bytes());
        frame.extend_from_slice(&count.to_le_bytes());
        frame.extend_from_slice(&crc.to_le_bytes());
        frame.extend_from_slice(&commit.first_version.to_le_bytes());
        frame.extend_from_slice(&commit.committed.to_le_bytes());
        frame.extend_from_slice(&commit.rows.to_le_bytes());
        frame.extend_from_slice(&commit.payload[start..end]);
        frame
    })
}

fn checksum(commit: &Commit, count: u32) -> u32 {
    crc32c(&[
        &commit.first_version.to_le_bytes(),
        &commit.committed.to_le_bytes(),
        &commit.rows.to_le_bytes(),
        &count.to_le_bytes(),
        &commit.payload,
    ])
}

/// Puts frames together to commits, checking each.
#[derive(Default)]
pub(super) struct Assembler {
    open: Option<(Commit, u32, u32, u32)>,
    next_version: Option<u64>,
    /// Commits up to this version stand in segments; the log may begin in the middle of one.
    sealed: u64,
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
        let (header, chunk) = frame
            .split_at_checked(HEADER_BYTES)
            .ok_or("a frame is shorter than its header")?;
        if header[0] != FORMAT {
            return Err(format!("a frame has the unknown format {}", header[0]));
        }
        let u32_at = |at: usize| -> u32 {
            header[at..at + 4]
                .iter()
                .rev()
                .fold(0, |n, b| n << 8 | u32::from(*b))
        };
        let u64_at = |at: usize| u64::from(u32_at(at + 4)) << 32 | u64::from(u32_at(at));
        let (index, count, crc) = (u32_at(4), u32_at(8), u32_at(12));
        let mut open = match self.open.take() {
            None if index > 0 && u64_at(16) <= self.sealed => return Ok(None),
            None => (
                Commit {
                    first_version: u64_at(16),
                    rows: u32_at(32),
                    committed: u64_at(24) as i64,
                    payload: Vec::new(),
                },
                0,
                count,
                crc,
            ),
            Some(open) => open,
        };
        if (index, count, crc) != (open.1, open.2, open.3) {
            return Err(format!(
                "frame {index} of {count} follows frame {} of {}",
                open.1, open.2
            ));
        }
        // So that damage to the count of the last commit is not taken for a commit that was broken off.
        if index + 1 < count && chunk.len() != CHUNK_BYTES {
            return Err(format!(
                "frame {index} of {count} is shorter than all but the last are"
            ));
        }
        open.0.payload.extend_from_slice(chunk);
        open.1 += 1;
        if open.1 < count {
            self.open = Some(open);
            return Ok(None);
        }
        self.complete(open.0, count, crc).map(Some)
    }

    fn complete(&mut self, commit: Commit, count: u32, crc: u32) -> Result<Commit, String> {
        if checksum(&commit, count) != crc {
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
        self.open.as_ref().map(|(commit, ..)| commit.first_version)
    }

    /// How many frames at the end belong to a commit that is not there whole.
    pub(super) fn unfinished(&self) -> u64 {
        self.open.as_ref().map_or(0, |(_, seen, ..)| (*seen).into())
    }
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
            commit(3, 3_964),
            commit(5, 3_965),
            commit(7, 20_000),
        ];
        let mut assembler = Assembler::default();
        let mut back = Vec::new();
        for frame in commits.iter().flat_map(frames) {
            assert!(frame.len() <= FRAME_BYTES_MAX);
            back.extend(assembler.push(&frame).unwrap());
        }
        assert_eq!(assembler.unfinished(), 0);
        assert_eq!(back, commits);
    }

    #[test]
    fn a_sealed_commit_may_be_there_without_its_first_frames() {
        let commits = [commit(1, 10_000), commit(3, 10)];
        let frames: Vec<_> = commits.iter().flat_map(frames).collect();
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
        let good: Vec<_> = frames(&commit(1, 5_000)).collect();
        for frame in 0..good.len() {
            for byte in (0..good[frame].len()).filter(|b| !(1..4).contains(b)) {
                let mut frames = good.clone();
                frames[frame][byte] ^= 1 << (byte % 8);
                let mut assembler = Assembler::default();
                let refused = frames.iter().any(|f| assembler.push(f).is_err());
                let noticed = refused || assembler.unfinished() > 0;
                // In later frames only the place, the count and the checksum are read again.
                let unread = frame > 0 && (16..HEADER_BYTES).contains(&byte);
                assert!(noticed || unread, "frame {frame} byte {byte}");
            }
        }
    }
}
