//! How long changes are kept once they stand in blocks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ChangeToken;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::{Environment, State};
use crate::error::{Error, Result, SnapshotName};
use crate::link::LinkEntry;
use crate::publish::partition_of;
use crate::segment::SegmentEntry;

const AGE_S: u64 = 7 * 24 * 3_600;
const BYTES: u64 = 1 << 30;

/// How long the changes of an environment are kept for readers of its change feed. A segment goes
/// when any limit is passed, but never while a link, a consumer or a reader still needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// A segment is kept for so long after its last commit.
    pub age_s: Option<u64>,
    /// So many bytes of segments are kept.
    pub bytes: Option<u64>,
    /// So many changes are kept.
    pub rows: Option<u64>,
}

impl Default for Retention {
    /// Seven days, and 1 GiB.
    fn default() -> Self {
        Retention {
            age_s: Some(AGE_S),
            bytes: Some(BYTES),
            rows: None,
        }
    }
}

impl Retention {
    /// How many of the oldest segments are past a limit.
    pub(super) fn past<'s>(
        &self,
        segments: impl DoubleEndedIterator<Item = &'s SegmentEntry>,
        now: Ticks,
    ) -> usize {
        let (mut bytes, mut rows, mut past) = (0, 0, 0);
        // Newest first: what a segment and the newer ones take together decides about it.
        for entry in segments.rev() {
            bytes += entry.bytes;
            rows += entry.rows();
            let age_s = (now - entry.last_committed).max(0) / TICKS_PER_SECOND;
            let is_past = past > 0
                || self.age_s.is_some_and(|limit| age_s as u64 > limit)
                || self.bytes.is_some_and(|limit| bytes > limit)
                || self.rows.is_some_and(|limit| rows > limit);
            past += usize::from(is_past);
        }
        past
    }
}

impl Environment {
    /// How long changes are kept.
    pub fn retention(&self) -> Retention {
        self.state().catalog.retention
    }

    /// Changes how long changes are kept, durably, and removes what is past the new limits.
    pub fn set_retention(&self, retention: Retention) -> Result<()> {
        {
            let _guard = self.inner.lock_catalog();
            let mut catalog = self.state().catalog.clone();
            catalog.retention = retention;
            self.inner.replace_catalog(catalog)?;
        }
        self.collect_segments()
    }

    /// Removes the segments that are past the limits and that nobody needs any more: first their
    /// names, then their files.
    pub(crate) fn collect_segments(&self) -> Result<()> {
        let inner = &self.inner;
        // Held to the end, so that nobody begins to need one meanwhile.
        let holders = inner.lock_holders();
        let state = inner.state();
        let now = inner.clock.now_ticks();
        let needed = holders
            .least(now)
            .into_iter()
            .chain(state.snapshots().map(|(_, version)| version))
            .fold(state.catalog.folded_version, u64::min);
        let segments = inner.staging.segments();
        let entries = segments.iter().map(|segment| segment.entry());
        let past = state.catalog.retention.past(entries.clone(), now);
        let removed: Vec<u64> = entries
            .take(past)
            .take_while(|entry| entry.last_version <= needed)
            .map(|entry| entry.number)
            .collect();
        inner.sealing.remove(&removed)
    }

    /// The oldest change that is kept.
    pub(super) fn oldest_version(&self) -> u64 {
        self.inner.staging.oldest_version()
    }

    /// Checks that every change behind a version is kept. The caller holds the holders' lock.
    pub(super) fn check_kept(&self, version: u64) -> Result<()> {
        let oldest_version = self.oldest_version();
        if version + 1 >= oldest_version {
            return Ok(());
        }
        let state = self.state();
        let newest = state.snapshots().max_by_key(|(_, version)| *version);
        Err(Error::Expired {
            oldest_version,
            snapshot: newest.map(|((name, link), version)| {
                Box::new(SnapshotName {
                    link: name.clone(),
                    unix_s: link.last_snapshot_s,
                    version,
                    token: ChangeToken::new(state.catalog.id, version).to_string(),
                })
            }),
        })
    }
}

impl State {
    /// The links that have a snapshot, and the version up to which it has every change of their
    /// tables.
    fn snapshots(&self) -> impl Iterator<Item = ((&String, &LinkEntry), u64)> {
        let links = self.catalog.links.iter();
        links
            .filter(|(_, link)| link.last_snapshot_s > 0)
            .map(|(name, link)| ((name, link), self.snapshot_version(link)))
    }

    /// The version of a link's newest snapshot; where its tables did not change since, the version
    /// up to which that is known.
    pub(super) fn snapshot_version(&self, link: &LinkEntry) -> u64 {
        let is_current = link.tables.iter().all(|(name, table)| {
            let entry = self.catalog.tables.get(name);
            let layout = entry.and_then(|entry| entry.layout(&table.layout));
            layout.is_some_and(|layout| {
                let mut shown: BTreeMap<&str, u64> = BTreeMap::new();
                for (file, published) in &table.partitions {
                    // A partition's last change is that of the part that changed last.
                    let version = shown.entry(partition_of(file)).or_default();
                    *version = published.changed_version.max(*version);
                }
                layout.partitions.len() == shown.len()
                    && layout.partitions.iter().all(|(partition, entry)| {
                        shown.get(partition.as_str()) == Some(&entry.changed_version)
                    })
            })
        });
        match is_current {
            true => self.catalog.folded_version.max(link.last_version),
            false => link.last_version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u64, committed_s: i64) -> SegmentEntry {
        SegmentEntry {
            number,
            first_version: number * 10,
            last_version: number * 10 + 9,
            last_committed: committed_s * TICKS_PER_SECOND,
            bytes: 100,
            footer_crc32c: 0,
        }
    }

    #[test]
    fn each_limit_takes_the_oldest_segments() {
        let segments: Vec<_> = (1..=5).map(|n| segment(n, n as i64 * 60)).collect();
        let past = |age_s, bytes, rows| {
            let retention = Retention { age_s, bytes, rows };
            retention.past(segments.iter(), 300 * TICKS_PER_SECOND)
        };
        assert_eq!(past(None, None, None), 0);
        assert_eq!(past(Some(120), None, None), 2);
        assert_eq!(past(None, Some(300), None), 2);
        assert_eq!(past(None, Some(99), None), 5);
        assert_eq!(past(None, None, Some(45)), 1);
        assert_eq!(past(Some(1_000), Some(1_000), Some(10)), 4);
    }
}
