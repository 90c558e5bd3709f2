//! Versions that are never given out again, although their commits may be lost.
//!
//! Where commits are not synced, a power cut takes the last of them, and whoever read them knows their
//! versions. So a range of versions is noted durably before any of it is given out, and an environment
//! that was not closed goes on behind the range. What was left out is noted too, because elsewhere a
//! missing version tells of a loss.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Journal;
use crate::error::{Error, Result};

/// The key of the metadata that says so.
pub(crate) const VERSIONS_KEY: &str = "versions";
/// So many versions are reserved at once: a sync for each time.
const RESERVED_AT_ONCE: u64 = 1 << 20;
/// As many ranges are noted; they are found at most where an environment broke off.
const GAPS_MAX: usize = 64;

/// What is noted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Noted {
    /// Versions up to this one may have been given out.
    reserved: u64,
    gaps: Gaps,
}

/// Ranges of versions that no change has: the first and the last of each, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gaps(Vec<(u64, u64)>);

impl Gaps {
    /// Reads them from the value of the key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(value: Option<&[u8]>) -> Result<Self, String> {
        parse(value).map(|noted| noted.gaps)
    }

    /// The version that comes behind another one.
    pub(crate) fn next(&self, last: u64) -> u64 {
        let next = last.saturating_add(1);
        let gap = self.0.iter().find(|(first, _)| *first == next);
        gap.map_or(next, |(_, last)| last.saturating_add(1))
    }

    fn last(&self) -> u64 {
        self.0.last().map_or(0, |(_, last)| *last)
    }

    fn add(&mut self, first: u64, last: u64) {
        match self.0.last_mut() {
            Some(before) if before.1.saturating_add(1) == first => before.1 = last,
            _ => self.0.push((first, last)),
        }
        let surplus = self.0.len().saturating_sub(GAPS_MAX);
        self.0.drain(..surplus);
    }
}

fn parse(value: Option<&[u8]>) -> Result<Noted, String> {
    let parse =
        |value| serde_json::from_slice(value).map_err(|e| format!("the note about versions: {e}"));
    value.map_or_else(|| Ok(Noted::default()), parse)
}

/// The versions of an environment that is open.
pub(crate) struct Versions {
    journal: Arc<dyn Journal>,
    noted: Noted,
}

impl Versions {
    /// Reads what is noted.
    pub(crate) fn load(journal: Arc<dyn Journal>) -> Result<Self> {
        let value = journal.meta(VERSIONS_KEY)?;
        let noted = parse(value.as_deref());
        let noted = noted.map_err(|detail| Error::corrupt("journal/db".as_ref(), detail))?;
        Ok(Versions { journal, noted })
    }

    pub(crate) fn gaps(&self) -> &Gaps {
        &self.noted.gaps
    }

    /// The last version that may have been given out, where this is the last one that is there. What
    /// lies between is left out from now on.
    pub(crate) fn leave_out_behind(&mut self, last: u64) -> Result<u64> {
        let last = last.max(self.noted.gaps.last());
        let reserved = std::mem::take(&mut self.noted.reserved);
        if reserved == 0 {
            return Ok(last);
        }
        if reserved > last {
            self.noted.gaps.add(last + 1, reserved);
            let (first, last) = (last + 1, reserved);
            tracing::warn!(
                first,
                last,
                "the environment was not closed; these versions are left out"
            );
        }
        self.store()?;
        Ok(last.max(reserved))
    }

    /// Sees to it that versions up to this one can be given out.
    pub(crate) fn reserve(&mut self, last: u64) -> Result<()> {
        if last <= self.noted.reserved {
            return Ok(());
        }
        self.noted.reserved = last.saturating_add(RESERVED_AT_ONCE);
        self.store()
    }

    /// Gives back what is reserved: everything that was given out is durable with this.
    pub(crate) fn close(&mut self) -> Result<()> {
        match std::mem::take(&mut self.noted.reserved) {
            0 => Ok(()),
            _ => self.store(),
        }
    }

    fn store(&self) -> Result<()> {
        let noted = serde_json::to_vec(&self.noted)
            .map_err(|e| Error::invalid(format!("versions cannot be noted: {e}")))?;
        self.journal.set_meta(VERSIONS_KEY, Some(&noted))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::MemoryJournal;
    use super::*;

    fn load(journal: &MemoryJournal) -> Versions {
        Versions::load(Arc::new(journal.clone())).unwrap()
    }

    #[test]
    fn what_may_have_been_given_out_is_left_out_once_it_was_not_closed() {
        let journal = MemoryJournal::default();
        let mut versions = load(&journal);
        assert_eq!(versions.leave_out_behind(5).unwrap(), 5);
        versions.reserve(6).unwrap();
        versions.reserve(1_000).unwrap();
        journal.cut_power();
        let mut versions = load(&journal);
        let next = versions.leave_out_behind(7).unwrap();
        assert_eq!(next, 6 + RESERVED_AT_ONCE);
        assert_eq!(versions.gaps().next(7), next + 1);
        assert_eq!(versions.gaps().next(8), 9);
        // All of the next range is lost.
        versions.reserve(next + 1).unwrap();
        let mut versions = load(&journal);
        let last = versions.leave_out_behind(7).unwrap();
        assert_eq!(last, next + 1 + RESERVED_AT_ONCE);
        assert_eq!(versions.gaps().0, [(8, last)]);
        versions.reserve(last + 1).unwrap();
        versions.close().unwrap();
        assert_eq!(load(&journal).leave_out_behind(last + 1).unwrap(), last + 1);
    }
}
