//! Publishing to an account while the process is killed and the account fails at random: whoever follows `model.json`
//! there sees whole snapshots only, and in the end the account shows what the lake here shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lakestage::EmulatorLake;
use lakestage_emulator::faults::{FaultPlan, Faults};
use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, Emulator, ServerOptions, StoreOptions};
use lakestage_engine::{Lake, MODEL_FILE};
use serde_json::{Value, json};

use crate::support::{output, publishes_to, run, start};
use crate::{Random, TASK};

const ROUNDS: u64 = 12;
const ROUNDS_LONG: u64 = 100;
const FILESYSTEM: &str = "dataverse-crash-org1";
const PAIRS: u64 = 1_500;
const CHANGED_PAIRS: u64 = 15;

/// The account, a data folder that publishes to it, and the same rows in a folder.
struct Site {
    data: tempfile::TempDir,
    emulator: Emulator,
    faults: Arc<Faults>,
}

impl Site {
    fn new() -> Self {
        let faults = Arc::new(Faults::default());
        let server = ServerOptions {
            blob_port: 0,
            dfs_port: 0,
            faults: Some(faults.clone()),
            ..ServerOptions::default()
        };
        let emulator = Emulator::start_with(StoreOptions::default(), server).unwrap();
        let data = tempfile::tempdir().unwrap();
        let path = data.path();
        let options = ["--retries", "1", "--connections", "3"];
        publishes_to(path, "crash", TASK, &emulator.blob_url(), &options);
        let site = Site {
            data,
            emulator,
            faults,
        };
        site.ingest(0, 0..PAIRS);
        let all = [
            "link",
            "new",
            "site",
            "--all",
            "--to",
            "account:away",
            "--publish",
            "all",
        ];
        run(site.path(), &all);
        site
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    /// One commit for each pair: two rows of two partitions get the number of the round.
    fn ingest(&self, round: u64, pairs: impl Iterator<Item = u64>) {
        let mut lines = String::new();
        for pair in pairs {
            for year in [2022, 2023] {
                lines += &format!(
                    "{{\"taskid\":\"{pair:08x}-0000-4000-8000-00000000{year}\",\"createdon\":\"{year}-05-05T00:00:00Z\",\"batch\":{round},\"subject\":\"{}\"}}\n",
                    noise(round * 1_000_003 + pair * 7 + year)
                );
            }
        }
        let ingest = [
            "ingest",
            "task",
            "--format",
            "jsonl",
            "--rows-per-commit",
            "2",
        ];
        let done = output(self.path(), &ingest, lines.as_bytes());
        assert!(done.status.success(), "{done:?}");
    }

    /// The account as somebody sees it whom no fault meets.
    fn lake(&self) -> EmulatorLake {
        EmulatorLake::new(self.emulator.store(), DEFAULT_ACCOUNT_NAME, FILESYSTEM)
    }

    fn faults(&self, plan: Value) {
        let plan = FaultPlan::from_json(&plan.to_string()).unwrap();
        self.faults.set(plan).unwrap();
    }
}

/// A text that does not repeat.
fn noise(seed: u64) -> String {
    let mut random = Random(seed | 1);
    let letter = |_| char::from(b'a' + random.below(26) as u8);
    (0..150).map(letter).collect()
}

/// Everything that an account can do wrong, now and then.
fn all_faults(seed: u64) -> Value {
    let effects = [
        json!({ "fault": "throttle", "limit": "operations", "retryAfterS": 0 }),
        json!({ "fault": "error", "status": 500, "code": "InternalError" }),
        json!({ "fault": "challenge" }),
        json!({ "fault": "resetBefore" }),
        json!({ "fault": "resetAfter" }),
        json!({ "fault": "loseAnswer", "silenceMs": 20 }),
        json!({ "fault": "truncate", "bytes": 100 }),
        json!({ "fault": "slowFirstByte", "delayMs": 30 }),
        json!({ "fault": "slowStream", "bytesPerSecond": 100_000 }),
        json!({ "fault": "wrongChecksum" }),
        json!({ "fault": "smallPages", "entries": 1 }),
        json!({ "fault": "expireLease" }),
    ];
    let faults: Vec<Value> = effects
        .into_iter()
        .map(|effect| json!({ "probability": 0.02, "do": effect }))
        .collect();
    json!({ "seed": seed, "faults": faults })
}

/// What `model.json` leads to: the round of each pair. Every file is whole, and so is every commit.
fn seen(lake: &dyn Lake) -> Option<BTreeMap<String, u64>> {
    let model = lake.read(MODEL_FILE).unwrap()?;
    let model: Value = serde_json::from_slice(&model).unwrap();
    let mut halves: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entity in model["entities"].as_array().unwrap() {
        let attributes = entity["attributes"].as_array().unwrap();
        let place = attributes
            .iter()
            .position(|a| a["name"] == "batch")
            .unwrap();
        for partition in entity["partitions"].as_array().unwrap() {
            let location = partition["location"].as_str().unwrap();
            let (_, path) = location.split_once(&format!("/{FILESYSTEM}/")).unwrap();
            let bytes = lake.read(path).unwrap();
            // A reader that is slower than five snapshots finds its files gone, as at the service.
            let bytes = bytes?;
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&bytes[..]);
            for record in reader.records() {
                let record = record.unwrap();
                assert_eq!(record.len(), attributes.len(), "{path}");
                let (pair, _) = record[0].split_once('-').unwrap();
                let batch = record[place].parse().unwrap();
                halves.entry(pair.to_owned()).or_default().push(batch);
            }
        }
    }
    let whole = halves.into_iter().map(|(pair, rounds)| {
        assert!(
            rounds.len() == 2 && rounds[0] == rounds[1],
            "{pair}: {rounds:?}"
        );
        (pair, rounds[0])
    });
    Some(whole.collect())
}

