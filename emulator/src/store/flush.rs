//! Appends that wait for a flush, and the flush that makes them the file's content.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::body::Body;
use crate::store::condition::ConditionUse;
use crate::store::content::{Content, Segment};
use crate::store::core::Core;
use crate::store::extent::Floating;
use crate::store::inode::{ContentHeaders, Inode, InodeRecord, Origin, Stored};
use crate::store::lease::{self, Lease};
use crate::store::namespace::{Guard, Node};
use crate::store::paint::Painted;
use crate::store::path::StorePath;
use crate::store::seal::{CustomerKey, check_key};
use crate::store::sled_file::{ENTRY_SIZE_MAX_BYTES, namespace_error};
use crate::store::transaction::Transaction;
use crate::store::{Store, key};

/// How often a flush starts again because the file changed while its content list was written.
const FLUSH_ATTEMPTS_MAX: usize = 16;
/// What a waiting entry needs beside its content list.
const WAITING_HEADER_BYTES: usize = 64;

/// Lease actions that go with an append or flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseWithWrite {
    /// Acquires before writing.
    Acquire {
        /// Proposed id.
        id: String,
        /// For how long.
        duration_s: Option<u32>,
    },
    /// Renews the lease named by `x-ms-lease-id`.
    AutoRenew,
    /// Releases after the flush.
    Release,
    /// Acquires, flushes and releases.
    AcquireRelease {
        /// Proposed id.
        id: String,
        /// For how long.
        duration_s: Option<u32>,
    },
}

/// A flush.
#[derive(Clone, Debug, Default)]
pub struct FlushRequest {
    /// The length the file shall have.
    pub position: u64,
    /// Keeps what was appended beyond the position.
    pub retain_uncommitted: bool,
    /// Conditions and lease.
    pub guard: Guard,
    /// Headers to store; what is `None` stays.
    pub headers: ContentHeaders,
    /// What to do with the lease.
    pub lease: Option<LeaseWithWrite>,
}

/// What is appended by the same request that flushes; it never waits.
#[derive(Debug)]
struct Appended {
    position: u64,
    length: u64,
    content: Arc<Content>,
}

/// An append or staged block as it waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) key: Vec<u8>,
    pub(crate) written_unix_ns: i64,
    pub(crate) length: u64,
    pub(crate) stored: Stored,
    /// The hash of the customer's key that sealed it.
    pub(crate) customer_key_sha256: Option<String>,
}

impl Core {
    /// Stores a waiting body; large lists go to an extent so that the entry stays small.
    pub(crate) fn prepare_waiting(
        &self,
        body: Body,
        key_length: usize,
    ) -> Result<(Stored, u64, Floating)> {
        let room = ENTRY_SIZE_MAX_BYTES.saturating_sub(key_length + WAITING_HEADER_BYTES);
        let content = Content::of(body.segments).encode();
        let (stored, mut floating) = self.store_bytes(content, room, self.extents.sync)?;
        floating.join(body.floating);
        Ok((stored, body.length, floating))
    }

    /// Notes a waiting body, with the hash of the customer's key that sealed it.
    pub(crate) fn put_waiting(
        &self,
        txn: &mut Transaction<'_>,
        key: Vec<u8>,
        (stored, length): (Stored, u64),
        customer_key: Option<&CustomerKey>,
    ) -> Result<()> {
        let mut extents = self.content(&stored)?.extents();
        extents.extend(stored.extent());
        txn.reference(&extents)?;
        let mut value = self.now_unix_ns().to_be_bytes().to_vec();
        value.extend_from_slice(&length.to_be_bytes());
        let record = InodeRecord {
            attributes: Stored::Here(
                customer_key.map_or_else(Vec::new, |key| key.sha256().as_bytes().to_vec()),
            ),
            content: stored,
        };
        value.extend_from_slice(&record.encode());
        txn.put(key, value);
        Ok(())
    }

