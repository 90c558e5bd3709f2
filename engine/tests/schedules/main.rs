//! The orders in which threads may run are tried, for what hands commits to the committer's thread and for
//! what holds snapshots.
//!
//! The files of the engine are taken in as they are; `crate::sync` is shuttle's here, which runs one thread
//! at a time and chooses the next one at each lock, wait and wake-up. What stands around them is made of a
//! few lines (`around.rs`). A schedule that fails is printed, and `shuttle::replay` runs it again.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

mod around;
#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/error.rs"]
mod error;
mod journal;
#[path = "../../src/publish/lease.rs"]
mod lease;

pub(crate) use around::{environment, faults, locks, metrics};

/// The primitives that a schedule is made of.
mod sync {
    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread;
    pub(crate) use std::sync::PoisonError;
}

use std::collections::BTreeSet;
use std::sync::Arc;

use clock::ManualClock;
use error::{Error, Result};
use journal::{BackPressure, Committer, CommitterStart, Disk, Durability, Tail};
use lease::Leases;
use shuttle::{check_random, thread};

/// How many orders are tried, each another one.
const SCHEDULES: usize = 2_000;

fn start(disk: &Disk, tail: &Tail, capacity: usize) -> Committer {
    let start = CommitterStart {
        counters: Default::default(),
        journal: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::at_unix_s(1_700_000_000)),
        durability: Durability::Synced,
        versions: None,
        next_version: 1,
        last_committed: 0,
    };
    Committer::start_with(start, tail.clone(), capacity).unwrap()
}

fn request(rows: u32) -> journal::Request {
    journal::Request {
        payload: vec![0; 10],
        rows,
        held: locks::HeldRows,
        reserved: None,
        chain: None,
    }
}

/// Three producers, one of which sends its second commit before it has waited for the first.
fn hand_over() {
    let (disk, tail) = (Disk::default(), Tail::default());
    let committer = Arc::new(start(&disk, &tail, 2));
    let wait = BackPressure::default();
    let mut producers = Vec::new();
    for rows in 1..=3 {
        let committer = committer.clone();
        let (disk, tail) = (disk.clone(), tail.clone());
        producers.push(thread::spawn(move || {
            let first = committer.send(request(rows), wait).unwrap();
            let second = (rows == 1).then(|| committer.send(request(rows), wait).unwrap());
            let receipts: Vec<_> = [Some(first), second]
                .into_iter()
                .flatten()
                .map(|ticket| ticket.wait().unwrap())
                .collect();
            for receipt in &receipts {
                assert_eq!(
                    receipt.last_version,
                    receipt.first_version + u64::from(rows) - 1
                );
                assert!(
                    disk.holds(receipt.first_version),
                    "it was told before it was durable"
                );
                assert!(
                    tail.holds(receipt.first_version),
                    "it was told before it can be read"
                );
            }
            assert!(receipts.is_sorted_by_key(|receipt| receipt.first_version));
            receipts
        }));
    }
    let mut versions = BTreeSet::new();
    for producer in producers {
        for receipt in producer.join().unwrap() {
            let given = receipt.first_version..=receipt.last_version;
            given.for_each(|version| assert!(versions.insert(version), "{version} came twice"));
        }
    }
    assert_eq!(versions, (1..=7).collect());
    drop(committer);
    assert_eq!(disk.versions(), (1..=7).collect::<Vec<_>>());
}

#[test]
fn commits_are_handed_over_in_whatever_order_threads_run() {
    check_random(hand_over, SCHEDULES);
}

#[test]
fn a_mistake_at_the_hand_over_is_found() {
    let found = std::panic::catch_unwind(|| {
        let made = || {
            faults::make(Some("the committer is not woken"));
            hand_over();
        };
        check_random(made, SCHEDULES);
    });
    faults::make(None);
    assert!(
        found.is_err(),
        "nobody waits for ever where nobody is woken"
    );
}

#[test]
fn a_mistaken_acknowledgement_is_found() {
    let found = std::panic::catch_unwind(|| {
        let made = || {
            faults::make(Some("a commit is acknowledged before it is written"));
            hand_over();
        };
        check_random(made, SCHEDULES);
    });
    faults::make(None);
    assert!(
        found.is_err(),
        "a commit that is told too early looks like any other"
    );
}

