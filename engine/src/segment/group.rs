//! One filter over several segments.
//!
//! A load asks about every new row whether any segment has it. Asking hundreds of filters costs more
//! than rendering the row, so each group of segments gets one of its own: 9 bits a row, wrong once in
//! 256, and only where it says yes are the segments' own asked. It lives in memory alone; segments
//! without a group are asked one by one.

use std::sync::Arc;

use super::{Segment, filter};
use crate::error::Result;

/// A group is closed when it has this many segments…
const GROUP_SEGMENTS: usize = 16;
/// …or before it has more rows than this, since building its filter takes about 32 bytes a row.
const GROUP_ROWS_MAX: u64 = 1 << 20;

pub(crate) struct SegmentGroup {
    /// The numbers of its first and last segment.
    pub first: u64,
    pub last: u64,
    /// The version of its last change.
    pub last_version: u64,
    filter: Vec<u8>,
}

impl SegmentGroup {
    /// The oldest of the segments that make a whole group; `None` while later ones may still join.
    pub(crate) fn next(segments: &[Arc<Segment>]) -> Option<&[Arc<Segment>]> {
        let mut rows = 0;
        let fitting = segments.iter().take(GROUP_SEGMENTS).take_while(|segment| {
            rows += segment.entry().rows();
            rows <= GROUP_ROWS_MAX
        });
        let count = fitting.count();
        let is_whole = count == GROUP_SEGMENTS || count < segments.len();
        is_whole.then(|| &segments[..count.max(1)])
    }

    /// A group of consecutive segments, which are read once.
    ///
    /// # Errors
    /// `Corrupt` if one of them is damaged.
    pub(crate) fn of(segments: &[Arc<Segment>]) -> Result<Self> {
        let mut group = SegmentGroup::of_unread(segments);
        let rows: u64 = segments.iter().map(|s| s.entry().rows()).sum();
        let mut keys = Vec::with_capacity(rows as usize);
        for segment in segments {
            // Read apart, so that nothing of what was decoded stays.
            let apart = segment.unread();
            apart.each_key(|table, id| keys.push(filter::key(table, id)))?;
        }
        group.filter = filter::build_small(keys);
        Ok(group)
    }

    /// A group that knows nothing: each of its segments is asked.
    pub(crate) fn of_unread(segments: &[Arc<Segment>]) -> Self {
        let last = segments.last().map(|s| s.entry());
        SegmentGroup {
            first: segments.first().map_or(0, |s| s.entry().number),
            last: last.map_or(0, |e| e.number),
            last_version: last.map_or(0, |e| e.last_version),
            filter: Vec::new(),
        }
    }

    pub(crate) fn may_hold(&self, table: u16, id: u128) -> bool {
        filter::may_contain_small(&self.filter, table, id)
    }
}
