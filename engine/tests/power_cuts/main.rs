//! The power is cut while threads commit, segments are sealed, a consumer moves on and snapshots go into
//! a folder. Afterwards everything that was acknowledged is there, whole and once.
//!
//! The writer is a process of its own: this test again, told by a variable to write. It says on its
//! standard output what was acknowledged. `support/disk.rs` says what a cut is here.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
#[path = "../support/disk.rs"]
mod disk;
mod writer;

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use check::Known;
use disk::{Disk, Kind};

const MEBIBYTES: u32 = 400;
/// So many cuts are made on one disk; then the changes to check have become many.
const CUTS_A_DISK: u32 = 25;
const CUT_WITHIN_MS: u64 = 400;
const CUT_AT_ACKNOWLEDGEMENT_WITHIN: u64 = 60;
/// A writer that says nothing for so long is stuck.
const SILENT_MS: u64 = 20_000;

struct Random(u64);

impl Random {
    /// Seeded by the clock, or by the variable `LAKESTAGE_SEED` to try again what failed.
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let given = std::env::var("LAKESTAGE_SEED").ok();
        let seed = given.map_or(now.as_nanos() as u64 | 1, |seed| seed.parse().unwrap());
        println!("LAKESTAGE_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn start_writer(folder: &Path, variable: Option<(&str, &str)>) -> (Child, Receiver<String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "writes_until_the_power_is_cut", "--nocapture"])
        .env(writer::FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.envs(variable);
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (said, heard) = channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    (child, heard)
}

/// One writer, and one cut while it writes; at a moment, or at an acknowledgement.
fn cut_once(
    disk: &mut Disk,
    known: &mut Known,
    random: &mut Random,
    mistake: Option<&str>,
) -> Result<(), String> {
    let variable = mistake.map(|mistake| (lakestage_engine::faults::MISTAKE_VARIABLE, mistake));
    let (mut child, heard) = start_writer(&disk.path(), variable);
    let silent = Duration::from_millis(SILENT_MS);
    let mut acknowledged = 0;
    let (after, count) = match random.below(2) {
        0 => (Duration::from_millis(random.below(CUT_WITHIN_MS)), u64::MAX),
        _ => (silent, 1 + random.below(CUT_AT_ACKNOWLEDGEMENT_WITHIN)),
    };
    let mut end: Option<Instant> = None;
    while acknowledged < count && end.is_none_or(|end| Instant::now() < end) {
        let wait = end.map_or(silent, |end| end.saturating_duration_since(Instant::now()));
        match heard.recv_timeout(wait) {
            Ok(line) => {
                if known.hear(&line) {
                    acknowledged += 1;
                    end.get_or_insert_with(|| Instant::now() + after);
                }
            }
            Err(RecvTimeoutError::Timeout) if end.is_some() && count == u64::MAX => break,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("the writer could not write".into());
            }
        }
    }
    disk.cut();
    let _ = child.kill();
    child.wait().unwrap();
    // What it acknowledged after that moment had reached the disk before it.
    heard.iter().for_each(|line| {
        known.hear(&line);
    });
    disk.power_on();
    // sled panics where a file is missing that only entries that are too large make it write.
    catch_unwind(AssertUnwindSafe(|| known.check(&disk.path())))
        .unwrap_or_else(|_| Err("reading panicked".into()))
}

/// `None` if there is no such disk here; the number of acknowledged commits, or what was not kept.
fn cut(kind: Kind, cuts: u32, mistake: Option<&str>) -> Option<Result<usize, String>> {
    // A process that another test starts holds our locks until it runs its own program.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random::new();
    let mut acknowledged = 0;
    for first in (0..cuts).step_by(CUTS_A_DISK as usize) {
        let mut disk = Disk::new(kind, MEBIBYTES)?;
        let mut known = Known::default();
        writer::set_up(&disk.path());
        for number in first..cuts.min(first + CUTS_A_DISK) {
            let done = cut_once(&mut disk, &mut known, &mut random, mistake);
            if let Err(broken) = done {
                return Some(Err(format!("cut {number}: {broken}")));
            }
            println!("cut {number}: {}", known.summary());
        }
        acknowledged += known.commits();
    }
    Some(Ok(acknowledged))
}

/// One writer at a time; those who are to hear of it must not have two cuts at once.
static ALONE: Mutex<()> = Mutex::new(());

/// Where commits are not synced the last are lost, and their versions never come again.
#[test]
fn power_cuts_let_no_version_come_again_where_commits_may_be_lost() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut disk) = Disk::new(Kind::Ext4, MEBIBYTES) else {
        return;
    };
    let mut random = Random::new();
    writer::set_up(&disk.path());
    let mut highest = 0;
    for _ in 0..5 {
        let (mut child, heard) = start_writer(&disk.path(), Some((writer::WEAKER_VARIABLE, "1")));
        let hear = |line: String, highest: &mut u64| {
            let words: Vec<&str> = line.split(' ').collect();
            if words.contains(&"acknowledged") {
                let last: u64 = words[words.len() - 1].parse().unwrap();
                *highest = (*highest).max(last);
            }
        };
        hear(
            heard
                .recv_timeout(Duration::from_millis(SILENT_MS))
                .unwrap(),
            &mut highest,
        );
        thread::sleep(Duration::from_millis(random.below(CUT_WITHIN_MS)));
        disk.cut();
        let _ = child.kill();
        child.wait().unwrap();
        heard.iter().for_each(|line| hear(line, &mut highest));
        disk.power_on();
        let environment = writer::open(&disk.path()).unwrap();
        let last = environment.last_version();
        assert!(
            last >= highest,
            "{highest} was given out, and {last} is the last"
        );
    }
}