/// Follows `model.json` until it is told to end; no pair ever goes back. Gives how often it looked.
fn follow(lake: &dyn Lake, over: &AtomicBool) -> u64 {
    let mut before = BTreeMap::new();
    let mut looks = 0;
    while !over.load(Ordering::SeqCst) {
        if let Some(now) = seen(lake) {
            for (pair, round) in &before {
                assert!(now.get(pair) >= Some(round), "{pair} went back");
            }
            before = now;
            looks += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
    looks
}

/// One try, which may be killed within the time that it takes.
fn publish(site: &Site, killed_after: Option<Duration>) {
    let mut child = start(site.path(), &["publish", "site", "--once"]);
    if let Some(after) = killed_after {
        thread::sleep(after);
        let _ = child.kill();
    }
    child.wait().unwrap();
}

fn prove(rounds: u64) {
    let site = Site::new();
    let mut random = Random::new();
    println!("seed {}", random.0);
    let over = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| looks.store(follow(&site.lake(), &over), Ordering::SeqCst));
        let begun = Instant::now();
        publish(&site, None);
        let longest_ms = begun.elapsed().as_millis() as u64 * 3 / 2;
        for round in 1..=rounds {
            site.ingest(round, (0..CHANGED_PAIRS).map(|_| random.below(PAIRS)));
            site.faults(all_faults(random.below(1 << 40)));
            let killed = random.below(4) > 0;
            let after = Duration::from_millis(random.below(longest_ms));
            publish(&site, killed.then_some(after));
        }
        site.faults(json!({ "faults": [] }));
        run(site.path(), &["publish", "site"]);
        over.store(true, Ordering::SeqCst);
    });
    assert!(looks.load(Ordering::SeqCst) > rounds / 2);
    run(site.path(), &["publish", "site", "--verify"]);
    run(site.path(), &["publish", "site", "--verify", "--read-back"]);
    let rounds_seen = seen(&site.lake()).unwrap();
    assert_eq!(rounds_seen.len() as u64, PAIRS);
    same_as_a_folder(&site);
}

/// The same environment, published to a folder, has the same bytes; and nothing is left in the account that no kept
/// snapshot names.
fn same_as_a_folder(site: &Site) {
    let folder = site.path().join("lake");
    let to = format!("folder:{}", folder.display());
    run(site.path(), &["link", "new", "here", "--all", "--to", &to]);
    run(site.path(), &["snapshot", "here"]);
    let lake = site.lake();
    for year in [2022, 2023] {
        let here = fs::read(folder.join(format!("{FILESYSTEM}/task/{year}.csv"))).unwrap();
        let there = lake.read(&format!("task/{year}.csv")).unwrap();
        assert!(there == Some(here), "{year}");
    }
    let snapshots = lake.list("task/Snapshot").unwrap();
    assert!(snapshots.len() <= 10, "{snapshots:?}");
}

#[test]
fn kills_and_faults_while_publishing_show_nobody_a_part() {
    prove(ROUNDS);
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_kills_and_faults_while_publishing_show_nobody_a_part() {
    prove(ROUNDS_LONG);
}
