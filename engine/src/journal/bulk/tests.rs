#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;

use super::*;
use crate::journal::replay::{self, InSled};
use crate::journal::{Durability, Gaps, Journal as _, ReadLog, SledJournal};
use crate::segment::SegmentEntry;

const LARGE: usize = 100_000;

fn commit(first_version: u64, bytes: usize) -> Commit {
    Commit {
        first_version,
        rows: 2,
        committed: 5,
        payload: (0..bytes)
            .map(|n| (n as u64 + first_version) as u8)
            .collect(),
    }
}

fn append(journal: &SledJournal, commits: &[Commit]) {
    journal.append(commits, Durability::Synced).unwrap();
}

fn segment(number: u64, first_version: u64, last_version: u64) -> SegmentEntry {
    SegmentEntry {
        number,
        first_version,
        last_version,
        last_committed: 5,
        bytes: 100,
        footer_crc32c: 1,
    }
}

/// The folder as a process leaves it that is killed now.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in files::names_in(folder).unwrap() {
        if folder.join(&name).is_file() && name != "ballast" {
            fs::copy(folder.join(&name), copy.path().join(&name)).unwrap();
        }
    }
    copy
}

fn flip(folder: &Path, offset: usize) {
    let path = folder.join(BULK.name(0));
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset] ^= 4;
    fs::write(&path, bytes).unwrap();
}

fn opened(folder: &Path) -> Result<Vec<Commit>> {
    SledJournal::open(folder)?.commits()
}

#[test]
fn large_and_small_batches_come_back_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let commits = [
        commit(1, 10),
        commit(3, LARGE),
        commit(5, 3 * LARGE),
        commit(7, 10),
        commit(9, 20),
        commit(11, LARGE),
    ];
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        append(&journal, &commits[..1]);
        append(&journal, &commits[1..3]);
        append(&journal, &commits[3..4]);
        append(&journal, &commits[4..]);
        journal.hand_on().unwrap();
        let frames = journal.image().unwrap().frames;
        assert_eq!(frames.len(), 2, "large batches are not in sled");
    }
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap(), commits);
    let read = ReadLog::of(&journal.image().unwrap(), 0, 0, &Gaps::default());
    assert_eq!((read.commits, read.faults), (commits.to_vec(), vec![]));
    journal.seal(&segment(1, 1, 6)).unwrap();
    append(&journal, &[commit(13, LARGE)]);
    drop(journal);
    let rest = opened(folder.path()).unwrap();
    assert_eq!(
        rest,
        [commits[3..].to_vec(), vec![commit(13, LARGE)]].concat()
    );
}

#[test]
fn a_file_is_used_again_once_all_in_it_is_sealed_and_there_are_few() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    journal.commits().unwrap();
    let mut version = 1;
    for number in 1..=30 {
        let first = version;
        for _ in 0..10 {
            append(&journal, &[commit(version, 3 * LARGE)]);
            version += 2;
        }
        journal.seal(&segment(number, first, version - 1)).unwrap();
    }
    append(&journal, &[commit(version, LARGE)]);
    assert!(journal.stored_bytes().unwrap() < 24 << 20);
    let left = opened(killed(folder.path()).path()).unwrap();
    assert_eq!(left, [commit(version, LARGE)]);
}

#[test]
fn a_batch_that_was_broken_off_leaves_no_trace_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    journal.commits().unwrap();
    append(&journal, &[commit(1, LARGE)]);
    append(&journal, &[commit(3, LARGE)]);
    let second = 4_096 + (LARGE + 76).next_multiple_of(4_096);
    // The last one may have been broken off.
    let broken = killed(folder.path());
    flip(broken.path(), second + 5_000);
    let again = SledJournal::open(broken.path()).unwrap();
    assert_eq!(again.commits().unwrap(), [commit(1, LARGE)]);
    append(&again, &[commit(3, 3 * LARGE)]);
    drop(again);
    let both = [commit(1, LARGE), commit(3, 3 * LARGE)];
    assert_eq!(opened(broken.path()).unwrap(), both);
    // The first was whole when the second was written.
    for offset in [4_096 + 30, 4_096 + 5_000] {
        let damaged = killed(folder.path());
        flip(damaged.path(), offset);
        let error = opened(damaged.path()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    // The last was whole as well, if something came after it in sled, or the journal was closed.
    append(&journal, &[commit(5, 10)]);
    let followed = killed(folder.path());
    drop(journal);
    for copy in [followed, folder] {
        flip(copy.path(), second + 5_000);
        let error = opened(copy.path()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
}

#[test]
fn a_missing_or_cut_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        append(&journal, &[commit(1, LARGE)]);
    }
    let path = folder.path().join(BULK.name(0));
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(5_000)
        .unwrap();
    assert!(
        opened(folder.path())
            .unwrap_err()
            .to_string()
            .contains("bulk-00")
    );
    fs::remove_file(&path).unwrap();
    assert!(
        opened(folder.path())
            .unwrap_err()
            .to_string()
            .contains("missing")
    );
}

#[test]
fn every_flipped_bit_of_a_batch_is_noticed() {
    const ID: FileId = [7; 16];
    let commits = [commit(1, 500), commit(3, 5_000)];
    let mut good = vec![0; 4_096];
    batch::write(&mut good, &ID, &commits).unwrap();
    let read = |content: &[u8]| {
        let mut read = BulkRead::default();
        read.file((BULK, 0), content, &ID, 0);
        read
    };
    assert_eq!(read(&good).batches[0].commits, commits);
    for byte in 4_096..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        let found = read(&bad);
        let is_named = !found.faults.is_empty();
        assert!(is_named, "byte {byte}");
        // A later commit proves that the batch was whole.
        let journal = Path::new("journal");
        let mut followed = found;
        followed.batches.push(BulkBatch {
            kind: BULK,
            file: 1,
            offset: 4_096,
            end: 9_000,
            first_version: 5,
            last_version: 6,
            commits: vec![commit(5, 10)],
            is_whole: true,
        });
        assert!(
            replay::replay(
                journal,
                InSled::of(journal, &[], 0).unwrap(),
                followed,
                0,
                &Gaps::default()
            )
            .is_err()
        );
    }
}

#[test]
fn a_payload_that_looks_like_a_batch_is_none() {
    const ID: FileId = [7; 16];
    let mut inner = Vec::new();
    batch::write(&mut inner, &[8; 16], &[commit(9, 100)]).unwrap();
    let mut content = vec![0; 4_096];
    content.extend_from_slice(&inner);
    let mut read = BulkRead::default();
    read.file((BULK, 0), &content, &ID, 0);
    assert_eq!(read, BulkRead::default());
}
