//! The staging log: what was acknowledged is in here until a sealed segment holds it.
//!
//! A commit is one transaction. It is a run of frames of at most 4,000 bytes each, or a part of a large
//! batch in a file beside sled; a checksum covers the whole commit. [`Journal`] is what the engine needs
//! of a log; [`SledJournal`] keeps it in sled and those files, [`MemoryJournal`] in memory, with a disk
//! that can lose power.

mod bulk;
mod chain;
mod committer;
mod durability;
mod frame;
mod inspect;
mod log_end;
mod log_image;
mod memory;
mod opening;
mod queue;
mod record;
mod replay;
mod sled_journal;
mod ticket;
mod versions;

#[cfg(any(test, fuzzing))]
pub(crate) use bulk::{batch_file, read_batches};
pub(crate) use chain::Chain;
pub(crate) use committer::{
    Committer, Follower, Request as CommitRequest, Start as CommitterStart,
};
pub use durability::{BackPressure, Durability};
#[cfg(any(test, fuzzing))]
pub(crate) use frame::with_checksums;
pub(crate) use inspect::ReadLog;
pub use log_end::LogEnd;
pub use log_image::LogImage;
pub use memory::MemoryJournal;
pub(crate) use opening::QUARANTINE;
pub(crate) use record::{Operation, Record, Records};
pub use sled_journal::SledJournal;
pub use ticket::{CommitTicket, Receipt};
pub(crate) use versions::{Gaps, VERSIONS_KEY, Versions};

use crate::clock::Ticks;
use crate::error::Result;
use crate::segment::SegmentEntry;

/// One transaction as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The version of its first row change; the others follow without a gap.
    pub first_version: u64,
    /// How many row changes it holds, at least one.
    pub rows: u32,
    /// When it was committed.
    pub committed: Ticks,
    /// The row changes, encoded.
    pub payload: Vec<u8>,
}

impl Commit {
    /// The version of its last row change.
    pub fn last_version(&self) -> u64 {
        self.first_version + u64::from(self.rows).saturating_sub(1)
    }
}

/// A log of commits beside a small table of metadata.
///
/// Everything that a method wrote is durable when it returns `Ok`, unless it was told that less is
/// enough. After any error nothing more is
/// written: every later call answers `Poisoned` until the journal is opened again, because a second
/// sync after a failed one can report success for data that was dropped.
pub trait Journal: Send + Sync {
    /// Whether it still writes; to be asked before a file is written that it will then name. Where
    /// naming a file failed, the name may be durable all the same, and the file must not be touched.
    fn check(&self) -> Result<()>;

    /// Whether there is room to name a file; to be asked before one is written.
    fn check_room(&self) -> Result<()> {
        Ok(())
    }

    /// Ends all writing until it is opened again, because a write or a sync of a file failed that belongs
    /// to the same environment.
    fn poison(&self, reason: &str);

    /// Adds commits at the end and makes them durable as far as asked. After a crash each of them is
    /// there whole or not at all, and none without those before it.
    fn append(&self, commits: &[Commit], durability: Durability) -> Result<()>;

    /// Every commit in the log that no segment holds, in order. Called once, before anything is
    /// sealed.
    fn commits(&self) -> Result<Vec<Commit>>;

    /// What is known of the end of the log beside the log itself, as it was when it was opened.
    fn end(&self) -> LogEnd {
        LogEnd::default()
    }

    /// Hands the commits up to the segment's last version over to it: the segment is named, durably,
    /// and from then on the commits do not count, whether they are removed yet or not. The segment's
    /// file and its name must be durable before.
    fn seal(&self, segment: &SegmentEntry) -> Result<()>;

    /// The segments that are named, in order.
    fn segments(&self) -> Result<Vec<SegmentEntry>>;

    /// Stops naming segments; only then may their files be removed.
    fn release(&self, numbers: &[u64]) -> Result<()>;

    /// The value of a metadata key.
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// The metadata whose keys begin with `prefix`, sorted.
    fn metas(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// Replaces the value of a metadata key, at most 4,000 bytes; `None` removes it.
    fn set_meta(&self, key: &str, value: Option<&[u8]>) -> Result<()>;

    /// What no segment holds, as it stands, for whoever looks for damage.
    fn image(&self) -> Result<LogImage>;

    /// Bytes of the log on disk.
    fn stored_bytes(&self) -> Result<u64>;
}
