//! Snapshots: the first beside the disk and beside Polars and DuckDB, and what the next ones cost.
//!
//! `lakestage bench snapshot` measures the first part on any machine; here the peers come with it.
#![allow(clippy::unwrap_used, missing_docs)]

mod peers;
mod second;

use clap::Parser;
use lakestage::bench::{Line, SnapshotBench};
use peers::Peers;

/// Snapshots beside the disk, Polars, DuckDB, deltalake and a script.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of about 500 bytes; 10000000 is the full size, which takes 30 GB of disk and half an hour
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leave out the peers in Python, which are installed into a virtual environment of the target folder
    #[arg(long)]
    no_peers: bool,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut peers = Peers::prepare(folder.path(), args.rows, !args.no_peers);
    let bench = SnapshotBench {
        folder: folder.path().to_owned(),
        rows: args.rows,
        rounds: args.rounds,
    };
    let progress = |next: &str| println!("{next}");
    let mut beside = |load: &_| peers.first(load);
    let figures = bench.run(&progress, &mut beside).unwrap();
    println!("{figures:.2?}");
    let mut lines: Vec<Line> = figures.lines();
    lines.extend(peers.lines(figures.first));
    lines.extend(second::measure(&args, folder.path(), &mut peers));
    lines.iter().for_each(|line| println!("{line}"));
}
