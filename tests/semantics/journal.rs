//! What a commit promises. Power cuts are cut on a journal whose disk keeps what is durable apart; kill -9 of the real
//! one is in `tests/durability`.

use std::sync::Arc;

use lakestage_engine::{
    Environment, ErrorKind, ManualClock, MemoryJournal, Receipt, Result, TableOptions, TableSchema,
    Value, Write,
};
use tempfile::TempDir;

use crate::world::{START_UNIX_S, TASK, World, id, settings};

/// An environment on a disk whose power can be cut.
struct Fragile {
    folder: TempDir,
    journal: MemoryJournal,
}

impl Fragile {
    fn new() -> Self {
        Fragile {
            folder: tempfile::tempdir().unwrap(),
            journal: MemoryJournal::default(),
        }
    }

    fn open(&self) -> Environment {
        let clock = Arc::new(ManualClock::at_unix_s(START_UNIX_S));
        let journal = Arc::new(self.journal.clone());
        Environment::open_on(self.folder.path(), settings(), clock, journal).unwrap()
    }
}

fn tasks(environment: &Environment, numbers: std::ops::Range<u32>) -> Result<Receipt> {
    let schema = environment.schema("task")?;
    let mut transaction = environment.transaction();
    for number in numbers {
        let id = id(number);
        transaction.write(
            Write::Create,
            "task",
            &[(schema.primary_key(), Value::Text(&id))],
        )?;
    }
    transaction.commit()
}

fn there(environment: &Environment, number: u32) -> bool {
    let row = environment.get("task", id(number).parse().unwrap());
    row.unwrap().is_some()
}

#[test]
fn a_power_cut_takes_nothing_acknowledged_and_no_commit_by_half() {
    for syncs in 0..12 {
        let fragile = Fragile::new();
        let environment = fragile.open();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        fragile.journal.fail_after(syncs);
        let mut acknowledged = 0;
        while acknowledged < 10
            && tasks(&environment, acknowledged * 5..acknowledged * 5 + 5).is_ok()
        {
            acknowledged += 1;
        }
        drop(environment);
        fragile.journal.cut_power();
        let environment = fragile.open();
        for commit in 0..11 {
            let rows: Vec<bool> = (commit * 5..commit * 5 + 5)
                .map(|n| there(&environment, n))
                .collect();
            assert!(
                commit >= acknowledged || rows.iter().all(|there| *there),
                "commit {commit} of {acknowledged}"
            );
            assert!(
                rows.iter().all(|there| *there == rows[0]),
                "commit {commit} is there by half"
            );
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written_until_it_is_reopened() {
    let fragile = Fragile::new();
    let environment = fragile.open();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    let first = tasks(&environment, 0..1).unwrap();
    fragile.journal.fail_after(0);
    assert_eq!(
        tasks(&environment, 1..2).unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    let again = tasks(&environment, 2..3).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Poisoned);
    assert!(again.to_string().contains("reopened"), "{again}");
    // What is there can be read meanwhile.
    assert!(there(&environment, 0));
    drop(environment);
    fragile.journal.cut_power();
    let environment = fragile.open();
    let next = tasks(&environment, 5..6).unwrap();
    assert!(next.first_version > first.last_version);
}

#[test]
fn versions_are_not_used_again_after_reopening() {
    let world = World::new();
    let before = world.task(1, 2021, "one");
    let World {
        folder,
        clock,
        environment,
    } = world;
    drop(environment);
    let environment =
        Environment::open_with(&folder.path().join("environment"), clock.clone()).unwrap();
    let world = World {
        folder,
        clock,
        environment,
    };
    assert!(world.task(2, 2021, "two").first_version > before.last_version);
}

#[test]
fn a_folder_is_open_once() {
    let world = World::new();
    let path = world.folder.path().join("environment");
    let error = match Environment::open(&path) {
        Ok(_) => panic!("it was opened twice"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("environment"), "{error}");
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let world = World::new();
    std::thread::scope(|scope| {
        for writer in 0..8_u32 {
            let environment = &world.environment;
            scope.spawn(move || {
                for number in 0..25 {
                    tasks(
                        environment,
                        writer * 100 + number..writer * 100 + number + 1,
                    )
                    .unwrap();
                }
            });
        }
    });
    for writer in 0..8 {
        for number in 0..25 {
            assert!(there(&world.environment, writer * 100 + number));
        }
    }
}
