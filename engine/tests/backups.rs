//! Backups are made while others write, and come back as the environment was at one version, or not
//! at all.
#![allow(clippy::unwrap_used)]

#[path = "support/planted.rs"]
mod planted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use lakestage_engine::{
    Activity, Depth, Environment, ErrorKind, Lake, NewConsumer, Result, Value, Write, restore,
    verify_folder,
};
use planted::{Planted, ROWS, id, put};

/// The rows of a table by id: the cell of the subject.
type Model = BTreeMap<u32, String>;

fn no_lake(_: &str, _: &str) -> Result<Box<dyn Lake>> {
    let folder = tempfile::tempdir().unwrap();
    Ok(Box::new(lakestage_engine::FolderLake::new(
        folder.path(),
        "none",
    )))
}

/// Writes pairs of rows until told to stop; notes the version of each commit.
fn write_on(
    environment: &Environment,
    first: u32,
    stop: &AtomicBool,
    log: &Mutex<Vec<(u64, u32, String)>>,
) {
    let schema = environment.schema("task").unwrap();
    let subject = schema.require("subject").unwrap();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let number = first + (round * 7) % 40;
        let text = format!("round {round}");
        let (one, other) = (id(number), id(number + 50));
        let mut transaction = environment.transaction();
        for id in [&one, &other] {
            let row = [
                (schema.primary_key(), Value::Text(id)),
                (subject, Value::Text(&text)),
            ];
            transaction.write(Write::Upsert, "task", &row).unwrap();
        }
        let receipt = transaction.commit().unwrap();
        log.lock()
            .unwrap()
            .push((receipt.last_version, number, text));
        if round.is_multiple_of(40) {
            environment.compact().unwrap();
        }
    }
}

#[test]
fn a_backup_made_while_others_write_is_the_environment_at_one_version() {
    let planted = Planted::new();
    let environment = planted.open();
    let (stop, log) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let backups: Vec<(PathBuf, u64)> = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (environment, stop, log) = (&environment, &stop, &log);
            scope.spawn(move || write_on(environment, 100_000 + writer * 1_000, stop, log));
        }
        let backups = (0..6)
            .map(|number| {
                std::thread::sleep(std::time::Duration::from_millis(120));
                let path = planted.folder.path().join(format!("backup-{number}"));
                let report = environment.backup(&path, number % 2 == 0).unwrap();
                assert_eq!(report.environment, "contoso");
                (path, report.version)
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        backups
    });
    let log = log.into_inner().unwrap();
    assert!(log.len() > 50, "{} commits", log.len());
    let mut last = 0;
    for (number, (backup, version)) in backups.iter().enumerate() {
        assert!(*version >= last);
        last = *version;
        let mut model: Model = Model::new();
        let mut commits: Vec<_> = log.iter().filter(|(v, _, _)| v <= version).collect();
        commits.sort();
        for (_, number, text) in commits {
            model.insert(*number, text.clone());
            model.insert(number + 50, text.clone());
        }
        let folder = planted.folder.path().join(format!("restored-{number}"));
        let restored = Environment::restore(backup, &folder).unwrap();
        assert_eq!(restored.last_version(), *version);
        for writer in 0..3 {
            for number in (0..100).map(|n| 100_000 + writer * 1_000 + n) {
                let row = restored.get("task", id(number).parse().unwrap()).unwrap();
                let found = row.and_then(|row| row.cell("subject").map(str::to_owned));
                let expected = model.get(&number).map(|text| format!("\"{text}\""));
                assert_eq!(found, expected, "row {number} at version {version}");
            }
        }
        assert!(
            restored
                .get("task", id(ROWS - 1).parse().unwrap())
                .unwrap()
                .is_some()
        );
        // It goes on from there.
        put(&restored, 900_000..900_001, "after");
        assert_eq!(restored.last_version(), version + 1);
        drop(restored);
        let report = verify_folder(&folder, Depth::Full, &no_lake).unwrap();
        let own = report
            .findings
            .iter()
            .filter(|f| !f.file.starts_with("link"));
        assert_eq!(own.count(), 0, "{:?}", report.findings);
    }
}

#[test]
fn what_belongs_to_an_environment_comes_back_with_it() {
    let planted = Planted::new();
    let environment = planted.open();
    let consumer = NewConsumer {
        name: "warehouse".into(),
        table: "task".into(),
        start: None,
        expires_after_s: 3_600,
    };
    environment.create_consumer(&consumer).unwrap();
    let token = environment.change_token();
    let path = planted.folder.path().join("backup");
    environment.backup(&path, false).unwrap();
    let restored = Environment::restore(&path, &planted.folder.path().join("restored")).unwrap();
    assert_eq!(restored.settings(), environment.settings());
    assert_eq!(restored.table_names(), environment.table_names());
    assert_eq!(restored.consumers()[0].name, "warehouse");
    // Both may go on from here, so only one of them publishes, and tokens are not mixed up.
    assert_eq!(restored.links()[0].activity, Activity::Paused);
    assert!(restored.changes("task", Some(&token)).is_err());
    drop(environment);
    restored.resume_link("lake").unwrap();
    planted.clock.advance_s(1);
    restored.snapshot("lake", &planted.lake()).unwrap();
    let report = restored.verify(Depth::Full, &planted.lakes()).unwrap();
    assert_eq!(report.findings, []);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn a_damaged_or_unfinished_backup_is_refused_before_anything_is_written() {
    let planted = Planted::new();
    let environment = planted.open();
    let (file, folder) = (
        planted.folder.path().join("file"),
        planted.folder.path().join("folder"),
    );
    environment.backup(&file, false).unwrap();
    environment.backup(&folder, true).unwrap();
    let to = planted.folder.path().join("restored");
    let refused = |from: &Path, what: &str| {
        let error = restore(from, &to).unwrap_err();
        let kind = error.kind();
        assert!(
            matches!(kind, ErrorKind::Corrupt | ErrorKind::Io),
            "{what}: {error}"
        );
        assert!(!to.exists(), "{what}");
    };
    let good = fs::read(&file).unwrap();
    for step in 0..60 {
        let at = match step {
            0 => 0,
            1 => good.len() - 1,
            2 => good.len() - 12,
            _ => step * 104_729 % good.len(),
        };
        let mut bad = good.clone();
        bad[at] ^= 1 << (step % 8);
        fs::write(&file, &bad).unwrap();
        refused(&file, &format!("byte {at}"));
    }
    for length in [0, 7, good.len() / 2, good.len() - 1] {
        fs::write(&file, &good[..length]).unwrap();
        refused(&file, &format!("cut to {length}"));
    }
    fs::write(&file, &good).unwrap();
    for path in files(&folder) {
        let good = fs::read(&path).unwrap();
        // Never through a hard link: the environment has the same file.
        fs::remove_file(&path).unwrap();
        refused(&folder, &format!("{} is gone", path.display()));
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        refused(&folder, &format!("{} has another bit", path.display()));
        fs::write(&path, &good).unwrap();
    }
    restore(&folder, &to).unwrap();
    let again = restore(&file, &to).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    let again = environment.backup(&file, false).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
}
