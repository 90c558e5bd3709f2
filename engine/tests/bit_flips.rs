//! A flipped bit at a random place of a random file: it is named, and what is read is what was written
//! or an error, never something else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/planted.rs"]
mod planted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lakestage_engine::{
    Depth, DumpPart, Environment, Error, ErrorKind, Result, dump_folder, verify_folder,
};
use planted::{Planted, ROWS, SEALED_ROWS, TAIL_ROWS, id, put};

/// Every so manieth row of those in blocks and segments is read; those in the journal all are.
const STEP: usize = 37;

/// What an environment answers: rows and changes, each as text.
#[derive(PartialEq, Eq)]
struct Answers(BTreeMap<String, String>);

fn text<T>(answer: Result<T>, shown: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => shown(answer),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            format!("refused: {error}")
        }
    }
}

fn is_refused(answer: &str) -> bool {
    answer.starts_with("refused: ")
}

impl Answers {
    fn of(environment: &Environment) -> Self {
        let mut answers = BTreeMap::new();
        let stored = ROWS + SEALED_ROWS;
        let numbers = (0..stored).step_by(STEP);
        for number in numbers.chain(stored..stored + TAIL_ROWS) {
            let row = environment.get("task", id(number).parse().unwrap());
            let shown = |row: Option<lakestage_engine::CurrentRow>| match row {
                Some(row) => row
                    .cells()
                    .map(|(_, cell)| cell.to_owned() + "\t")
                    .collect(),
                None => "no row".to_owned(),
            };
            answers.insert(format!("row {number}"), text(row, shown));
        }
        let last = environment.last_version().to_string();
        answers.insert("last version".into(), last);
        answers.insert("changes".into(), text(changes(environment), |c| c));
        Answers(answers)
    }
}

fn changes(environment: &Environment) -> Result<String> {
    let mut changes = environment.changes("task", None)?;
    let mut text = String::new();
    while let Some(batch) = changes.next()? {
        for change in batch.rows() {
            let change = change?;
            text.push_str(&format!("{} {};", change.version, change.id));
        }
    }
    Ok(text)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false if entry.file_name() == "ballast" => {}
            false => fs::copy(entry.path(), to).map(drop).unwrap(),
        }
    }
}

fn copy_of(planted: &Planted) -> Planted {
    let folder = tempfile::tempdir().unwrap();
    copy(planted.folder.path(), folder.path());
    Planted {
        folder,
        clock: planted.clock.clone(),
    }
}

/// The files by kind, each as its path within the planted folder. The lock holds nothing.
fn kinds(planted: &Planted) -> BTreeMap<&'static str, Vec<PathBuf>> {
    let mut kinds: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
    let files = planted.contents().into_keys().chain(planted.lake_files());
    for path in files {
        let inside = path.strip_prefix(planted.folder.path()).unwrap();
        let shown = inside.to_string_lossy().into_owned();
        let kind = match shown.as_str() {
            shown if shown.starts_with("lake/") => "a published file",
            shown if shown.contains("/packs/") => "a pack",
            shown if shown.contains("/segments/") => "a segment",
            shown if shown.contains("/catalog/") => "the catalog",
            shown if shown.ends_with("journal/db") => "the journal",
            shown if shown.contains("journal/snap.") => "sled's snapshot",
            shown if shown.ends_with("journal/conf") => "sled's settings",
            shown if shown.ends_with("journal/acknowledged") => "the mark",
            shown if shown.contains("journal/bulk-") => "a file of large batches",
            shown if shown.contains("journal/strip-") => "the strip",
            _ => continue,
        };
        if fs::metadata(&path).unwrap().len() > 0 {
            kinds.entry(kind).or_default().push(inside.to_owned());
        }
    }
    kinds
}

/// Flips a bit, and gives whether it mattered.
fn flip(whole: &Planted, good: &Answers, kind: &str, path: &Path, bit: u64) -> bool {
    let planted = copy_of(whole);
    let file = planted.folder.path().join(path);
    let mut bytes = fs::read(&file).unwrap();
    // Much of sled's file is empty.
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let at = used[(bit / 8) as usize % used.len()];
    bytes[at] ^= 1 << (bit % 8);
    fs::remove_file(&file).unwrap();
    fs::write(&file, &bytes).unwrap();
    let place = format!("byte {at}, bit {} of {}", bit % 8, path.display());
    let findings = planted.findings(Depth::Full);
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_named = findings.iter().any(|f| f.file.contains(name));
    if matches!(
        kind,
        "a published file"
            | "a pack"
            | "a segment"
            | "the catalog"
            | "the mark"
            | "sled's snapshot"
    ) {
        assert!(is_named, "{place} was not named: {findings:?}");
    }
    let opened = Environment::open_with(&planted.environment_folder(), planted.clock.clone());
    let environment = match opened {
        Ok(environment) => environment,
        Err(error) => {
            let is_corrupt = matches!(error, Error::Corrupt { .. });
            assert!(is_corrupt || kind == "sled's settings", "{place}: {error}");
            assert!(!findings.is_empty(), "{place} keeps it from opening");
            return true;
        }
    };
    let answers = Answers::of(&environment);
    let mut differs = false;
    for (question, answer) in &good.0 {
        let now = &answers.0[question];
        assert!(now == answer || is_refused(now), "{place}: {question}");
        differs |= now != answer;
    }
    assert!(!differs || is_named, "{place} was not named: {findings:?}");
    differs || is_named
}

