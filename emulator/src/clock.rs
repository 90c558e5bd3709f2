//! Where the emulator's time comes from.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of time, so that a test can decide when a lease ends.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    fn now_unix_ns(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_unix_ns(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
            })
    }
}

/// The machine's clock behind the handle that options take.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
