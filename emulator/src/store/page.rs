//! Page blobs: pages of 512 bytes that are written and cleared in place, in accounts without a hierarchical namespace.
//!
//! What was never written, or was cleared, is a hole of the content. A range that was written is not one, even if all
//! its bytes are zero.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::authorize::Principal;
use crate::store::body::Body;
use crate::store::condition::ConditionUse;
use crate::store::content::{Content, ContentReader, Segment};
use crate::store::core::{Core, View};
use crate::store::inode::{Inode, Origin};
use crate::store::namespace::{Guard, Node};
use crate::store::path::StorePath;
use crate::store::seal::check_key;

/// What ranges of pages are aligned to.
pub(crate) const PAGE_BYTES: u64 = 512;
/// The largest page blob, as the service has it.
pub(crate) const PAGE_BLOB_MAX_BYTES: u64 = 8 << 40;

/// Conditions on the number that a client counts changes by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceConditions {
    pub(crate) at_most: Option<u64>,
    pub(crate) below: Option<u64>,
    pub(crate) equal: Option<u64>,
}

impl SequenceConditions {
    fn check(self, number: u64) -> Result<()> {
        let met = self.at_most.is_none_or(|limit| number <= limit)
            && self.below.is_none_or(|limit| number < limit)
            && self.equal.is_none_or(|wanted| number == wanted);
        match met {
            true => Ok(()),
            false => Err(ErrorCode::SequenceNumberConditionNotMet.into()),
        }
    }
}

/// Pages that were written, or that were cleared since a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRange {
    pub(crate) bytes: Range<u64>,
    pub(crate) is_cleared: bool,
}

/// Adds a range, joined to the one before where they touch.
fn push(ranges: &mut Vec<PageRange>, bytes: Range<u64>, is_cleared: bool) {
    match ranges.last_mut() {
        Some(last) if last.bytes.end == bytes.start && last.is_cleared == is_cleared => {
            last.bytes.end = bytes.end;
        }
        _ => ranges.push(PageRange { bytes, is_cleared }),
    }
}

/// A content of `length` bytes: the rest is cut off, what is missing is a hole.
fn resized(content: &Content, length: u64) -> Vec<Segment> {
    let before = content.length();
    let mut segments = content.range(0..before.min(length));
    if length > before {
        segments.push(Segment::Hole(length - before));
    }
    segments
}

/// The ranges of a content that were written.
fn written(content: &Content, within: &Range<u64>) -> Vec<PageRange> {
    let mut ranges = Vec::new();
    let mut at = within.start;
    for segment in content.range(within.clone()) {
        let end = at + segment.length();
        if !matches!(segment, Segment::Hole(_)) {
            push(&mut ranges, at..end, false);
        }
        at = end;
    }
    ranges
}

/// Where a segment of either content begins or ends.
fn cuts(contents: [&Content; 2], within: &Range<u64>) -> Vec<u64> {
    let mut cuts = BTreeSet::from([within.start, within.end]);
    for content in contents {
        let mut at = 0;
        for segment in &content.segments {
            at += segment.length();
            if within.contains(&at) {
                cuts.insert(at);
            }
        }
    }
    cuts.into_iter().collect()
}

/// Two versions of a page blob, to be compared.
struct Versions {
    before: (Arc<Content>, ContentReader),
    now: (Arc<Content>, ContentReader),
}

impl Versions {
    /// The pages that are other ones now. Pages that were written again with the same bytes are not.
    fn difference(&mut self, within: &Range<u64>) -> Result<Vec<PageRange>> {
        let mut ranges = Vec::new();
        let cuts = cuts([&self.before.0, &self.now.0], within);
        for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
            let bytes = *start..*end;
            let (before, now) = (
                self.before.0.range(bytes.clone()),
                self.now.0.range(bytes.clone()),
            );
            let is_hole = |segments: &[Segment]| {
                segments
                    .iter()
                    .all(|segment| matches!(segment, Segment::Hole(_)))
            };
            match (is_hole(&before), is_hole(&now)) {
                (true, true) => {}
                (false, true) => push(&mut ranges, bytes, true),
                (true, false) => push(&mut ranges, bytes, false),
                (false, false) if before == now => {}
                (false, false) => self.changed_pages(bytes, &mut ranges)?,
            }
        }
        Ok(ranges)
    }

    /// Compares one segment with another of the same length, page by page.
    fn changed_pages(&mut self, bytes: Range<u64>, ranges: &mut Vec<PageRange>) -> Result<()> {
        let length = bytes.end - bytes.start;
        let before = self.before.1.read_range(bytes.start, length)?;
        let now = self.now.1.read_range(bytes.start, length)?;
        let pages = before
            .chunks(PAGE_BYTES as usize)
            .zip(now.chunks(PAGE_BYTES as usize));
        let mut at = bytes.start;
        for (before, now) in pages {
            let end = at + now.len() as u64;
            if before != now {
                push(ranges, at..end, false);
            }
            at = end;
        }
        Ok(())
    }
}