#[test]
fn a_disk_that_fails_is_told_to_everybody_who_waits_or_comes() {
    check_random(
        || {
            let (disk, tail) = (Disk::default(), Tail::default());
            disk.fail_after(1);
            let committer = Arc::new(start(&disk, &tail, 2));
            let producers: Vec<_> = (0..3)
                .map(|_| {
                    let committer = committer.clone();
                    thread::spawn(move || -> Result<u64> {
                        let ticket = committer.send(request(1), BackPressure::default())?;
                        ticket.wait().map(|receipt| receipt.first_version)
                    })
                })
                .collect();
            let answers: Vec<_> = producers.into_iter().map(|p| p.join().unwrap()).collect();
            let durable: BTreeSet<u64> = answers.iter().flatten().copied().collect();
            assert_eq!(durable, disk.versions().into_iter().collect());
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert!(matches!(error, Error::Poisoned { .. }), "{error}");
            }
        },
        SCHEDULES,
    );
}

#[test]
fn a_committer_that_is_closed_writes_what_waits_and_answers_it() {
    check_random(
        || {
            let (disk, tail) = (Disk::default(), Tail::default());
            let committer = start(&disk, &tail, 4);
            let tickets: Vec<_> = (0..3)
                .map(|_| committer.send(request(1), BackPressure::Reject).unwrap())
                .collect();
            let waiting = thread::spawn(move || {
                let waits = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
                waits
                    .map(|receipt| receipt.first_version)
                    .collect::<Vec<_>>()
            });
            drop(committer);
            assert_eq!(disk.versions(), [1, 2, 3]);
            assert_eq!(waiting.join().unwrap(), [1, 2, 3]);
        },
        SCHEDULES,
    );
}

#[test]
fn a_full_queue_refuses_or_waits_and_loses_nothing() {
    check_random(
        || {
            let (disk, tail) = (Disk::default(), Tail::default());
            let committer = Arc::new(start(&disk, &tail, 1));
            let sent: Vec<_> = (0..3)
                .map(|_| {
                    let committer = committer.clone();
                    thread::spawn(move || {
                        let ticket = committer.send(request(1), BackPressure::Reject);
                        ticket.map(|ticket| ticket.wait().unwrap().first_version)
                    })
                })
                .collect();
            let answers: Vec<_> = sent.into_iter().map(|p| p.join().unwrap()).collect();
            let taken = answers.iter().flatten().count();
            assert_eq!(disk.versions().len(), taken);
            let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
            refused.for_each(|error| assert!(matches!(error, Error::Busy(_)), "{error}"));
        },
        SCHEDULES,
    );
}

/// A reader takes a lease as long as its snapshot is listed; whoever removes asks the leases after it has
/// taken the snapshot off the list.
#[test]
fn a_snapshot_that_a_reader_holds_is_not_removed() {
    check_random(
        || {
            let leases = Leases::default();
            let listed = Arc::new(shuttle::sync::Mutex::new(true));
            let removed = Arc::new(shuttle::sync::Mutex::new(false));
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let (leases, listed, removed) =
                        (leases.clone(), listed.clone(), removed.clone());
                    thread::spawn(move || {
                        let held = {
                            let listed = listed.lock().unwrap();
                            listed.then(|| leases.take("lake", 7))
                        };
                        if let Some(_held) = held {
                            assert!(!*removed.lock().unwrap(), "it is read and was removed");
                            thread::yield_now();
                            assert!(!*removed.lock().unwrap(), "it was removed while it is read");
                        }
                    })
                })
                .collect();
            let mut is_listed = listed.lock().unwrap();
            if !leases.is_held("lake", 7) {
                *is_listed = false;
                *removed.lock().unwrap() = true;
            }
            drop(is_listed);
            readers
                .into_iter()
                .for_each(|reader| reader.join().unwrap());
            assert!(!leases.is_held("lake", 7));
        },
        SCHEDULES,
    );
}
