//! What takes bytes from outside gets random ones for a moment each; a fuzzer does the same for longer.
//!
//! `LAKESTAGE_FUZZ_SECONDS` says for how long each target is tried, `LAKESTAGE_FUZZ_SEED` from where.
#![allow(clippy::unwrap_used)]

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use lakestage_emulator::fuzz::{TARGETS, Target};

const SECONDS: f64 = 0.7;

/// Input that makes sense, for each target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz");
    let mut files: Vec<_> = std::fs::read_dir(folder.join(target))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

/// A few changes of a kind that parsers dislike.
fn mutated(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut data = random.choice(seeds).unwrap().clone();
    for _ in 0..random.usize(0..6) {
        let at = random.usize(0..=data.len());
        match random.u8(0..6) {
            0 => data.insert(at, random.u8(..)),
            1 if at < data.len() => data[at] = random.u8(..),
            2 if at < data.len() => {
                data.remove(at);
            }
            3 => data.truncate(at),
            4 => {
                let other = random.choice(seeds).unwrap();
                let from = random.usize(0..=other.len());
                let to = random.usize(from..=other.len());
                data.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let odd = [
                    "%00",
                    "%",
                    "\u{feff}",
                    "99999999999999999999",
                    "-1",
                    "\r\n",
                    "''",
                    "<!--",
                    "é",
                ];
                data.splice(at..at, random.choice(odd).unwrap().bytes());
            }
        }
    }
    data
}

fn try_for(random: &mut fastrand::Rng, (name, target): Target, time: Duration) -> u32 {
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let start = Instant::now();
    let mut tried = 0;
    while start.elapsed() < time {
        let data = mutated(random, &seeds);
        let done = catch_unwind(AssertUnwindSafe(|| target(&data)));
        assert!(
            done.is_ok(),
            "{name} fails on {:?}",
            String::from_utf8_lossy(&data)
        );
        tried += 1;
    }
    tried
}

#[test]
fn no_bytes_make_the_emulator_panic_or_fail() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("LAKESTAGE_FUZZ_SEED").unwrap_or(20_261_125.0) as u64;
    let time = Duration::from_secs_f64(number("LAKESTAGE_FUZZ_SECONDS").unwrap_or(SECONDS));
    let mut random = fastrand::Rng::with_seed(seed);
    for target in TARGETS {
        let tried = try_for(&mut random, target, time);
        eprintln!("{}: {tried} inputs", target.0);
        assert!(tried > 10, "{} was hardly tried", target.0);
    }
}