impl Core {
    fn opened(&self, node: &Node) -> Result<(Arc<Content>, ContentReader)> {
        let content = self.content(&node.record.content)?;
        let pins = self.extents.pin(content.extents().into_iter().collect());
        let reader = ContentReader::new(&self.extents, Arc::clone(&content), pins);
        Ok((content, reader))
    }

    fn page_blob(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        path: &StorePath,
    ) -> Result<Node> {
        let node = self
            .find_as(view, principal, root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        match node.inode.origin {
            Origin::PageBlob => Ok(node),
            _ => Err(ErrorCode::InvalidBlobType.into()),
        }
    }
}

impl Store {
    /// Changes a page blob under its conditions: `change` gets the attributes and gives the new content, if any.
    fn change_page_blob(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        guard: &Guard,
        change: impl FnOnce(&mut Inode, &Content) -> Result<Option<Vec<Segment>>>,
        body: Option<Body>,
    ) -> Result<Inode> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core.page_blob(&txn, &guard.principal, record.root, path)?;
        core.check_change(&txn, &guard.principal, record.root, path, &node.inode)?;
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        let content = core.content(&node.record.content)?;
        let mut stored = node.record.content.clone();
        if let Some(segments) = change(&mut node.inode, &content)? {
            check_key(&node.inode, guard.customer_key.as_ref())?;
            let content = Content::of(segments);
            node.inode.length = content.length();
            let (changed, floating) = core.store_content(content, core.extents.sync)?;
            stored = changed;
            txn.adopt(floating);
        }
        node.inode.etag = core.next_etag();
        node.inode.modified_unix_ns = core.now_unix_ns();
        txn.put_inode(Some(&node.record), &node.inode, stored)?;
        if let Some(body) = body {
            txn.adopt(body.floating);
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(node.inode)
    }

    /// Writes pages, or clears them where there is no body.
    ///
    /// # Errors
    /// `InvalidBlobType` on what is no page blob, `InvalidPageRange` beyond its end, `SequenceNumberConditionNotMet`,
    /// conditions, leases.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a header of the protocol's operation"
    )]
    pub(crate) fn write_pages(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        bytes: Range<u64>,
        body: Option<Body>,
        sequence: SequenceConditions,
        guard: &Guard,
    ) -> Result<Inode> {
        let pages = match &body {
            Some(body) => body.segments.clone(),
            None => vec![Segment::Hole(bytes.end - bytes.start)],
        };
        let change = |inode: &mut Inode, content: &Content| {
            sequence.check(inode.sequence_number)?;
            if bytes.end > inode.length {
                return Err(ErrorCode::InvalidPageRange.into());
            }
            let mut segments = content.range(0..bytes.start);
            segments.extend(pages);
            segments.extend(content.range(bytes.end..inode.length));
            Ok(Some(segments))
        };
        self.change_page_blob(account, filesystem, path, guard, change, body)
    }

    /// Changes attributes of a page blob, and its length where one is given.
    ///
    /// # Errors
    /// `InvalidBlobType` on what is no page blob, what `change` answers, conditions, leases.
    pub(crate) fn set_page_blob(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        length: Option<u64>,
        guard: &Guard,
        change: impl FnOnce(&mut Inode) -> Result<()>,
    ) -> Result<Inode> {
        let change = |inode: &mut Inode, content: &Content| {
            change(inode)?;
            Ok(length.map(|length| resized(content, length)))
        };
        self.change_page_blob(account, filesystem, path, guard, change, None)
    }

    /// The pages of a page blob that were written, or that differ from those of a snapshot. `within` is cut to the
    /// blob and widened to whole pages. `check` sees the attributes first.
    ///
    /// # Errors
    /// `InvalidBlobType` on what is no page blob, `PreviousSnapshotNotFound`, `InvalidRange` beyond its end, what
    /// `check` answers, `Corrupt`.
    pub(crate) fn page_ranges(
        &self,
        principal: &Principal,
        (account, filesystem, path): (&str, &str, &StorePath),
        previous: Option<&StorePath>,
        within: Range<u64>,
        check: impl FnOnce(&Inode) -> Result<()>,
    ) -> Result<(Inode, Vec<PageRange>)> {
        let core = self.core();
        let view = core.read();
        let record = core.filesystem(&view, account, filesystem)?;
        let node = core.page_blob(&view, principal, record.root, path)?;
        check(&node.inode)?;
        let length = node.inode.length;
        if within.start > 0 && within.start >= length {
            return Err(ErrorCode::InvalidRange.into());
        }
        let start = within.start / PAGE_BYTES * PAGE_BYTES;
        let end = within
            .end
            .min(length)
            .next_multiple_of(PAGE_BYTES)
            .min(length);
        let now = core.opened(&node)?;
        let Some(previous) = previous else {
            let ranges = written(&now.0, &(start..end));
            return Ok((node.inode, ranges));
        };
        let before = core
            .find(&view, record.root, previous)?
            .ok_or(ErrorCode::PreviousSnapshotNotFound)?;
        if before.inode.origin != Origin::PageBlob {
            return Err(ErrorCode::PreviousSnapshotOperationNotSupported.into());
        }
        let before = core.opened(&before)?;
        drop(view);
        let ranges = Versions { before, now }.difference(&(start..end))?;
        Ok((node.inode, ranges))
    }
}