fn nothing_is_lost(kind: Kind, cuts: u32) {
    if let Some(done) = cut(kind, cuts, None) {
        let acknowledged = done.unwrap();
        assert!(
            acknowledged > cuts as usize * 10,
            "{acknowledged} commits prove nothing"
        );
    }
}

#[test]
fn power_cuts_take_nothing_that_was_acknowledged() {
    nothing_is_lost(Kind::Ext4, 25);
}

#[test]
#[ignore = "three hundred power cuts take minutes"]
fn three_hundred_power_cuts_take_nothing_that_was_acknowledged() {
    nothing_is_lost(Kind::Ext4, 300);
}

#[test]
fn power_cuts_of_xfs_take_nothing_that_was_acknowledged() {
    nothing_is_lost(Kind::Xfs, 10);
}

#[test]
#[ignore = "three hundred power cuts take minutes"]
fn three_hundred_power_cuts_of_xfs_take_nothing_that_was_acknowledged() {
    nothing_is_lost(Kind::Xfs, 300);
}

/// The proof of the proof: an engine that makes one of these mistakes does not pass.
#[test]
#[cfg(debug_assertions)]
fn each_mistake_that_is_made_on_purpose_turns_the_power_cuts_red() {
    // Some show only where a snapshot was on its way, which not every cut meets.
    const CUTS_MAX: u32 = 80;
    let mistakes = [
        "entries of 16 KiB",
        "the journal is not synced",
        "the strip is not synced",
        "the strip is used again before sled has it",
        "a commit is acknowledged before it is written",
        "a segment is not synced",
        "a pack is not synced",
        "model.json comes first",
    ];
    for mistake in mistakes {
        match cut(Kind::Ext4, CUTS_MAX, Some(mistake)) {
            None => return,
            Some(Ok(_)) => panic!("\"{mistake}\" was not noticed"),
            Some(Err(broken)) => println!("\"{mistake}\" was noticed: {broken}"),
        }
    }
}

/// The writer; without its variable it is nothing.
#[test]
fn writes_until_the_power_is_cut() {
    if let Some(folder) = std::env::var_os(writer::FOLDER_VARIABLE) {
        writer::write(Path::new(&folder));
    }
}