fn flip_many(flips: usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let given = std::env::var("LAKESTAGE_SEED").ok();
    let mut random = given.map_or(now.as_nanos() as u64 | 1, |seed| seed.parse().unwrap());
    println!("LAKESTAGE_SEED={random}");
    let whole = Planted::new();
    // So much at once goes past sled.
    put(&whole.open(), 5_000..5_100, "past sled");
    let good = Answers::of(&whole.open());
    assert!(!good.0.values().any(|answer| is_refused(answer)));
    let kinds = kinds(&whole);
    assert!(kinds.len() >= 7, "{:?}", kinds.keys());
    let mut mattered: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for number in 0..flips {
        let (kind, files) = kinds.iter().nth(number % kinds.len()).unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let path = &files[random as usize % files.len()];
        let matters = flip(&whole, &good, kind, path, random >> 8);
        let count = mattered.entry(*kind).or_default();
        count.0 += 1;
        count.1 += usize::from(matters);
    }
    println!("flips by kind, and those that were not in unused bytes: {mattered:?}");
}

#[test]
fn a_flipped_bit_anywhere_is_named_and_never_served() {
    flip_many(64);
}

#[test]
#[ignore = "a thousand flipped bits take minutes"]
fn a_thousand_flipped_bits_are_named_and_never_served() {
    flip_many(1_000);
}

/// sled takes damage at its end for a write that was broken off; whoever opens it is told the difference.
#[test]
fn damage_of_the_last_commit_keeps_the_environment_from_opening_until_it_is_salvaged() {
    let planted = Planted::new();
    planted.spoil_in_journal(b"changed since");
    let findings = planted.findings(Depth::Quick);
    let told = |f: &lakestage_engine::Finding| f.rule.contains("were acknowledged");
    assert!(findings.iter().any(told), "{findings:?}");
    let open = || Environment::open_with(&planted.environment_folder(), planted.clock.clone());
    for _ in 0..2 {
        let error = open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("salvage"), "{error}");
    }
    let to = planted.folder.path().join("salvaged");
    let report = lakestage_engine::salvage(&planted.environment_folder(), &to).unwrap();
    assert!(report.journal_is_damaged);
    let environment = Environment::open_with(&to, planted.clock.clone()).unwrap();
    let row = environment.get("task", id(5).parse().unwrap()).unwrap();
    assert!(row.is_some());
}

/// What a power cut leaves that came in the middle of a write: frames, and nobody who says that they were
/// acknowledged.
#[test]
fn a_commit_that_was_broken_off_is_dropped_and_told_and_is_no_damage() {
    let planted = Planted::new();
    let mark = fs::read(planted.environment_folder().join("journal/acknowledged")).unwrap();
    let environment = planted.open();
    let last = environment.last_version();
    planted::put(&environment, 1..2, "broken off");
    // As a process leaves it that does not come to its end.
    let planted = copy_of(&planted);
    drop(environment);
    let mark_path = planted.environment_folder().join("journal/acknowledged");
    planted.spoil_in_journal(b"broken off");
    fs::write(&mark_path, &mark).unwrap();
    // The copy has a lake that was written anew.
    let findings = planted.findings(Depth::Full).into_iter();
    let findings: Vec<_> = findings.filter(|f| !f.file.starts_with("link")).collect();
    assert_eq!(findings, []);
    let lakes = planted.lakes();
    let report = verify_folder(&planted.environment_folder(), Depth::Quick, &lakes).unwrap();
    assert_eq!(report.unfinished_version, Some(last + 1));
    let mut told = Vec::new();
    let out = &mut |item: serde_json::Value| {
        told.extend(item["brokenOff"].as_u64());
        Ok(())
    };
    dump_folder(&planted.environment_folder(), &DumpPart::Journal, out).unwrap();
    assert_eq!(told, [last + 1]);
    let environment = planted.open();
    let status = environment.status().unwrap();
    assert_eq!(status.unfinished_version, Some(last + 1));
    assert_eq!(status.last_version, last);
    let row = environment.get("task", id(1).parse().unwrap()).unwrap();
    assert!(row.unwrap().cell("subject").unwrap().contains("in a block"));
    planted::put(&environment, 2..3, "the next");
    drop(environment);
    assert_eq!(planted.open().status().unwrap().unfinished_version, None);
}
