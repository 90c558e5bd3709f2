//! What is whole of a damaged environment is kept, what is lost is told, and the damaged folder stays
//! as it was.
#![allow(clippy::unwrap_used)]

#[path = "support/planted.rs"]
mod planted;

use std::fs;
use std::path::{Path, PathBuf};

use lakestage_engine::{
    Activity, Depth, Environment, ErrorKind, NewConsumer, OpenOptions, SalvageReport, salvage,
    verify_folder,
};
use planted::{Planted, ROWS, SEALED_ROWS, TAIL_ROWS, id, put};

const ALL: u32 = ROWS + SEALED_ROWS + TAIL_ROWS;

struct Kept {
    report: SalvageReport,
    environment: Environment,
    /// The rows that are not there any more.
    missing: Vec<u32>,
}

fn kept(planted: &Planted) -> Kept {
    let before = planted.contents();
    let to = planted.folder.path().join("salvaged");
    let report = salvage(&planted.environment_folder(), &to).unwrap();
    assert!(before == planted.contents(), "the damaged folder changed");
    let found = verify_folder(&to, Depth::Full, &planted.lakes()).unwrap();
    let own = found
        .findings
        .iter()
        .filter(|f| !f.file.starts_with("link"));
    assert_eq!(own.count(), 0, "{:?}", found.findings);
    let environment =
        Environment::open_with(&to, OpenOptions::from(planted.clock.clone())).unwrap();
    let missing = match environment.table_names().is_empty() {
        true => (0..ALL).collect(),
        false => (0..ALL)
            .filter(|n| {
                environment
                    .get("task", id(*n).parse().unwrap())
                    .unwrap()
                    .is_none()
            })
            .collect(),
    };
    Kept {
        report,
        environment,
        missing,
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, &bytes).unwrap();
}

fn place(path: &Path, needle: &[u8]) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes
        .windows(needle.len())
        .position(|found| found == needle)
        .unwrap()
}

fn catalog_file(planted: &Planted, start: &str) -> PathBuf {
    let folder = planted.environment_folder().join("catalog");
    let mut names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    names
        .find(|p| p.file_name().unwrap().to_str().unwrap().starts_with(start))
        .unwrap()
}

