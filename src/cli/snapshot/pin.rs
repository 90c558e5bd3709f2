//! `lakestage snapshot pin` and `unpin`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::at::unix_s;
use super::list::pin_text;
use super::{At, LinkArg};
use crate::cli::output::{self, time_text};
use crate::cli::run::Session;

#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// A name for the pin; one that is there already moves
    name: String,

    /// The snapshot: newest, previous, v<version>, its number, or the last one up to a time
    #[arg(long, value_name = "SNAPSHOT", default_value = "newest")]
    at: At,

    /// When the pin ends by itself; never where it is left out
    #[arg(long, value_name = "TIME", value_parser = end)]
    until: Option<i64>,

    #[command(flatten)]
    link: LinkArg,
}

fn end(text: &str) -> Result<i64, String> {
    unix_s(text).ok_or_else(|| "write a time such as 2027-03-31T00:00:00Z".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct UnpinArgs {
    /// The pin's name
    name: String,

    #[command(flatten)]
    link: LinkArg,
}

pub(super) fn run(args: &PinArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = args.link.find(session)?;
    let pinned = environment.pin_snapshot(&link.name, args.at.0, &args.name, args.until)?;
    output::print(session.console, session.json, &pinned, |pinned| {
        let pins: Vec<String> = pinned.pins.iter().map(pin_text).collect();
        format!(
            "snapshot {} ({}) is kept by {}",
            pinned.snapshot_unix_s,
            time_text(pinned.snapshot_unix_s),
            pins.join(", ")
        )
    })
}

pub(super) fn unpin(args: &UnpinArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = args.link.find(session)?;
    environment.unpin_snapshot(&link.name, &args.name)?;
    let gone = json!({ "unpinned": args.name });
    output::print(session.console, session.json, &gone, |_| {
        format!("the pin {} is gone", args.name)
    })
}
