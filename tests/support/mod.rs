//! The command, run as a person runs it.
// Each test target uses its part.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const LAKESTAGE: &str = env!("CARGO_BIN_EXE_lakestage");

pub fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(LAKESTAGE);
    command.arg("--data").arg(data).args(arguments);
    command
}

/// Runs a command with an input, whatever comes of it.
pub fn output(data: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(data, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Runs a command that must succeed, and gives what it printed.
pub fn run(data: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = command(data, arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs a command that may fail because the server is being killed.
pub fn try_run(data: &Path, arguments: &[&str]) -> bool {
    let output = command(data, arguments).output().unwrap();
    output.status.success()
}

/// Makes a data folder with an environment, the table `task`, and the account `away` at an address.
pub fn publishes_to(data: &Path, environment: &str, schema: &str, url: &str, options: &[&str]) {
    let (task, key) = (data.join("task.json"), data.join("key"));
    std::fs::write(&task, schema).unwrap();
    std::fs::write(&key, lakestage_emulator::DEFAULT_ACCOUNT_KEY).unwrap();
    run(data, &["init", environment, "--organization", "org1"]);
    run(data, &["table", "add", task.to_str().unwrap()]);
    let account = ["account", "add", "away", "--endpoint", url];
    let key = ["--key-file", key.to_str().unwrap()];
    run(data, &[&account[..], &key, options].concat());
}

/// A running `lakestage run` without ports.
pub struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Run {
    /// Starts it, and waits until it takes commands.
    pub fn start(data: &Path, options: &[&str]) -> Self {
        let mut child = command(data, &["--json", "run", "--no-listen"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut run = Run { child, lines };
        assert_eq!(run.next()["serving"], true);
        run
    }

    /// The next thing it says.
    pub fn next(&mut self) -> serde_json::Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Asks it to end with SIGTERM, and gives its exit code.
    pub fn end(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap().code()
    }
}

/// Starts a command that writes as long as it runs.
pub fn start(data: &Path, arguments: &[&str]) -> Child {
    command(data, arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A running `lakestage serve`.
pub struct Server {
    child: Child,
    data: std::path::PathBuf,
    /// What it said when it began to serve.
    pub serving: serde_json::Value,
}

impl Server {
    /// Starts it, and waits until it serves.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// Starts it with more options.
    pub fn start_with(data: &Path, options: &[&str]) -> Self {
        let plain = ["--json", "serve", "--blob-port", "0", "--dfs-port", "0"];
        let mut child = command(data, &[&plain[..], options].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let serving: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(serving["serving"], true, "{line:?}");
        Server {
            child,
            data: data.to_owned(),
            serving,
        }
    }

    /// Starts an ingest that goes on as long as there is input.
    pub fn ingest(&self, table: &str, rows_per_commit: u64) -> Child {
        let rows = rows_per_commit.to_string();
        let arguments = [
            "--json",
            "ingest",
            table,
            "--format",
            "jsonl",
            "--report-commits",
            "--rows-per-commit",
            &rows,
        ];
        command(&self.data, &arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many rows an ingest reported as committed before it ended.
pub fn acknowledged_rows(mut ingest: Child) -> u64 {
    let lines = BufReader::new(ingest.stdout.take().unwrap()).lines();
    let mut rows = 0;
    for line in lines {
        let report: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        rows = report["rowsDone"].as_u64().unwrap();
    }
    ingest.wait().unwrap();
    rows
}
