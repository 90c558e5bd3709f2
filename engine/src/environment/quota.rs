//! How much an environment may hold, and how a commit that would be too much is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Environment;
use crate::error::{Error, Result};

/// From this part of a limit on `status` warns.
const WARN_PERCENT: u64 = 80;
/// What is on its way counts, and is waited for before a commit is refused, so often at most.
const ATTEMPTS: u32 = 200;
const PAUSE_MS: u64 = 1;
/// What is in no block yet will be there and in a segment.
const TIMES_UNMERGED: u64 = 2;

/// How much an environment may hold. A commit beyond it is refused before anything is written; what
/// deletes rows and does nothing else is always taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Bytes of blocks in use, of sealed segments, and of the commits in the journal. What is not in
    /// blocks yet counts twice: it will stand there too while its changes are kept.
    pub bytes: Option<u64>,
    /// Rows of all tables.
    pub rows: Option<u64>,
}

/// A quota beside what is held.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    /// The limits.
    #[serde(flatten)]
    pub quota: Quota,
    /// What counts towards the limit of bytes.
    pub used_bytes: u64,
    /// Rows in blocks, and changes that stand in no block yet: each counts as a row until it is merged,
    /// which a commit that meets the limit asks for.
    pub used_rows: u64,
    /// What to do, where a limit is near or reached.
    pub warning: Option<String>,
}

/// What an environment holds, or what a commit adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub bytes: u64,
    pub rows: u64,
}

impl Amount {
    fn plus(self, other: Amount) -> Self {
        Amount {
            bytes: self.bytes + other.bytes,
            rows: self.rows + other.rows,
        }
    }
}

impl Quota {
    fn is_set(&self) -> bool {
        self.bytes.is_some() || self.rows.is_some()
    }

    /// The first limit that an amount is beyond: what it counts, the limit, and the amount.
    fn passed_by(&self, amount: Amount) -> Option<(&'static str, u64, u64)> {
        let limits = [
            ("bytes", self.bytes, amount.bytes),
            ("rows", self.rows, amount.rows),
        ];
        limits.into_iter().find_map(|(what, limit, amount)| {
            limit
                .filter(|limit| amount > *limit)
                .map(|limit| (what, limit, amount))
        })
    }

    fn warning(&self, used: Amount) -> Option<String> {
        let limits = [
            ("bytes", self.bytes, used.bytes),
            ("rows", self.rows, used.rows),
        ];
        let near = limits.into_iter().filter_map(|(what, limit, used)| {
            let limit = limit?;
            let percent = u128::from(used) * 100 / u128::from(limit.max(1));
            (percent >= u128::from(WARN_PERCENT))
                .then(|| format!("{percent} % of the quota of {limit} {what} is used"))
        });
        let near: Vec<String> = near.collect();
        (!near.is_empty()).then(|| {
            format!(
                "{}; {WAY_OUT}, before commits are refused",
                near.join(", and ")
            )
        })
    }
}

const WAY_OUT: &str = "delete rows, shorten the retention of changes, or raise the quota";

/// What is on its way to the journal under a quota.
#[derive(Default)]
pub(crate) struct OnTheWay(Mutex<Amount>);

impl OnTheWay {
    fn lock(&self) -> MutexGuard<'_, Amount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a commit until it is in the tail, or was refused.
pub(crate) struct Reserved {
    on_the_way: Arc<OnTheWay>,
    amount: Amount,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut amount = self.on_the_way.lock();
        amount.bytes -= self.amount.bytes;
        amount.rows -= self.amount.rows;
    }
}

impl Environment {
    /// How much the environment may hold.
    pub fn quota(&self) -> Quota {
        self.state().catalog.quota
    }

