//! Requests as real clients put them on the wire, sent again as they were: with their dates and their signatures.
//!
//! They are not part of the project. `LAKESTAGE_WIRE` names the folder that has them, as `sdk_requests.jsonl`; without
//! it there is nothing to send, and the test says so.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use lakestage_emulator::clock::Clock;
use lakestage_emulator::{Store, StoreOptions};
use serde_json::Value;

use crate::client::{Answer, Lake, Port};

/// The time of whatever was recorded last.
#[derive(Debug, Default)]
struct RecordedClock(AtomicI64);

impl Clock for RecordedClock {
    fn now_unix_ns(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl RecordedClock {
    fn follow(&self, headers: &BTreeMap<String, String>) {
        if let Some(date) = headers.get("x-ms-date").or_else(|| headers.get("date")) {
            let date = httpdate::parse_http_date(date).unwrap();
            let since = date.duration_since(UNIX_EPOCH).unwrap();
            self.0
                .store(i64::try_from(since.as_nanos()).unwrap(), Ordering::Relaxed);
        }
    }
}

/// The body, which is recorded by its beginning: what is cut off is made up.
fn body(recorded: &Value) -> Vec<u8> {
    let mut body = recorded["body"].as_str().unwrap().as_bytes().to_vec();
    let length = usize::try_from(recorded["blen"].as_u64().unwrap()).unwrap();
    body.resize(length, b'.');
    body
}

/// Why an answer is not one that the client could make sense of.
fn complaint(headers: &BTreeMap<String, String>, target: &str, answer: &Answer) -> Option<String> {
    let is_signed = headers.contains_key("authorization");
    let has_code = !answer.code().is_empty();
    let is_head_or_empty = answer.body.is_empty();
    let wrong = match answer.status {
        200..=299 | 304 => !is_signed && !target.contains("sig="),
        401 => is_signed,
        // Signed for one directory and sent for another; a key that only bearer tokens get.
        403 => !target.contains("sdd=") && !target.contains("userdelegationkey"),
        501 => {
            answer.code() != "NotImplemented"
                || (!is_head_or_empty && !answer.text().contains("emulator"))
        }
        400..=499 => !has_code,
        _ => true,
    };
    wrong.then(|| {
        let text = String::from_utf8_lossy(&answer.body);
        format!("{} {} {target}: {text}", answer.status, answer.code())
    })
}

#[test]
fn every_request_of_a_real_client_gets_a_sensible_answer() {
    let Some(folder) = env::var_os("LAKESTAGE_WIRE") else {
        eprintln!("skipped: LAKESTAGE_WIRE does not say where the requests are");
        return;
    };
    let text = std::fs::read_to_string(PathBuf::from(folder).join("sdk_requests.jsonl")).unwrap();
    let clock = Arc::new(RecordedClock::default());
    let options = StoreOptions {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..StoreOptions::default()
    };
    let lake = Lake::with_store(Store::open(options).unwrap());
    let mut complaints = Vec::new();
    let mut done = 0_usize;
    let mut sent = 0_usize;
    for line in text.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let headers: BTreeMap<String, String> =
            serde_json::from_value(recorded["headers"].clone()).unwrap();
        let (method, target) = (
            recorded["m"].as_str().unwrap(),
            recorded["path"].as_str().unwrap(),
        );
        clock.follow(&headers);
        let answer = lake.send(Port::Blob, method, target, &headers, &body(&recorded));
        sent += 1;
        done += usize::from(answer.status < 300);
        if let Some(complaint) = complaint(&headers, target, &answer) {
            complaints.push(format!("{} {method} {complaint}", recorded["label"]));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    eprintln!("{sent} requests, {done} of them done");
    // What clients recorded as ETags, leases and snapshots is not what they would get here; the rest succeeds.
    assert!(done * 5 > sent * 2, "{done} of {sent}");
}
