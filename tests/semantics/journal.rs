//! What a commit promises. Power cuts are cut on a journal whose disk keeps what is durable apart; kill -9 of the real
//! one is in `tests/durability`.

use std::sync::Arc;

use std::time::Duration;

use lakestage_engine::{
    BackPressure, CommitTicket, Durability, Environment, ErrorKind, ManualClock, MemoryJournal,
    OpenOptions, Receipt, Result, TableOptions, TableSchema, Value, Write,
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
        self.open_with(OpenOptions::default())
    }

    fn open_with(&self, options: OpenOptions) -> Environment {
        let options = OpenOptions {
            clock: Arc::new(ManualClock::at_unix_s(START_UNIX_S)),
            ..options
        };
        let journal = Arc::new(self.journal.clone());
        Environment::open_on(self.folder.path(), settings(), options, journal).unwrap()
    }

    /// Opens it for the first time, with a table.
    fn start(&self) -> Environment {
        let environment = self.open();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        environment
    }
}

fn send(environment: &Environment, number: u32, pressure: BackPressure) -> Result<CommitTicket> {
    let schema = environment.schema("task")?;
    let mut transaction = environment.transaction();
    transaction.set_back_pressure(pressure);
    let (id, subject) = (id(number), schema.require("subject")?);
    let row = [
        (schema.primary_key(), Value::Text(&id)),
        (subject, Value::Text("sent")),
    ];
    transaction.write(Write::Upsert, "task", &row)?;
    transaction.commit_later()
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
        let environment = fragile.start();
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
    let environment = fragile.start();
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

#[test]
fn many_commits_of_one_producer_are_in_flight_and_become_durable_in_order() {
    let fragile = Fragile::new();
    let environment = fragile.start();
    let wait = BackPressure::Wait { timeout_ms: 10_000 };
    fragile.journal.stall();
    let tickets: Vec<_> = (0..500)
        .map(|number| send(&environment, number, wait).unwrap())
        .collect();
    assert!(tickets.iter().all(|ticket| ticket.try_wait().is_none()));
    assert!(
        !there(&environment, 0),
        "a commit was read before it was durable"
    );
    fragile.journal.resume();
    let versions: Vec<u64> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap().first_version)
        .collect();
    let first = versions[0];
    assert_eq!(versions, (first..first + 500).collect::<Vec<_>>());
    drop(environment);
    fragile.journal.cut_power();
    let environment = fragile.open();
    assert!((0..500).all(|number| there(&environment, number)));
}

#[test]
fn a_commit_in_flight_holds_its_rows_and_the_next_change_reads_what_it_became() {
    let fragile = Fragile::new();
    let environment = fragile.start();
    fragile.journal.stall();
    // Nobody keeps the ticket, and the rows are released all the same.
    drop(send(&environment, 1, BackPressure::Reject).unwrap());
    let journal = fragile.journal.clone();
    let resume = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        journal.resume();
    });
    let schema = environment.schema("task").unwrap();
    let (id, notes) = (id(1), schema.require("notes").unwrap());
    let row = [
        (schema.primary_key(), Value::Text(&id)),
        (notes, Value::Text("after")),
    ];
    let mut transaction = environment.transaction();
    // An update finds the row only if it waited for the commit before it.
    transaction.write(Write::Update, "task", &row).unwrap();
    transaction.commit().unwrap();
    resume.join().unwrap();
    let row = environment
        .get("task", id.parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(row.cell("subject"), Some("\"sent\""));
    assert_eq!(row.cell("notes"), Some("\"after\""));
}

#[test]
fn a_full_queue_refuses_a_commit_at_once_or_after_a_wait_as_the_caller_chose() {
    let fragile = Fragile::new();
    let environment = fragile.start();
    fragile.journal.stall();
    let mut tickets = Vec::new();
    let refused = loop {
        match send(&environment, tickets.len() as u32, BackPressure::Reject) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() < 5_000, "the queue has no bound");
    };
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.to_string().contains("send it again"), "{refused}");
    let wait = BackPressure::Wait { timeout_ms: 50 };
    let late = send(&environment, 900_000, wait).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Busy);
    fragile.journal.resume();
    let sent = tickets.len() as u32;
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert!(there(&environment, sent - 1));
    assert!(!there(&environment, sent) && !there(&environment, 900_000));
    send(&environment, 900_000, wait).unwrap().wait().unwrap();
}

#[test]
fn a_weaker_durability_loses_the_last_commits_on_a_power_cut_and_nothing_else() {
    let fragile = Fragile::new();
    drop(fragile.start());
    let weaker = || OpenOptions {
        durability: Durability::LostOnPowerCut,
        ..OpenOptions::default()
    };
    let environment = fragile.open_with(weaker());
    tasks(&environment, 0..5).unwrap();
    drop(environment);
    // Without a power cut everything is there, and once something synced it stays.
    let environment = fragile.open();
    assert!(there(&environment, 4));
    tasks(&environment, 5..6).unwrap();
    drop(environment);
    let environment = fragile.open_with(weaker());
    tasks(&environment, 6..9).unwrap();
    let given_out = environment.last_version();
    // The process does not come to its end either.
    fragile.journal.fail_after(0);
    drop(environment);
    fragile.journal.cut_power();
    let environment = fragile.open();
    assert!((0..6).all(|number| there(&environment, number)));
    assert!((6..9).all(|number| !there(&environment, number)));
    assert!(environment.last_version() >= given_out);
    let before = environment.changes("task", None).unwrap().token();
    tasks(&environment, 9..10).unwrap();
    let last = environment.last_version();
    assert!(last > given_out);
    environment.compact().unwrap();
    drop(environment);
    // What was left out is no loss, in blocks or before.
    let environment = fragile.open_with(weaker());
    tasks(&environment, 10..12).unwrap();
    let mut changes = environment.changes("task", Some(&before)).unwrap();
    let mut versions = Vec::new();
    while let Some(batch) = changes.next().unwrap() {
        versions.extend(batch.rows().map(|change| change.unwrap().version));
    }
    assert_eq!(versions[versions.len() - 3..], [last, last + 1, last + 2]);
    drop((changes, environment));
    // Whoever closes gives back what was reserved.
    assert_eq!(fragile.open().last_version(), last + 2);
}
