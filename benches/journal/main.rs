//! Commits beside the machine's limit, and beside other stores with `--features peers`; the change feed beside a bare
//! Arrow reader; opening beside loading.
#![allow(clippy::unwrap_used, missing_docs)]

mod bulk;
mod environment;
mod plain;
mod reading;
mod single;

#[cfg(feature = "peers")]
mod peers;

use clap::Parser;

/// Commits, the change feed and opening, each beside what it is measured by.
#[derive(Debug, Parser)]
pub struct Args {
    /// Commits of one row that a producer makes in a round
    #[arg(long, default_value_t = 200)]
    commits: usize,
    /// Commits of one row that each of 64 producers makes in a round
    #[arg(long, default_value_t = 40)]
    commits_per_producer: usize,
    /// Commits of one row in a round of a producer that keeps 1,024 in flight
    #[arg(long, default_value_t = 10_000)]
    commits_in_flight: usize,
    /// Commits of 1,000 rows in a round of the bulk load
    #[arg(long, default_value_t = 20)]
    bulk_commits: usize,
    /// Rows that are loaded for the change feed and for opening
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut lines = single::measure(&args, folder.path());
    lines.extend(bulk::measure(&args, folder.path()));
    lines.extend(reading::measure(&args, folder.path()));
    lines.iter().for_each(|line| println!("{line}"));
}
