//! A long while of everything at once: some clients with a bounded number of files each, faults on, on a disk. Nothing
//! fails that the plan did not mean to, nothing is lost or doubled, and memory and disk stay as they are.
//!
//! `LAKESTAGE_SOAK_SECONDS` says for how long, an hour if it does not.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lakestage_emulator::faults::{FaultPlan, Faults};
use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, Emulator, ServerOptions, StoreOptions, SyncMode};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::shared_key::signed_headers;

const CLIENTS: u64 = 8;
const FILES_A_CLIENT: usize = 48;
const BYTES_MAX: usize = 600_000;
/// Longer than the plan ever makes one request fail.
const ATTEMPTS_MAX: u32 = 60;
/// What is looked at from here on must not grow: caches and pools are full by then.
const WARM_UP: f64 = 0.25;
const GROWTH_MAX: f64 = 1.15;
const GROWTH_MAX_BYTES: u64 = 48 << 20;

const PLAN: &str = r#"{ "seed": 7, "faults": [
    { "probability": 0.01, "do": { "fault": "throttle", "limit": "operations", "retryAfterS": 0 } },
    { "probability": 0.005, "do": { "fault": "error", "status": 500, "code": "InternalError" } },
    { "probability": 0.005, "do": { "fault": "resetBefore" } },
    { "probability": 0.004, "do": { "fault": "resetAfter" } },
    { "probability": 0.004, "do": { "fault": "loseAnswer" } },
    { "probability": 0.02, "match": { "operation": "getBlob" }, "do": { "fault": "truncate", "bytes": 7 } },
    { "probability": 0.05, "match": { "operation": "listPaths" }, "do": { "fault": "smallPages", "entries": 3 } }
] }"#;

/// A connection that is kept, and made again when it ends.
struct Client {
    address: SocketAddr,
    runtime: Runtime,
    sender: Option<SendRequest<Full<Bytes>>>,
    retries: u64,
}

/// Status, ETag, continuation and body.
struct Answer {
    status: u16,
    continuation: String,
    body: Bytes,
    /// Whether an earlier attempt may have done the work.
    is_repeated: bool,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            address,
            runtime,
            sender: None,
            retries: 0,
        }
    }

    /// Asks until there is an answer that no fault made.
    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let target = format!("/{DEFAULT_ACCOUNT_NAME}{target}");
        let mut is_repeated = false;
        for _ in 0..ATTEMPTS_MAX {
            match self.try_ask(method, &target, headers, body) {
                Some(answer) if ![500, 503].contains(&answer.status) => {
                    return Answer {
                        is_repeated,
                        ..answer
                    };
                }
                Some(_) => {}
                None => is_repeated = true,
            }
            self.retries += 1;
        }
        panic!("{method} {target} was refused {ATTEMPTS_MAX} times");
    }

    /// `None` where the connection ended before the answer did.
    fn try_ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let mut request = http::Request::builder().method(method).uri(target);
        request = request.header("host", self.address.to_string());
        for (name, value) in signed_headers(method, target, headers, body) {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let sender = self.sender.take().filter(|sender| !sender.is_closed());
        let address = self.address;
        let asked = self.runtime.block_on(async {
            let mut sender = match sender {
                Some(sender) => sender,
                None => {
                    let stream = TcpStream::connect(address).await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
                    tokio::spawn(connection);
                    sender
                }
            };
            sender.ready().await.ok()?;
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            let continuation = head.headers.get("x-ms-continuation");
            let continuation = continuation.map_or("", |token| token.to_str().unwrap());
            let answer = Answer {
                status: head.status.as_u16(),
                continuation: continuation.to_owned(),
                body,
                is_repeated: false,
            };
            Some((sender, answer))
        });
        let (sender, answer) = asked?;
        self.sender = Some(sender);
        Some(answer)
    }
}

/// One client's directory, and what is in it.
struct Work {
    client: Client,
    random: fastrand::Rng,
    folder: String,
    files: BTreeMap<String, Vec<u8>>,
    done: u64,
}

impl Work {
    fn name(&mut self) -> String {
        format!(
            "d{}/f{}",
            self.random.usize(0..4),
            self.random.usize(0..FILES_A_CLIENT / 4)
        )
    }

