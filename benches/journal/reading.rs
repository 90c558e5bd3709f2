//! The change feed beside the Arrow reader alone, and opening after a crash beside loading.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::ipc::reader::StreamReader;
use lakestage::engine::{Environment, Retention};
use lakestage_benches::{Dice, Goal, median, quotient, ratio_line};

use crate::Args;
use crate::environment::Bench;

const ROWS_PER_COMMIT: usize = 1_000;

pub fn measure(args: &Args, folder: &Path) -> Vec<String> {
    let home = folder.join("loaded");
    let bench = Bench::new(&home);
    let mut dice = Dice::new(3);
    let ids: Vec<String> = (0..args.rows).map(|_| dice.id()).collect();
    let start = Instant::now();
    ids.chunks(ROWS_PER_COMMIT)
        .for_each(|ids| bench.commit(ids));
    let loading = start.elapsed();

    // What a crash leaves: the files as they are while the environment is open.
    let mut openings = Vec::new();
    for (round, id) in ids.iter().take(args.rounds).enumerate() {
        let crashed = folder.join(format!("crashed-{round}"));
        copy(&home, &crashed);
        let start = Instant::now();
        let environment = Environment::open(&crashed).unwrap();
        openings.push(start.elapsed());
        let found = environment.get("task", id.parse().unwrap());
        assert!(found.unwrap().is_some());
        drop(environment);
        fs::remove_dir_all(crashed).unwrap();
    }
    let opening = median(openings);
    println!(
        "opening: {opening:.2?} beside loading {} rows in {loading:.2?}",
        args.rows
    );

    // Nothing is removed, and all but the last few megabytes are sealed.
    bench
        .environment
        .set_retention(Retention {
            age_s: None,
            bytes: None,
            rows: None,
        })
        .unwrap();
    bench.environment.compact().unwrap();
    drop(bench);
    let segments = segments(&home);
    let (mut all, mut sealed) = (0, 0);
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        // Opened anew, so that every part is mapped and checked again.
        let environment = Environment::open(&home).unwrap();
        let start = Instant::now();
        all = read_feed(&environment);
        times.0.push(start.elapsed());
        let start = Instant::now();
        sealed = segments.iter().map(|segment| read_file(segment)).sum();
        times.1.push(start.elapsed());
    }
    let (feed, reader) = (median(times.0), median(times.1));
    assert!(sealed > 0 && sealed <= all, "{sealed} of {all} bytes");
    println!("change feed: {all} bytes in {feed:.2?} beside {sealed} bytes in {reader:.2?}");
    let of_reader = quotient(reader, feed) * all as f64 / sealed as f64;
    vec![
        ratio_line(
            "journal_feed_of_arrow_reader",
            of_reader,
            Goal::AtLeast(0.7),
        ),
        ratio_line(
            "journal_opening_of_loading",
            quotient(opening, loading),
            Goal::AtMost(0.02),
        ),
    ]
}

fn segments(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.join("segments")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read_feed(environment: &Environment) -> usize {
    let mut changes = environment.changes("task", None).unwrap();
    let mut bytes = 0;
    while let Some(batch) = changes.next().unwrap() {
        bytes += cell_bytes(&batch.record_batch().unwrap());
    }
    bytes
}

fn read_file(path: &Path) -> usize {
    let file = BufReader::new(File::open(path).unwrap());
    let batches = StreamReader::try_new(file, None).unwrap();
    batches.map(|batch| cell_bytes(&batch.unwrap())).sum()
}

/// Bytes of the cells: every batch is decoded and looked at, and nobody's own work dilutes the comparison.
fn cell_bytes(batch: &RecordBatch) -> usize {
    let cells = batch.columns().last().unwrap().as_binary_view();
    cells.iter().flatten().map(<[u8]>::len).sum()
}

/// Sealed files never change, so a link is as good as a copy.
fn copy(from: &Path, to: &Path) {
    let is_sealed = ["segments", "packs"]
        .iter()
        .any(|name| from.ends_with(name));
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false if is_sealed => fs::hard_link(entry.path(), target).unwrap(),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
