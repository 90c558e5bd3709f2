//! `kill -9` and power cuts at random moments while rows are taken in and snapshots are published.
//!
//! Every commit holds some new rows and one row that says which commit it was. After each crash the lake must hold all
//! that was acknowledged, nothing twice, commits whole or not at all, and a `model.json` that names only whole files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../engine/tests/support/disk.rs"]
mod disk;
mod formats;
mod lake;
mod power_cuts;
mod publishing;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lake::{Row, check_whole, rows};
use crate::support::{Server, run};

const ROUNDS: u64 = 50;
const ROWS_A_COMMIT: u64 = 20;
const COMMITS_A_ROUND: u64 = 2_000;
const KILLED_WITHIN_MS: u64 = 500;
const COUNTER_ID: &str = "00000000-0000-4000-8000-000000000000";

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "batch", "type": "integer"},
    {"name": "subject", "type": "string", "maxLength": 200},
    {"name": "versionnumber", "type": "bigint"}]}"#;

struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Random(now.as_nanos() as u64 | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn id(batch: u64, place: u64) -> String {
    format!("{batch:08x}-0000-4000-8000-{place:012x}")
}

/// The lines of one commit.
fn commit_lines(batch: u64) -> String {
    let mut lines = String::new();
    for place in 1..ROWS_A_COMMIT {
        let (id, year) = (id(batch, place), 2020 + (batch + place) % 5);
        lines.push_str(&format!(
            "{{\"@op\":\"create\",\"taskid\":\"{id}\",\"createdon\":\"{year}-05-05T00:00:00Z\",\"batch\":{batch},\"subject\":\"a \\\"b\\\",\\nc\"}}\n"
        ));
    }
    lines.push_str(&format!(
        "{{\"@op\":\"upsert\",\"taskid\":\"{COUNTER_ID}\",\"batch\":{batch},\"subject\":\"counter\"}}\n"
    ));
    lines
}

fn set_up(data: &Path) {
    let schema = data.join("task.json");
    fs::create_dir_all(data).unwrap();
    fs::write(&schema, TASK).unwrap();
    run(data, &["init", "crash", "--organization", "org1"]);
    run(data, &["table", "add", schema.to_str().unwrap()]);
    run(data, &["link", "new", "--all", "--format", "both"]);
}

/// Takes rows in and publishes until the server is killed. Gives the last batch that was acknowledged.
fn crash(data: &Path, first_batch: u64, after: Duration) -> Option<u64> {
    let server = Server::start(data);
    write_until(server, data, first_batch, |server| {
        thread::sleep(after);
        server.kill();
    })
}

/// Takes rows in and publishes until the server has met its end. Gives the last batch that was acknowledged.
fn write_until(
    server: Server,
    data: &Path,
    first_batch: u64,
    end: impl FnOnce(Server),
) -> Option<u64> {
    let mut ingest = server.ingest("task", ROWS_A_COMMIT);
    let mut input = ingest.stdin.take().unwrap();
    let feeding = thread::spawn(move || {
        for batch in first_batch..first_batch + COMMITS_A_ROUND {
            // The reader goes when the server does.
            if input.write_all(commit_lines(batch).as_bytes()).is_err() {
                return;
            }
        }
    });
    let folder = data.to_owned();
    // Without a server the command works on the folder itself, so it must be told when to end.
    let over = Arc::new(AtomicBool::new(false));
    let ends = over.clone();
    let publishing = thread::spawn(move || {
        while !ends.load(Ordering::SeqCst) && support::try_run(&folder, &["snapshot"]) {}
    });
    end(server);
    over.store(true, Ordering::SeqCst);
    let acknowledged = support::acknowledged_rows(ingest);
    feeding.join().unwrap();
    publishing.join().unwrap();
    assert_eq!(acknowledged % ROWS_A_COMMIT, 0);
    (acknowledged > 0).then(|| first_batch + acknowledged / ROWS_A_COMMIT - 1)
}

/// Checks the rows of the lake, and gives the last batch that is in it.
fn check_rows(rows: &[Row], acknowledged: &BTreeSet<u64>) -> Option<u64> {
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "a row is there twice");
    let counter = rows
        .iter()
        .find(|row| row.id == COUNTER_ID)
        .map(|row| row.batch);
    let batches: BTreeSet<u64> = rows.iter().map(|row| row.batch).collect();
    for batch in &batches {
        for place in 1..ROWS_A_COMMIT {
            assert!(
                ids.contains(id(*batch, place).as_str()),
                "batch {batch} is not whole"
            );
        }
    }
    for batch in acknowledged {
        assert!(
            batches.contains(batch),
            "batch {batch} was acknowledged and is gone"
        );
    }
    assert_eq!(
        counter,
        batches.last().copied(),
        "the counter is not that of the last commit"
    );
    counter
}

#[test]
fn fifty_crashes_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    set_up(&data);
    let mut acknowledged = BTreeSet::new();
    let mut next_batch = 1;
    let mut random = Random::new();
    for round in 0..ROUNDS {
        let after = Duration::from_millis(random.below(KILLED_WITHIN_MS));
        let last = crash(&data, next_batch, after);
        acknowledged.extend(next_batch..=last.unwrap_or(next_batch - 1));
        // Before anything is mended: what model.json names is whole as the crash left it.
        check_whole(&data);
        run(&data, &["snapshot"]);
        let found = check_rows(&rows(&data), &acknowledged);
        println!(
            "round {round}: killed after {after:?}, acknowledged to {last:?}, found {found:?}"
        );
        next_batch = found.unwrap_or(0).max(next_batch - 1) + 1;
    }
    assert!(
        acknowledged.len() as u64 > ROUNDS,
        "the rounds were too short to prove anything"
    );
}