    /// Everything that waits under `prefix`, in key order.
    pub(crate) fn waiting(&self, prefix: &[u8]) -> Result<Vec<Waiting>> {
        let mut found = Vec::new();
        for item in self.tree().scan_prefix(prefix) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            found.push(decode_waiting(&key, &value)?);
        }
        Ok(found)
    }

    pub(crate) fn remove_waiting(
        &self,
        txn: &mut Transaction<'_>,
        waiting: &Waiting,
    ) -> Result<()> {
        let mut extents: BTreeSet<u64> = self.content(&waiting.stored)?.extents();
        extents.extend(waiting.stored.extent());
        txn.dereference(&extents)?;
        txn.remove(waiting.key.clone());
        Ok(())
    }

    pub(crate) fn drop_uncommitted(&self, txn: &mut Transaction<'_>, inode: u64) -> Result<()> {
        for waiting in self.waiting(&key::uncommitted_of(inode))? {
            self.remove_waiting(txn, &waiting)?;
        }
        Ok(())
    }

    /// The content after a flush to `position`, which is not below what is committed: a flush only adds.
    fn flushed(
        &self,
        node: &Node,
        waiting: &[Waiting],
        appended: Option<&Appended>,
        position: u64,
    ) -> Result<Content> {
        if position < node.inode.length {
            return Err(ErrorCode::InvalidFlushPosition.into());
        }
        let committed = self.content(&node.record.content)?;
        let mut sources: Vec<Arc<Content>> = vec![committed];
        let mut painted = Painted::new(node.inode.length);
        let mut by_arrival: Vec<&Waiting> = waiting.iter().collect();
        by_arrival.sort_by_key(|waiting| key::uncommitted_parts(&waiting.key).1);
        for waiting in by_arrival {
            let (start, _) = key::uncommitted_parts(&waiting.key);
            if waiting.length > 0 {
                painted.paint(start, start + waiting.length, sources.len());
                sources.push(self.content(&waiting.stored)?);
            }
        }
        if let Some(appended) = appended.filter(|appended| appended.length > 0) {
            let start = appended.position;
            painted.paint(start, start + appended.length, sources.len());
            sources.push(Arc::clone(&appended.content));
        }
        let mut segments: Vec<Segment> = Vec::new();
        let mut reached = 0;
        for (start, run) in painted.runs {
            if reached >= position || start > reached {
                break;
            }
            let end = run.end.min(position);
            let from = start - run.origin;
            if let Some(source) = sources.get(run.source) {
                segments.extend(source.range(from..from + (end - start)));
            }
            reached = end;
        }
        if reached < position {
            return Err(ErrorCode::InvalidFlushPosition.into());
        }
        Ok(Content::of(segments))
    }
}

pub(crate) fn decode_waiting(key: &[u8], value: &[u8]) -> Result<Waiting> {
    let unreadable = || {
        StoreError::corrupt(
            "an uncommitted append or block",
            "its record is not readable",
        )
    };
    let mut input = crate::store::content::Input(value);
    let written = input.u64().ok_or_else(unreadable)?;
    let length = input.u64().ok_or_else(unreadable)?;
    let record = InodeRecord::decode(input.0).ok_or_else(unreadable)?;
    let written_unix_ns = i64::try_from(written).unwrap_or(i64::MAX);
    Ok(Waiting {
        key: key.to_vec(),
        written_unix_ns,
        length,
        stored: record.content,
        customer_key_sha256: match record.attributes {
            Stored::Here(hash) if !hash.is_empty() => {
                Some(String::from_utf8(hash).map_err(|_| unreadable())?)
            }
            _ => None,
        },
    })
}

impl Store {
    /// Keeps `body` to be flushed at `position`; the file's content, ETag and time stay. Order does not matter.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a header or parameter of the operation"
    )]
    pub(crate) fn append(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        position: u64,
        body: Body,
        guard: &Guard,
        lease: Option<&LeaseWithWrite>,
    ) -> Result<Inode> {
        let core = self.core();
        end_of(position, body.length)?;
        let (stored, length, floating) = core.prepare_waiting(body, 32)?;
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        core.check_change(&txn, &guard.principal, record.root, path, &node.inode)?;
        if node.inode.is_directory() {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        }
        check_key(&node.inode, guard.customer_key.as_ref())?;
        let changed = lease_before(core, &mut node.inode, guard, lease)?;
        if changed {
            txn.put_inode(Some(&node.record), &node.inode, node.record.content.clone())?;
        }
        let arrival = core.extents.allocate_id();
        core.put_waiting(
            &mut txn,
            key::uncommitted(node.inode.id, position, arrival),
            (stored, length),
            guard.customer_key.as_ref(),
        )?;
        txn.adopt(floating);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(node.inode)
    }

    /// Makes what was appended up to `request.position` the file's content, at once.
    ///
    /// # Errors
    /// `InvalidFlushPosition` when that leaves a gap or cuts off what is committed, `InvalidFlushOperation` on what
    /// Blob wrote, conditions, leases.
    pub fn flush(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        request: &FlushRequest,
    ) -> Result<Inode> {
        self.flush_with(account, filesystem, path, request, None)
    }

    /// Appends `body` and flushes to its end in one step: what is refused keeps nothing.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub(crate) fn append_and_flush(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        position: u64,
        body: Body,
        mut request: FlushRequest,
    ) -> Result<Inode> {
        request.position = end_of(position, body.length)?;
        let appended = Appended {
            position,
            length: body.length,
            content: Arc::new(Content::of(body.segments)),
        };
        let appended = Some((appended, body.floating));
        self.flush_with(account, filesystem, path, &request, appended)
    }

    fn flush_with(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        request: &FlushRequest,
        appended: Option<(Appended, Floating)>,
    ) -> Result<Inode> {
        let core = self.core();
        let (appended, mut unadopted) = appended.unzip();
        for _ in 0..FLUSH_ATTEMPTS_MAX {
            let (node, waiting) = {
                let view = core.read();
                let record = core.filesystem(&view, account, filesystem)?;
                let node = core
                    .find_as(&view, &request.guard.principal, record.root, path)?
                    .ok_or(ErrorCode::PathNotFound)?;
                let principal = &request.guard.principal;
                core.check_change(&view, principal, record.root, path, &node.inode)?;
                let waiting = core.waiting(&key::uncommitted_of(node.inode.id))?;
                (node, waiting)
            };
            check_flush(core, &node.inode, request)?;
            let content = core.flushed(&node, &waiting, appended.as_ref(), request.position)?;
            let length = content.length();
            let (stored, floating) = core.store_content(content, core.extents.sync)?;
            let mut txn = core.write()?;
            let record = core.filesystem(&txn, account, filesystem)?;
            let mut now = core
                .find(&txn, record.root, path)?
                .ok_or(ErrorCode::PathNotFound)?;
            if now.record != node.record || now.inode.id != node.inode.id {
                continue;
            }
            check_flush(core, &now.inode, request)?;
            self.apply_flush(&mut txn, &mut now, request, stored, length)?;
            txn.adopt(floating);
            if let Some(floating) = unadopted.take() {
                txn.adopt(floating);
            }
            let batch = txn.commit()?;
            core.acknowledge(batch, false)?;
            return Ok(now.inode);
        }
        Err(ErrorCode::InternalOperationAbort.into())
    }

    fn apply_flush(
        &self,
        txn: &mut Transaction<'_>,
        node: &mut Node,
        request: &FlushRequest,
        stored: Stored,
        length: u64,
    ) -> Result<()> {
        let core = self.core();
        lease_before(
            core,
            &mut node.inode,
            &request.guard,
            request.lease.as_ref(),
        )?;
        if matches!(
            request.lease,
            Some(LeaseWithWrite::Release | LeaseWithWrite::AcquireRelease { .. })
        ) {
            node.inode.lease = None;
        }
        merge_headers(&mut node.inode.headers, &request.headers);
        node.inode.length = length;
        node.inode.etag = core.next_etag();
        node.inode.modified_unix_ns = core.now_unix_ns();
        txn.put_inode(Some(&node.record), &node.inode, stored)?;
        for waiting in core.waiting(&key::uncommitted_of(node.inode.id))? {
            let end = key::uncommitted_parts(&waiting.key).0 + waiting.length;
            if !request.retain_uncommitted || end <= request.position {
                core.remove_waiting(txn, &waiting)?;
            }
        }
        Ok(())
    }
}

