//! `lakestage link policy`

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lakestage_engine::{BACKLOG_SNAPSHOTS, PublishPolicy, Selection, WhenFull};

use super::find;
use crate::cli::environment::EnvironmentArg;
use crate::cli::output;
use crate::cli::run::Session;
use crate::cli::status::link_text;

#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// The link
    #[arg(default_value = "lake")]
    name: String,

    #[command(flatten)]
    policy: PolicyOptions,

    #[command(flatten)]
    environment: EnvironmentArg,
}

/// Which snapshots go to a lake, and how many may wait for it.
#[derive(Debug, Args)]
pub(super) struct PolicyOptions {
    /// Which snapshots go to the lake: newest, all, or every:<n> for the first and then each n-th that was due
    #[arg(long, value_name = "WHICH", default_value = "newest")]
    publish: Which,

    /// With all and every: how many may wait for the lake; 48 unless it is given
    #[arg(long, value_name = "COUNT")]
    backlog: Option<u32>,

    /// With all and every: how many bytes of blocks may be kept for those that wait and for nothing else
    #[arg(long, value_name = "BYTES")]
    backlog_bytes: Option<u64>,

    /// With all and every: what becomes of a snapshot for which there is no room; the oldest goes unless it is given
    #[arg(long, value_enum)]
    when_full: Option<WhenFullArg>,
}

#[derive(Debug, Clone, Copy)]
struct Which(Selection);

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" says nothing: write newest, all, or every:<n>");
        let selection = match text {
            "newest" => Selection::Newest,
            "all" => Selection::Every(1),
            _ => {
                let every = text.strip_prefix("every:").ok_or_else(wrong)?;
                let every = every.parse().ok().filter(|every| *every > 0);
                Selection::Every(every.ok_or_else(wrong)?)
            }
        };
        Ok(Which(selection))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenFullArg {
    /// The oldest that waits makes room
    DropOldest,
    /// No further one is taken; the changes come with a later one
    TakeNoMore,
}

impl PolicyOptions {
    /// # Errors
    /// When it leaves room for nothing, or bounds a backlog where there is none.
    pub(super) fn policy(&self) -> Result<PublishPolicy> {
        let policy = PublishPolicy {
            selection: self.publish.0,
            snapshots_max: self.backlog.unwrap_or(BACKLOG_SNAPSHOTS),
            bytes_max: self.backlog_bytes,
            when_full: match self.when_full {
                None | Some(WhenFullArg::DropOldest) => WhenFull::DropOldest,
                Some(WhenFullArg::TakeNoMore) => WhenFull::TakeNoMore,
            },
        };
        let is_bounded =
            self.backlog.is_some() || self.backlog_bytes.is_some() || self.when_full.is_some();
        if is_bounded && !policy.keeps_snapshots() {
            bail!(
                "where the newest state is published nothing waits; --backlog, --backlog-bytes and --when-full go with --publish all or every:<n>"
            );
        }
        policy.check()?;
        Ok(policy)
    }
}

pub(super) fn run(args: &PolicyArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.environment, &args.name)?;
    environment.set_publish_policy(&link.name, args.policy.policy()?)?;
    let status = environment.link(&link.name)?;
    output::print(session.console, session.json, &status, link_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_newest_all_or_every_so_manieth() {
        let parsed = |text: &str| text.parse::<Which>().map(|which| which.0);
        assert_eq!(parsed("newest"), Ok(Selection::Newest));
        assert_eq!(parsed("all"), Ok(Selection::Every(1)));
        assert_eq!(parsed("every:24"), Ok(Selection::Every(24)));
        for wrong in ["", "every", "every:0", "every:-1", "none"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
