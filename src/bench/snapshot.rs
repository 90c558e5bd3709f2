//! The first snapshot of a table, what the next ones cost, and how fast rows come in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lakestage_engine::{Ingest, IngestFormat, IngestOptions};

use super::machine::{self, Machine, raw, rest, speed};
use super::{Dice, Goal, Line, Load, YEARS, median, quotient};

/// How much smaller the small load is whose time a row is compared.
const SMALLER: usize = 10;
/// One row of so many is changed at random.
const FEW: usize = 10_000;
/// Rows of the export that is taken in.
const EXPORT_ROWS_MAX: usize = 500_000;

/// What is measured, and where.
#[derive(Clone, Debug)]
pub struct SnapshotBench {
    /// A folder for everything that is written; what is left in it is the caller's to remove.
    pub folder: PathBuf,
    /// Rows of about 500 bytes.
    pub rows: usize,
    /// Rounds, each with a load of its own; medians count.
    pub rounds: usize,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct SnapshotFigures {
    /// Rows of the snapshot.
    pub rows: u64,
    /// Bytes of the snapshot.
    pub bytes: u64,
    /// Taking the rows in, to durable.
    pub load: Duration,
    /// Staged rows to the published snapshot.
    pub first: Duration,
    /// The same bytes written and synced.
    pub raw: Duration,
    /// The first snapshot of a tenth of the rows.
    pub tenth: Duration,
    /// A snapshot of nothing changed.
    pub unchanged: Duration,
    /// A snapshot after one row in 10,000 was changed at random.
    pub few: Duration,
    /// What that snapshot wrote, beside the first.
    pub few_bytes_of_first: f64,
    /// What a snapshot after changes in the newest partition wrote, beside the partition.
    pub newest_bytes_of_partition: f64,
    /// Taking in a CSV export, to durable.
    pub ingest: Duration,
    /// Parsing the export, with as many threads as the machine has cores.
    pub parse: Duration,
    /// The most memory that the process had in all of it, mapped files included, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// What the machine can do at best.
    pub machine: Machine,
}

/// The times of all rounds.
#[derive(Default)]
struct Rounds {
    load: Vec<Duration>,
    first: Vec<Duration>,
    raw: Vec<Duration>,
    tenth: Vec<Duration>,
    unchanged: Vec<Duration>,
    few: Vec<Duration>,
}

impl SnapshotBench {
    /// Measures everything. `progress` is told what comes next; `beside` is called after the first snapshot of each
    /// round, and may have others do the same.
    ///
    /// # Errors
    /// What the disk answers.
    pub fn run(
        &self,
        progress: &dyn Fn(&str),
        beside: &mut dyn FnMut(&Load),
    ) -> Result<SnapshotFigures> {
        let mut figures = SnapshotFigures::default();
        let mut rounds = Rounds::default();
        for round in 1..=self.rounds.max(1) {
            progress(&format!("round {round} of {}", self.rounds.max(1)));
            self.round(&mut figures, &mut rounds, beside)?;
        }
        figures.load = median(rounds.load);
        figures.first = median(rounds.first);
        figures.raw = median(rounds.raw);
        figures.tenth = median(rounds.tenth);
        figures.unchanged = median(rounds.unchanged);
        figures.few = median(rounds.few);
        progress("taking in a CSV export");
        self.ingest(&mut figures)?;
        figures.peak_memory_bytes = machine::peak_memory_bytes();
        figures.machine.write_and_sync = speed(figures.bytes, figures.raw);
        figures.machine.copy_memory = machine::copy_memory();
        Ok(figures)
    }

