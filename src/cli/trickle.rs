//! `lakestage run`

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lakestage::{DataFolder, LakeAddress};
use lakestage_engine::{
    Activity, Environment, LinkStatus, Taken, TrickleFeed, TrickleOptions, TrickleStep,
};
use serde_json::json;

use super::console::Console;
use super::output::{self, bytes_text, counted, time_text};
use super::serve::{Ending, ServeArgs, Serving};

/// Serve the lake and keep it up to date.
///
/// This is `lakestage serve` with the trickle feed: the near-real-time files of every link follow what is ingested,
/// and a snapshot is published at each interval in which something changed. What fails is tried again, later each time.
/// Ctrl-C or SIGTERM ends it when the step under way is done; whenever it is started again it goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage run\n  \
lakestage run --sync-every 5s --snapshot-every 15m\n  \
lakestage run --no-listen --json")]
pub(crate) struct RunArgs {
    /// How often to look for changes: 30s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = seconds)]
    sync_every: u32,

    /// How often to publish a snapshot
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    snapshot_every: u32,

    /// Keep the lake up to date without serving it on ports
    #[arg(long)]
    no_listen: bool,

    #[command(flatten)]
    serve: ServeArgs,
}

/// A number with s, m or h behind it.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("\"{text}\" is no time: write a number with s, m or h, such as 5m");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)
}

/// How long the loop sleeps at most: how late a step may be, and how long an ending waits.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(
    args: &RunArgs,
    data: &DataFolder,
    console: &dyn Console,
    json: bool,
) -> Result<()> {
    if args.serve.memory {
        bail!("environments need a folder; --memory is for `lakestage serve`");
    }
    let mut ending = Ending::watch()?;
    let serving = Serving::start(&args.serve, data, !args.no_listen)?;
    serving.tell(console, json)?;
    let mut feeds = TrickleFeeds {
        data: serving.data(),
        console,
        json,
        options: TrickleOptions {
            sync_every_s: args.sync_every,
            snapshot_every_s: args.snapshot_every,
        },
        feeds: BTreeMap::new(),
    };
    let done = loop {
        if let Err(error) = feeds.step() {
            break Err(error);
        }
        if ending.wait_for(LOOK_EVERY) {
            break Ok(());
        }
    };
    serving.end();
    done
}

/// The feeds of all links of all environments.
struct TrickleFeeds<'c> {
    data: &'c DataFolder,
    console: &'c dyn Console,
    json: bool,
    options: TrickleOptions,
    feeds: BTreeMap<(String, String), TrickleFeed>,
}

impl TrickleFeeds<'_> {
    fn step(&mut self) -> Result<()> {
        for name in self.data.environment_names()? {
            let environment = self.data.environment(Some(&name))?;
            let links = environment.links();
            self.feeds.retain(|(of, link), _| {
                *of != name || links.iter().any(|there| there.name == *link)
            });
            for link in links
                .iter()
                .filter(|link| link.activity == Activity::Active)
            {
                self.link(&environment, &name, link)?;
            }
        }
        Ok(())
    }

    fn link(&mut self, environment: &Environment, name: &str, link: &LinkStatus) -> Result<()> {
        let key = (name.to_owned(), link.name.clone());
        if !self.feeds.contains_key(&key) {
            let feed = TrickleFeed::new(environment, &link.name, self.options)?;
            self.feeds.insert(key.clone(), feed);
        }
        let Some(feed) = self.feeds.get_mut(&key) else {
            return Ok(());
        };
        let address: LakeAddress = link.lake.parse().map_err(anyhow::Error::msg)?;
        let lake = self.data.lake(&address, &link.filesystem)?;
        let step = feed.step(&*lake);
        let step = step.with_context(|| format!("the link {} of {name}", link.name))?;
        self.tell(name, &link.name, &step)
    }

    fn tell(&self, environment: &str, link: &str, step: &TrickleStep) -> Result<()> {
        let (event, facts, text) = match step {
            TrickleStep::Idle | TrickleStep::Unchanged => return Ok(()),
            TrickleStep::Synced(report) => (
                "synced",
                json!(report),
                format!(
                    "up to version {}: {} replaced ({}), {} removed",
                    report.version,
                    counted(report.files_written.len() as u64, "file"),
                    bytes_text(report.bytes_written),
                    report.files_removed.len()
                ),
            ),
            TrickleStep::Published(report) => (
                "published",
                json!(report),
                format!(
                    "snapshot {} ({}) at version {}: {} written ({}), {} kept",
                    report.snapshot_unix_s,
                    time_text(report.snapshot_unix_s),
                    report.version,
                    counted(report.files_written.len() as u64, "file"),
                    bytes_text(report.bytes_written),
                    report.files_kept.len()
                ),
            ),
            TrickleStep::Taken(taken) => (
                "taken",
                json!(taken),
                match taken {
                    Taken::Waits {
                        version,
                        dropped: 0,
                        ..
                    } => {
                        format!("a snapshot of version {version} waits for the lake")
                    }
                    Taken::Waits {
                        version, dropped, ..
                    } => format!(
                        "a snapshot of version {version} waits for the lake; {} had to go for it",
                        counted(*dropped, "older one")
                    ),
                    Taken::Full => "no snapshot was taken: as many wait as may".to_owned(),
                    Taken::Unchanged | Taken::PassedOver => return Ok(()),
                },
            ),
            TrickleStep::Rests(until_unix_s) => (
                "rests",
                json!({ "untilUnixS": until_unix_s }),
                format!(
                    "the way to the lake is closed until {}",
                    time_text(*until_unix_s)
                ),
            ),
            TrickleStep::Failed {
                error,
                retry_after_s,
            } => (
                "failed",
                json!({ "message": error.to_string(), "retryAfterS": retry_after_s }),
                format!("failed, and is tried again in {retry_after_s} s: {error}"),
            ),
        };
        let line = json!({
            "event": event, "environment": environment, "link": link, "report": facts,
        });
        output::print(self.console, self.json, &line, |_| {
            format!("{environment}, {link}: {text}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(seconds("30s"), Ok(30));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("24h"), Ok(86_400));
        for wrong in ["", "5", "m", "0s", "-1m", "9999999h", "5 m", "5é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
