//! `lakestage status`

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use lakestage_engine::{
    Activity, Environment, EnvironmentStatus, LinkStatus, Selection, TableStatus,
};
use serde::Serialize;

use super::output::{self, Align, TextTable, bytes_text, count_text, counted, time_text};
use super::run::Session;

/// Show environments, tables and links in numbers.
///
/// Rows and bytes of a table are those in blocks: what was committed since the last compaction is the tail.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this environment
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    environment: EnvironmentStatus,
    links: Vec<LinkStatus>,
}

impl Status {
    fn of(environment: &Environment) -> Result<Self> {
        Ok(Status {
            environment: environment.status()?,
            links: environment.links(),
        })
    }
}

pub(crate) fn run(args: &StatusArgs, session: &Session<'_>) -> Result<()> {
    let names = match &args.environment {
        Some(name) => vec![name.clone()],
        None => session.data.environment_names()?,
    };
    let environments = names
        .iter()
        .map(|name| Status::of(&session.data.environment(Some(name))?))
        .collect::<Result<Vec<_>>>()?;
    output::print(
        session.console,
        session.json,
        &environments,
        |environments| match environments.is_empty() {
            true => format!(
                "{} holds no environment yet; create one with `lakestage init <name>`",
                session.data.root().display()
            ),
            false => environments
                .iter()
                .map(environment_text)
                .collect::<Vec<_>>()
                .join("\n"),
        },
    )
}

fn environment_text(status: &Status) -> String {
    let environment = &status.environment;
    let mut text = format!(
        "environment {} (organization {})\n  last version {}; in blocks up to {}; tail {}, journal {}; {} in segments\n",
        environment.settings.name,
        environment.settings.organization,
        environment.last_version,
        environment.compacted_version,
        bytes_text(environment.tail_bytes),
        bytes_text(environment.journal_bytes),
        bytes_text(environment.segment_bytes),
    );
    if let Some(version) = environment.unfinished_version {
        text.push_str(&format!(
            "  a commit at version {version} was broken off before it was acknowledged, and dropped when this was opened\n"
        ));
    }
    if let Some(warning) = &environment.quota.warning {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text.push_str(&tables_text(&environment.tables, "  "));
    for link in &status.links {
        text.push_str(&link_text(link));
    }
    text
}

/// Tables, a line each.
pub(crate) fn tables_text(tables: &[TableStatus], indent: &str) -> String {
    let mut lines = TextTable::new(&[
        ("table", Align::Left),
        ("columns", Align::Right),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("partitions", Align::Right),
        ("change tracking", Align::Left),
    ]);
    for table in tables {
        lines.row(vec![
            table.name.clone(),
            count_text(table.columns as u64),
            count_text(table.rows),
            bytes_text(table.bytes),
            count_text(table.partitions as u64),
            if table.change_tracking { "on" } else { "off" }.to_owned(),
        ]);
    }
    lines.text(indent)
}

/// A link with its tables.
pub(crate) fn link_text(link: &LinkStatus) -> String {
    let activity = match link.activity {
        Activity::Active => "",
        Activity::Paused => ", paused",
        Activity::Unlinking => ", being removed",
    };
    let mut text = format!(
        "link {} to {} in {}{activity}\n",
        link.name, link.filesystem, link.lake
    );
    // Writing to a string cannot fail.
    let _ = match (link.last_snapshot_unix_s, &link.incremental) {
        (_, Some(folders)) => writeln!(
            text,
            "  a folder every {} s; {} complete up to version {}, {} behind; the next is {}",
            folders.every_s,
            counted(folders.closed_folders.len() as u64, "folder"),
            link.last_version,
            counted(link.lag_versions, "version"),
            folders.open_folder
        ),
        (0, None) => writeln!(text, "  no snapshot yet"),
        (unix_s, None) => writeln!(
            text,
            "  last snapshot {unix_s} ({}) at version {}, {} behind; {} can be read",
            time_text(unix_s),
            link.last_version,
            counted(link.lag_versions, "version"),
            counted(link.snapshots, "snapshot")
        ),
    };
    if let Some(backlog) = &link.backlog {
        let which = match backlog.policy.selection {
            Selection::Newest => "the newest state is".to_owned(),
            Selection::Every(1) => "every snapshot is".to_owned(),
            Selection::Every(every) => format!("of {every} snapshots one is"),
        };
        let oldest = backlog.oldest_unix_s.map_or(String::new(), |unix_s| {
            format!(", the oldest of {}", time_text(unix_s))
        });
        let _ = writeln!(
            text,
            "  {which} published; {} of {} wait{oldest}; {} dropped for others",
            backlog.waiting, backlog.policy.snapshots_max, backlog.dropped
        );
    }
    if let Some(why) = &link.last_failure {
        let _ = writeln!(text, "  the last attempt to publish failed: {why}");
    }
    let mut lines = TextTable::new(&[
        ("table", Align::Left),
        ("state", Align::Left),
        ("mode", Align::Left),
        ("partition", Align::Left),
        ("count", Align::Right),
        ("files", Align::Right),
        ("last synced", Align::Left),
    ]);
    for table in &link.tables {
        lines.row(vec![
            table.name.clone(),
            table.state.to_owned(),
            if table.append_only {
                "append-only"
            } else {
                "in-place"
            }
            .to_owned(),
            table.partition_strategy.to_owned(),
            count_text(table.count),
            count_text(table.files.len() as u64),
            match table.last_synced_unix_s {
                0 => "never".to_owned(),
                unix_s => format!(
                    "{}, changed at version {}",
                    time_text(unix_s),
                    table.last_synced_version
                ),
            },
        ]);
    }
    text.push_str(&lines.text("  "));
    text
}
