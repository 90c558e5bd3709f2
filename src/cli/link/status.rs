//! `lakestage link status`

use anyhow::Result;
use clap::Args;
use lakestage_engine::LinkStatus;
use serde::Serialize;

use crate::cli::environment::EnvironmentArg;
use crate::cli::output;
use crate::cli::publish::Outlook;
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
    let shown = links
        .into_iter()
        .map(|link| {
            let publishing = Outlook::of(session.data, &environment, &link)?;
            Ok(Shown { link, publishing })
        })
        .collect::<Result<Vec<_>>>()?;
    output::print(session.console, session.json, &shown, |shown| {
        match shown.is_empty() {
            true => "no links; create one with `lakestage link new --all`".to_owned(),
            false => shown.iter().map(text).collect(),
        }
    })
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    link: LinkStatus,
    /// Of a link to a storage account: what is not there yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    publishing: Option<Outlook>,
}

fn text(shown: &Shown) -> String {
    let mut text = link_text(&shown.link);
    if let Some(outlook) = &shown.publishing {
        text += &outlook.text();
    }
    text
}
