//! Rounds in turn, medians, and the lines that say whether a promise holds.
//!
//! A machine that is shared is never twice the same, so no promise is an absolute time: each bench runs its subject and
//! a peer by turns, in one run, and compares the medians.

use std::fmt;
use std::time::{Duration, Instant};

/// Which way a goal lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

/// A ratio beside the goal that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Says what it is, and stays the same from run to run.
    pub name: String,
    /// The ratio.
    pub value: f64,
    /// What it should be.
    pub goal: Goal,
}

impl Line {
    /// A line of its parts.
    pub fn new(name: impl Into<String>, value: f64, goal: Goal) -> Self {
        Line {
            name: name.into(),
            value,
            goal,
        }
    }

    /// Whether the promise holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.goal {
            Goal::AtLeast(goal) => self.value >= goal,
            Goal::AtMost(goal) => self.value <= goal,
        }
    }
}

impl Goal {
    /// The sign and the number.
    #[must_use]
    pub fn parts(self) -> (&'static str, f64) {
        match self {
            Goal::AtLeast(goal) => ("≥", goal),
            Goal::AtMost(goal) => ("≤", goal),
        }
    }
}

impl fmt::Display for Line {
    /// `ratio <name> <value> <≥ or ≤> <goal> <holds|falls short>`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, goal) = self.goal.parts();
        let end = if self.holds() { "holds" } else { "falls short" };
        write!(
            out,
            "ratio {} {:.3} {sign} {goal} {end}",
            self.name, self.value
        )
    }
}

/// The text of a [`Line`].
#[must_use]
pub fn ratio_line(name: &str, value: f64, goal: Goal) -> String {
    Line::new(name, value, goal).to_string()
}

/// The middle one of several measurements.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Runs two things by turns and gives the median time of each. Each is told the round.
pub fn by_turns(
    rounds: usize,
    mut one: impl FnMut(usize),
    mut other: impl FnMut(usize),
) -> (Duration, Duration) {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        one(round);
        times.0.push(start.elapsed());
        let start = Instant::now();
        other(round);
        times.1.push(start.elapsed());
    }
    (median(times.0), median(times.1))
}

/// How often one time fits into another.
#[must_use]
pub fn quotient(of: Duration, by: Duration) -> f64 {
    of.as_secs_f64() / by.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Pseudo-random numbers that are the same in every run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number (xorshift64*).
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A random GUID.
    pub fn id(&mut self) -> String {
        let (high, low) = (self.roll(), self.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whether_the_promise_holds() {
        let line = ratio_line("reads", 0.5, Goal::AtLeast(0.25));
        assert_eq!(line, "ratio reads 0.500 ≥ 0.25 holds");
        let line = ratio_line("bytes", 0.5, Goal::AtMost(0.25));
        assert_eq!(line, "ratio bytes 0.500 ≤ 0.25 falls short");
    }

    #[test]
    fn the_median_is_the_middle() {
        let times = [5, 1, 9].map(Duration::from_millis).to_vec();
        assert_eq!(median(times), Duration::from_millis(5));
    }
}
