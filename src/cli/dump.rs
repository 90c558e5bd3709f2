//! `lakestage dump`

use anyhow::Result;
use clap::{Args, Subcommand};
use lakestage_engine::{DumpPart, Error, dump_folder};
use serde_json::Value;

use super::environment::EnvironmentArg;
use super::run::Session;

/// Show what stands in an environment's files.
///
/// A line an item; with --json a JSON document a line. Nothing is changed, whether a server has the folder or nobody.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage dump journal\n  \
lakestage dump segments\n  \
lakestage --json dump segments 3 | jq .operation\n  \
lakestage dump catalog\n  \
lakestage dump block 7 8")]
pub(crate) struct DumpArgs {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The commits in the journal with their changes, and its metadata
    Journal(OfEnvironment),
    /// The sealed segments, or the changes of one
    Segments(SegmentsArgs),
    /// The catalog, and the blocks of every partition
    Catalog(OfEnvironment),
    /// The rows of a block
    Block(BlockArgs),
}

#[derive(Debug, Args)]
struct OfEnvironment {
    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct SegmentsArgs {
    /// Show the changes of the segment of this number
    number: Option<u64>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct BlockArgs {
    /// The number of its pack, as `dump catalog` shows it
    pack: u64,

    /// Where in the pack it begins, in bytes
    offset: u64,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(crate) fn run(args: &DumpArgs, session: &Session<'_>) -> Result<()> {
    let (part, environment) = match &args.part {
        Part::Journal(args) => (DumpPart::Journal, &args.environment),
        Part::Segments(args) => {
            let number = args.number;
            (DumpPart::Segments { number }, &args.environment)
        }
        Part::Catalog(args) => (DumpPart::Catalog, &args.environment),
        Part::Block(args) => {
            let (pack, offset) = (args.pack, args.offset);
            (DumpPart::Block { pack, offset }, &args.environment)
        }
    };
    let name = session.data.which(environment.environment.as_deref())?;
    let mut failure = None;
    let mut out = |item: Value| {
        let line = match session.json {
            true => format!("{item}\n"),
            false => text(&item),
        };
        session.console.write(line.as_bytes()).map_err(|error| {
            let message = error.to_string();
            failure = Some(error);
            Error::InvalidInput(message)
        })
    };
    let done = match session.data.opened(&name) {
        Some(environment) => environment.dump(&part, &mut out),
        None => dump_folder(&session.data.environment_folder(&name), &part, &mut out),
    };
    match failure {
        // A reader that has had enough is told apart from damage.
        Some(error) => Err(error.into()),
        None => Ok(done?),
    }
}

/// An item on a line: `key value` pairs, apart by two spaces.
fn text(item: &Value) -> String {
    let Value::Object(fields) = item else {
        return format!("{item}\n");
    };
    let pairs = fields.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        Value::Object(_) => format!("{key}\n{value:#}"),
        other => format!("{key} {other}"),
    });
    let mut line = pairs.collect::<Vec<_>>().join("  ");
    line.push('\n');
    line
}
