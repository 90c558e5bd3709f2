//! The sealed segments with their groups, at one moment.

use std::sync::Arc;

use super::Segments;
use crate::segment::{Segment, SegmentGroup};

/// Segments and their groups, both oldest first.
#[derive(Clone, Default)]
pub(crate) struct Sealed {
    pub segments: Segments,
    groups: Arc<Vec<Arc<SegmentGroup>>>,
}

impl Sealed {
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Sealed {
            segments: Arc::new(segments),
            groups: Arc::default(),
        }
    }

    pub(super) fn push(&mut self, segment: Arc<Segment>) {
        Arc::make_mut(&mut self.segments).push(segment);
    }

    /// Takes segments out, and the groups of which nothing is left.
    pub(super) fn remove(&mut self, numbers: &[u64]) {
        let segments = Arc::make_mut(&mut self.segments);
        segments.retain(|s| !numbers.contains(&s.entry().number));
        let oldest = segments.first().map_or(u64::MAX, |s| s.entry().number);
        Arc::make_mut(&mut self.groups).retain(|group| group.last >= oldest);
    }

    /// The oldest segments with changes above a version that have no group yet.
    pub(super) fn ungrouped(&self, above: u64) -> &[Arc<Segment>] {
        let grouped = self.groups.last().map_or(above, |g| g.last_version);
        let above = grouped.max(above);
        let start = self
            .segments
            .partition_point(|s| s.entry().last_version <= above);
        &self.segments[start..]
    }

    /// Adds a group, and drops those that a lookup above a version does not ask.
    pub(super) fn add_group(&mut self, group: SegmentGroup, above: u64) {
        let groups = Arc::make_mut(&mut self.groups);
        groups.retain(|group| group.last_version > above);
        groups.push(Arc::new(group));
    }

    /// The segments with changes above a version that may hold an id as far as their groups know,
    /// newest first.
    pub(crate) fn candidates(&self, table: u16, id: u128, above: u64) -> Candidates<'_> {
        Candidates {
            segments: &self.segments,
            groups: &self.groups,
            allowed: None,
            row: (table, id),
            above,
        }
    }
}

/// What [`Sealed::candidates`] gives.
pub(crate) struct Candidates<'s> {
    segments: &'s [Arc<Segment>],
    groups: &'s [Arc<SegmentGroup>],
    /// The first segment of the group that was asked last and said yes.
    allowed: Option<u64>,
    row: (u16, u128),
    above: u64,
}

impl<'s> Candidates<'s> {
    /// Whether the group of a segment says that none of its segments has the row; then they are
    /// left out.
    fn skips_group_of(&mut self, number: u64) -> bool {
        while let Some((group, older)) = self.groups.split_last() {
            if group.first > number {
                self.groups = older;
                continue;
            }
            if group.last < number || self.allowed == Some(group.first) {
                return false;
            }
            if group.may_hold(self.row.0, self.row.1) {
                self.allowed = Some(group.first);
                return false;
            }
            let kept = self
                .segments
                .partition_point(|s| s.entry().number < group.first);
            self.segments = &self.segments[..kept];
            self.groups = older;
            return true;
        }
        false
    }
}

impl<'s> Iterator for Candidates<'s> {
    type Item = &'s Segment;

    fn next(&mut self) -> Option<&'s Segment> {
        loop {
            let (newest, older) = self.segments.split_last()?;
            let entry = newest.entry();
            if entry.last_version <= self.above {
                return None;
            }
            if !self.skips_group_of(entry.number) {
                self.segments = older;
                return Some(newest);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compaction::Granularity;
    use crate::journal::{Commit, Operation, Record};
    use crate::segment::SegmentStore;

    const TABLE: u16 = 1;
    const SEGMENTS: u64 = 40;

    /// Segment `number` has the version and the id of its number.
    fn sealed(store: &SegmentStore) -> Sealed {
        let segments = (1..=SEGMENTS).map(|number| {
            let mut payload = Vec::new();
            let record = Record {
                table: TABLE,
                id: u128::from(number),
                created: None,
                operation: Operation::Delete,
            };
            record.encode(&mut payload);
            let commit = Commit {
                first_version: number,
                rows: 1,
                committed: 5,
                payload,
            };
            let granularity = |_| Granularity::default();
            let entry = store.write(number, &[Arc::new(commit)], &granularity);
            store.segment(entry.unwrap())
        });
        Sealed::new(segments.collect())
    }

    fn numbers(sealed: &Sealed, id: u128, above: u64) -> Vec<u64> {
        let candidates = sealed.candidates(TABLE, id, above);
        candidates.map(|segment| segment.entry().number).collect()
    }

    #[test]
    fn a_group_without_the_id_is_left_out_whole_and_no_other_segment_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut sealed = sealed(&SegmentStore::open(folder.path()).unwrap());
        assert_eq!(numbers(&sealed, 3, 0).len(), SEGMENTS as usize);
        while let Some(next) = SegmentGroup::next(sealed.ungrouped(0)) {
            let group = SegmentGroup::of(next).unwrap();
            sealed.add_group(group, 0);
        }
        assert_eq!(sealed.groups.len(), 2);
        for id in 1..=SEGMENTS {
            let found = numbers(&sealed, u128::from(id), 0);
            assert!(found.contains(&id), "{id}: {found:?}");
            assert!(found.is_sorted_by(|a, b| a > b));
            assert!((33..=40).all(|ungrouped| found.contains(&ungrouped)));
        }
        // Both groups are wrong about one id in 65,536.
        let shorter = (1_000..1_100).filter(|id| numbers(&sealed, *id, 0).len() == 8);
        assert!(shorter.count() > 80);
        assert_eq!(numbers(&sealed, 35, 38), [40, 39]);
        assert_eq!(sealed.ungrouped(36)[0].entry().number, 37);
        sealed.remove(&(1..=20).collect::<Vec<_>>());
        assert_eq!(sealed.groups.len(), 1);
        assert!(numbers(&sealed, 25, 0).contains(&25));
    }
}
