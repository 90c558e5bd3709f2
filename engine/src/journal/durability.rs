//! What a commit promises, and what happens to one that finds the queue full.

/// What survives once a commit returned. Chosen when an environment is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Everything, a power cut included: each batch of commits ends with an fdatasync.
    #[default]
    Synced,
    /// Everything but a power cut or a crash of the operating system. These may take the last
    /// commits, back to the last one that was synced. What is left is whole commits. Versions are
    /// reserved a million at a time, so those of lost commits are never given out again: after an end
    /// that was no closing the next one comes behind the range.
    LostOnPowerCut,
}

/// What happens to a commit while the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackPressure {
    /// It waits, and is refused as `Busy` when there is no room in time.
    Wait {
        /// For how long.
        timeout_ms: u64,
    },
    /// It is refused as `Busy` at once.
    Reject,
}

impl Default for BackPressure {
    fn default() -> Self {
        const TIMEOUT_MS: u64 = 60_000;
        BackPressure::Wait {
            timeout_ms: TIMEOUT_MS,
        }
    }
}
