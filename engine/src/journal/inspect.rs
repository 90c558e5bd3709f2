//! Reading frames that may be damaged: what is whole is given, what is not is named.

use super::Commit;
use super::frame::Assembler;

/// What is wrong with the log, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameFault {
    /// The number of the frame.
    pub frame: u64,
    pub rule: String,
}

/// Frames put together to commits as far as they are whole.
#[derive(Default)]
pub(crate) struct ReadFrames {
    pub commits: Vec<Commit>,
    pub faults: Vec<FrameFault>,
}

impl ReadFrames {
    /// Reads numbered frames. After damage it goes on with the next commit that begins. What is sealed up to a version
    /// does not count any more; a commit that lacks its last frames at the end was never acknowledged, and opening
    /// drops it.
    pub(crate) fn of(numbered: &[(u64, Vec<u8>)], sealed: u64) -> Self {
        let mut read = ReadFrames::default();
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
        self.faults.push(FrameFault {
            frame,
            rule: rule.into(),
        });
    }

    fn take(&mut self, number: u64, commit: Commit) {
        let next = self.commits.last().map(|last| last.last_version() + 1);
        if next.is_some_and(|next| next != commit.first_version) {
            let rule = format!(
                "the commit at version {} does not follow the one before it",
                commit.first_version
            );
            self.fault(number, rule);
        }
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
    fn push(&mut self, number: u64, frame: &[u8], read: &mut ReadFrames) -> bool {
        self.has_begun = true;
        self.last = number;
        let pushed = self.assembler.push(frame);
        let is_whole = pushed.is_ok();
        match pushed {
            Ok(None) => {}
            Ok(Some(commit)) => {
                read.take(number, commit);
                *self = Open::default();
            }
            Err(rule) => {
                read.fault(number, rule);
                *self = Open::default();
            }
        }
        is_whole
    }

    fn drop_into(&mut self, read: &mut ReadFrames) {
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

    fn numbered() -> Vec<(u64, Vec<u8>)> {
        (3..).zip(commits().iter().flat_map(framed)).collect()
    }

    #[test]
    fn whole_commits_are_read_around_any_flipped_bit_and_the_damage_is_named() {
        let good = ReadFrames::of(&numbered(), 0);
        assert_eq!((good.commits, good.faults), (commits(), vec![]));
        for frame in 0..numbered().len() {
            for byte in 0..numbered()[frame].1.len() {
                let mut bad = numbered();
                bad[frame].1[byte] ^= 1 << (byte % 8);
                let read = ReadFrames::of(&bad, 0);
                assert!(!read.faults.is_empty(), "frame {frame} byte {byte}");
                assert!(read.commits.len() >= 3, "frame {frame} byte {byte}");
                assert!(read.commits.iter().all(|c| commits().contains(c)));
            }
        }
    }

    #[test]
    fn sealed_frames_do_not_count_and_an_unfinished_end_is_no_damage() {
        let mut rest = numbered().split_off(2);
        let read = ReadFrames::of(&rest, 2);
        assert_eq!((read.commits.len(), read.faults), (3, vec![]));
        assert!(!ReadFrames::of(&rest, 0).faults.is_empty());
        // The first of three frames of a commit behind the others.
        let next = Commit {
            first_version: 6,
            ..commits().remove(1)
        };
        let unfinished = framed(&next).next().unwrap();
        rest.push((rest.last().unwrap().0 + 1, unfinished));
        let read = ReadFrames::of(&rest, 2);
        assert_eq!((read.commits.len(), read.faults), (3, vec![]));
    }

    #[test]
    fn a_missing_frame_is_named_and_takes_one_commit() {
        for missing in 1..numbered().len() - 1 {
            let mut bad = numbered();
            bad.remove(missing);
            let read = ReadFrames::of(&bad, 0);
            assert!(!read.faults.is_empty());
            assert_eq!(read.commits.len(), 4, "{missing}");
        }
    }
}
