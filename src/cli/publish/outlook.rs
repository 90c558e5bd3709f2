//! How a link to an account stands: what is not there yet, and when it will be.

use std::fmt::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use lakestage::{DataFolder, LakeAddress, Rate};
use lakestage_engine::{Environment, ForecastDepth, Lake as _, LinkStatus};
use serde::Serialize;

use crate::cli::output::{bytes_text, duration_text, time_text};

/// What is not at an account yet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outlook {
    /// Bytes of blocks that are to be sent; what is in no block yet comes on top of it.
    pub backlog_bytes: u64,
    /// When the oldest snapshot was taken that is not there, or the newest that is; `None` if everything is there.
    pub unpublished_since_unix_s: Option<i64>,
    /// Bytes that were handed to the network since this process has the account, those of broken tries as well.
    pub wire_bytes: u64,
    /// Bytes a second while something is sent, or what the schedule allows; `None` where neither is known.
    pub rate_bytes_s: Option<f64>,
    /// When everything will be sent at that rate, in seconds from now.
    pub eta_s: Option<u64>,
    /// Until when the way is closed, in Unix seconds.
    pub closed_until_unix_s: Option<i64>,
}

impl Outlook {
    /// Of a link to an account; `None` for another. Nobody is asked for it.
    pub(crate) fn of(
        data: &DataFolder,
        environment: &Environment,
        link: &LinkStatus,
    ) -> Result<Option<Self>> {
        let Ok(LakeAddress::Account(name)) = link.lake.parse() else {
            return Ok(None);
        };
        let lake = data.account_lake(&name, &link.filesystem)?;
        let forecast = environment.forecast(&link.name, &lake, ForecastDepth::Blocks)?;
        let backlog_bytes = forecast.sent_bytes.unwrap_or(0);
        let oldest = link.backlog.as_ref().and_then(|b| b.oldest_unix_s);
        let is_behind = !forecast.snapshots.is_empty() || link.lag_versions > 0;
        let since = oldest.or(is_behind.then_some(link.last_snapshot_unix_s));
        let now = Timestamp::now();
        let closed_until_unix_s = lake.closed_until();
        let sending = lake.sending();
        let schedule = &lake.options().schedule;
        let allowed = match schedule.rate(schedule.opens(now)?.unwrap_or(now))? {
            Rate::Limited(bytes_s) => Some(bytes_s.get() as f64),
            Rate::Full | Rate::Closed => None,
        };
        let rate_bytes_s = match (sending.bytes_s, allowed) {
            (Some(measured), Some(allowed)) => Some(measured.min(allowed)),
            (measured, allowed) => measured.or(allowed),
        };
        let wait_s = closed_until_unix_s.map_or(0, |until| until.saturating_sub(now.as_second()));
        let eta_s = rate_bytes_s.map(|rate| {
            (backlog_bytes as f64 / rate).ceil() as u64 + u64::try_from(wait_s).unwrap_or(0)
        });
        Ok(Some(Outlook {
            backlog_bytes,
            unpublished_since_unix_s: since,
            wire_bytes: sending.wire_bytes,
            rate_bytes_s,
            eta_s: eta_s.filter(|_| backlog_bytes > 0),
            closed_until_unix_s,
        }))
    }

    /// A line for people.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.unpublished_since_unix_s {
            None => "  everything is published".to_owned(),
            Some(0) => format!(
                "  nothing is published yet; {} to send",
                bytes_text(self.backlog_bytes)
            ),
            Some(since) => format!(
                "  unpublished since {}; {} to send",
                time_text(since),
                bytes_text(self.backlog_bytes)
            ),
        };
        // Writing to a string cannot fail.
        if let Some(rate) = self.rate_bytes_s {
            let _ = write!(text, " at {} a second", bytes_text(rate as u64));
        }
        if let Some(seconds) = self.eta_s {
            let _ = write!(text, ", done in about {}", duration_text(seconds));
        }
        if let Some(until) = self.closed_until_unix_s {
            let _ = write!(text, "; the way is closed until {}", time_text(until));
        }
        text.push('\n');
        text
    }
}
