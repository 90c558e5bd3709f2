//! Damage of every kind of file is named by `verify`, never served, and takes nothing else away.
#![allow(clippy::unwrap_used)]

#[path = "support/planted.rs"]
mod planted;

use std::fs;

use lakestage_engine::{Depth, DumpPart, Environment, ErrorKind, dump_folder, verify_folder};
use planted::{Planted, id, put};

#[test]
fn a_whole_environment_has_no_findings_closed_or_open() {
    let planted = Planted::new();
    for depth in [Depth::Quick, Depth::Full] {
        assert_eq!(planted.findings(depth), []);
    }
    let environment = planted.open();
    for depth in [Depth::Quick, Depth::Full] {
        let lakes = planted.lakes();
        let report = environment.verify(depth, &lakes).unwrap();
        assert_eq!(report.findings, []);
        assert!(report.files > 8, "{report:?}");
        assert_eq!(report.rows > 1_000, depth == Depth::Full, "{report:?}");
    }
}

#[test]
fn looking_changes_nothing() {
    let planted = Planted::new();
    let before = planted.contents();
    planted.findings(Depth::Full);
    assert!(before == planted.contents());
}

#[test]
fn any_flipped_bit_in_use_is_named_by_the_full_look() {
    let planted = Planted::new();
    for (number, path) in planted.immutable_files().iter().enumerate() {
        let good = fs::read(path).unwrap();
        // Everything in these files is in use but what compaction replaced, which there is none of.
        for step in 0..24 {
            let at = match step {
                0 => 0,
                1 => good.len() - 1,
                _ => (step * 7_919 * (number + 3)) % good.len(),
            };
            let mut bad = good.clone();
            bad[at] ^= 1 << (step % 8);
            fs::write(path, &bad).unwrap();
            let findings = planted.findings(Depth::Full);
            let name = path.file_name().unwrap().to_str().unwrap();
            let named = findings.iter().any(|f| f.file.contains(name));
            assert!(named, "byte {at} of {name}: {findings:?}");
            assert!(findings.iter().all(|f| !f.rule.is_empty()));
        }
        fs::write(path, &good).unwrap();
    }
    assert_eq!(planted.findings(Depth::Full), []);
}

#[test]
fn truncated_and_missing_files_are_named_by_the_quick_look() {
    let planted = Planted::new();
    let files = planted.immutable_files();
    for path in &files {
        let good = fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_named = || {
            let findings = planted.findings(Depth::Quick);
            findings.iter().any(|f| f.file.contains(name))
        };
        fs::write(path, &good[..good.len() / 2]).unwrap();
        assert!(is_named(), "{name} cut");
        fs::remove_file(path).unwrap();
        assert!(is_named(), "{name} removed");
        fs::write(path, &good).unwrap();
    }
}

#[test]
fn a_flipped_bit_of_a_commit_in_the_journal_is_named() {
    let planted = Planted::new();
    planted.spoil_in_journal(b"in the journal");
    let findings = planted.findings(Depth::Quick);
    assert!(
        findings.iter().any(|f| f.file == "journal/db"),
        "{findings:?}"
    );
}

#[test]
fn a_snapshot_of_sleds_that_is_damaged_is_named_and_nothing_needs_it() {
    let planted = Planted::new();
    let journal = planted.environment_folder().join("journal");
    let names = fs::read_dir(&journal).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let snapshot = names.find(|name| name.starts_with("snap.")).unwrap();
    let mut bytes = fs::read(journal.join(&snapshot)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(journal.join(&snapshot), bytes).unwrap();
    let findings = planted.findings(Depth::Quick);
    let files: Vec<_> = findings.iter().map(|f| f.file.clone()).collect();
    assert_eq!(files, [format!("journal/{snapshot}")]);
    drop(planted.open());
    assert_eq!(planted.findings(Depth::Full), []);
}

#[test]
fn a_missing_journal_is_named() {
    let planted = Planted::new();
    fs::remove_file(planted.environment_folder().join("journal/db")).unwrap();
    let findings = planted.findings(Depth::Quick);
    assert!(findings.iter().any(|f| f.file == "journal/db"));
}

#[test]
fn a_lake_file_that_was_edited_or_removed_is_named() {
    let planted = Planted::new();
    for path in planted.lake_files() {
        let good = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_named = |depth| {
            let findings = planted.findings(depth);
            findings
                .iter()
                .any(|f| f.file.contains(name) && f.file.starts_with("link lake"))
        };
        // The same length, so that only the content tells. A hard link must not be written through.
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        if let Some(byte) = bad.get_mut(middle) {
            *byte ^= 1;
            fs::remove_file(&path).unwrap();
            fs::write(&path, &bad).unwrap();
            assert!(is_named(Depth::Full), "{name} edited");
        }
        fs::remove_file(&path).unwrap();
        assert!(is_named(Depth::Full), "{name} removed");
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_damaged_block_is_never_served_and_the_other_blocks_are() {
    let planted = Planted::new();
    let pack = planted.packs().remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    let at = bytes
        .windows(36)
        .position(|text| text == id(3).as_bytes())
        .unwrap();
    bytes[at + 40] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let findings = planted.findings(Depth::Full);
    assert!(
        findings
            .iter()
            .any(|f| f.needed_by.iter().any(|n| n.contains("table task"))),
        "{findings:?}"
    );
    let environment: Environment = planted.open();
    let get = |number| environment.get("task", id(number).parse().unwrap());
    assert_eq!(get(3).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(get(planted::ROWS - 2).unwrap().is_some());
    assert!(get(planted::ROWS + 1).unwrap().is_some(), "in a segment");
}

#[test]
fn a_folder_that_another_has_open_is_not_looked_at_from_outside() {
    let planted = Planted::new();
    let environment = planted.open();
    let folder = planted.environment_folder();
    let refused = verify_folder(&folder, Depth::Quick, &planted.lakes()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let refused = dump_folder(&folder, &DumpPart::Journal, &mut |_| Ok(())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    // Whoever has it open looks itself, and goes on writing.
    let found = environment.verify(Depth::Quick, &planted.lakes()).unwrap();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    put(&environment, 20_000..20_001, "after");
}
