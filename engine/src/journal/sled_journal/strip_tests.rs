//! Small commits between their acknowledgement and sled.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::super::ReadLog;
use super::*;
use crate::faults::{FaultPlan, Operation};
use crate::files;

const SECTOR_BYTES: usize = 512;

fn commit(first_version: u64, bytes: usize) -> Commit {
    Commit {
        first_version,
        rows: 1,
        committed: 5,
        payload: (0..bytes)
            .map(|n| (n as u64 * first_version) as u8)
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

fn frames_in(journal: &SledJournal) -> usize {
    journal.image().unwrap().frames.len()
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a folder whose names a filter wants.
fn files_of(folder: &Path, wanted: impl Fn(&str) -> bool) -> Files {
    let names = files::names_in(folder).unwrap().into_iter();
    let names =
        names.filter(|name| folder.join(name).is_file() && name != "ballast" && wanted(name));
    names
        .map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap()))
        .collect()
}

fn is_beside(name: &str) -> bool {
    name.starts_with(STRIP.prefix) || name.starts_with(BULK.prefix)
}

fn folder_of(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn a_small_commit_is_acknowledged_beside_sled_and_goes_there_later() {
    let folder = tempfile::tempdir().unwrap();
    let commits: Vec<Commit> = (1..=5).map(|version| commit(version, 300)).collect();
    let journal = SledJournal::open(folder.path()).unwrap();
    commits
        .chunks(1)
        .for_each(|commit| append(&journal, commit));
    assert_eq!(frames_in(&journal), 0);
    assert_eq!(LogEnd::of(folder.path()).acknowledged_version, 5);
    let read = ReadLog::of(&journal.image().unwrap(), 0, 5, &Gaps::default());
    assert_eq!((read.commits, read.faults), (commits.clone(), vec![]));
    // As a process leaves it that is killed now.
    let killed = folder_of(&files_of(folder.path(), |_| true));
    let again = SledJournal::open(killed.path()).unwrap();
    assert_eq!(again.commits().unwrap(), commits);
    assert_eq!(frames_in(&again), 5);
    drop(journal);
    let closed = SledJournal::open(folder.path()).unwrap();
    assert_eq!(frames_in(&closed), 5);
    let read = ReadLog::of(&closed.image().unwrap(), 0, 5, &Gaps::default());
    assert_eq!((read.commits, read.faults), (commits, vec![]));
}

#[test]
fn the_strip_is_used_again_and_again_and_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    let commits: Vec<Commit> = (1..=3_000).map(|version| commit(version, 20)).collect();
    commits
        .chunks(1)
        .for_each(|commit| append(&journal, commit));
    let strips = files_of(folder.path(), |name| name.starts_with(STRIP.prefix));
    let bytes: usize = strips.values().map(Vec::len).sum();
    assert!((1 << 20..=4 << 20).contains(&bytes), "{bytes}");
    let killed = folder_of(&files_of(folder.path(), |_| true));
    let again = SledJournal::open(killed.path()).unwrap();
    assert!(again.commits().unwrap() == commits);
}

#[test]
fn what_was_sealed_while_it_waited_does_not_go_to_sled() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    let commits: Vec<Commit> = (1..=5).map(|version| commit(version, 300)).collect();
    commits
        .chunks(1)
        .for_each(|commit| append(&journal, commit));
    journal.seal(&segment(1, 1, 3)).unwrap();
    journal.hand_on().unwrap();
    assert_eq!(frames_in(&journal), 2);
    assert_eq!(journal.commits().unwrap(), commits[3..]);
}

