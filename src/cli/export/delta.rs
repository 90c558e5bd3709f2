//! `lakestage export delta`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use lakestage::LakeAddress;
use lakestage::delta::{DeltaExport, DeltaReport, DeltaStep, FILE_BYTES, MirrorReport, mirror};
use serde::Serialize;

use super::super::command::resolve;
use super::super::environment::EnvironmentArg;
use super::super::output::{self, bytes_text, counted};
use super::super::progress::Step;
use super::super::run::Session;

const HOUR_S: u64 = 3_600;
/// Smaller files would be many for few rows.
const FILE_BYTES_MIN: u64 = 64 << 10;

/// What became of a table.
#[derive(Debug, Serialize)]
struct Exported {
    #[serde(flatten)]
    report: DeltaReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<MirrorReport>,
}

/// Write tables as Delta tables, and then what changed since the last time.
///
/// Each table gets a folder of its name. The first export writes all rows, each further one a commit with what was
/// inserted, updated and deleted since, so that Spark, Databricks, Fabric, delta-rs and others go on from there; the
/// change data feed is on. How far a table is stands in the table itself: an export that was interrupted is there whole
/// or not at all, and the next one goes on from it. Changes are kept from one export to the next; if they went
/// meanwhile, each row is compared instead. With --send-to the commits go on to a lake or a storage account as well;
/// what could not be sent is sent the next time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage export delta --all --to /srv/delta\n  \
lakestage export delta account contact --to /srv/delta\n  \
lakestage export delta account --to /srv/delta --file-bytes 134217728\n  \
lakestage export delta --all --to /srv/delta --send-to account:site --filesystem delta\n\n\
Run it again, from a timer, to follow the environment. Files that no version needs any more are removed by the \
VACUUM of any Delta program, in Python: DeltaTable(\"/srv/delta/account\").vacuum(dry_run=False)")]
pub(crate) struct DeltaArgs {
    /// The tables
    #[arg(required_unless_present = "all")]
    tables: Vec<String>,

    /// Every table with change tracking
    #[arg(long, conflicts_with = "tables")]
    all: bool,

    /// The folder that the tables stand in, each in a folder of its name
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// Send the commits on: emulator, emulator:<account>, folder:<path> or account:<name>
    #[arg(long, value_name = "LAKE")]
    send_to: Option<LakeAddress>,

    /// The filesystem of that lake, in which each table gets a folder of its name
    #[arg(
        long,
        value_name = "NAME",
        default_value = "delta",
        requires = "send_to"
    )]
    filesystem: String,

    /// About how long a file of rows gets; a row that changes costs one
    #[arg(long, value_name = "BYTES", default_value_t = FILE_BYTES,
        value_parser = clap::value_parser!(u64).range(FILE_BYTES_MIN..))]
    file_bytes: u64,

    /// Hours after an export for which changes are kept for the next one
    #[arg(long, value_name = "HOURS", default_value_t = 720)]
    expires_after_hours: u64,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(crate) fn run(args: &DeltaArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let to = resolve(&session.folder, &args.to);
    let mut tables = args.tables.clone();
    if args.all {
        for name in environment.table_names() {
            if environment.schema(&name)?.change_tracking() {
                tables.push(name);
            }
        }
    }
    // A name that is wrong is told before anything is written.
    for table in &tables {
        environment.schema(table)?;
    }
    let mut exported = Vec::new();
    for table in &tables {
        let _step = Step::start(session.console, &format!("exporting {table}"));
        let mut export = DeltaExport::of(table, &to);
        export.file_bytes = args.file_bytes;
        export.expires_after_s = args.expires_after_hours.saturating_mul(HOUR_S);
        exported.push(Exported {
            report: export.run(&environment)?,
            sent: None,
        });
    }
    // The folder has everything by now, whatever becomes of the way to the lake.
    if let Some(address) = &args.send_to {
        let address = match address {
            LakeAddress::Folder(folder) => LakeAddress::Folder(resolve(&session.folder, folder)),
            other => other.clone(),
        };
        let lake = session.data.lake(&address, &args.filesystem)?;
        for one in &mut exported {
            let table = &one.report.table;
            let _step = Step::start(session.console, &format!("sending {table}"));
            let sent = mirror(&one.report.folder, table, &*lake).with_context(|| {
                format!(
                    "{table} was exported to {} and not sent whole; the next export goes on with it",
                    one.report.folder.display()
                )
            })?;
            one.sent = Some(sent);
        }
    }
    output::print(session.console, session.json, &exported, |exported| {
        let lines: Vec<String> = exported.iter().map(text).collect();
        lines.join("\n")
    })
}

fn text(exported: &Exported) -> String {
    let mut text = text_of(&exported.report);
    if let Some(sent) = &exported.sent {
        text.push_str(&format!(
            "\n  {} has it now: {} and {} sent, {}",
            sent.lake,
            counted(sent.commits, "commit"),
            counted(sent.files, "file"),
            bytes_text(sent.bytes),
        ));
    }
    text
}

fn text_of(report: &DeltaReport) -> String {
    let how = match report.step {
        DeltaStep::Created => "created",
        DeltaStep::Changed => "changed",
        DeltaStep::Compared => "compared row by row, because changes were not kept any more",
        DeltaStep::UpToDate => "up to date",
    };
    format!(
        "{}: {how}; Delta version {} shows version {}: {} inserted, {} updated, {} deleted; {} written, {}",
        report.table,
        report.delta_version,
        report.version,
        report.inserted,
        report.updated,
        report.deleted,
        bytes_text(report.bytes_written),
        counted(report.files, "file"),
    )
}
