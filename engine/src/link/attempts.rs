//! How publishing goes in this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{ErrorKind, Result};

/// The attempt to publish a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It is being made.
    Running,
    /// The last one failed, for this reason.
    Failed(String),
}

/// The attempts of all links. One that worked is forgotten.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<String, Attempt>>);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what becomes of the work.
    pub(crate) fn of<T>(&self, link: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.lock().insert(link.to_owned(), Attempt::Running);
        let result = work();
        match &result {
            Err(error) if error.kind() != ErrorKind::InvalidInput => {
                let failed = Attempt::Failed(error.to_string());
                self.lock().insert(link.to_owned(), failed)
            }
            // What was asked for cannot be, which says nothing about the lake.
            _ => self.lock().remove(link),
        };
        result
    }

    /// What is known of a link.
    pub(crate) fn last(&self, link: &str) -> Option<Attempt> {
        self.lock().get(link).cloned()
    }
}