#[test]
fn damage_in_what_waits_is_named_and_what_was_broken_off_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    let commits = [commit(1, 300), commit(2, 300), commit(3, 6_000)];
    append(&journal, &commits[..1]);
    append(&journal, &commits[1..2]);
    let before = files_of(folder.path(), |name| name == "acknowledged");
    append(&journal, &commits[2..]);
    let good = files_of(folder.path(), |_| true);
    let strip = STRIP.name(0);
    let spoiled = |offset: usize, mark: Option<&Files>| {
        let mut files = good.clone();
        files.get_mut(&strip).unwrap()[offset] ^= 4;
        files.extend(
            mark.into_iter()
                .flatten()
                .map(|(n, b)| (n.clone(), b.clone())),
        );
        folder_of(&files)
    };
    // A batch that others follow, or that was acknowledged.
    for (offset, mark) in [
        (4_096 + 100, None),
        (4_096 + 20, None),
        (4_096 + 100, Some(&before)),
    ] {
        let damaged = spoiled(offset, mark);
        let journal = SledJournal::open(damaged.path()).unwrap();
        let image = journal.image().unwrap();
        let read = ReadLog::of(
            &image,
            0,
            LogEnd::of(damaged.path()).acknowledged_version,
            &Gaps::default(),
        );
        assert_eq!(read.faults[0].file, strip, "byte {offset}");
        assert!(journal.commits().is_err(), "byte {offset}");
    }
    // The last one, before anybody was told of it.
    let broken_off = spoiled(3 * 4_096 + 5_000, Some(&before));
    let journal = SledJournal::open(broken_off.path()).unwrap();
    let read = ReadLog::of(&journal.image().unwrap(), 0, 2, &Gaps::default());
    assert_eq!((read.unfinished, read.faults), (Some(3), vec![]));
    assert_eq!(journal.commits().unwrap(), commits[..2]);
    assert_eq!(journal.end().unfinished(2), Some(3));
    append(&journal, &[commit(3, 10)]);
    drop(journal);
    let journal = SledJournal::open(broken_off.path()).unwrap();
    assert_eq!(
        journal.commits().unwrap(),
        [&commits[..2], &[commit(3, 10)]].concat()
    );
    // The same once it was acknowledged: the log refuses to go on without it.
    let damaged = spoiled(3 * 4_096 + 5_000, None);
    let journal = SledJournal::open(damaged.path()).unwrap();
    assert_eq!(journal.commits().unwrap(), commits[..2]);
    assert_eq!(journal.end().acknowledged_version, 3);
    let read = ReadLog::of(&journal.image().unwrap(), 0, 3, &Gaps::default());
    assert_eq!(read.faults[0].file, strip);
}

#[test]
fn what_is_read_when_it_is_opened_is_durable_before_anybody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SledJournal::open(folder.path()).unwrap();
    append(&journal, &[commit(1, 300)]);
    append(&journal, &[commit(2, bulk::BATCH_BYTES_MIN)]);
    let killed = folder_of(&files_of(folder.path(), |_| true));
    let again = SledJournal::open(killed.path()).unwrap();
    let plan = FaultPlan::below(killed.path());
    assert_eq!(again.commits().unwrap().len(), 2);
    let is_synced = |name: &str| {
        let path = killed.path().join(name);
        plan.seen().contains(&(Operation::Sync, path))
    };
    assert!(is_synced("db") && is_synced(&BULK.name(0)));
}

#[test]
fn an_older_folder_gets_its_strip_with_the_first_small_commit() {
    let folder = tempfile::tempdir().unwrap();
    {
        let journal = SledJournal::open(folder.path()).unwrap();
        let commits = [commit(1, 20), commit(2, 9_000)];
        journal
            .write(|writer| journal.append_frames(writer, &commits))
            .unwrap();
    }
    assert!(files_of(folder.path(), is_beside).is_empty());
    let journal = SledJournal::open(folder.path()).unwrap();
    assert_eq!(journal.commits().unwrap().len(), 2);
    append(&journal, &[commit(3, 20)]);
    assert_eq!(files_of(folder.path(), is_beside).len(), 1);
    assert_eq!(frames_in(&journal), 4);
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    HandOn,
    Seal,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(
        prop_oneof![9 => 0..6_000usize, 1 => 20_000..60_000usize],
        1..4,
    );
    prop_oneof![
        12 => sizes.prop_map(Step::Append),
        2 => Just(Step::HandOn),
        1 => Just(Step::Seal),
    ]
}

/// A journal whose sled is on the disk as it was when it was synced last.
struct World {
    folder: tempfile::TempDir,
    journal: SledJournal,
    synced: Files,
    commits: Vec<Commit>,
    sealed: u64,
    segments: u64,
}

