//! The peers that run in Python, each command timed there.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use lakestage::bench::{Load, YEARS};
use lakestage::engine::Lake as _;
use lakestage_benches::{Goal, Line, median, quotient, rest};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshot/requirements.txt");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshot/peers.py");

/// Peers, or why there are none.
pub struct Peers {
    folder: PathBuf,
    rows: usize,
    python: Option<PathBuf>,
    running: Option<Running>,
    polars: Vec<Duration>,
    duckdb: Vec<Duration>,
}

struct Running {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Python environment with the peers, made once.
fn python() -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let environment = target.join("bench-peers");
    let python = environment.join("bin/python");
    let run = |command: &mut Command| match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    if !python.is_file() {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment))?;
    }
    let quiet = ["-m", "pip", "install", "-q", "--disable-pip-version-check"];
    run(Command::new(&python).args(quiet).args(["-r", REQUIREMENTS]))?;
    Ok(python)
}

impl Peers {
    /// Prepares the peers; says so where they cannot be had.
    pub fn prepare(folder: &Path, rows: usize, wanted: bool) -> Self {
        let python = wanted.then(python);
        if let Some(Err(why)) = &python {
            println!("no peers in Python: {why}");
        }
        Peers {
            folder: folder.join("peers"),
            rows,
            python: python.and_then(Result::ok),
            running: None,
            polars: Vec::new(),
            duckdb: Vec::new(),
        }
    }

    /// Gives the peers the rows of a load, once.
    fn start(&mut self, load: &Load) -> bool {
        let Some(python) = &self.python else {
            return false;
        };
        if self.running.is_none() {
            std::fs::create_dir_all(&self.folder).unwrap();
            for year in (0..YEARS).map(|year| 2020 + year) {
                let rows = load.lake.read(&format!("task/{year}.csv")).unwrap();
                std::fs::write(self.folder.join(format!("{year}.csv")), rows.unwrap()).unwrap();
            }
            let mut process = Command::new(python)
                .arg(SCRIPT)
                .arg(&self.folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            self.running = Some(Running {
                input: process.stdin.take().unwrap(),
                output: BufReader::new(process.stdout.take().unwrap()).lines(),
                process,
            });
            self.ask("load_duckdb");
        }
        true
    }

    /// Has a command carried out; `None`, and a line that says so, where the peer is missing.
    pub fn ask(&mut self, command: &str) -> Option<Duration> {
        let running = self.running.as_mut()?;
        writeln!(running.input, "{command}").unwrap();
        let answer = running.output.next().unwrap().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        match answer["seconds"].as_f64() {
            Some(seconds) => Some(Duration::from_secs_f64(seconds)),
            None => {
                println!("peer {command} is missing: {}", answer["missing"]);
                None
            }
        }
    }

    /// The files of a first snapshot by each peer.
    pub fn first(&mut self, load: &Load) {
        if !self.start(load) {
            return;
        }
        if self.ask("load_polars").is_some() {
            rest(self.rows);
            let time = self.ask("polars_csv");
            self.polars.extend(time);
            self.ask("free_polars");
        }
        rest(self.rows);
        let time = self.ask("duckdb_copy");
        self.duckdb.extend(time);
    }

    /// The first snapshot beside theirs.
    pub fn lines(&self, first: Duration) -> Vec<Line> {
        [
            ("polars_write_csv", &self.polars, 1.0),
            ("duckdb_copy", &self.duckdb, 1.5),
        ]
        .into_iter()
        .filter(|(_, times, _)| !times.is_empty())
        .map(|(peer, times, goal)| {
            let peers = median(times.clone());
            println!("{peer}: {peers:.2?}");
            let name = format!("snapshot_first_beside_{peer}");
            Line::new(name, quotient(peers, first), Goal::AtLeast(goal))
        })
        .collect()
    }
}
