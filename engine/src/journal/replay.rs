//! What a log holds when it is opened: frames and bulk files put together, in the order of versions.

use std::collections::VecDeque;
use std::path::Path;

use super::Commit;
use super::bulk::{BulkBatch, BulkRead};
use super::frame::Assembler;
use crate::error::{Error, Result};

/// What was there when the log was opened.
pub(super) struct Replay {
    pub commits: Vec<Commit>,
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

/// Puts a log together.
///
/// # Errors
/// `Corrupt` where anything is missing or damaged that was acknowledged.
pub(super) fn replay(
    folder: &Path,
    frames: &[(u64, Vec<u8>)],
    mut bulk: BulkRead,
    sealed: u64,
) -> Result<Replay> {
    let damaged = |detail| Error::corrupt(&folder.join("db"), detail);
    let mut assembler = Assembler::behind(sealed);
    let mut commits = Vec::new();
    let mut ends = VecDeque::new();
    let mut expected = None;
    for (number, frame) in frames {
        if expected.is_some_and(|n| n != *number) {
            return Err(damaged(format!("frames are missing before frame {number}")));
        }
        expected = Some(number + 1);
        if let Some(commit) = assembler.push(frame).map_err(damaged)? {
            ends.push_back((commit.last_version(), number + 1));
            commits.push(commit);
        }
    }
    let unfinished_batch = take_unfinished(folder, &mut bulk)?;
    let in_bulk = bulk.batches.iter_mut();
    commits.extend(in_bulk.flat_map(|batch| std::mem::take(&mut batch.commits)));
    commits.sort_by_key(|commit| commit.first_version);
    // Of what is sealed some may be left and some gone.
    let counts = commits.partition_point(|commit| commit.last_version() <= sealed);
    check_sequence(folder, &commits[counts..])?;
    let last = commits.last().map_or(0, Commit::last_version).max(sealed);
    // What was broken off is the last thing that was written; what came after it proves that it was whole.
    let unfinished = unfinished_batch.as_ref().map(|batch| batch.first_version);
    let unfinished = unfinished.into_iter().chain(assembler.unfinished_version());
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
        end: expected.unwrap_or(0),
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

fn check_sequence(folder: &Path, commits: &[Commit]) -> Result<()> {
    let mut pairs = commits.windows(2);
    let gap = pairs.find(|pair| pair[0].last_version() + 1 != pair[1].first_version);
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
