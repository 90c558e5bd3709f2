//! Publishing to a storage account: what goes over the wire after a small change. The emulator, in memory and over
//! HTTP, stands for the account.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lakestage::emulator::{DEFAULT_ACCOUNT_KEY, Emulator};
use lakestage::engine::{Environment, LinkTableOptions, MODEL_FILE, NewLink, SnapshotReport};
use lakestage::{
    AccountLake, AccountOptions, CONNECTIONS, CredentialSettings, RETRIES, Schedule, SecretPlace,
};
use lakestage_benches::{Goal, median, quotient, ratio_line};

use crate::azcopy::AzCopy;

const LINK: &str = "account";

/// A link of the environment to an account.
pub struct Account<'e> {
    environment: &'e Environment,
    lake: AccountLake,
    first: Duration,
    seconds: Vec<Duration>,
    shares: Vec<f64>,
    azcopy: Option<AzCopy>,
    // The account is there as long as this is.
    _emulator: Emulator,
}

impl<'e> Account<'e> {
    /// Links the environment to an account, and publishes what there is.
    pub fn first(environment: &'e Environment, folder: &Path) -> Self {
        let emulator = Emulator::start().unwrap();
        let key = folder.join("key");
        fs::write(&key, DEFAULT_ACCOUNT_KEY).unwrap();
        let options = AccountOptions {
            endpoint: emulator.blob_url().parse().unwrap(),
            credential: CredentialSettings::AccountKey {
                key: SecretPlace::File(key),
            },
            authority: None,
            ca_file: None,
            connections: CONNECTIONS,
            retries: RETRIES,
            schedule: Schedule::default(),
        };
        let filesystem = environment.filesystem_name();
        let known = folder.join("accounts");
        let lake = AccountLake::new(&options, &filesystem, &known, "bench").unwrap();
        let tables = vec![LinkTableOptions::of("task")];
        let endpoint = "https://bench.dfs.core.windows.net:443";
        let link = NewLink::new(LINK, "account:bench", endpoint, tables);
        environment.create_link(&lake, &link).unwrap();
        let mut account = Account {
            environment,
            lake,
            first: Duration::ZERO,
            seconds: Vec::new(),
            shares: Vec::new(),
            azcopy: AzCopy::find(folder),
            _emulator: emulator,
        };
        let (report, first) = account.publish();
        let traffic = report.traffic.unwrap_or_default();
        println!(
            "to an account: first snapshot of {} MB in {first:.2?}; {:.1} MB sent",
            report.bytes / 1_000_000,
            traffic.sent_bytes as f64 / 1e6
        );
        account.first = first;
        account.azcopy();
        account
    }

    /// Publishes what has changed.
    pub fn second(&mut self) {
        let (report, elapsed) = self.publish();
        let traffic = report.traffic.unwrap_or_default();
        self.seconds.push(elapsed);
        self.shares
            .push(traffic.sent_bytes as f64 / report.bytes as f64);
        self.azcopy();
    }

    /// The peer brings the same snapshot to an account of its own.
    fn azcopy(&mut self) {
        let Some(azcopy) = &mut self.azcopy else {
            return;
        };
        let status = self.environment.link(LINK).unwrap();
        let tables = status.tables.into_iter();
        let mut paths: Vec<String> = tables.flat_map(|table| table.files).collect();
        paths.push(MODEL_FILE.to_owned());
        azcopy.send(&self.lake, &paths);
    }

    fn publish(&self) -> (SnapshotReport, Duration) {
        let start = Instant::now();
        let report = self.environment.snapshot(LINK, &self.lake).unwrap();
        (report, start.elapsed())
    }

    /// Prints the ratios.
    pub fn end(mut self) {
        self.shares.sort_by(f64::total_cmp);
        let share = self.shares[self.shares.len() / 2];
        let second = median(self.seconds);
        if let Some(azcopy) = self.azcopy {
            beside(azcopy.runs, self.first, second, share);
        }
        println!(
            "to an account: a second snapshot in {second:.2?}; {:.2} % of it sent",
            share * 100.0
        );
        println!(
            "{}",
            ratio_line(
                "publish_account_second_bytes_sent_of_snapshot",
                share,
                Goal::AtMost(0.12)
            )
        );
        println!(
            "{}",
            ratio_line(
                "publish_account_second_time_of_first",
                quotient(second, self.first),
                Goal::AtMost(0.15)
            )
        );
    }
}

/// Prints the ratios beside AzCopy.
fn beside(runs: Vec<(Duration, u64)>, first: Duration, second: Duration, share: f64) {
    let (their_first, all_bytes) = runs[0];
    let (times, bytes): (Vec<Duration>, Vec<u64>) = runs[1..].iter().copied().unzip();
    let their_second = median(times);
    let their_share = bytes[bytes.len() / 2] as f64 / all_bytes as f64;
    println!("AzCopy: the first in {their_first:.2?}, a second in {their_second:.2?}");
    let lines = [
        (
            "publish_account_first_speed_of_azcopy",
            quotient(their_first, first),
            Goal::AtLeast(0.9),
        ),
        (
            "publish_account_second_time_of_azcopy",
            quotient(second, their_second),
            Goal::AtMost(0.15),
        ),
        (
            "publish_account_second_bytes_of_azcopy",
            share / their_share,
            Goal::AtMost(0.15),
        ),
    ];
    for (name, value, goal) in lines {
        println!("{}", ratio_line(name, value, goal));
    }
}
