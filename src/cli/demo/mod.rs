//! `lakestage demo`

mod check;
mod examples;
mod input;
mod model;
mod play;
mod stage;
mod story;

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lakestage::DataFolder;
use lakestage_emulator::{
    AccountSas, DEFAULT_ACCOUNT_KEY, DEFAULT_ACCOUNT_NAME, Server, SyncMode, account_sas,
};
use serde_json::json;

use self::examples::{Examples, Place};
use self::play::Play;
use self::story::Story;
use super::access::how_to_trust;
use super::console::Console;
use super::control::ControlServer;
use super::serve::{Ending, ServerArgs};

/// Show the whole of it on sample data, then serve the lake.
///
/// Loads five tables with text that hurts, links them to a lake in the bundled emulator, publishes two snapshots with
/// changes in between, checks every row, and serves the lake with examples to paste. What an earlier demo left in the
/// folder is replaced; nothing else in it is touched.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lakestage demo\n  lakestage demo --exit --data /tmp/try")]
pub(crate) struct DemoArgs {
    /// End after the checks instead of serving
    #[arg(long)]
    exit: bool,

    /// Rows of account; the other tables follow
    #[arg(long, value_name = "ROWS", default_value_t = 1_200, value_parser = clap::value_parser!(u64).range(40..))]
    rows: u64,

    #[command(flatten)]
    server: ServerArgs,
}

/// The examples may be pasted for so long.
const EXAMPLES_VALID_DAYS: i64 = 7;

pub(crate) fn run(
    args: &DemoArgs,
    data: &DataFolder,
    console: &dyn Console,
    json: bool,
) -> Result<()> {
    args.server.check()?;
    let options = args.server.data_folder_options(SyncMode::Always, data);
    let data = Arc::new(DataFolder::new(data.root().to_owned(), options));
    let story = Story { console, json };
    // Taken first: a port that is not free is better known before the work than after it.
    let serving = match args.exit {
        true => None,
        false => Some((Ending::watch()?, args.server.start(&data)?)),
    };
    let play = Play::run(args.rows, &data, &story)?;
    let Some((ending, server)) = serving else {
        return story.tell(
            "done",
            json!({}),
            "\nEverything is as it should be. Without --exit the lake is served now.",
        );
    };
    let control = ControlServer::start(&data)?;
    tell_examples(&play, &data, &server, &story)?;
    ending.wait();
    drop(control);
    server.shutdown();
    Ok(())
}

fn tell_examples(play: &Play, data: &DataFolder, server: &Server, story: &Story<'_>) -> Result<()> {
    let expiry = jiff::Timestamp::from_second(play.t2_unix_s)?
        .checked_add(jiff::SignedDuration::from_hours(EXAMPLES_VALID_DAYS * 24))?
        .to_string();
    let store = data.store()?;
    let account = store
        .account(DEFAULT_ACCOUNT_NAME)
        .context("the well-known account is missing")?;
    let sas = AccountSas {
        permissions: "rl",
        resource_types: "sco",
        expiry: &expiry,
    };
    let sas = account_sas(account, &sas).context("the well-known account has no key")?;
    let (blob_endpoint, dfs_endpoint) = (server.blob_url(), server.dfs_url());
    let examples = Examples::of(&Place {
        account: DEFAULT_ACCOUNT_NAME,
        blob_endpoint: &blob_endpoint,
        dfs_endpoint: &dfs_endpoint,
        filesystem: &play.filesystem,
        sas: &sas,
    });
    if story.json {
        return story.line(&json!({
            "serving": true,
            "account": DEFAULT_ACCOUNT_NAME,
            "key": DEFAULT_ACCOUNT_KEY,
            "blobEndpoint": blob_endpoint,
            "dfsEndpoint": dfs_endpoint,
            "certificateAuthority": server.authority_file(),
            "filesystem": play.filesystem,
            "input": { "initial": play.initial, "current": play.current },
            "snapshots": { "t1": play.t1_unix_s, "t2": play.t2_unix_s },
            "examples": examples,
        }));
    }
    story.heading(&format!(
        "The lake is served. Blob {blob_endpoint}, DFS {dfs_endpoint}\n\
         account {DEFAULT_ACCOUNT_NAME}, key {DEFAULT_ACCOUNT_KEY}"
    ))?;
    if let Some(authority) = server.authority_file() {
        story.heading(how_to_trust(authority).trim_end())?;
    }
    story.heading(&format!("── curl ──\n{}", examples.curl))?;
    story.heading(&format!("── Python ──\n{}", examples.python))?;
    story.heading(&format!("── pandas ──\n{}", examples.pandas))?;
    story.heading("Ctrl-C ends it. `lakestage serve` with the same --data serves it again.")
}
