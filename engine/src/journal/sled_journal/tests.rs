//! The journal in sled, by itself.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::files;

fn commit(first_version: u64, bytes: usize) -> Commit {
    Commit {
        first_version,
        rows: 1,
        committed: 5,
        payload: vec![first_version as u8; bytes],
    }
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let commits = [commit(1, 10), commit(2, 7_000), commit(3, 0)];
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        journal.append(&commits, Durability::Synced).unwrap();
        journal.set_meta("a", Some(b"b")).unwrap();
    }
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap(), commits);
    assert_eq!(journal.meta("a").unwrap().as_deref(), Some(&b"b"[..]));
    let segment = SegmentEntry {
        number: 7,
        first_version: 1,
        last_version: 2,
        last_committed: 5,
        bytes: 100,
        footer_crc32c: 1,
    };
    journal.seal(&segment).unwrap();
    assert_eq!(journal.commits().unwrap(), commits[2..]);
    assert_eq!(journal.segments().unwrap(), [segment]);
    journal.release(&[7]).unwrap();
    assert_eq!(journal.segments().unwrap(), []);
    journal.append(&[commit(4, 1)], Durability::Synced).unwrap();
    assert_eq!(journal.commits().unwrap().len(), 2);
    assert!(
        files::names_in(&folder.path().join("blobs"))
            .unwrap()
            .is_empty()
    );
}

/// Past the files for large batches, however large it is.
fn append_to_sled(journal: &SledJournal, commits: &[Commit]) {
    journal
        .write(|writer| journal.append_frames(writer, commits))
        .unwrap();
}

/// As if nothing behind a version had been acknowledged.
fn forget_acknowledgement(journal: &SledJournal, version: u64) {
    let mut writer = journal.writer.lock().unwrap();
    writer.last_version = version;
    journal.mark.go_back_to(version).unwrap();
}

#[test]
fn what_was_acknowledged_is_not_taken_for_a_commit_that_was_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    // Past sled, and in sled.
    for bytes in [bulk::BATCH_BYTES_MIN, 7_000] {
        let last = journal.commits().unwrap().len() as u64;
        let commits = [commit(last + 1, bytes)];
        match bytes < bulk::BATCH_BYTES_MIN {
            true => append_to_sled(&journal, &commits),
            false => journal.append(&commits, Durability::Synced).unwrap(),
        }
        assert_eq!(LogEnd::of(folder.path()).acknowledged_version, last + 1);
    }
    let last = *frames_of(&journal).last().unwrap();
    journal.log.remove(last.to_be_bytes()).unwrap();
    journal.flush().unwrap();
    drop(journal);
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap().len(), 1);
    // What is left of it is there for whoever looks for it.
    assert!(!frames_of(&journal).is_empty());
    assert_eq!(journal.end().acknowledged_version, 2);
}

fn frames_of(journal: &SledJournal) -> Vec<u64> {
    let keys = journal.log.range(..SEGMENT_BIT.to_be_bytes()).keys();
    keys.map(|key| frame_number(&journal.folder, &key.unwrap()).unwrap())
        .collect()
}

#[test]
fn a_commit_that_was_being_written_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        // Large enough to be given to sled in several pieces.
        let commits = [commit(1, 10), commit(2, 2 * APPLY_BYTES_MAX)];
        append_to_sled(&journal, &commits);
        assert_eq!(journal.commits().unwrap(), commits);
        let last = *frames_of(&journal).last().unwrap();
        journal.log.remove(last.to_be_bytes()).unwrap();
        journal.flush().unwrap();
        forget_acknowledgement(&journal, 1);
    }
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap(), [commit(1, 10)]);
    assert_eq!(frames_of(&journal), [0]);
    drop(journal);
    let journal = SledJournal::open(folder.path()).unwrap();
    journal.commits().unwrap();
    journal
        .append(&[commit(2, 7_000)], Durability::Synced)
        .unwrap();
    assert_eq!(journal.commits().unwrap().len(), 2);
}

#[test]
fn frames_that_a_segment_holds_may_be_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let commits = [commit(1, 7_000), commit(2, 7_000), commit(3, 5)];
    let segment = SegmentEntry {
        number: 1,
        first_version: 1,
        last_version: 2,
        last_committed: 5,
        bytes: 100,
        footer_crc32c: 1,
    };
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        append_to_sled(&journal, &commits);
        // As a crash between naming the segment and removing the last frames leaves it.
        let value = serde_json::to_vec(&segment).unwrap();
        journal.log.insert(segment_key(1), value).unwrap();
        journal.log.remove(0u64.to_be_bytes()).unwrap();
        journal.flush().unwrap();
    }
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap(), commits[1..]);
    let next = SegmentEntry {
        number: 2,
        first_version: 3,
        last_version: 3,
        ..segment
    };
    journal.seal(&next).unwrap();
    assert_eq!(frames_of(&journal), [0u64; 0]);
}

#[test]
fn a_second_opening_is_refused_while_the_first_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let _first = SledJournal::open(folder.path()).unwrap();
    let second = SledJournal::open(folder.path()).err().unwrap();
    assert!(matches!(second, Error::Conflict(_)), "{second}");
}