    fn content(&mut self) -> Vec<u8> {
        let length = match self.random.u8(0..4) {
            0 => self.random.usize(0..64),
            3 => self.random.usize(0..BYTES_MAX),
            _ => self.random.usize(0..8_000),
        };
        let seed = self.random.u8(..);
        (0..length).map(|n| (n % 251) as u8 ^ seed).collect()
    }

    fn step(&mut self) {
        let name = self.name();
        let target = format!("/soak/{}/{name}", self.folder);
        match self.random.u8(0..10) {
            0..=2 => self.put(&name, &target),
            3 => self.append(&name, &target),
            4..=6 => self.read(&name, &target),
            7 => self.rename(&name, &target),
            8 => self.delete(&name, &target),
            _ => self.list(),
        }
        self.done += 1;
    }

    fn put(&mut self, name: &str, target: &str) {
        let content = self.content();
        let block = [("x-ms-blob-type", "BlockBlob")];
        let answer = self.client.ask("PUT", target, &block, &content);
        assert_eq!(answer.status, 201, "put {target}");
        self.files.insert(name.to_owned(), content);
    }

    /// A file by way of DFS: created, appended in two parts the wrong way round, flushed.
    fn append(&mut self, name: &str, target: &str) {
        let content = self.content();
        let (first, second) = content.split_at(content.len() / 2);
        let answer = self
            .client
            .ask("PUT", &format!("{target}?resource=file"), &[], b"");
        assert_eq!(answer.status, 201, "create {target}");
        for (at, part) in [(first.len(), second), (0, first)] {
            if !part.is_empty() {
                let append = format!("{target}?action=append&position={at}");
                let answer = self.client.ask("PATCH", &append, &[], part);
                assert_eq!(answer.status, 202, "append {target}");
            }
        }
        let flush = format!("{target}?action=flush&position={}", content.len());
        let answer = self.client.ask("PATCH", &flush, &[], b"");
        assert_eq!(answer.status, 200, "flush {target}");
        self.files.insert(name.to_owned(), content);
    }

    fn read(&mut self, name: &str, target: &str) {
        let answer = self
            .client
            .ask("GET", target, &[("accept", "application/xml")], b"");
        match self.files.get(name) {
            None => assert_eq!(answer.status, 404, "read {target}"),
            Some(content) => {
                assert_eq!(answer.status, 200, "read {target}");
                assert!(answer.body == *content, "{target} has other content");
            }
        }
    }

    fn rename(&mut self, name: &str, target: &str) {
        let to = self.name();
        if to == name {
            return;
        }
        let source = format!("/{DEFAULT_ACCOUNT_NAME}{target}");
        let to_target = format!("/soak/{}/{to}?mode=legacy", self.folder);
        let answer = self
            .client
            .ask("PUT", &to_target, &[("x-ms-rename-source", &source)], b"");
        match (self.files.remove(name), answer.status) {
            (Some(content), 201) => {
                self.files.insert(to, content);
            }
            // It had happened, and its answer was lost.
            (Some(content), 404) if answer.is_repeated => {
                self.files.insert(to, content);
            }
            (None, 404) => {}
            (before, status) => panic!("rename {target} to {to}: {status} {}", before.is_some()),
        }
    }

    fn delete(&mut self, name: &str, target: &str) {
        let answer = self
            .client
            .ask("DELETE", target, &[("accept", "application/json")], b"");
        match (self.files.remove(name), answer.status) {
            (Some(_), 200) | (None, 404) => {}
            (Some(_), 404) if answer.is_repeated => {}
            (before, status) => panic!("delete {target}: {status} {}", before.is_some()),
        }
    }

