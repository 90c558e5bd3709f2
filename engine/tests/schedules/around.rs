//! What stands around the files that are tried: as little as they need.

pub(crate) mod environment {
    /// Room under a quota.
    pub(crate) struct Reserved;
}

pub(crate) mod locks {
    /// Rows that a transaction holds.
    pub(crate) struct HeldRows;
}

pub(crate) mod metrics {
    use std::time::Duration;

    use crate::error::Error;

    #[derive(Default)]
    pub(crate) struct Counters;

    impl Counters {
        pub(crate) fn batch(&self) {}
        pub(crate) fn durable(&self, _rows: u64, _bytes: u64, _latency: Duration) {}
        pub(crate) fn refused(&self, _error: &Error) {}
    }
}

pub(crate) mod faults {
    use std::cell::Cell;

    thread_local! {
        static MISTAKE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Lets the mistake be made from here on, in the schedules of this thread.
    pub(crate) fn make(mistake: Option<&'static str>) {
        MISTAKE.set(mistake);
    }

    pub(crate) fn makes(mistake: &str) -> bool {
        MISTAKE.get() == Some(mistake)
    }
}
