//! Publishing, until it worked.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;
use lakestage_engine::{Error, ErrorKind, ForecastDepth, SnapshotReport, Traffic};

use super::Target;
use crate::cli::output::{self, time_text};
use crate::cli::progress::Step;
use crate::cli::run::Session;
use crate::cli::snapshot::{LinkSnapshot, snapshot_text};

/// How long is waited after the first of several failures; each further one doubles it.
const RETRY_AFTER_S: u64 = 1;
/// The longest that is waited after a failure.
const RETRY_AFTER_MAX_S: u64 = 60;
/// How often it is shown how far the work is, and looked whether anybody still waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) fn run(target: &Target, once: bool, session: &Session<'_>) -> Result<()> {
    let mut retry_after_s = RETRY_AFTER_S;
    loop {
        if let Some(until) = target.lake.closed_until() {
            let name = &target.link.name;
            let until_text = time_text(until);
            if once {
                bail!(
                    "{name}: the account's schedule has the way closed until {until_text}; --ignore-schedule uses it all the same"
                );
            }
            let told = format!("{name}: the way is closed until {until_text}");
            session.console.note(&told);
            let seconds = until.saturating_sub(Timestamp::now().as_second());
            wait(
                Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1)),
                session,
            )?;
            continue;
        }
        let error = match publish(target, session) {
            Ok(report) => return tell(target, &report, session),
            Err(error) => error,
        };
        let is_worth_it = matches!(
            error.kind(),
            ErrorKind::Io | ErrorKind::Conflict | ErrorKind::Full
        );
        if once || !is_worth_it {
            return Err(anyhow!(error).context(format!("publishing {}", target.link.name)));
        }
        if target.lake.closed_until().is_some() {
            continue;
        }
        session.console.note(&format!(
            "{}: it failed, and is tried again in {retry_after_s} s: {error}",
            target.link.name
        ));
        wait(Duration::from_secs(retry_after_s), session)?;
        retry_after_s = (retry_after_s * 2).min(RETRY_AFTER_MAX_S);
    }
}

/// Waits, unless nobody waits for the result any more.
fn wait(time: Duration, session: &Session<'_>) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        session.console.check()?;
        thread::sleep(LOOK_EVERY.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// One attempt, shown while it lasts.
fn publish(target: &Target, session: &Session<'_>) -> Result<SnapshotReport, Error> {
    let (environment, link) = (&target.environment, target.link.name.as_str());
    let forecast = environment.forecast(link, &*target.lake, ForecastDepth::Here)?;
    let label = format!("{link}: publishing");
    let mut step = Step::bytes(session.console, &label, forecast.sent_bytes);
    let sent = |traffic: Option<Traffic>| {
        let traffic = traffic.unwrap_or_default();
        traffic.sent_bytes + traffic.found_bytes
    };
    let before = sent(target.lake.traffic());
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            let report = environment.snapshot(link, &*target.lake);
            drop(done);
            report
        });
        let mut shown = 0;
        while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(LOOK_EVERY) {
            let now = sent(target.lake.traffic()).saturating_sub(before);
            step.add(now - shown);
            shown = now;
        }
        work.join()
            .unwrap_or_else(|_| Err(Error::Lake("the thread that published ended early".into())))
    })
}

fn tell(target: &Target, report: &SnapshotReport, session: &Session<'_>) -> Result<()> {
    let snapshot = LinkSnapshot {
        link: &target.link.name,
        report,
    };
    output::print(session.console, session.json, &snapshot, snapshot_text)
}