    fn round(
        &self,
        figures: &mut SnapshotFigures,
        rounds: &mut Rounds,
        beside: &mut dyn FnMut(&Load),
    ) -> Result<()> {
        let notes = Load::notes();
        let tenth = self.rows / SMALLER;
        let folder = self.folder.join("tenth");
        let load = Load::create(&folder)?;
        load.write(0..tenth, &notes)?;
        rest(self.rows);
        rounds.tenth.push(load.snapshot()?.1);
        drop(load);
        remove(&folder)?;

        let folder = self.folder.join("all");
        let load = Load::create(&folder)?;
        let start = Instant::now();
        load.write(0..self.rows, &notes)?;
        rounds.load.push(start.elapsed());
        rest(self.rows);
        let (first, time) = load.snapshot()?;
        rounds.first.push(time);
        rest(self.rows);
        rounds.raw.push(raw(&folder, first.bytes)?);
        (figures.rows, figures.bytes) = (first.rows, first.bytes);
        rest(self.rows);
        rounds.unchanged.push(load.snapshot()?.1);
        beside(&load);

        let mut dice = Dice::new(self.rows as u64);
        let changed = (0..self.rows / FEW).map(|_| (dice.roll() % self.rows as u64) as usize);
        load.write(changed, "changed")?;
        let before = disk_bytes(&folder)?;
        rest(self.rows);
        rounds.few.push(load.snapshot()?.1);
        let written = disk_bytes(&folder)?.saturating_sub(before);
        figures.few_bytes_of_first = written as f64 / first.bytes as f64;

        // Every hundredth row of the last year.
        load.write((YEARS - 1..self.rows).step_by(YEARS * 100), "changed")?;
        let (newest, _) = load.snapshot()?;
        let partition = first.bytes as f64 / YEARS as f64;
        figures.newest_bytes_of_partition = newest.bytes_written as f64 / partition;
        drop(load);
        remove(&folder)
    }

    fn ingest(&self, figures: &mut SnapshotFigures) -> Result<()> {
        let rows = self.rows.min(EXPORT_ROWS_MAX);
        let export = self.folder.join("export.csv");
        Load::export(&export, rows).with_context(|| format!("writing {}", export.display()))?;
        let bytes = fs::metadata(&export)?.len();
        let alone = machine::parse(&export)?;
        figures.machine.parse_csv = speed(bytes, alone);
        // As many parsers as cores, each with the whole file, and so the file once for each.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let start = Instant::now();
        std::thread::scope(|scope| {
            let parsers: Vec<_> = (0..cores)
                .map(|_| scope.spawn(|| machine::parse(&export)))
                .collect();
            parsers
                .into_iter()
                .try_for_each(|parser| match parser.join() {
                    Ok(parsed) => parsed.map(drop),
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        })?;
        figures.parse = start.elapsed() / cores as u32;

        let folder = self.folder.join("ingest");
        let load = Load::create(&folder)?;
        let options = IngestOptions::default();
        let ingest = Ingest::into_table(&load.environment, "task", options)?;
        rest(self.rows);
        let start = Instant::now();
        ingest.run(
            IngestFormat::Csv,
            &mut fs::File::open(&export)?,
            &mut |_| {},
        )?;
        figures.ingest = start.elapsed();
        drop(load);
        fs::remove_file(&export)?;
        remove(&folder)
    }
}

impl SnapshotFigures {
    /// The ratios, each with its goal.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let at_most = |name: &str, value, goal| Line::new(name, value, Goal::AtMost(goal));
        let at_least = |name: &str, value, goal| Line::new(name, value, Goal::AtLeast(goal));
        let a_row = quotient(self.first, self.tenth) / SMALLER as f64;
        vec![
            at_least(
                "snapshot_first_of_raw_speed",
                quotient(self.raw, self.first),
                0.8,
            ),
            at_most(
                "snapshot_after_0_01_percent_of_first_time",
                quotient(self.few, self.first),
                0.1,
            ),
            at_most(
                "snapshot_after_0_01_percent_of_first_bytes",
                self.few_bytes_of_first,
                0.1,
            ),
            at_most(
                "snapshot_newest_partition_bytes_of_it",
                self.newest_bytes_of_partition,
                1.2,
            ),
            at_most(
                "snapshot_unchanged_of_first_time",
                quotient(self.unchanged, self.first),
                0.005,
            ),
            at_most("snapshot_time_a_row_of_a_tenth", a_row, 1.2),
            at_least(
                "ingest_of_csv_parse_speed",
                quotient(self.parse, self.ingest),
                0.5,
            ),
        ]
    }
}

/// Bytes of all files below a folder. Names of one file count once.
fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::collections::HashSet;
    use std::os::unix::fs::MetadataExt as _;
    let mut seen = HashSet::new();
    let mut waiting = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else if seen.insert(metadata.ino()) {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}