/// Where an append ends.
fn end_of(position: u64, length: u64) -> Result<u64> {
    position.checked_add(length).ok_or_else(|| {
        StoreError::invalid_query("position", &position.to_string(), "It is out of range.")
    })
}

fn check_flush(core: &Core, inode: &Inode, request: &FlushRequest) -> Result<()> {
    if inode.is_directory() {
        return Err(ErrorCode::ResourceTypeMismatch.into());
    }
    request
        .guard
        .conditions
        .check(Some(inode.version()), ConditionUse::Flush)?;
    if inode.origin != Origin::Dfs {
        return Err(ErrorCode::InvalidFlushOperation.into());
    }
    check_key(inode, request.guard.customer_key.as_ref())?;
    lease_before(
        core,
        &mut inode.clone(),
        &request.guard,
        request.lease.as_ref(),
    )
    .map(|_| ())
}

/// Checks the lease and does what comes before the write; tells whether the inode changed.
fn lease_before(
    core: &Core,
    inode: &mut Inode,
    guard: &Guard,
    action: Option<&LeaseWithWrite>,
) -> Result<bool> {
    let now = core.now_unix_ns();
    match action {
        Some(
            LeaseWithWrite::Acquire { id, duration_s }
            | LeaseWithWrite::AcquireRelease { id, duration_s },
        ) => {
            let acquire = lease::LeaseAction::Acquire {
                id: id.clone(),
                duration_s: *duration_s,
            };
            inode.lease = lease::apply(inode.lease.as_ref(), &acquire, now)?.lease;
            return Ok(true);
        }
        Some(LeaseWithWrite::AutoRenew | LeaseWithWrite::Release) if guard.lease_id.is_none() => {
            return Err(StoreError::missing_header("x-ms-lease-id"));
        }
        _ => lease::check_write(inode.lease.as_ref(), guard.lease_id.as_deref(), now)?,
    }
    if let (Some(LeaseWithWrite::AutoRenew), Some(held)) = (action, &inode.lease) {
        inode.lease = Some(Lease::granted(&held.id, held.duration_s, now));
        return Ok(true);
    }
    Ok(false)
}

/// Headers that are given replace what is stored; others stay.
pub(crate) fn merge_headers(stored: &mut ContentHeaders, given: &ContentHeaders) {
    let merge = |stored: &mut Option<String>, given: &Option<String>| {
        if given.is_some() {
            stored.clone_from(given);
        }
    };
    merge(&mut stored.content_type, &given.content_type);
    merge(&mut stored.content_encoding, &given.content_encoding);
    merge(&mut stored.content_language, &given.content_language);
    merge(&mut stored.content_disposition, &given.content_disposition);
    merge(&mut stored.cache_control, &given.cache_control);
    // A checksum describes the content it came with, and no later one.
    stored.content_md5.clone_from(&given.content_md5);
}
