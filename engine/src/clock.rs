//! Time comes from here and from nowhere else, so that tests can set it and output can be repeated.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Ticks of 100 ns since 1970-01-01T00:00:00Z: the resolution of Dataverse's own times.
pub type Ticks = i64;

/// Ticks in a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in ticks of 100 ns since the Unix epoch.
    fn now_ticks(&self) -> Ticks;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ticks(&self) -> Ticks {
        (Timestamp::now().as_nanosecond() / 100) as Ticks
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows the given second since the Unix epoch.
    pub fn at_unix_s(seconds: i64) -> Self {
        ManualClock(AtomicI64::new(seconds * TICKS_PER_SECOND))
    }

    /// Moves the clock forward.
    pub fn advance_s(&self, seconds: i64) {
        self.0
            .fetch_add(seconds * TICKS_PER_SECOND, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ticks(&self) -> Ticks {
        self.0.load(Ordering::SeqCst)
    }
}
