//! `lakestage verify`

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::Args;
use lakestage::LakeAddress;
use lakestage_engine::{Depth, Error, Lake, VerifyReport, verify_folder};
use serde::Serialize;

use super::output::{self, counted};
use super::run::Session;

/// Look for damage in environments and in what their lakes show.
///
/// The quick look follows the links between journal, catalog, segments, packs and lakes, and checks footers, sizes and
/// versions. Nothing is changed, whether a server has the folder or nobody. What is wrong is named with its file, its
/// place, the rule and what depends on it, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage verify\n  \
lakestage verify --full --environment contoso\n  \
lakestage --json verify --full | jq '.[].findings[]'\n\n\
Where something is wrong, `lakestage salvage` keeps what is whole, and `lakestage restore` takes a backup.")]
pub(crate) struct VerifyArgs {
    /// Read every byte: checksums, rows and their order, and the lakes' files beside the blocks
    #[arg(long)]
    full: bool,

    /// Only this environment
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
}

#[derive(Debug, Serialize)]
struct Verified {
    environment: String,
    #[serde(flatten)]
    report: VerifyReport,
}

pub(crate) fn run(args: &VerifyArgs, session: &Session<'_>) -> Result<()> {
    let names = match &args.environment {
        Some(name) => vec![session.data.which(Some(name))?],
        None => session.data.environment_names()?,
    };
    let depth = if args.full { Depth::Full } else { Depth::Quick };
    let verified = names
        .into_iter()
        .map(|name| verify(session, name, depth))
        .collect::<Result<Vec<_>>>()?;
    output::print(session.console, session.json, &verified, |verified| {
        verified.iter().map(text).collect()
    })?;
    let findings: usize = verified.iter().map(|v| v.report.findings.len()).sum();
    match findings {
        0 => Ok(()),
        1 => bail!("1 thing is not as it was written"),
        several => bail!("{several} things are not as they were written"),
    }
}

fn verify(session: &Session<'_>, name: String, depth: Depth) -> Result<Verified> {
    let lakes = |address: &str, filesystem: &str| -> Result<Box<dyn Lake>, Error> {
        let address: LakeAddress = address.parse().map_err(Error::Lake)?;
        let lake = session.data.lake(&address, filesystem);
        lake.map_err(|error| Error::Lake(format!("{error:#}")))
    };
    let report = match session.data.opened(&name) {
        Some(environment) => environment.verify(depth, &lakes)?,
        None => verify_folder(&session.data.environment_folder(&name), depth, &lakes)?,
    };
    Ok(Verified {
        environment: name,
        report,
    })
}

fn text(verified: &Verified) -> String {
    let report = &verified.report;
    let mut text = format!(
        "environment {}: {} and {} looked at, ",
        verified.environment,
        counted(report.files, "file"),
        counted(report.rows, "row")
    );
    text.push_str(match report.findings.is_empty() {
        true => "nothing wrong\n",
        false => "and this is wrong:\n",
    });
    if let Some(version) = report.unfinished_version {
        let _ = writeln!(
            text,
            "  the commit at version {version} was broken off before it was acknowledged; opening drops it"
        );
    }
    for finding in &report.findings {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {}, {}: {}",
            finding.file, finding.place, finding.rule
        );
        for needed_by in &finding.needed_by {
            let _ = writeln!(text, "    needed by {needed_by}");
        }
    }
    text
}
