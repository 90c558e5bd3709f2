//! Which rows a transaction is changing, so that two transactions never change one row at once.

use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::{HashMap, HashMapExt as _};

use crate::error::{Error, Result};

/// How long a transaction waits for a row that another one is changing. Two transactions that wait
/// for each other end here.
const WAIT_MS: u64 = 10_000;

type Key = (u16, u128);

/// The rows being changed, and by whom.
pub(crate) struct RowLocks {
    held: Mutex<HashMap<Key, u64>>,
    released: Condvar,
    next_holder: AtomicU64,
}

impl Default for RowLocks {
    fn default() -> Self {
        RowLocks {
            held: Mutex::new(HashMap::new()),
            released: Condvar::new(),
            next_holder: AtomicU64::new(0),
        }
    }
}

/// The rows that one transaction is changing. Dropping it releases them.
pub(crate) struct HeldRows {
    holder: u64,
    locks: Arc<RowLocks>,
    keys: Vec<Key>,
}

impl HeldRows {
    pub(crate) fn none(locks: Arc<RowLocks>) -> Self {
        HeldRows {
            holder: locks.next_holder.fetch_add(1, Ordering::Relaxed),
            locks,
            keys: Vec::new(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// `Conflict` if another transaction has held it for too long.
    pub(crate) fn take(&mut self, table: u16, id: u128) -> Result<()> {
        let key = (table, id);
        let mut until = None;
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            match held.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(self.holder);
                    break;
                }
                Entry::Occupied(taken) if *taken.get() == self.holder => return Ok(()),
                Entry::Occupied(_) => {}
            }
            let until =
                *until.get_or_insert_with(|| Instant::now() + Duration::from_millis(WAIT_MS));
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
        drop(held);
        self.keys.push(key);
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
