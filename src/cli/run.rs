//! From the arguments to the exit code.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use lakestage::{DataFolder, DataFolderOptions};

use super::command::{Cli, Command};
use super::console::{Console, LocalConsole};
use super::{
    account, backup, bench, changes, control, demo, dump, environment, fs, ingest, link, output,
    publish, quota, retention, salvage, serve, snapshot, status, table, token, trickle, verify,
};

const FAILED: u8 = 1;

/// What a command works with.
pub(crate) struct Session<'a> {
    /// Where the data is.
    pub data: &'a DataFolder,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Where to read and write.
    pub console: &'a dyn Console,
    /// Whether a script reads the output.
    pub json: bool,
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    let console = LocalConsole::default();
    let json = cli.json;
    match start(cli, &console) {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(fail(&error, json, &console)),
    }
}

/// Says what went wrong. A reader that has had enough is not a failure.
pub(crate) fn fail(error: &anyhow::Error, json: bool, console: &dyn Console) -> u8 {
    let closed = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    });
    if closed {
        return 0;
    }
    console.note(&output::error_text(error, json));
    FAILED
}

fn start(cli: Cli, console: &LocalConsole) -> Result<u8> {
    let folder = env::current_dir().context("the current folder")?;
    if cli.can_be_forwarded()
        && let Some(server) = control::connect(&cli.data)?
    {
        let arguments: Vec<OsString> = env::args_os().skip(1).collect();
        return control::forward(server, &arguments, &folder, console);
    }
    let data = DataFolder::new(folder.join(&cli.data), DataFolderOptions::default());
    match cli.command {
        Command::Demo(args) => demo::run(&args, &data, console, cli.json)?,
        Command::Serve(args) => serve::run(&args, &data, console, cli.json)?,
        Command::Run(args) => trickle::run(&args, &data, console, cli.json)?,
        Command::Bench(args) => bench::run(&args, cli.json, console)?,
        command => {
            let session = Session {
                data: &data,
                folder,
                console,
                json: cli.json,
            };
            dispatch(&command, &session)?;
        }
    }
    Ok(0)
}

/// Carries out a command that needs no server of its own.
pub(crate) fn dispatch(command: &Command, session: &Session<'_>) -> Result<()> {
    match command {
        Command::Init(args) => environment::run(args, session),
        Command::Table(args) => table::run(args, session),
        Command::Ingest(args) => ingest::run(args, session),
        Command::Link(args) => link::run(args, session),
        Command::Publish(args) => publish::run(args, session),
        Command::Snapshot(args) => snapshot::run(args, session),
        Command::Changes(args) => changes::run(args, session),
        Command::Account(args) => account::run(args, session),
        Command::Quota(args) => quota::run(args, session),
        Command::Retention(args) => retention::run(args, session),
        Command::Status(args) => status::run(args, session),
        Command::Backup(args) => backup::backup(args, session),
        Command::Restore(args) => backup::restore(args, session),
        Command::Salvage(args) => salvage::run(args, session),
        Command::Verify(args) => verify::run(args, session),
        Command::Dump(args) => dump::run(args, session),
        Command::Fs(args) => fs::run(args, session),
        Command::Token(args) => token::run(args, session),
        Command::Bench(_) | Command::Demo(_) | Command::Serve(_) | Command::Run(_) => {
            anyhow::bail!("a running server does not start another one")
        }
    }
}

/// Events go to standard error; `LAKESTAGE_LOG` chooses which, in the syntax of `RUST_LOG`.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LAKESTAGE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}