impl World {
    fn new(folder: tempfile::TempDir) -> Self {
        let journal = SledJournal::open(folder.path()).unwrap();
        let sealed = journal.sealed();
        let mut commits = journal.commits().unwrap();
        // Of what is sealed some may be left.
        commits.retain(|commit| commit.last_version() > sealed);
        let mut world = World {
            commits,
            sealed,
            segments: journal.segments().unwrap().len() as u64,
            synced: Files::new(),
            journal,
            folder,
        };
        world.note_synced();
        world
    }

    fn note_synced(&mut self) {
        self.synced = files_of(self.folder.path(), |name| !is_beside(name));
    }

    fn last_version(&self) -> u64 {
        self.commits
            .last()
            .map_or(self.sealed, Commit::last_version)
    }

    fn batch(&self, sizes: &[usize]) -> Vec<Commit> {
        let versions = self.last_version() + 1..;
        versions
            .zip(sizes)
            .map(|(version, bytes)| commit(version, *bytes))
            .collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => {
                let batch = self.batch(sizes);
                let files = files_of(self.folder.path(), is_beside).len();
                append(&self.journal, &batch);
                self.commits.extend(batch);
                // A file that is new is known to sled, durably.
                if files_of(self.folder.path(), is_beside).len() > files {
                    self.note_synced();
                }
            }
            Step::HandOn => {
                self.journal.hand_on().unwrap();
                self.note_synced();
            }
            Step::Seal => {
                let Some(first) = self.commits.first() else {
                    return;
                };
                let sealed = self.commits.len().div_ceil(2);
                let last = self.commits[sealed - 1].last_version();
                self.segments += 1;
                let segment = segment(self.segments, first.first_version, last);
                self.journal.seal(&segment).unwrap();
                self.commits.drain(..sealed);
                self.sealed = last;
                self.note_synced();
            }
        }
    }

    /// Cuts the power while a batch is written: of its sectors some are there. What was not synced of
    /// sled's is gone, and of the mark perhaps.
    fn cut(
        self,
        sizes: &[usize],
        sectors: u64,
        is_mark_old: bool,
    ) -> (tempfile::TempDir, Vec<Commit>, Vec<Commit>) {
        let batch = self.batch(sizes);
        let mut files = self.synced.clone();
        if !is_mark_old {
            files.extend(files_of(self.folder.path(), |name| name == "acknowledged"));
        }
        let before = files_of(self.folder.path(), is_beside);
        append(&self.journal, &batch);
        for (name, mut bytes) in files_of(self.folder.path(), is_beside) {
            let Some(before) = before.get(&name) else {
                continue;
            };
            let both = bytes
                .chunks_mut(SECTOR_BYTES)
                .zip(before.chunks(SECTOR_BYTES));
            let changed = both.filter(|(after, before)| after != before);
            for (number, (after, before)) in changed.enumerate() {
                if sectors >> (number % 64) & 1 == 0 {
                    after.copy_from_slice(before);
                }
            }
            files.insert(name, bytes);
        }
        // Where it is the first of its file, sled has been told of that and nothing else.
        for (name, bytes) in before {
            files.entry(name).or_insert(bytes);
        }
        (folder_of(&files), self.commits, batch)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The disk keeps of sled what was synced, of a file beside it each batch that was, and of the last
    /// batch any of its sectors.
    #[test]
    fn a_power_cut_takes_nothing_of_the_strip_and_no_batch_by_half(
        rounds in prop::collection::vec((prop::collection::vec(step(), 1..40), any::<u64>(), any::<bool>()), 1..4),
    ) {
        let mut world = World::new(tempfile::tempdir().unwrap());
        for (steps, sectors, is_mark_old) in rounds {
            steps.iter().for_each(|step| world.step(step));
            let (folder, commits, batch) = world.cut(&[700, 3_000, 5], sectors, is_mark_old);
            world = World::new(folder);
            let is_whole = world.commits.len() == commits.len() + batch.len();
            let expected = match is_whole {
                true => [commits, batch].concat(),
                false => commits,
            };
            prop_assert!(world.commits == expected, "{} commits of {}", world.commits.len(), expected.len());
        }
    }
}
