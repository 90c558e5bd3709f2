//! A first snapshot beside the same bytes written and synced (`first.rs`); the second after a small change, beside what a
//! script does: read the CSV file of each partition, apply the
//! changes, write it anew.
#![allow(clippy::unwrap_used, missing_docs)]

mod first;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use lakestage::EmulatorLake;
use lakestage::emulator::{DEFAULT_ACCOUNT_NAME, Store, StoreOptions};
use lakestage::engine::{
    Environment, EnvironmentSettings, Lake, LinkTableOptions, NewLink, TableOptions, TableSchema,
    Value, Write,
};
use lakestage_benches::{Dice, Goal, by_turns, median, quotient, ratio_line};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const YEARS: usize = 4;
const ROWS_PER_COMMIT: usize = 10_000;

/// A snapshot after a small change beside rewriting the files.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of about 400 bytes
    #[arg(long, default_value_t = 200_000)]
    rows: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rounds of the first snapshot, each with a load of its own
    #[arg(long, default_value_t = 3)]
    first_rounds: usize,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    environment: Environment,
    lake: EmulatorLake,
    ids: Vec<String>,
}

impl Bench {
    fn new(folder: &Path, rows: usize) -> Self {
        let settings = EnvironmentSettings::new("bench", "org1");
        let environment = Environment::create(&folder.join("environment"), settings).unwrap();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        let store = StoreOptions {
            folder: Some(folder.join("store")),
            ..StoreOptions::default()
        };
        let store = Store::open(store).unwrap();
        let lake = EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, &environment.filesystem_name());
        let tables = vec![LinkTableOptions::of("task")];
        let endpoint = "https://bench.dfs.core.windows.net:443";
        let link = NewLink::new("lake", "emulator", endpoint, tables);
        environment.create_link(&lake, &link).unwrap();
        let mut dice = Dice::new(7);
        let ids = (0..rows).map(|_| dice.id()).collect();
        Bench {
            environment,
            lake,
            ids,
        }
    }

    fn write(&self, rows: impl Iterator<Item = usize>, notes: &str) {
        let schema = self.environment.schema("task").unwrap();
        let columns = ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap());
        let years: Vec<String> = (0..YEARS)
            .map(|year| format!("{}-05-06T07:08:09Z", 2020 + year))
            .collect();
        let mut transaction = self.environment.transaction();
        for row in rows {
            let values = [
                Value::Text(&self.ids[row]),
                Value::Text(&years[row % YEARS]),
                Value::Text(notes),
            ];
            let values: Vec<_> = columns.into_iter().zip(values).collect();
            transaction.write(Write::Upsert, "task", &values).unwrap();
            if transaction.rows() as usize == ROWS_PER_COMMIT {
                transaction.commit().unwrap();
                transaction = self.environment.transaction();
            }
        }
        if transaction.rows() > 0 {
            transaction.commit().unwrap();
        }
    }

    fn publish(&self) -> u64 {
        let report = self.environment.snapshot("lake", &self.lake).unwrap();
        assert!(report.changed);
        report.bytes
    }
}

/// What a script does to one partition.
fn rewrite(file: &Path, changed: &HashMap<&str, &str>) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(file)
        .unwrap();
    let new = file.with_extension("new");
    let mut writer = csv::WriterBuilder::new().from_path(&new).unwrap();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap() {
        let id = std::str::from_utf8(&record[0]).unwrap();
        match changed.get(id) {
            None => writer.write_byte_record(&record).unwrap(),
            Some(notes) => {
                let cells = record.iter().enumerate();
                let cells = cells.map(|(at, cell)| if at == 5 { notes.as_bytes() } else { cell });
                writer.write_record(cells).unwrap();
            }
        }
    }
    writer.flush().unwrap();
    File::open(&new).unwrap().sync_data().unwrap();
    std::fs::rename(new, file).unwrap();
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(".").unwrap();
    let mut lines = first::measure(&args, folder.path());
    let bench = Bench::new(folder.path(), args.rows);
    let start = Instant::now();
    bench.write(0..args.rows, &"n".repeat(330));
    let loaded = start.elapsed();
    let start = Instant::now();
    let bytes = bench.publish();
    let first = start.elapsed();
    println!(
        "{} rows, {} MB: taken in within {loaded:.2?}, first snapshot after {first:.2?}",
        args.rows,
        bytes / 1_000_000
    );

    // The script starts from the same files.
    let files: Vec<PathBuf> = (0..YEARS)
        .map(|year| folder.path().join(format!("{}.csv", 2020 + year)))
        .collect();
    for (year, file) in files.iter().enumerate() {
        let content = bench
            .lake
            .read(&format!("task/{}.csv", 2020 + year))
            .unwrap()
            .unwrap();
        std::fs::write(file, content).unwrap();
    }
    for (share, name) in [(10_000, "0_01_percent"), (1_000, "0_1_percent")] {
        let (second, script) = change(&bench, &files, &args, args.rows / share);
        let of_script = format!("snapshot_second_after_{name}_of_script");
        lines.push(ratio_line(
            &of_script,
            quotient(script, second),
            Goal::AtLeast(5.0),
        ));
        let of_first = format!("snapshot_second_after_{name}_of_first");
        lines.push(ratio_line(
            &of_first,
            quotient(second, first),
            Goal::AtMost(0.1),
        ));
    }
    lines.iter().for_each(|line| println!("{line}"));
}

/// Changes rows and publishes, beside the script; gives the median time of each.
fn change(bench: &Bench, files: &[PathBuf], args: &Args, changes: usize) -> (Duration, Duration) {
    let mut dice = Dice::new(changes as u64);
    let mut draw = || (dice.roll() % args.rows as u64) as usize;
    let rounds: Vec<Vec<usize>> = (0..args.rounds)
        .map(|_| (0..changes).map(|_| draw()).collect())
        .collect();
    let mut published: Vec<Duration> = Vec::new();
    let (_, script) = by_turns(
        args.rounds,
        |round| {
            bench.write(rounds[round].iter().copied(), "changed");
            let start = Instant::now();
            bench.publish();
            published.push(start.elapsed());
        },
        |round| {
            let ids = rounds[round]
                .iter()
                .map(|row| (&*bench.ids[*row], "changed"));
            let changed: HashMap<&str, &str> = ids.collect();
            files.iter().for_each(|file| rewrite(file, &changed));
        },
    );
    let second = median(published);
    println!("{changes} changes: snapshot after {second:.2?}, the script after {script:.2?}");
    (second, script)
}
