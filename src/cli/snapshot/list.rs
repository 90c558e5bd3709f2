//! `lakestage snapshot list`

use anyhow::Result;
use clap::Args;
use lakestage_engine::{SnapshotInfo, SnapshotPin};

use super::LinkArg;
use crate::cli::output::{self, Align, TextTable, bytes_text, count_text, time_text};
use crate::cli::run::Session;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    link: LinkArg,
}

pub(super) fn run(args: &ListArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = args.link.find(session)?;
    let snapshots = environment.snapshots(&link.name)?;
    output::print(
        session.console,
        session.json,
        &snapshots,
        |snapshots| match snapshots.is_empty() {
            true => "no snapshot yet; publish one with `lakestage snapshot`".to_owned(),
            false => text(snapshots),
        },
    )
}

fn text(snapshots: &[SnapshotInfo]) -> String {
    let mut lines = TextTable::new(&[
        ("snapshot", Align::Left),
        ("time", Align::Left),
        ("version", Align::Right),
        ("files", Align::Right),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("pins", Align::Left),
    ]);
    for snapshot in snapshots {
        let pins: Vec<String> = snapshot.pins.iter().map(pin_text).collect();
        lines.row(vec![
            snapshot.snapshot_unix_s.to_string(),
            time_text(snapshot.snapshot_unix_s),
            snapshot.version.to_string(),
            count_text(snapshot.files),
            count_text(snapshot.rows),
            bytes_text(snapshot.bytes),
            pins.join(", "),
        ]);
    }
    lines.text("")
}

/// A pin, with its end where it has one.
pub(super) fn pin_text(pin: &SnapshotPin) -> String {
    match pin.expires_unix_s {
        None => pin.name.clone(),
        Some(unix_s) => format!("{} until {}", pin.name, time_text(unix_s)),
    }
}
