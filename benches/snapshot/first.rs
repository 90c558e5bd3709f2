//! A first snapshot beside the same bytes written and synced, and what the next ones cost.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lakestage::engine::SnapshotReport;
use lakestage_benches::{Goal, median, quotient, ratio_line};

use crate::{Args, Bench, YEARS};

/// How much smaller the small load is whose time a row is compared.
const SMALLER: usize = 10;

/// The same bytes in as many files as there are partitions, each synced.
fn raw(folder: &Path, bytes: u64) -> Duration {
    const CHUNK_BYTES: usize = 1 << 20;
    let chunk = vec![b'r'; CHUNK_BYTES];
    let start = Instant::now();
    for year in 0..YEARS {
        let path = folder.join(format!("raw-{year}"));
        let mut file = File::create(&path).unwrap();
        for _ in 0..bytes as usize / YEARS / CHUNK_BYTES {
            file.write_all(&chunk).unwrap();
        }
        file.sync_all().unwrap();
    }
    let time = start.elapsed();
    (0..YEARS).for_each(|year| fs::remove_file(folder.join(format!("raw-{year}"))).unwrap());
    time
}

fn snapshot(bench: &Bench) -> (SnapshotReport, Duration) {
    let start = Instant::now();
    let report = bench.environment.snapshot("lake", &bench.lake).unwrap();
    (report, start.elapsed())
}

pub fn measure(args: &Args, folder: &Path) -> Vec<String> {
    let notes = "n".repeat(330);
    let mut times: [Vec<Duration>; 5] = Default::default();
    let [small, first, plain, unchanged, newest] = &mut times;
    let mut newest_bytes = 0.0;
    for round in 0..args.first_rounds {
        let folder = folder.join(format!("first-{round}"));
        let bench = Bench::new(&folder.join("small"), args.rows / SMALLER);
        bench.write(0..args.rows / SMALLER, &notes);
        small.push(snapshot(&bench).1);
        let bench = Bench::new(&folder.join("large"), args.rows);
        bench.write(0..args.rows, &notes);
        let (report, time) = snapshot(&bench);
        first.push(time);
        plain.push(raw(&folder, report.bytes));
        let (again, time) = snapshot(&bench);
        assert!(!again.changed);
        unchanged.push(time);
        // Every hundredth row of the last year.
        let rows = (YEARS - 1..args.rows).step_by(YEARS * 100);
        bench.write(rows, "changed");
        let (again, time) = snapshot(&bench);
        newest.push(time);
        newest_bytes = again.bytes_written as f64 / (report.bytes as f64 / YEARS as f64);
        drop(bench);
        fs::remove_dir_all(&folder).unwrap();
    }
    let [small, first, plain, unchanged, newest] = times.map(median);
    println!(
        "{} rows: first snapshot {first:.2?}, raw {plain:.2?}, a tenth {small:.2?}, unchanged {unchanged:.2?}, newest year {newest:.2?}",
        args.rows
    );
    let at_most = |name, value, goal| ratio_line(name, value, Goal::AtMost(goal));
    vec![
        ratio_line(
            "snapshot_first_of_raw_speed",
            quotient(plain, first),
            Goal::AtLeast(0.8),
        ),
        at_most(
            "snapshot_unchanged_of_first_time",
            quotient(unchanged, first),
            0.005,
        ),
        at_most("snapshot_newest_partition_bytes_of_it", newest_bytes, 1.2),
        at_most(
            "snapshot_time_a_row_of_a_tenth",
            quotient(first, small) / SMALLER as f64,
            1.2,
        ),
    ]
}
