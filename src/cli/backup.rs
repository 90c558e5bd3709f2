//! `lakestage backup` and `lakestage restore`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lakestage_engine::{
    BackupReport, RestoreReport, backup_environment, restore as restore_backup,
};

use super::command::resolve;
use super::environment::EnvironmentArg;
use super::output::{self, bytes_text, counted, time_text};
use super::run::Session;

/// Write a backup of an environment while others go on writing.
///
/// The backup is the environment at one version, with a checksum of every file. Lakes are not part of it: a snapshot
/// writes them anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage backup monday.backup\n  \
lakestage backup /mnt/backups/monday/ --environment contoso\n\n\
A path that ends with / or is an empty folder gets a folder, whose files are linked where the file system allows, so \
that it takes next to no room but is gone with the disk; any other path gets one file.")]
pub(crate) struct BackupArgs {
    /// A file, or a folder with a / at its end; nothing may be there yet
    #[arg(value_name = "FILE OR FOLDER/")]
    to: PathBuf,

    #[command(flatten)]
    environment: EnvironmentArg,
}

/// Restore a backup as an environment that is not there.
///
/// The whole backup is checked before anything is written. Links come back paused, because the environment that was
/// backed up may still publish; `lakestage link resume` lets them go on. Change tokens of the old environment are
/// refused.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
lakestage --data new-folder restore monday.backup\n  \
lakestage --data new-folder link resume")]
pub(crate) struct RestoreArgs {
    /// The backup: a file or a folder
    #[arg(value_name = "FILE OR FOLDER")]
    backup: PathBuf,
}

pub(crate) fn backup(args: &BackupArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let to = resolve(&session.folder, &args.to);
    let is_folder = to.is_dir() || args.to.as_os_str().as_encoded_bytes().ends_with(b"/");
    let report = environment.backup(&to, is_folder)?;
    output::print(session.console, session.json, &report, |report| {
        backup_text(report, &args.to.display().to_string())
    })
}

fn backup_text(report: &BackupReport, to: &str) -> String {
    format!(
        "backed up {} at version {}: {}, {}\nrestore it with: lakestage --data <folder> restore {to}",
        report.environment,
        report.version,
        counted(report.files as u64, "file"),
        bytes_text(report.bytes),
    )
}

pub(crate) fn restore(args: &RestoreArgs, session: &Session<'_>) -> Result<()> {
    let backup = resolve(&session.folder, &args.backup);
    let name = backup_environment(&backup)?;
    let report = restore_backup(&backup, &session.data.environment_folder(&name))?;
    output::print(session.console, session.json, &report, restore_text)
}

fn restore_text(report: &RestoreReport) -> String {
    let mut text = format!(
        "restored {} at version {}, as it was at {}",
        report.environment,
        report.version,
        time_text(report.backup_unix_s)
    );
    for link in &report.links {
        text.push_str(&format!(
            "\nthe link {link} is paused; next: lakestage link resume {link}"
        ));
    }
    text
}
