//! Which rows a transaction is changing, so that two transactions never change one row at once.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long a transaction waits for a row that another one is changing. Two transactions that wait
/// for each other end here.
const WAIT_MS: u64 = 10_000;

type Key = (u16, u128);

/// The rows being changed.
#[derive(Default)]
pub(crate) struct RowLocks {
    held: Mutex<HashSet<Key>>,
    released: Condvar,
}

/// The rows that one transaction is changing. Dropping it releases them.
pub(crate) struct HeldRows {
    locks: Arc<RowLocks>,
    keys: HashSet<Key>,
}

impl HeldRows {
    pub(crate) fn none(locks: Arc<RowLocks>) -> Self {
        HeldRows {
            locks,
            keys: HashSet::new(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// `Conflict` if another transaction has held it for too long.
    pub(crate) fn take(&mut self, table: u16, id: u128) -> Result<()> {
        let key = (table, id);
        if self.keys.contains(&key) {
            return Ok(());
        }
        let until = Instant::now() + Duration::from_millis(WAIT_MS);
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !held.insert(key) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Conflict(format!(
                    "the row {} is being changed by another transaction; try again",
                    uuid::Uuid::from_u128(id)
                )));
            }
            held = self
                .locks
                .released
                .wait_timeout(held, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        self.keys.insert(key);
        Ok(())
    }
}

impl Drop for HeldRows {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            held.remove(key);
        }
        self.locks.released.notify_all();
    }
}
