//! `lakestage link status`

use anyhow::Result;
use clap::Args;

use crate::cli::environment::EnvironmentArg;
use crate::cli::output;
use crate::cli::run::Session;
use crate::cli::status::link_text;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The link; all links where it is left out
    name: Option<String>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(super) fn run(args: &StatusArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let links = match &args.name {
        Some(name) => vec![environment.link(name)?],
        None => environment.links(),
    };
    output::print(session.console, session.json, &links, |links| {
        match links.is_empty() {
            true => "no links; create one with `lakestage link new --all`".to_owned(),
            false => links.iter().map(link_text).collect(),
        }
    })
}
