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

/// The key of the metadata that says so; further ones begin with it.
pub(crate) const VERSIONS_KEY: &str = "versions";
/// So many versions are reserved at once: a sync for each time.
const RESERVED_AT_ONCE: u64 = 1 << 20;
/// So many ranges are noted under one key, because the journal takes small entries only. Those before them stand under
/// keys of their own.
const GAPS_A_KEY: usize = 64;

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
    /// Collects them from the metadata, of which those count whose keys begin with [`VERSIONS_KEY`].
    ///
    /// # Errors
    /// What is wrong with one.
    pub(crate) fn of(metas: &[(String, Vec<u8>)]) -> Result<Self, String> {
        let metas = metas.iter();
        let notes = metas.filter(|(key, _)| key.starts_with(VERSIONS_KEY));
        let mut all = Vec::new();
        for (_, value) in notes {
            all.extend(parse(Some(value))?.gaps.0);
        }
        all.sort_unstable();
        // What was moved to a key of its own when the power failed stands under both.
        all.dedup();
        Ok(Gaps(all))
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
    /// What stands under [`VERSIONS_KEY`] itself.
    noted: Noted,
    /// All ranges, those under other keys as well.
    gaps: Gaps,
}

impl Versions {
    /// Reads what is noted.
    pub(crate) fn load(journal: Arc<dyn Journal>) -> Result<Self> {
        let corrupt = |detail: String| Error::corrupt("journal/db".as_ref(), detail);
        let value = journal.meta(VERSIONS_KEY)?;
        let noted = parse(value.as_deref()).map_err(corrupt)?;
        let gaps = Gaps::of(&journal.metas(VERSIONS_KEY)?).map_err(corrupt)?;
        Ok(Versions {
            journal,
            noted,
            gaps,
        })
    }

    pub(crate) fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// The last version that may have been given out, where this is the last one that is there. What
    /// lies between is left out from now on.
    pub(crate) fn leave_out_behind(&mut self, last: u64) -> Result<u64> {
        let last = last.max(self.gaps.last());
        let reserved = std::mem::take(&mut self.noted.reserved);
        if reserved == 0 {
            return Ok(last);
        }
        if reserved > last {
            self.add_gap(last + 1, reserved)?;
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

    fn add_gap(&mut self, first: u64, last: u64) -> Result<()> {
        if self.noted.gaps.0.len() >= GAPS_A_KEY {
            // Named after its first version, so that doing it again after a crash does nothing more.
            let full = Noted {
                reserved: 0,
                gaps: std::mem::take(&mut self.noted.gaps),
            };
            let name = full.gaps.0.first().map_or(0, |(first, _)| *first);
            self.store_as(&format!("{VERSIONS_KEY}/{name:020}"), &full)?;
        }
        self.noted.gaps.add(first, last);
        self.gaps.add(first, last);
        Ok(())
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
        self.store_as(VERSIONS_KEY, &self.noted)
    }

    fn store_as(&self, key: &str, noted: &Noted) -> Result<()> {
        let noted = serde_json::to_vec(noted)
            .map_err(|e| Error::invalid(format!("versions cannot be noted: {e}")))?;
        self.journal.set_meta(key, Some(&noted))
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
    fn no_gap_is_forgotten_however_often_an_environment_breaks_off() {
        let journal = MemoryJournal::default();
        let mut behind = Vec::new();
        for _ in 0..200 {
            let mut versions = load(&journal);
            let last = versions.leave_out_behind(0).unwrap();
            // Two versions are given out, and become durable.
            versions.reserve(last + 2).unwrap();
            behind.push(last + 2);
            let mut versions = load(&journal);
            versions.leave_out_behind(last + 2).unwrap();
            journal.cut_power();
        }
        let versions = load(&journal);
        assert_eq!(versions.gaps().0.len(), 200);
        for last in behind {
            assert_eq!(versions.gaps().next(last), last + 1 + RESERVED_AT_ONCE);
        }
        let keys = journal.metas(VERSIONS_KEY).unwrap();
        assert!(keys.iter().all(|(_, value)| value.len() < 4_000));
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
