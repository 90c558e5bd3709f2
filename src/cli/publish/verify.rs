//! Comparing an account with what was published to it.

use std::fmt::Write as _;

use anyhow::Result;
use lakestage_engine::PublishedReport;
use serde::Serialize;

use super::Target;
use crate::cli::output::{self, counted};
use crate::cli::progress::Step;
use crate::cli::run::Session;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'r> {
    link: &'r str,
    #[serde(flatten)]
    report: &'r PublishedReport,
}

/// Gives how many things are wrong.
pub(super) fn run(target: &Target, read_back: bool, session: &Session<'_>) -> Result<usize> {
    let link = &target.link.name;
    let step = Step::start(session.console, &format!("{link}: comparing"));
    let environment = &target.environment;
    let report = environment.verify_published(link, &*target.lake, read_back)?;
    drop(step);
    let told = Told {
        link,
        report: &report,
    };
    output::print(session.console, session.json, &told, text)?;
    Ok(report.report.findings.len())
}

fn text(told: &Told<'_>) -> String {
    let report = told.report;
    let mut text = format!(
        "{}: {} looked at",
        told.link,
        counted(report.report.files, "file")
    );
    // Writing to a string cannot fail.
    if report.proven_files > 0 {
        let _ = write!(
            text,
            ", {} shown to be made of the blocks here",
            counted(report.proven_files, "file")
        );
    }
    if report.unproven_files > 0 {
        let _ = write!(
            text,
            "; of {} only length and ETag are known, --read-back reads them",
            counted(report.unproven_files, "file")
        );
    }
    text.push_str(match report.report.findings.is_empty() {
        true => "; nothing is wrong\n",
        false => "; this is wrong:\n",
    });
    for finding in &report.report.findings {
        let _ = writeln!(
            text,
            "  {}, {}: {}",
            finding.file, finding.place, finding.rule
        );
    }
    text
}
