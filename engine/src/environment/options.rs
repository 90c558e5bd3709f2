//! How an environment is opened.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::journal::{BackPressure, Durability};

/// How an environment is opened. A clock alone may stand for all of it.
#[derive(Clone)]
pub struct OpenOptions {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What survives once a commit returned.
    pub durability: Durability,
    /// What happens to a commit while the queue is full; a transaction may choose for itself.
    pub back_pressure: BackPressure,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            back_pressure: BackPressure::default(),
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
