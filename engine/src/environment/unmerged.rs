//! The bound of what is sealed and not merged into blocks yet.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Environment;
use crate::error::{Error, Result};

/// Commits are refused while merging fails and this many times the bytes wait at which it begins.
const UNMERGED_TIMES_MAX: u64 = 2;
/// A merge that failed is not tried again before this: it may have filled the disk with half a pack.
const RETRY_PAUSE_MS: u64 = 1_000;

/// Why the last merge failed that a commit asked for.
pub(super) struct Failure {
    why: String,
    at: Instant,
}

impl Failure {
    fn is_past(&self) -> bool {
        self.at.elapsed() >= Duration::from_millis(RETRY_PAUSE_MS)
    }
}

impl Environment {
    /// Merges what is sealed where it has grown too large.
    ///
    /// # Errors
    /// `Busy` if merging fails and so much waits for it that a commit would make things worse.
    pub(super) fn bound_unmerged(&self) -> Result<()> {
        let inner = &self.inner;
        let begin = inner.unmerged_bytes_max;
        if self.unmerged_bytes() <= begin {
            return Ok(());
        }
        // Whoever comes meanwhile waits here for the merge, and then finds nothing to do.
        let mut failure = inner
            .merge_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.unmerged_bytes() <= begin {
            return Ok(());
        }
        if failure.as_ref().is_none_or(Failure::is_past) {
            *failure = self.fold().err().map(|error| {
                tracing::warn!(%error, "the sealed segments could not be merged into blocks");
                Failure {
                    why: error.to_string(),
                    at: Instant::now(),
                }
            });
        }
        let bytes = self.unmerged_bytes();
        match &*failure {
            Some(failure) if bytes > begin.saturating_mul(UNMERGED_TIMES_MAX) => {
                Err(Error::Busy(format!(
                    "{bytes} bytes of changes wait to be merged into blocks, and no more are taken while merging fails: {}; nothing of this commit was kept, so mend that and send it again, a merge is tried every {RETRY_PAUSE_MS} ms",
                    failure.why
                )))
            }
            _ => Ok(()),
        }
    }

    fn unmerged_bytes(&self) -> u64 {
        let folded = self.inner.state().catalog.folded_version;
        self.inner.staging.bytes_above(folded)
    }
}