    fn list(&mut self) {
        let mut found = Vec::new();
        let mut continuation = String::new();
        loop {
            let set = percent_encoding::NON_ALPHANUMERIC;
            let token = percent_encoding::utf8_percent_encode(&continuation, set);
            let target = format!(
                "/soak?resource=filesystem&recursive=true&directory={}&continuation={token}",
                self.folder
            );
            let answer = self.client.ask("GET", &target, &[], b"");
            assert_eq!(answer.status, 200, "list {}", self.folder);
            let page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            for path in page["paths"].as_array().unwrap() {
                if path["isDirectory"] != "true" {
                    let name = path["name"].as_str().unwrap();
                    found.push(name[self.folder.len() + 1..].to_owned());
                }
            }
            continuation = answer.continuation;
            if continuation.is_empty() {
                break;
            }
        }
        let expected: Vec<&String> = self.files.keys().collect();
        found.sort();
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected,
            "{}",
            self.folder
        );
    }
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.path() {
        path if path.is_dir() => bytes_below(&path),
        path => fs::metadata(path).map_or(0, |metadata| metadata.len()),
    });
    sizes.sum()
}

fn soak(time: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let faults = std::sync::Arc::new(Faults::default());
    let store = StoreOptions {
        folder: Some(folder.path().to_owned()),
        sync: SyncMode::Group,
        ..StoreOptions::default()
    };
    let server = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        faults: Some(std::sync::Arc::clone(&faults)),
        ..ServerOptions::default()
    };
    let emulator = Emulator::start_with(store, server).unwrap();
    let lake = emulator.store();
    lake.create_file_system(DEFAULT_ACCOUNT_NAME, "soak")
        .unwrap();
    let port = emulator.dfs_url();
    let address = port
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    let address: SocketAddr = address.parse().unwrap();
    for client in 0..CLIENTS {
        for directory in 0..4 {
            let target = format!("/soak/c{client}/d{directory}?resource=directory");
            let answer = Client::new(address).ask("PUT", &target, &[], b"");
            assert_eq!(answer.status, 201);
        }
    }
    faults.set(FaultPlan::from_json(PLAN).unwrap()).unwrap();
    let start = Instant::now();
    let (steps, retries) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut sizes = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (steps, retries) = (&steps, &retries);
                scope.spawn(move || {
                    let mut work = Work {
                        client: Client::new(address),
                        random: fastrand::Rng::with_seed(number),
                        folder: format!("c{number}"),
                        files: BTreeMap::new(),
                        done: 0,
                    };
                    while start.elapsed() < time {
                        work.step();
                    }
                    for name in work.files.keys().cloned().collect::<Vec<_>>() {
                        let target = format!("/soak/{}/{name}", work.folder);
                        work.read(&name, &target);
                    }
                    work.list();
                    steps.fetch_add(work.done, Ordering::Relaxed);
                    retries.fetch_add(work.client.retries, Ordering::Relaxed);
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(500));
            if start.elapsed() > time.mul_f64(WARM_UP) {
                sizes.push((resident_bytes(), bytes_below(folder.path())));
            }
        }
    });
    let (steps, retries) = (steps.into_inner(), retries.into_inner());
    assert!(steps > 0 && retries > 0);
    let half = sizes.len() / 2;
    let most = |part: &[(u64, u64)]| {
        let memory = part.iter().map(|(memory, _)| *memory).max().unwrap_or(0);
        (
            memory,
            part.iter().map(|(_, disk)| *disk).max().unwrap_or(0),
        )
    };
    let (before, after) = (most(&sizes[..half]), most(&sizes[half..]));
    eprintln!(
        "{steps} steps and {retries} retries in {} s; memory at most {} then {} MiB, disk {} then {} MiB",
        start.elapsed().as_secs(),
        before.0 >> 20,
        after.0 >> 20,
        before.1 >> 20,
        after.1 >> 20
    );
    let is_flat = |before: u64, after: u64| {
        after <= before + GROWTH_MAX_BYTES || after as f64 <= before as f64 * GROWTH_MAX
    };
    assert!(is_flat(before.0, after.0), "memory grows");
    assert!(is_flat(before.1, after.1), "what is on the disk grows");
}

#[test]
fn a_moment_of_everything_at_once_loses_nothing() {
    soak(Duration::from_secs(8));
}

#[test]
#[ignore = "an hour"]
fn an_hour_of_everything_at_once_loses_nothing_and_grows_nothing() {
    let seconds = std::env::var("LAKESTAGE_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(3_600, |text| text.parse().unwrap());
    soak(Duration::from_secs(seconds));
}
