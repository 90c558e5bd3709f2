//! Where a command reads from and writes to: this terminal, or the one of the client that sent it.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Mutex;
use std::time::Duration;

use super::progress::{Progress, Unit};
use indicatif::{ProgressBar, ProgressStyle};

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
    shown: Mutex<Option<Shown>>,
}

/// The bar of the step that is being done.
struct Shown {
    label: String,
    bar: ProgressBar,
}

/// How often a bar moves by itself, so that a step without counts is seen to be alive.
const TICK: Duration = Duration::from_millis(200);

impl LocalConsole {
    fn shown(&self) -> std::sync::MutexGuard<'_, Option<Shown>> {
        self.shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

impl Console for LocalConsole {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match &*self.shown() {
            // Both may be the same terminal, and a line must not stand in the middle of a bar.
            Some(shown) => shown.bar.suspend(|| write_out(bytes)),
            None => write_out(bytes),
        }
    }

    fn note(&self, line: &str) {
        match &*self.shown() {
            Some(shown) => shown.bar.println(line),
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
        let mut shown = self.shown();
        let is_other = |shown: &mut Shown| shown.label != progress.label;
        if let Some(before) = shown.take_if(|shown| progress.finished || is_other(shown)) {
            before.bar.finish_and_clear();
        }
        if !progress.finished {
            let shown = shown.get_or_insert_with(|| Shown {
                label: progress.label.clone(),
                bar: new_bar(progress),
            });
            shown.bar.set_position(progress.done);
        }
    }
}

fn new_bar(progress: &Progress) -> ProgressBar {
    let template = match (progress.unit, progress.total) {
        (Some(Unit::Bytes), Some(_)) => {
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        }
        (Some(Unit::Bytes), None) => "{spinner} {msg} {bytes} {bytes_per_sec}",
        (Some(Unit::Rows), Some(_)) => "{msg} {wide_bar} {human_pos}/{human_len} rows {eta}",
        (Some(Unit::Rows), None) => "{spinner} {msg} {human_pos} rows {elapsed}",
        (None, _) => "{spinner} {msg} {elapsed}",
    };
    let bar = match progress.total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    let bar = match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.set_message(progress.label.clone());
    bar.enable_steady_tick(TICK);
    bar
}