#[test]
fn a_whole_environment_loses_nothing_and_goes_on() {
    let planted = Planted::new();
    let last = planted.open().last_version();
    let kept = kept(&planted);
    assert_eq!(kept.report.lost, []);
    assert_eq!(kept.report.kept, [("task".to_owned(), u64::from(ALL))]);
    assert_eq!((kept.missing.len(), kept.report.version), (0, last));
    let row = kept
        .environment
        .get("task", id(0).parse().unwrap())
        .unwrap()
        .unwrap();
    assert!(row.cell("subject").unwrap().contains("changed since"));
    let link = &kept.environment.links()[0];
    assert_eq!(link.activity, Activity::Paused);
    put(&kept.environment, ALL..ALL + 1, "after");
    assert_eq!(kept.environment.last_version(), last + 1);
    kept.environment.resume_link("lake").unwrap();
    planted.clock.advance_s(1);
    let snapshot = kept.environment.snapshot("lake", &planted.lake()).unwrap();
    assert_eq!(snapshot.rows, u64::from(ALL) + 1);
    let report = kept
        .environment
        .verify(Depth::Full, &planted.lakes())
        .unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_damaged_block_takes_its_rows_and_its_ids_are_told() {
    let planted = Planted::new();
    let pack = planted.packs().remove(0);
    flip(&pack, place(&pack, id(700).as_bytes()) + 40);
    let kept = kept(&planted);
    let [loss] = &kept.report.lost[..] else {
        panic!("{:?}", kept.report)
    };
    assert_eq!(loss.table.as_deref(), Some("task"));
    assert_eq!(loss.partition.as_deref(), Some("2023"));
    assert_eq!(loss.rows, Some(kept.missing.len() as u64));
    assert!(kept.missing.contains(&700));
    assert_eq!(loss.first_id, Some(id(kept.missing[0])));
    assert_eq!(loss.last_id, Some(id(*kept.missing.last().unwrap())));
    assert!(kept.missing.len() < ROWS as usize);
    let set_aside = fs::read_dir(planted.folder.path().join("salvaged/quarantine")).unwrap();
    assert_eq!(set_aside.count(), 1);
}

#[test]
fn a_damaged_or_missing_segment_takes_its_versions_and_nothing_else() {
    for is_missing in [false, true] {
        let planted = Planted::new();
        let segment = planted.segments().pop().unwrap();
        match is_missing {
            true => fs::remove_file(&segment).unwrap(),
            false => flip(&segment, place(&segment, b"in a segment")),
        }
        let kept = kept(&planted);
        let [loss] = &kept.report.lost[..] else {
            panic!("{:?}", kept.report)
        };
        let lost: Vec<u32> = (ROWS..ROWS + SEALED_ROWS).collect();
        assert_eq!(kept.missing, lost);
        assert_eq!(loss.first_version, Some(u64::from(ROWS) + 1));
        assert_eq!(loss.last_version, Some(u64::from(ROWS + SEALED_ROWS)));
    }
}

#[test]
fn a_damaged_commit_is_told_and_its_versions_are_not_used_again() {
    let planted = Planted::new();
    planted.spoil_in_journal(b"in the journal");
    let last = u64::from(ALL) + 1;
    let kept = kept(&planted);
    assert!(!kept.report.lost.is_empty());
    assert!(kept.report.journal_is_damaged);
    assert!(
        kept.missing.iter().all(|n| *n >= ROWS + SEALED_ROWS),
        "{:?}",
        kept.missing
    );
    assert!(!kept.missing.is_empty());
    assert!(kept.report.version > last);
}

#[test]
fn without_its_journal_an_environment_keeps_blocks_and_segments() {
    let planted = Planted::new();
    fs::remove_file(planted.environment_folder().join("journal/db")).unwrap();
    let kept = kept(&planted);
    let tail: Vec<u32> = (ROWS + SEALED_ROWS..ALL).collect();
    assert_eq!(kept.missing, tail);
    assert!(kept.report.journal_is_damaged);
}

#[test]
fn a_damaged_manifest_or_schema_takes_its_partition_or_table() {
    let planted = Planted::new();
    let pack = planted.packs().remove(0);
    // A compaction writes the manifest last.
    flip(&pack, fs::metadata(&pack).unwrap().len() as usize - 30);
    let lost = kept(&planted);
    assert_eq!(lost.report.lost[0].rows, Some(u64::from(ROWS)));
    assert_eq!(lost.missing, (1..ROWS).collect::<Vec<_>>());

    let planted = Planted::new();
    flip(&catalog_file(&planted, "table-task"), 20);
    let lost = kept(&planted);
    assert_eq!(lost.report.lost[0].table.as_deref(), Some("task"));
    assert_eq!(lost.report.kept, []);
}

#[test]
fn without_a_catalog_there_is_nothing_to_place_rows_by() {
    let planted = Planted::new();
    fs::write(catalog_file(&planted, "catalog-"), b"{").unwrap();
    let to = planted.folder.path().join("salvaged");
    let error = salvage(&planted.environment_folder(), &to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("restore a backup"), "{error}");
    assert!(!to.exists());
    fs::create_dir(&to).unwrap();
    fs::write(to.join("something"), b"").unwrap();
    let error = salvage(&planted.environment_folder(), &to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn consumers_begin_anew_and_are_told() {
    let planted = Planted::new();
    let environment = planted.open();
    let consumer = NewConsumer::new("warehouse", "task");
    environment.create_consumer(&consumer).unwrap();
    drop(environment);
    let kept = kept(&planted);
    let [loss] = &kept.report.lost[..] else {
        panic!("{:?}", kept.report.lost);
    };
    assert!(loss.what.contains("consumer warehouse"), "{loss:?}");
    assert_eq!(loss.table.as_deref(), Some("task"));
    assert!(kept.missing.is_empty());
    assert!(kept.environment.consumers().is_empty());
}

#[test]
fn a_damaged_large_batch_takes_its_commit_and_no_other() {
    let planted = Planted::new();
    let environment = planted.open();
    for rows in [10_000..10_200, 10_200..10_400] {
        put(&environment, rows, &"large ".repeat(50));
    }
    put(&environment, 10_400..10_401, "small");
    drop(environment);
    let file = planted.environment_folder().join("journal/bulk-00");
    flip(&file, 4_096 + 1_000);
    let findings = planted.findings(Depth::Quick);
    let named = findings.iter().find(|f| f.file == "journal/bulk-00");
    assert!(
        named.is_some_and(|f| f.place == "byte 4096"),
        "{findings:?}"
    );
    let opened = Environment::open(&planted.environment_folder());
    assert_eq!(opened.err().unwrap().kind(), ErrorKind::Corrupt);
    let kept = kept(&planted);
    let has = |n: u32| {
        let row = kept.environment.get("task", id(n).parse().unwrap());
        row.unwrap().is_some()
    };
    assert!(kept.missing.is_empty());
    assert!((10_000..10_200).all(|n| !has(n)));
    assert!((10_200..10_401).all(has));
    let lost = kept.report.lost.iter().find(|loss| loss.rows == Some(200));
    assert!(lost.is_some(), "{:?}", kept.report.lost);
}
