//! `lakestage snapshot diff`

use anyhow::Result;
use clap::Args;
use lakestage_engine::{RowDifference, TableDifference, difference};
use serde::Serialize;
use serde_json::json;

use super::{At, LinkArg};
use crate::cli::link::lake_of;
use crate::cli::output::{self, Align, TextTable, count_text, time_text};
use crate::cli::run::Session;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The earlier snapshot: previous, newest, v<version>, its number, or the last one up to a time
    #[arg(long, value_name = "SNAPSHOT", default_value = "previous")]
    from: At,

    /// The later snapshot
    #[arg(long, value_name = "SNAPSHOT", default_value = "newest")]
    to: At,

    /// Print a line for each row that differs
    #[arg(long)]
    rows: bool,

    #[command(flatten)]
    link: LinkArg,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    from_unix_s: i64,
    to_unix_s: i64,
    tables: Vec<TableDifference>,
}

pub(super) fn run(args: &DiffArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = args.link.find(session)?;
    let lake = lake_of(session, &link)?;
    let from = environment.open_snapshot(&link.name, &*lake, args.from.0)?;
    let to = environment.open_snapshot(&link.name, &*lake, args.to.0)?;
    let mut told = Ok(());
    let tables = difference(&from, &to, |table, id, change| {
        if args.rows && told.is_ok() {
            told = tell(session, table, id, change);
        }
        Ok(())
    })?;
    told?;
    let found = Difference {
        from_unix_s: from.snapshot_unix_s(),
        to_unix_s: to.snapshot_unix_s(),
        tables,
    };
    output::print(session.console, session.json, &found, text)
}

fn tell(session: &Session<'_>, table: &str, id: &str, change: RowDifference) -> Result<()> {
    let event = json!({ "table": table, "id": id, "change": change });
    output::print(session.console, session.json, &event, |_| {
        let change = match change {
            RowDifference::Created => "created",
            RowDifference::Updated => "updated",
            RowDifference::Deleted => "deleted",
            RowDifference::Added => "added",
        };
        format!("{table} {id} {change}")
    })
}

fn text(found: &Difference) -> String {
    let mut lines = TextTable::new(&[
        ("table", Align::Left),
        ("created", Align::Right),
        ("updated", Align::Right),
        ("deleted", Align::Right),
        ("added", Align::Right),
        ("files compared", Align::Right),
        ("files the same", Align::Right),
    ]);
    for table in &found.tables {
        lines.row(vec![
            table.table.clone(),
            count_text(table.created),
            count_text(table.updated),
            count_text(table.deleted),
            count_text(table.added),
            count_text(table.files_compared),
            count_text(table.files_same),
        ]);
    }
    format!(
        "from {} ({}) to {} ({})\n{}",
        found.from_unix_s,
        time_text(found.from_unix_s),
        found.to_unix_s,
        time_text(found.to_unix_s),
        lines.text("  ")
    )
}
