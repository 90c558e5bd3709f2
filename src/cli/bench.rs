//! `lakestage bench`: how fast it is on this machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use lakestage::bench::{SnapshotBench, SnapshotFigures};
use serde::Serialize;

use super::console::Console;
use super::output::{bytes_text, count_text, print};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakestage bench snapshot\n  lakestage bench snapshot --rows 10000000 --dir /mnt/disk"
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Load a table, publish it, change it, and say what each snapshot cost beside what the machine can do at best
    Snapshot(SnapshotArgs),
}

#[derive(Debug, Args)]
struct SnapshotArgs {
    /// Rows of about 500 bytes; the disk needs five times their size
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    rows: u64,
    /// Rounds, each with a load of its own; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// An existing folder on the disk to measure; what is written there is removed. The system's folder for temporary
    /// files if it is not given
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &BenchArgs, as_json: bool, console: &dyn Console) -> Result<()> {
    let What::Snapshot(args) = &args.what;
    let folder = match &args.dir {
        None => tempfile::tempdir(),
        Some(dir) => tempfile::tempdir_in(dir),
    };
    let folder = folder.context("making a folder to measure in")?;
    let bench = SnapshotBench {
        folder: folder.path().to_owned(),
        rows: args.rows as usize,
        rounds: args.rounds as usize,
    };
    let progress = |next: &str| console.note(next);
    let figures = bench.run(&progress, &mut |_| {})?;
    print(console, as_json, &Report::of(&figures), Report::text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    rows: u64,
    snapshot_bytes: u64,
    peak_memory_bytes: Option<u64>,
    machine_write_and_sync_bytes_per_s: f64,
    machine_parse_csv_bytes_per_s: f64,
    machine_copy_memory_bytes_per_s: f64,
    load_ms: f64,
    first_snapshot_ms: f64,
    raw_write_and_sync_ms: f64,
    snapshot_after_0_01_percent_ms: f64,
    snapshot_unchanged_ms: f64,
    ratios: Vec<Ratio>,
}

#[derive(Serialize)]
struct Ratio {
    name: String,
    value: f64,
    sign: &'static str,
    goal: f64,
    holds: bool,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl Report {
    fn of(figures: &SnapshotFigures) -> Self {
        let ratios = figures.lines().into_iter().map(|line| {
            let (sign, goal) = line.goal.parts();
            Ratio {
                holds: line.holds(),
                name: line.name,
                value: line.value,
                sign,
                goal,
            }
        });
        Report {
            rows: figures.rows,
            snapshot_bytes: figures.bytes,
            peak_memory_bytes: figures.peak_memory_bytes,
            machine_write_and_sync_bytes_per_s: figures.machine.write_and_sync,
            machine_parse_csv_bytes_per_s: figures.machine.parse_csv,
            machine_copy_memory_bytes_per_s: figures.machine.copy_memory,
            load_ms: ms(figures.load),
            first_snapshot_ms: ms(figures.first),
            raw_write_and_sync_ms: ms(figures.raw),
            snapshot_after_0_01_percent_ms: ms(figures.few),
            snapshot_unchanged_ms: ms(figures.unchanged),
            ratios: ratios.collect(),
        }
    }

    fn text(&self) -> String {
        let a_second = |speed: f64| format!("{}/s", bytes_text(speed as u64));
        let of =
            |ms: f64| a_second(self.snapshot_bytes as f64 / ms.max(f64::MIN_POSITIVE) * 1_000.0);
        let mut lines = vec![
            format!(
                "{} rows, a snapshot of {}",
                count_text(self.rows),
                bytes_text(self.snapshot_bytes)
            ),
            String::new(),
            "this machine at best".to_owned(),
        ];
        let mut row = |what: &str, value: String| lines.push(format!("  {what:<44}{value:>12}"));
        row(
            "write and sync",
            a_second(self.machine_write_and_sync_bytes_per_s),
        );
        row(
            "parse CSV, one thread",
            a_second(self.machine_parse_csv_bytes_per_s),
        );
        row(
            "copy memory, one thread",
            a_second(self.machine_copy_memory_bytes_per_s),
        );
        lines.extend([String::new(), "lakestage".to_owned()]);
        let mut row = |what: &str, value: String| lines.push(format!("  {what:<44}{value:>12}"));
        row("take rows in, to durable", of(self.load_ms));
        row("first snapshot", of(self.first_snapshot_ms));
        row(
            "first snapshot, time",
            format!("{:.0} ms", self.first_snapshot_ms),
        );
        row(
            "snapshot after 0.01 % of rows changed",
            format!("{:.0} ms", self.snapshot_after_0_01_percent_ms),
        );
        row(
            "snapshot of nothing changed",
            format!("{:.1} ms", self.snapshot_unchanged_ms),
        );
        if let Some(peak) = self.peak_memory_bytes {
            row("most memory, mapped files included", bytes_text(peak));
        }
        lines.extend([String::new(), "beside each other".to_owned()]);
        for ratio in &self.ratios {
            let end = if ratio.holds { "holds" } else { "falls short" };
            let (value, sign, goal) = (ratio.value, ratio.sign, ratio.goal);
            lines.push(format!(
                "  {:<44}{value:>8.3} {sign} {goal:<6} {end}",
                ratio.name
            ));
        }
        lines.join("\n")
    }
}
