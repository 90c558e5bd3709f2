//! Reading a log that may be damaged: what is whole is given, what is not is named.

use std::collections::BTreeSet;

use super::frame::{Assembler, FRAME_BYTES_MAX, HEADER_BYTES, frames};
use super::{Commit, LogImage};

/// Beyond what a commit may be: what looks larger is no frame.
const COMMIT_BYTES_MAX: u64 = 1 << 30;
const ROWS_MAX: u32 = 1 << 26;
const VERSION_MAX: u64 = 1 << 48;

/// What is wrong with the log, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFault {
    /// The file's name in the journal's folder.
    pub file: String,
    /// Where in it, such as "frame 7".
    pub place: String,
    pub rule: String,
}

/// A log put together to commits as far as they are whole.
#[derive(Default)]
pub(crate) struct ReadLog {
    pub commits: Vec<Commit>,
    pub faults: Vec<LogFault>,
}

impl ReadLog {
    /// Reads frames and bulk files, and orders what they hold by version.
    pub(crate) fn of(image: &LogImage, sealed: u64) -> Self {
        let mut read = ReadLog::of_frames(&image.frames, sealed);
        for batch in &image.bulk.batches {
            let counts = |commit: &&Commit| commit.last_version() > sealed;
            let commits = batch.commits.iter().filter(counts);
            read.commits.extend(commits.cloned());
        }
        read.faults
            .extend(image.bulk.faults.iter().map(|fault| LogFault {
                file: fault.file.clone(),
                place: format!("byte {}", fault.offset),
                rule: fault.rule.clone(),
            }));
        read.commits.sort_by_key(|commit| commit.first_version);
        read.check_sequence(image.bulk.noted_version, sealed);
        read
    }

    fn check_sequence(&mut self, noted_version: u64, sealed: u64) {
        let mut rules = Vec::new();
        for pair in self.commits.windows(2) {
            if pair[0].last_version() + 1 != pair[1].first_version {
                rules.push(format!(
                    "the commit at version {} does not follow the one before it",
                    pair[1].first_version
                ));
            }
        }
        let last = self.commits.last().map_or(0, Commit::last_version);
        if last.max(sealed) < noted_version {
            rules.push(format!(
                "it ends at version {}, and commits up to version {noted_version} were durable",
                last.max(sealed)
            ));
        }
        self.faults.extend(rules.into_iter().map(|rule| LogFault {
            file: "db".to_owned(),
            place: "the sequence of versions".to_owned(),
            rule,
        }));
    }

    /// Reads numbered frames. After damage it goes on with the next commit that begins. What is sealed up to a version
    /// does not count any more; a commit that lacks its last frames at the end was never acknowledged, and opening
    /// drops it.
    fn of_frames(numbered: &[(u64, Vec<u8>)], sealed: u64) -> Self {
        let mut read = ReadLog::default();
        let mut open = Open::default();
        let mut expected = None;
        // The rest of a commit that was named already is not named again.
        let mut is_named = false;
        let counts =
            |(_, frame): &&(u64, Vec<u8>)| version_of(frame).is_none_or(|v| v == 0 || v > sealed);
        for (number, frame) in numbered.iter().filter(counts) {
            if expected.is_some_and(|n| n != *number) {
                read.fault(*number, "the frames before it are missing");
                open.drop_into(&mut read);
                is_named = true;
            }
            expected = Some(number + 1);
            if begins_commit(frame) {
                open.drop_into(&mut read);
                is_named = false;
            } else if open.frames.is_empty() {
                if !std::mem::replace(&mut is_named, true) {
                    read.fault(*number, "it continues a commit that does not begin");
                }
                continue;
            }
            is_named |= !open.push(*number, frame, &mut read);
        }
        read
    }

    fn fault(&mut self, frame: u64, rule: impl Into<String>) {
        self.faults.push(LogFault {
            file: "db".to_owned(),
            place: format!("frame {frame}"),
            rule: rule.into(),
        });
    }

    fn take(&mut self, number: u64, commit: Commit, raw: &[&[u8]]) {
        // Bytes of a header that no reader uses are covered by nothing else.
        if !frames(&commit).eq(raw.iter().copied()) {
            self.fault(number, "its header is not as it was written");
        }
        self.commits.push(commit);
    }
}

/// The frames of a commit that is not complete yet.
#[derive(Default)]
struct Open<'f> {
    assembler: Assembler,
    frames: Vec<&'f [u8]>,
    last: u64,
}

