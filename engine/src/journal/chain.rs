//! Commits of one producer of which none is kept once one before it failed.
//!
//! Commits are sent while those before them are on their way. A full disk may refuse a large one and then have room for a
//! smaller; whoever has to say up to where its input was taken in needs the smaller one refused as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// What the commits of a chain have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain(Arc<AtomicBool>);

impl Chain {
    /// Notes that a commit failed.
    pub(crate) fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// # Errors
    /// `InvalidInput` once a commit failed.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::invalid(
                "a commit that was sent before this one failed, so nothing of this one is kept",
            )),
        }
    }
}
