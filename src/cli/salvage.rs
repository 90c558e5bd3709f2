//! `lakestage salvage`

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use lakestage::{DataFolder, DataFolderOptions};
use lakestage_engine::{SalvageReport, salvage};

use super::command::resolve;
use super::environment::EnvironmentArg;
use super::output::{self, counted};
use super::run::Session;

/// Keep what is whole of a damaged environment, in a new data folder.
///
/// Rows of good blocks, segments and commits, tables and the settings of links are kept, damaged bytes are set aside in
/// the new environment's quarantine folder, and every loss is told with its table, partition, ids and versions. The
/// damaged folder does not change; no server may have it. Links are paused, and readers of changes start again from a
/// snapshot.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
lakestage verify --full\n  \
lakestage salvage --to rescued-data\n  \
lakestage --data rescued-data status")]
pub(crate) struct SalvageArgs {
    /// The new data folder
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(crate) fn run(args: &SalvageArgs, session: &Session<'_>) -> Result<()> {
    let name = session
        .data
        .which(args.environment.environment.as_deref())?;
    if session.data.opened(&name).is_some() {
        bail!("a running server has the environment {name} open; stop it first");
    }
    let to = DataFolder::new(
        resolve(&session.folder, &args.to),
        DataFolderOptions::default(),
    );
    let report = salvage(
        &session.data.environment_folder(&name),
        &to.environment_folder(&name),
    )?;
    output::print(session.console, session.json, &report, text)
}

fn text(report: &SalvageReport) -> String {
    let mut text = format!(
        "salvaged {} at version {}\n",
        report.environment, report.version
    );
    // Writing to a string cannot fail.
    for (table, rows) in &report.kept {
        let _ = writeln!(text, "  kept {} of table {table}", counted(*rows, "row"));
    }
    if report.lost.is_empty() {
        text.push_str("  nothing was lost\n");
    }
    for loss in &report.lost {
        let _ = write!(text, "  lost {}", loss.what);
        if let (Some(first), Some(last)) = (&loss.first_id, &loss.last_id) {
            let _ = write!(text, ", ids {first} to {last}");
        }
        if let Some(rows) = loss.rows {
            let _ = write!(text, ", {}", counted(rows, "row"));
        }
        let _ = writeln!(text, "\n    because {}", loss.reason);
    }
    text
}
