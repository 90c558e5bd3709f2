//! Reading a log that may be damaged: what is whole is given, what is not is named.

use super::frame::Assembler;
use super::{Commit, Gaps, LogImage};

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
    /// The first version of a batch that was broken off before it was acknowledged; opening drops it.
    pub unfinished: Option<u64>,
}

impl ReadLog {
    /// Reads frames and the files beside sled, and orders what they hold by version. Of what was not
    /// acknowledged the last batch may be broken off.
    pub(crate) fn of(image: &LogImage, sealed: u64, acknowledged: u64, gaps: &Gaps) -> Self {
        let mut read = ReadLog::of_frames(&image.frames, sealed);
        let in_sled = read.commits.last().map_or(0, Commit::last_version);
        let counts = |commit: &&Commit| commit.last_version() > sealed;
        let (last, others) = match image.bulk.batches.split_last() {
            Some((last, others))
                if !last.is_whole && last.first_version > acknowledged.max(in_sled) =>
            {
                (Some(last.first_version), others)
            }
            _ => (None, &image.bulk.batches[..]),
        };
        read.unfinished = last;
        for batch in others {
            let commits = batch.commits.iter().filter(counts);
            read.commits.extend(commits.cloned());
        }
        let faults = image.bulk.faults.iter();
        let faults = faults.filter(|fault| last.is_none() || fault.first_version != last);
        let faults = faults.filter(|fault| !fault.is_past(in_sled.max(sealed)));
        read.faults.extend(faults.map(|fault| LogFault {
            file: fault.file.clone(),
            place: format!("byte {}", fault.offset),
            rule: fault.rule.clone(),
        }));
        read.commits.sort_by_key(|commit| commit.first_version);
        // What was handed on to sled may still stand in the strip as well.
        read.commits.dedup_by_key(|commit| commit.first_version);
        read.check_sequence(image.bulk.noted_version, sealed, gaps);
        read
    }

    fn check_sequence(&mut self, noted_version: u64, sealed: u64, gaps: &Gaps) {
        let mut rules = Vec::new();
        for pair in self.commits.windows(2) {
            if gaps.next(pair[0].last_version()) != pair[1].first_version {
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
            } else if !open.has_begun {
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

    fn take(&mut self, commit: Commit) {
        self.commits.push(commit);
    }
}

/// The frames of a commit that is not complete yet.
#[derive(Default)]
struct Open {
    assembler: Assembler,
    has_begun: bool,
    last: u64,
}

impl Open {
    /// `false` if the frame is damaged, which ends its commit.
    fn push(&mut self, number: u64, frame: &[u8], read: &mut ReadLog) -> bool {
        self.has_begun = true;
        self.last = number;
        let pushed = self.assembler.push(frame);
        let is_whole = pushed.is_ok();
        match pushed {
            Ok(None) => {}
            Ok(Some(commit)) => {
                read.take(commit);
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
    use super::super::frame::frames;
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

    fn framed(commit: &Commit) -> impl Iterator<Item = Vec<u8>> + '_ {
        frames(commit, commit.first_version - 1)
    }

    fn read_log(frames: Vec<(u64, Vec<u8>)>, sealed: u64) -> ReadLog {
        ReadLog::of(
            &LogImage::of_frames(frames),
            sealed,
            u64::MAX,
            &Gaps::default(),
        )
    }

    fn numbered() -> Vec<(u64, Vec<u8>)> {
        (3..).zip(commits().iter().flat_map(framed)).collect()
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
        let next = Commit {
            first_version: 6,
            ..commits().remove(1)
        };
        let unfinished = framed(&next).next().unwrap();
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
