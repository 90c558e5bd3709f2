//! Where a command reads from and writes to: this terminal, or the one of the client that sent it.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

/// How far a long step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What is being done.
    pub label: String,
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes in all, where they are known.
    pub bytes_total: Option<u64>,
    /// Whether the step is over.
    pub finished: bool,
}

/// A command's surroundings.
pub(crate) trait Console: Send + Sync {
    /// Writes to standard output.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes a line to standard error.
    fn note(&self, line: &str);

    /// Whether somebody is still there to read; for those who wait long without writing.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// Standard input.
    fn input(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Shows how far a long step is, where somebody is looking.
    fn progress(&self, progress: &Progress);
}

/// Standard output of a console as a [`Write`].
pub(crate) struct ConsoleWriter<'a>(pub &'a dyn Console);

impl Write for ConsoleWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The process's own terminal or pipes.
#[derive(Default)]
pub(crate) struct LocalConsole {
    bar: Mutex<Option<ProgressBar>>,
}

impl LocalConsole {
    fn bar(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Console for LocalConsole {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn note(&self, line: &str) {
        match &*self.bar() {
            Some(bar) => bar.println(line),
            // Nobody can be told when standard error is gone.
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }

    fn input(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::stdin()))
    }

    fn progress(&self, progress: &Progress) {
        if !io::stderr().is_terminal() {
            return;
        }
        let mut shown = self.bar();
        if progress.finished {
            if let Some(bar) = shown.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = shown.get_or_insert_with(|| new_bar(progress));
        bar.set_message(progress.label.clone());
        bar.set_position(progress.bytes_done);
    }
}

fn new_bar(progress: &Progress) -> ProgressBar {
    let (bar, template) = match progress.bytes_total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {msg} {bytes} {bytes_per_sec}",
        ),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
