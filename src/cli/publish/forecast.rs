//! What a publication would send.

use std::fmt::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use lakestage::{AccountLake, Rate};
use lakestage_engine::{Forecast, ForecastDepth, ForecastSnapshot};
use serde::Serialize;

use super::Target;
use crate::cli::output::{self, Align, TextTable, bytes_text, counted, duration_text, time_text};
use crate::cli::progress::Step;
use crate::cli::run::Session;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'f> {
    link: &'f str,
    #[serde(flatten)]
    forecast: &'f Forecast,
    /// How long sending takes at the bandwidth that the account's settings allow now; `None` where nothing limits it.
    estimate_s: Option<u64>,
    /// Until when the way is closed, in Unix seconds.
    closed_until_unix_s: Option<i64>,
}

pub(super) fn run(target: &Target, session: &Session<'_>) -> Result<()> {
    let link = &target.link.name;
    let step = Step::start(session.console, &format!("{link}: looking what is new"));
    let forecast = target
        .environment
        .forecast(link, &*target.lake, ForecastDepth::Lake)?;
    drop(step);
    let told = Told {
        link,
        forecast: &forecast,
        estimate_s: estimate_s(target.account.as_ref(), &forecast)?,
        closed_until_unix_s: target.lake.closed_until(),
    };
    output::print(session.console, session.json, &told, text)
}

fn estimate_s(account: Option<&AccountLake>, forecast: &Forecast) -> Result<Option<u64>> {
    let (Some(account), Some(sent_bytes)) = (account, forecast.sent_bytes) else {
        return Ok(None);
    };
    let schedule = &account.options().schedule;
    let now = Timestamp::now();
    // While the way is closed, the rate counts that it will have.
    let then = schedule.opens(now)?.unwrap_or(now);
    Ok(match schedule.rate(then)? {
        Rate::Limited(bytes_s) => Some(sent_bytes.div_ceil(bytes_s.get())),
        Rate::Full | Rate::Closed => None,
    })
}

fn text(told: &Told<'_>) -> String {
    let forecast = told.forecast;
    if forecast.snapshots.is_empty() {
        return format!("{}: everything is published", told.link);
    }
    let mut text = String::new();
    for snapshot in &forecast.snapshots {
        text += &snapshot_text(told.link, snapshot);
    }
    // Writing to a string cannot fail.
    let _ = match forecast.sent_bytes {
        None => writeln!(text, "nothing is sent: the lake is on this machine"),
        Some(bytes) => writeln!(
            text,
            "{} would be sent, and {} taken over by the account from what it has",
            bytes_text(bytes),
            bytes_text(forecast.taken_over_bytes)
        ),
    };
    if let Some(seconds) = told.estimate_s {
        let _ = writeln!(
            text,
            "that takes about {} at the bandwidth that is set",
            duration_text(seconds)
        );
    }
    if let Some(until) = told.closed_until_unix_s {
        let _ = writeln!(text, "the way is closed until {}", time_text(until));
    }
    text
}

fn snapshot_text(link: &str, snapshot: &ForecastSnapshot) -> String {
    let mut text = format!(
        "{link}: snapshot of {} at version {}: {}\n",
        time_text(snapshot.unix_s),
        snapshot.version,
        counted(snapshot.files.len() as u64, "file")
    );
    let mut lines = TextTable::new(&[
        ("file", Align::Left),
        ("bytes", Align::Right),
        ("to send", Align::Right),
    ]);
    for file in &snapshot.files {
        lines.row(vec![
            file.path.clone(),
            bytes_text(file.bytes),
            file.sent_bytes.map_or_else(|| "-".to_owned(), bytes_text),
        ]);
    }
    text += &lines.text("  ");
    text
}
