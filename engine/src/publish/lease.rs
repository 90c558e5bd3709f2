//! Snapshots that a reader of this process holds.

use std::collections::HashMap;

use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Held = HashMap<(String, i64), usize>;

/// Counts the readers of each snapshot.
#[derive(Debug, Default, Clone)]
pub(crate) struct Leases(Arc<Mutex<Held>>);

/// Holds one snapshot until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    link: String,
    number: i64,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, link: &str, number: i64) -> Lease {
        *self.held().entry((link.to_owned(), number)).or_default() += 1;
        Lease {
            leases: self.clone(),
            link: link.to_owned(),
            number,
        }
    }

    pub(crate) fn is_held(&self, link: &str, number: i64) -> bool {
        self.held().contains_key(&(link.to_owned(), number))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.held();
        let key = (std::mem::take(&mut self.link), self.number);
        if let Some(count) = held.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&key);
            }
        }
    }
}
