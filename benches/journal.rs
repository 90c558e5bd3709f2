//! Commits beside the machine's limit: the same bytes appended to a plain file, one fdatasync a commit.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;

use clap::Parser;
use lakestage::engine::{
    Environment, EnvironmentSettings, TableOptions, TableSchema, Value, Write,
};
use lakestage_benches::{Dice, Goal, by_turns, quotient, ratio_line};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const WRITERS: usize = 16;

/// Commits beside a plain file that is synced as often.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of a bulk round
    #[arg(long, default_value_t = 40_000)]
    rows: usize,
    /// Rows a commit of a bulk round
    #[arg(long, default_value_t = 10_000)]
    rows_per_commit: usize,
    /// Commits of one row that each of 16 writers makes in a round
    #[arg(long, default_value_t = 40)]
    commits: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn open(folder: &Path) -> Environment {
    let settings = EnvironmentSettings::new("bench", "org1");
    let environment = Environment::create(folder, settings).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    environment
}

fn commit(environment: &Environment, ids: &[String], notes: &str) {
    let schema = environment.schema("task").unwrap();
    let columns = ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap());
    let mut transaction = environment.transaction();
    for id in ids {
        let values = [
            Value::Text(id),
            Value::Text("2024-05-06T07:08:09Z"),
            Value::Text(notes),
        ];
        let row: Vec<_> = columns.into_iter().zip(values).collect();
        transaction.write(Write::Create, "task", &row).unwrap();
    }
    transaction.commit().unwrap();
}

fn append(file: &mut File, bytes: &[u8]) {
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(".").unwrap();
    let environment = open(&folder.path().join("environment"));
    let mut plain = File::create(folder.path().join("plain")).unwrap();
    let notes = "n".repeat(330);
    let mut dice = Dice::new(1);
    let mut ids = |count: usize| -> Vec<String> { (0..count).map(|_| dice.id()).collect() };

    // About 400 bytes a row, as they stand in the CSV.
    let row = [b'r'; 400];
    let bytes = row.repeat(args.rows_per_commit);
    let commits = args.rows.div_ceil(args.rows_per_commit);
    let bulk: Vec<Vec<String>> = (0..args.rounds).map(|_| ids(args.rows)).collect();
    let (engine, file) = by_turns(
        args.rounds,
        |round| {
            for ids in bulk[round].chunks(args.rows_per_commit) {
                commit(&environment, ids, &notes);
            }
        },
        |_| (0..commits).for_each(|_| append(&mut plain, &bytes)),
    );
    let rows_per_s = args.rows as f64 / engine.as_secs_f64();
    println!(
        "bulk: {rows_per_s:.0} rows/s in commits of {}; {engine:.2?} beside {file:.2?}",
        args.rows_per_commit
    );
    let bulk_ratio = quotient(file, engine);

    let single: Vec<Vec<String>> = (0..args.rounds)
        .map(|_| ids(WRITERS * args.commits))
        .collect();
    let (engine, file) = by_turns(
        args.rounds,
        |round| {
            thread::scope(|scope| {
                for ids in single[round].chunks(args.commits) {
                    let (environment, notes) = (&environment, &notes);
                    scope.spawn(move || {
                        ids.iter()
                            .for_each(|id| commit(environment, std::slice::from_ref(id), notes));
                    });
                }
            });
        },
        |_| (0..WRITERS * args.commits).for_each(|_| append(&mut plain, &row)),
    );
    println!(
        "single rows: {:.0} commits/s of {WRITERS} writers beside {:.0} synced appends/s of one",
        (WRITERS * args.commits) as f64 / engine.as_secs_f64(),
        (WRITERS * args.commits) as f64 / file.as_secs_f64()
    );
    println!(
        "{}",
        ratio_line("journal_bulk_of_plain_file", bulk_ratio, Goal::AtLeast(0.1))
    );
    println!(
        "{}",
        ratio_line(
            "journal_16_writers_of_single_syncs",
            quotient(file, engine),
            Goal::AtLeast(2.0)
        )
    );
}
