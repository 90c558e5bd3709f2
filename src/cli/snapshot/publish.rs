//! `lakestage snapshot [LINK]`

use anyhow::{Result, bail};
use lakestage_engine::{Activity, SnapshotReport};
use serde::Serialize;

use super::PublishArgs;
use crate::cli::link::lake_of;
use crate::cli::output::{self, bytes_text, counted, time_text};
use crate::cli::progress::Step;
use crate::cli::run::Session;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkSnapshot<'r> {
    pub link: &'r str,
    #[serde(flatten)]
    pub report: &'r SnapshotReport,
}

pub(super) fn run(args: &PublishArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let links = match &args.link {
        Some(name) => vec![environment.link(name)?],
        None => environment.links(),
    };
    if links.is_empty() {
        bail!("there is no link yet; create one with `lakestage link new --all`");
    }
    for link in links {
        if args.link.is_none() && link.activity == Activity::Paused {
            session
                .console
                .note(&format!("{}: passed over, since it is paused", link.name));
            continue;
        }
        let lake = lake_of(session, &link)?;
        let step = Step::start(session.console, &format!("{}: snapshot", link.name));
        let report = environment.snapshot(&link.name, &*lake)?;
        drop(step);
        for path in &report.repaired {
            session.console.note(&format!(
                "{}: {path} had been removed or changed by somebody else, and was put right",
                link.name
            ));
        }
        let snapshot = LinkSnapshot {
            link: &link.name,
            report: &report,
        };
        output::print(session.console, session.json, &snapshot, snapshot_text)?;
    }
    Ok(())
}

pub(crate) fn snapshot_text(snapshot: &LinkSnapshot<'_>) -> String {
    let report = snapshot.report;
    if !report.changed {
        return format!(
            "{}: nothing changed since version {}",
            snapshot.link, report.version
        );
    }
    let mut text = format!(
        "{}: snapshot {} ({}) at version {}: {} written ({}), {} kept; {} in all",
        snapshot.link,
        report.snapshot_unix_s,
        time_text(report.snapshot_unix_s),
        report.version,
        counted(report.files_written.len() as u64, "file"),
        bytes_text(report.bytes_written),
        report.files_kept.len(),
        counted(report.rows, "row")
    );
    if let Some(traffic) = &report.traffic {
        text += &format!(
            "\n  {} sent; {} taken over by the account from what it had",
            bytes_text(traffic.sent_bytes),
            bytes_text(traffic.taken_over_bytes)
        );
        if traffic.found_bytes > 0 {
            let found = bytes_text(traffic.found_bytes);
            text += &format!("; {found} had been sent before something interrupted");
        }
    }
    text
}
