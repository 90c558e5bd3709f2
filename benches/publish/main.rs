//! Publishing into the emulator's lake and to an account: what a second snapshot costs after a small change, in bytes and
//! beside copying the files.
#![allow(clippy::unwrap_used, missing_docs)]

mod account;
mod azcopy;

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use account::Account;
use clap::Parser;
use lakestage::EmulatorLake;
use lakestage::emulator::{DEFAULT_ACCOUNT_NAME, Store, StoreOptions};
use lakestage::engine::{
    Environment, EnvironmentSettings, Lake, LinkTableOptions, NewLink, TableOptions, TableSchema,
    Value, Write,
};
use lakestage_benches::{Dice, Goal, median, quotient, ratio_line};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const ROWS_PER_COMMIT: usize = 10_000;

/// Publishing into the emulator's lake beside copying the files.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of about 400 bytes
    #[arg(long, default_value_t = 200_000)]
    rows: usize,
    /// Rows that change between two snapshots
    #[arg(long, default_value_t = 20)]
    changes: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn write(environment: &Environment, ids: &[&String], notes: &str) {
    let schema = environment.schema("task").unwrap();
    let columns = ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap());
    for ids in ids.chunks(ROWS_PER_COMMIT) {
        let mut transaction = environment.transaction();
        for id in ids {
            let values = [
                Value::Text(id),
                Value::Text("2024-05-06T07:08:09Z"),
                Value::Text(notes),
            ];
            let values: Vec<_> = columns.into_iter().zip(values).collect();
            transaction.write(Write::Upsert, "task", &values).unwrap();
        }
        transaction.commit().unwrap();
    }
}

/// Bytes that a folder takes on the disk; a file with several names counts once.
fn bytes_on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => drop(seen.insert(metadata.ino(), metadata.blocks() * 512)),
            }
        }
    }
    seen.values().sum()
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = EnvironmentSettings::new("bench", "org1");
    let environment = Environment::create(&folder.path().join("environment"), settings).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    let store = StoreOptions {
        folder: Some(folder.path().join("store")),
        ..StoreOptions::default()
    };
    let store = Store::open(store).unwrap();
    let lake = EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, &environment.filesystem_name());
    let tables = vec![LinkTableOptions::of("task")];
    let endpoint = "https://bench.dfs.core.windows.net:443";
    let link = NewLink::new("lake", "emulator", endpoint, tables);
    environment.create_link(&lake, &link).unwrap();
    let mut dice = Dice::new(5);
    let ids: Vec<String> = (0..args.rows).map(|_| dice.id()).collect();
    write(
        &environment,
        &ids.iter().collect::<Vec<_>>(),
        &"n".repeat(330),
    );
    environment.compact().unwrap();

    let before = bytes_on_disk(folder.path());
    let start = Instant::now();
    let report = environment.snapshot("lake", &lake).unwrap();
    let first = start.elapsed();
    let grown = bytes_on_disk(folder.path()) - before;
    println!(
        "first snapshot: {} MB visible after {first:.2?}; the disk holds {:.1} MB more",
        report.bytes / 1_000_000,
        grown as f64 / 1e6
    );
    let mut account = Account::first(&environment, folder.path());
    let copy = folder.path().join("copy.csv");
    let content = lake.read("task/2024.csv").unwrap().unwrap();
    let (mut seconds, mut copies, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let changed: Vec<&String> = (0..args.changes)
            .map(|_| &ids[(dice.roll() % args.rows as u64) as usize])
            .collect();
        write(&environment, &changed, "changed");
        environment.compact().unwrap();
        let before = bytes_on_disk(folder.path());
        let start = Instant::now();
        environment.snapshot("lake", &lake).unwrap();
        seconds.push(start.elapsed());
        bytes.push(bytes_on_disk(folder.path()).saturating_sub(before));
        account.second();
        let start = Instant::now();
        fs::write(&copy, &content).unwrap();
        File::open(&copy).unwrap().sync_all().unwrap();
        copies.push(start.elapsed());
        fs::remove_file(&copy).unwrap();
    }
    bytes.sort_unstable();
    let (second, copied) = (median(seconds), median(copies));
    let more = bytes[bytes.len() / 2];
    println!(
        "{} changes: visible after {second:.2?}, copying the file takes {copied:.2?}; {:.2} MB more",
        args.changes,
        more as f64 / 1e6
    );
    let share = more as f64 / report.bytes as f64;
    println!(
        "{}",
        ratio_line(
            "publish_second_bytes_of_snapshot",
            share,
            Goal::AtMost(0.15)
        )
    );
    println!(
        "{}",
        ratio_line(
            "publish_second_of_copying",
            quotient(second, copied),
            Goal::AtMost(0.5)
        )
    );
    account.end();
}
