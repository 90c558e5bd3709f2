//! How far a long step is, for whoever looks at a terminal.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::console::Console;

/// How far a long step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What is being done.
    pub label: String,
    /// What is counted; nothing where only the time passes.
    pub unit: Option<Unit>,
    /// How much is done.
    pub done: u64,
    /// How much there is in all, where that is known.
    pub total: Option<u64>,
    /// Whether the step is over.
    pub finished: bool,
}

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    Bytes,
    Rows,
}

/// Shows often enough to be alive and seldom enough to cost nothing.
const SHOW_EVERY_BYTES: u64 = 1 << 20;
const SHOW_EVERY_ROWS: u64 = 500;

/// A step that is shown until it is dropped.
pub(crate) struct Step<'c> {
    console: &'c dyn Console,
    shown: Progress,
}

impl<'c> Step<'c> {
    /// A step of which only the time is known.
    pub(crate) fn start(console: &'c dyn Console, label: &str) -> Self {
        Self::counting(console, label, None, None)
    }

    /// A step that counts rows.
    pub(crate) fn rows(console: &'c dyn Console, label: &str, total: Option<u64>) -> Self {
        Self::counting(console, label, Some(Unit::Rows), total)
    }

    /// A step that counts bytes.
    pub(crate) fn bytes(console: &'c dyn Console, label: &str, total: Option<u64>) -> Self {
        Self::counting(console, label, Some(Unit::Bytes), total)
    }

    fn counting(
        console: &'c dyn Console,
        label: &str,
        unit: Option<Unit>,
        total: Option<u64>,
    ) -> Self {
        let shown = Progress {
            label: label.to_owned(),
            unit,
            done: 0,
            total,
            finished: false,
        };
        console.progress(&shown);
        Step { console, shown }
    }

    /// Counts what was done.
    pub(crate) fn add(&mut self, done: u64) {
        let every = match self.shown.unit {
            Some(Unit::Rows) => SHOW_EVERY_ROWS,
            _ => SHOW_EVERY_BYTES,
        };
        let before = self.shown.done / every;
        self.shown.done += done;
        if self.shown.done / every != before {
            self.console.progress(&self.shown);
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.shown.finished = true;
        self.console.progress(&self.shown);
    }
}

/// An input that shows how much of it was read.
pub(crate) struct CountedInput<'c, R> {
    input: R,
    step: Step<'c>,
}

impl<'c, R: Read> CountedInput<'c, R> {
    /// `total_bytes` is its length, where that is known.
    pub(crate) fn new(
        input: R,
        console: &'c dyn Console,
        label: &str,
        total_bytes: Option<u64>,
    ) -> Self {
        CountedInput {
            input,
            step: Step::counting(console, label, Some(Unit::Bytes), total_bytes),
        }
    }
}

impl<R: Read> Read for CountedInput<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.step.add(length as u64);
        Ok(length)
    }
}
