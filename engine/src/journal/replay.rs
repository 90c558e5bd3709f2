//! What a log holds when it is opened: frames, bulk files and the strip put together, in the order of
//! versions.

use std::collections::VecDeque;
use std::path::Path;

use super::bulk::{BulkBatch, BulkRead, STRIP};
use super::frame::Assembler;
use super::{Commit, Gaps};
use crate::error::{Error, Result};

/// What was there when the log was opened.
pub(super) struct Replay {
    pub commits: Vec<Commit>,
    /// Those of them that wait in the strip to be handed on to sled.
    pub waiting: Vec<Commit>,
    /// The number of the next frame.
    pub end: u64,
    /// So many frames at the end were being written.
    pub unfinished_frames: u64,
    /// The last version of each commit in frames, and the number of the frame behind it.
    pub ends: VecDeque<(u64, u64)>,
    /// A batch in a bulk file that was being written.
    pub unfinished_batch: Option<BulkBatch>,
    pub bulk: BulkRead,
}

/// What stands in sled's frames.
pub(super) struct InSled {
    commits: Vec<Commit>,
    assembler: Assembler,
    ends: VecDeque<(u64, u64)>,
    end: u64,
}

impl InSled {
    /// Puts frames together.
    ///
    /// # Errors
    /// `Corrupt` where any is missing or damaged.
    pub(super) fn of(folder: &Path, frames: &[(u64, Vec<u8>)], sealed: u64) -> Result<Self> {
        let damaged = |detail| Error::corrupt(&folder.join("db"), detail);
        let mut in_sled = InSled {
            commits: Vec::new(),
            assembler: Assembler::behind(sealed),
            ends: VecDeque::new(),
            end: 0,
        };
        let mut expected = None;
        for (number, frame) in frames {
            if expected.is_some_and(|n| n != *number) {
                return Err(damaged(format!("frames are missing before frame {number}")));
            }
            expected = Some(number + 1);
            if let Some(commit) = in_sled.assembler.push(frame).map_err(damaged)? {
                let end = (commit.last_version(), number + 1);
                in_sled.ends.push_back(end);
                in_sled.commits.push(commit);
            }
        }
        in_sled.end = expected.unwrap_or(0);
        Ok(in_sled)
    }

    /// The last version of the commits that are there whole; small ones behind it may wait in the strip.
    pub(super) fn last_version(&self) -> u64 {
        self.commits.last().map_or(0, Commit::last_version)
    }
}

/// Puts a log together. `bulk` holds what stands beside sled, of the strip what sled does not have.
///
/// # Errors
/// `Corrupt` where anything is missing or damaged that was acknowledged.
pub(super) fn replay(
    folder: &Path,
    in_sled: InSled,
    mut bulk: BulkRead,
    sealed: u64,
    gaps: &Gaps,
) -> Result<Replay> {
    let damaged = |detail| Error::corrupt(&folder.join("db"), detail);
    let passed_on = in_sled.last_version().max(sealed);
    let InSled {
        mut commits,
        assembler,
        ends,
        end,
    } = in_sled;
    let unfinished_batch = take_unfinished(folder, &mut bulk)?;
    let mut waiting = Vec::new();
    for batch in &mut bulk.batches {
        let held = std::mem::take(&mut batch.commits);
        match batch.kind == STRIP {
            // It may have been handed on in part.
            true => waiting.extend(held.into_iter().filter(|c| c.first_version > passed_on)),
            false => commits.extend(held),
        }
    }
    commits.extend_from_slice(&waiting);
    commits.sort_by_key(|commit| commit.first_version);
    // Of what is sealed some may be left and some gone.
    let counts = commits.partition_point(|commit| commit.last_version() <= sealed);
    check_sequence(folder, &commits[counts..], gaps)?;
    let last = commits.last().map_or(0, Commit::last_version).max(sealed);
    // What was broken off is the last thing that was written; what came after it proves that it was whole.
    let unfinished = unfinished_batch.as_ref().map(|batch| batch.first_version);
    // What was broken off on its way from the strip to sled is still in the strip.
    let is_waiting = |version: &u64| waiting.iter().any(|c| c.first_version == *version);
    let in_frames = assembler.unfinished_version().filter(|v| !is_waiting(v));
    let unfinished = unfinished.into_iter().chain(in_frames);
    if let Some(version) = unfinished.filter(|version| *version <= last).min() {
        let detail = format!("the commit at version {version} is damaged, and others follow it");
        return Err(damaged(detail));
    }
    if last < bulk.noted_version {
        return Err(damaged(format!(
            "the log ends at version {last}, and commits up to version {} were durable",
            bulk.noted_version
        )));
    }
    Ok(Replay {
        commits,
        waiting,
        end,
        unfinished_frames: assembler.unfinished(),
        ends,
        unfinished_batch,
        bulk,
    })
}

/// Takes out the one batch that may not be whole: the last.
fn take_unfinished(folder: &Path, bulk: &mut BulkRead) -> Result<Option<BulkBatch>> {
    let is_last_unfinished = bulk.batches.last().is_some_and(|batch| !batch.is_whole);
    let unfinished = bulk.batches.pop_if(|batch| !batch.is_whole);
    let version = unfinished.as_ref().map(|batch| batch.first_version);
    let is_explained =
        |first: Option<u64>| is_last_unfinished && first.is_some() && first == version;
    let fault = bulk
        .faults
        .iter()
        .find(|fault| !is_explained(fault.first_version));
    match fault {
        Some(fault) => Err(Error::corrupt(
            &folder.join(&fault.file),
            format!("byte {}: {}", fault.offset, fault.rule),
        )),
        None => Ok(unfinished),
    }
}

fn check_sequence(folder: &Path, commits: &[Commit], gaps: &Gaps) -> Result<()> {
    let mut pairs = commits.windows(2);
    let gap = pairs.find(|pair| gaps.next(pair[0].last_version()) != pair[1].first_version);
    match gap {
        Some(pair) => Err(Error::corrupt(
            &folder.join("db"),
            format!(
                "the commit at version {} does not follow the one before it",
                pair[1].first_version
            ),
        )),
        None => Ok(()),
    }
}