impl<'f> Open<'f> {
    /// `false` if the frame is damaged, which ends its commit.
    fn push(&mut self, number: u64, frame: &'f [u8], read: &mut ReadLog) -> bool {
        self.frames.push(frame);
        self.last = number;
        let pushed = self.assembler.push(frame);
        let is_whole = pushed.is_ok();
        match pushed {
            Ok(None) => {}
            Ok(Some(commit)) => {
                read.take(number, commit, &self.frames);
                *self = Open::default();
            }
            Err(rule) => {
                read.fault(number, rule);
                *self = Open::default();
            }
        }
        is_whole
    }

    fn drop_into(&mut self, read: &mut ReadLog) {
        let seen = self.assembler.unfinished();
        if seen > 0 {
            let rule = format!("the commit that it belongs to ends behind its first {seen} frames");
            read.fault(self.last, rule);
        }
        *self = Open::default();
    }
}

/// The first versions of the commits of which frames stand somewhere in some bytes, by the form of
/// their headers alone.
pub(crate) fn frame_versions(bytes: &[u8]) -> BTreeSet<u64> {
    // 2200-01-01: no frame was committed later, and few other bytes look like a time before.
    const COMMITTED_MAX: i64 = 72_580_000_000_000_000;
    let begins = memchr::memmem::find_iter(bytes, &[1, 0, 0, 0]);
    let versions = begins.filter_map(|at| {
        let header = bytes.get(at..at + HEADER_BYTES)?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let (index, count, rows) = (u32_at(4)?, u32_at(8)?, u32_at(32)?);
        let (version, committed) = (u64_at(16)?, u64_at(24)? as i64);
        let is_frame = index < count
            && u64::from(count) * FRAME_BYTES_MAX as u64 <= COMMIT_BYTES_MAX
            && (1..=VERSION_MAX).contains(&version)
            && (1..=COMMITTED_MAX).contains(&committed)
            && (1..=ROWS_MAX).contains(&rows);
        is_frame.then_some(version)
    });
    versions.collect()
}

/// The first version of the commit that a frame belongs to.
fn version_of(frame: &[u8]) -> Option<u64> {
    let bytes = frame.get(16..24)?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Whether a frame is the first of its commit.
fn begins_commit(frame: &[u8]) -> bool {
    frame.get(4..8).is_none_or(|place| place == [0; 4])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn commits() -> Vec<Commit> {
        let sizes = [10usize, 9_000, 0, 4_100, 20];
        (1..)
            .zip(sizes)
            .map(|(first_version, size)| Commit {
                first_version,
                rows: 1,
                committed: 7,
                payload: vec![first_version as u8; size],
            })
            .collect()
    }

    fn read_log(frames: Vec<(u64, Vec<u8>)>, sealed: u64) -> ReadLog {
        ReadLog::of(&LogImage::of_frames(frames), sealed)
    }

    fn numbered() -> Vec<(u64, Vec<u8>)> {
        (3..).zip(commits().iter().flat_map(frames)).collect()
    }

    #[test]
    fn whole_commits_are_read_around_any_flipped_bit_and_the_damage_is_named() {
        let good = read_log(numbered(), 0);
        assert_eq!((good.commits, good.faults), (commits(), vec![]));
        for frame in 0..numbered().len() {
            for byte in 0..numbered()[frame].1.len() {
                let mut bad = numbered();
                bad[frame].1[byte] ^= 1 << (byte % 8);
                let read = read_log(bad, 0);
                assert!(!read.faults.is_empty(), "frame {frame} byte {byte}");
                assert!(read.commits.len() >= 3, "frame {frame} byte {byte}");
                assert!(read.commits.iter().all(|c| commits().contains(c)));
            }
        }
    }

    #[test]
    fn sealed_frames_do_not_count_and_an_unfinished_end_is_no_damage() {
        let mut rest = numbered().split_off(2);
        let read = read_log(rest.clone(), 2);
        assert_eq!((read.commits.len(), read.faults), (3, vec![]));
        assert!(!read_log(rest.clone(), 0).faults.is_empty());
        // The first of three frames of a commit behind the others.
        let mut unfinished = frames(&commits()[1]).next().unwrap();
        unfinished[16..24].copy_from_slice(&6u64.to_le_bytes());
        rest.push((rest.last().unwrap().0 + 1, unfinished));
        let read = read_log(rest.clone(), 2);
        assert_eq!((read.commits.len(), read.faults), (3, vec![]));
    }

    #[test]
    fn a_missing_frame_is_named_and_takes_one_commit() {
        for missing in 1..numbered().len() - 1 {
            let mut bad = numbered();
            bad.remove(missing);
            let read = read_log(bad, 0);
            assert!(!read.faults.is_empty());
            assert_eq!(read.commits.len(), 4, "{missing}");
        }
    }
}
