//! How an environment is opened.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::journal::{BackPressure, Durability};

const SEGMENT_BYTES: usize = 16 << 20;
const TAIL_BYTES_MAX: usize = 24 << 20;
const UNMERGED_BYTES_MAX: u64 = 8 << 30;
/// As the option of that name.
pub(crate) const MERGE_BYTES: u64 = 144 << 20;

/// How an environment is opened. A clock alone may stand for all of it.
#[derive(Clone)]
pub struct OpenOptions {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What survives once a commit returned.
    pub durability: Durability,
    /// What happens to a commit while the queue is full; a transaction may choose for itself.
    pub back_pressure: BackPressure,
    /// The journal's tail, which is held in memory too, becomes a segment once it is this large.
    pub segment_bytes: usize,
    /// The tail never grows beyond this, unless one transaction alone does: commits wait until it
    /// is sealed.
    pub tail_bytes_max: usize,
    /// Segments that no snapshot has asked for are merged into blocks once they are this large, so
    /// that the search for a current row stays short. A merge is cheapest when it comes once.
    pub unmerged_bytes_max: u64,
    /// About how much of the changes that are merged is in memory at a time, of all threads together.
    pub merge_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            back_pressure: BackPressure::default(),
            segment_bytes: SEGMENT_BYTES,
            tail_bytes_max: TAIL_BYTES_MAX,
            unmerged_bytes_max: UNMERGED_BYTES_MAX,
            merge_bytes: MERGE_BYTES,
        }
    }
}

impl<C: Clock + 'static> From<Arc<C>> for OpenOptions {
    fn from(clock: Arc<C>) -> Self {
        OpenOptions {
            clock,
            ..OpenOptions::default()
        }
    }
}