    /// Changes how much the environment may hold, durably. A limit below what it holds already
    /// removes nothing, and refuses what comes.
    pub fn set_quota(&self, quota: Quota) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        catalog.quota = quota;
        self.inner.replace_catalog(catalog).map(drop)
    }

    /// The quota beside what the environment holds.
    pub fn quota_status(&self) -> QuotaStatus {
        let (quota, used) = (self.quota(), self.used());
        QuotaStatus {
            quota,
            used_bytes: used.bytes,
            used_rows: used.rows,
            warning: quota.warning(used),
        }
    }

    fn used(&self) -> Amount {
        let (inner, state) = (&self.inner, self.state());
        let folded = state.catalog.folded_version;
        let tables = state.catalog.tables.values();
        let layouts = tables.filter_map(|table| table.layouts.first());
        let in_blocks: u64 = layouts
            .flat_map(|layout| layout.partitions.values())
            .map(|partition| partition.rows)
            .sum();
        let segments = inner.staging.segments();
        let in_segments: u64 = segments.iter().map(|segment| segment.entry().bytes).sum();
        Amount {
            bytes: inner.block_bytes.load(Ordering::Relaxed)
                + in_segments
                + inner.staging.bytes_above(folded)
                + TIMES_UNMERGED * inner.staging.tail_bytes() as u64,
            rows: in_blocks + inner.staging.last_version().saturating_sub(folded),
        }
    }

    /// Makes sure that a commit fits into the quota, and counts it as long as it is on its way.
    ///
    /// # Errors
    /// `OverQuota` if it does not.
    pub(super) fn reserve(&self, amount: Amount) -> Result<Option<Reserved>> {
        let quota = self.quota();
        if !quota.is_set() {
            return Ok(None);
        }
        let amount = Amount {
            bytes: TIMES_UNMERGED * amount.bytes,
            ..amount
        };
        let mut passed = match self.try_reserve(quota, amount) {
            Ok(reserved) => return Ok(Some(reserved)),
            Err(passed) => passed,
        };
        // Only now it is worth to know exactly: changes of one row become one, and deleted rows go.
        self.fold()?;
        self.count_block_bytes()?;
        for _ in 0..ATTEMPTS {
            match self.try_reserve(quota, amount) {
                Ok(reserved) => return Ok(Some(reserved)),
                Err(now) => passed = now,
            }
            if *self.inner.on_the_way.lock() == Amount::default() {
                break;
            }
            thread::sleep(Duration::from_millis(PAUSE_MS));
        }
        let (what, limit, would_hold) = passed;
        tracing::warn!(what, limit, would_hold, "a commit was refused by the quota");
        Err(Error::OverQuota {
            what,
            limit,
            would_hold,
        })
    }

    fn try_reserve(
        &self,
        quota: Quota,
        amount: Amount,
    ) -> Result<Reserved, (&'static str, u64, u64)> {
        let mut on_the_way = self.inner.on_the_way.lock();
        let all = self.used().plus(*on_the_way).plus(amount);
        // An update adds no row, however many there are.
        let rows = quota.rows.filter(|_| amount.rows > 0);
        match (Quota { rows, ..quota }).passed_by(all) {
            Some(passed) => Err(passed),
            None => {
                *on_the_way = on_the_way.plus(amount);
                Ok(Reserved {
                    on_the_way: self.inner.on_the_way.clone(),
                    amount,
                })
            }
        }
    }

    /// Counts the bytes of the blocks in use anew.
    pub(super) fn count_block_bytes(&self) -> Result<()> {
        let inner = &self.inner;
        let live = self.state().catalog.live_bytes(&inner.packs)?;
        inner
            .block_bytes
            .store(live.values().sum(), Ordering::Relaxed);
        Ok(())
    }
}

/// The bytes of the blocks in use, as they were counted last.
pub(crate) type BlockBytes = AtomicU64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_begins_at_four_fifths_of_a_limit() {
        let quota = Quota {
            bytes: Some(1_000),
            rows: None,
        };
        let warning = |bytes| quota.warning(Amount { bytes, rows: 5 });
        assert_eq!(warning(799), None);
        assert!(warning(800).is_some_and(|w| w.starts_with("80 % of the quota of 1000 bytes")));
        assert_eq!(Quota::default().warning(Amount { bytes: 9, rows: 9 }), None);
    }
}
