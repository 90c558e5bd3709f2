//! However much passes through the journal, neither its folder nor the engine's memory grows with it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use lakestage_engine::{
    Environment, EnvironmentSettings, OpenOptions, TableOptions, TableSchema, Value, Write,
};

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
/// So many years are met by turns.
const YEARS: u64 = 8;

/// A random id, the same in every run.
fn id(number: u64) -> String {
    let high = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = (high ^ (high >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => folder_bytes(&entry.path()),
            false => entry.metadata().map_or(0, |m| m.len()),
        })
        .sum()
}

/// The largest amount of memory that the process has had, in bytes, where the system tells.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

struct Load {
    rows: u64,
    rows_per_commit: u64,
    notes_bytes: usize,
}

/// Loads rows, and gives the most that the journal's folder ever had.
fn load(environment: &Environment, folder: &Path, load: &Load) -> u64 {
    let schema = environment.schema("task").unwrap();
    let columns = ["taskid", "createdon", "notes"].map(|name| schema.require(name).unwrap());
    let notes = "n".repeat(load.notes_bytes);
    let mut largest = 0;
    for first in (0..load.rows).step_by(load.rows_per_commit as usize) {
        let mut transaction = environment.transaction();
        for number in first..load.rows.min(first + load.rows_per_commit) {
            let created = format!("20{:02}-05-06T07:08:09Z", 10 + number % YEARS);
            let id = id(number);
            let values = [Value::Text(&id), Value::Text(&created), Value::Text(&notes)];
            let row: Vec<_> = columns.into_iter().zip(values).collect();
            transaction.write(Write::Create, "task", &row).unwrap();
        }
        transaction.commit().unwrap();
        largest = largest.max(folder_bytes(&folder.join("journal")));
    }
    largest
}

fn create(folder: &Path, options: OpenOptions) -> Environment {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let environment = Environment::create_with(folder, settings, options).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    environment
}

fn assert_rows(environment: &Environment, rows: u64) {
    for number in (0..rows).step_by((rows / 50) as usize) {
        let row = environment.get("task", id(number).parse().unwrap());
        assert!(row.unwrap().is_some(), "row {number} is gone");
    }
    let missing = environment.get("task", id(rows).parse().unwrap());
    assert!(missing.unwrap().is_none());
}

#[test]
fn the_journal_does_not_grow_with_what_passes_through_it() {
    const BALLAST_BYTES: u64 = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 1 << 20,
        tail_bytes_max: 2 << 20,
        ..OpenOptions::default()
    };
    let environment = create(folder.path(), options.clone());
    let small = Load {
        rows: 60_000,
        rows_per_commit: 500,
        notes_bytes: 700,
    };
    let largest = load(&environment, folder.path(), &small);
    let status = environment.status().unwrap();
    assert!(status.segments > 20, "{} segments", status.segments);
    assert!(status.segment_bytes > 40 << 20);
    assert!(status.tail_bytes <= 2 << 20);
    // The tail several times over, which sled takes to rewrite its pages.
    assert!(largest - BALLAST_BYTES < 20 << 20, "{largest} bytes");
    assert_rows(&environment, small.rows);
    drop(environment);
    let environment = Environment::open_with(folder.path(), options).unwrap();
    assert_rows(&environment, small.rows);
    environment.compact().unwrap();
    assert_rows(&environment, small.rows);
    assert_eq!(environment.status().unwrap().tables[0].rows, small.rows);
}

#[test]
#[ignore = "writes ten gigabytes; run it alone and optimized: --release -- --ignored --test-threads 1"]
fn five_gigabytes_pass_through_a_journal_below_256_megabytes_in_bounded_memory() {
    const BOUND_BYTES: u64 = 256_000_000;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let environment = create(folder.path(), OpenOptions::default());
    let large = Load {
        rows: 10_000_000,
        rows_per_commit: 1_000,
        notes_bytes: 420,
    };
    let start = Instant::now();
    let largest = load(&environment, folder.path(), &large);
    let loading = start.elapsed();
    let memory = peak_memory_bytes();
    eprintln!("loaded in {loading:.1?}; journal {largest} bytes at most; memory {memory:?}");
    assert!(largest < BOUND_BYTES, "the journal had {largest} bytes");
    assert!(memory.is_none_or(|bytes| bytes < BOUND_BYTES), "{memory:?}");
    drop(environment);
    let start = Instant::now();
    let environment = Environment::open(folder.path()).unwrap();
    let opening = start.elapsed();
    eprintln!("opened in {opening:.1?}");
    assert_rows(&environment, large.rows);
    let start = Instant::now();
    environment.compact().unwrap();
    let (merging, memory) = (start.elapsed(), peak_memory_bytes());
    eprintln!("merged in {merging:.1?}; memory {memory:?}");
    assert!(
        memory.is_none_or(|bytes| bytes < 2 * BOUND_BYTES),
        "{memory:?}"
    );
    assert_rows(&environment, large.rows);
}
