//! Accounts without a hierarchical namespace: a filesystem is one directory, whose names may have slashes. A snapshot
//! is an entry behind its blob's, with an inode of its own and the same content.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::condition::ConditionUse;
use crate::store::core::{Core, TICKS_TO_1970};
use crate::store::deleted::days_left;
use crate::store::inode::{Filesystem, Inode, NodeKind, Properties};
use crate::store::namespace::{Guard, Node};
use crate::store::path::{SNAPSHOT_MARK, StorePath};
use crate::store::seal::check_key;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::{Transaction, decode_entry};
use crate::store::{Store, key};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct FlatListRequest {
    /// What names start with.
    pub prefix: String,
    /// Names that have it behind the prefix are told as one; empty for none.
    pub delimiter: String,
    /// Starts at this name, whether it is there or not.
    pub from: Option<StorePath>,
    /// Whether snapshots are told, before their blob.
    pub snapshots: bool,
    /// Whether what was deleted and can be restored is told as well.
    pub deleted: bool,
    /// Entries at most.
    pub entries_max: usize,
}

/// A line of a list.
#[derive(Clone, Debug)]
pub enum FlatEntry {
    /// Names that share what stands before the delimiter, which is its end.
    Prefix(String),
    /// A blob or a snapshot of it.
    Blob {
        /// Of the blob.
        name: String,
        /// When the snapshot was taken.
        snapshot: Option<String>,
        /// Its attributes.
        inode: Box<Inode>,
        /// When it was deleted, and for how many whole days it can still be restored.
        deleted: Option<(i64, u32)>,
    },
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct FlatPage {
    /// The filesystem.
    pub filesystem: Filesystem,
    /// What was found.
    pub entries: Vec<FlatEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<StorePath>,
}

/// Which snapshots a deletion takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithSnapshots {
    /// None may be there.
    None,
    /// The blob goes with all of them.
    Include,
    /// Only they go.
    Only,
}

/// The group that a name falls into.
fn group(name: &str, prefix: &str, delimiter: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = name.get(prefix.len()..)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    name.get(..end).map(str::to_owned)
}

/// An entry's key, its inode, and when it was deleted with the days that are left.
type Found = (Vec<u8>, u64, Option<(i64, u32)>);

/// Entries that are there and such as were deleted, by key. A name that is in use again hides its deletion.
fn merged(
    there: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
    deleted: Vec<Found>,
) -> impl Iterator<Item = Result<Found>> {
    let mut there = there
        .map(|item| {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            let (id, _) = decode_entry(&value)
                .ok_or_else(|| StoreError::corrupt("an entry", "it is not readable"))?;
            Ok((key.to_vec(), id, None))
        })
        .peekable();
    let mut deleted = deleted.into_iter().peekable();
    std::iter::from_fn(move || {
        let next_deleted = deleted.peek().map(|(key, ..)| key.clone());
        let order = match (there.peek(), next_deleted) {
            (Some(Ok((key, ..))), Some(gone)) => key.cmp(&gone),
            (Some(_), _) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        if order == Ordering::Equal {
            deleted.next();
        }
        match order {
            Ordering::Greater => deleted.next().map(Ok),
            _ => there.next(),
        }
    })
}

impl Core {
    /// What can be restored in a flat filesystem from `first` on, by the key that it had.
    fn deleted_entries(&self, filesystem: u64, root: u64, first: &[u8]) -> Result<Vec<Found>> {
        let now = self.now_unix_ns();
        let mut found: BTreeMap<Vec<u8>, Found> = BTreeMap::new();
        for (_, deleted) in self.restorable(filesystem)? {
            let key = key::entry(root, &deleted.path);
            if key.as_slice() >= first {
                let days_left = days_left(deleted.until_unix_ns, now);
                let when = Some((deleted.deleted_unix_ns, days_left));
                found.insert(key.clone(), (key, deleted.inode, when));
            }
        }
        Ok(found.into_values().collect())
    }
}

/// The time of a snapshot as its name has it.
fn snapshot_time(unix_ns: i64) -> Result<String> {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns))
        .map(|time| format!("{time:.7}"))
        .map_err(|e| StoreError::corrupt("the clock", e.to_string()))
}

impl Core {
    /// Keeps a blob that is written over as a snapshot that was deleted, where a flat account has soft delete.
    pub(crate) fn keep_overwritten(
        &self,
        txn: &mut Transaction<'_>,
        account: &str,
        filesystem: &Filesystem,
        path: &StorePath,
        existing: &Node,
    ) -> Result<()> {
        let named = self.accounts.iter().find(|known| known.name == account);
        if !named.is_some_and(|account| account.flat)
            || !self.service_properties(account)?.delete_retention.enabled
        {
            return Ok(());
        }
        // ETags are times that come once.
        let ticks = self.next_etag().saturating_sub(TICKS_TO_1970);
        let at = i64::try_from(ticks).unwrap_or(i64::MAX).saturating_mul(100);
        let snapshot = path.snapshot(&snapshot_time(at)?);
        let mut inode = existing.inode.clone();
        inode.id = self.extents.allocate_id();
        inode.lease = None;
        txn.put_inode(None, &inode, existing.record.content.clone())?;
        self.keep_or_reclaim(txn, account, filesystem.id, &snapshot, &inode)?;
        Ok(())
    }
}

impl Store {
    /// A page of names in the order of their bytes.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `Corrupt`.
    pub fn list_flat(
        &self,
        account: &str,
        filesystem: &str,
        request: &FlatListRequest,
    ) -> Result<FlatPage> {
        let core = self.core();
        let view = core.read();
        let record = core.filesystem(&view, account, filesystem)?;
        let base = key::entries(record.root).len();
        let start = request
            .from
            .as_ref()
            .map_or_else(String::new, StorePath::to_string)
            .max(request.prefix.clone());
        let first = key::entry(record.root, &start);
        let end = Bound::Excluded(key::entries(record.root + 1));
        let mut page = FlatPage {
            filesystem: record,
            entries: Vec::new(),
            next: None,
        };
        let mut last_group: Option<String> = None;
        // A blob waits until its snapshots, which stand behind it, are told.
        let mut waiting: Option<FlatEntry> = None;
        let deleted = match request.deleted {
            true => core.deleted_entries(page.filesystem.id, page.filesystem.root, &first)?,
            false => Vec::new(),
        };
        let there = core.tree().range((Bound::Included(first), end));
        for item in merged(there, deleted) {
            let (key, id, deleted) = item?;
            let text = String::from_utf8_lossy(key.get(base..).unwrap_or_default()).into_owned();
            let (name, snapshot) = match text.split_once(SNAPSHOT_MARK) {
                Some((name, time)) => (name.to_owned(), Some(time.to_owned())),
                None => (text.clone(), None),
            };
            if !name.starts_with(&request.prefix) {
                break;
            }
            if snapshot.is_some() && !request.snapshots {
                continue;
            }
            let group = group(&name, &request.prefix, &request.delimiter);
            if group.is_some() && group == last_group {
                continue;
            }
            if snapshot.is_none() {
                page.entries.extend(waiting.take());
                if page.entries.len() >= request.entries_max {
                    page.next = Some(StorePath::flat(&name)?);
                    break;
                }
            }
            last_group.clone_from(&group);
            if let Some(group) = group {
                page.entries.push(FlatEntry::Prefix(group));
                continue;
            }
            let inode = Box::new(core.node(&view, id)?.inode);
            let is_snapshot = snapshot.is_some();
            let entry = FlatEntry::Blob {
                name,
                snapshot,
                inode,
                deleted,
            };
            match is_snapshot {
                true => page.entries.push(entry),
                false => waiting = Some(entry),
            }
        }
        page.entries.extend(waiting);
        Ok(page)
    }

    /// Takes a snapshot of a blob, and gives its time and attributes.
    ///
    /// # Errors
    /// `PathNotFound`, conditions, leases.
    pub fn take_snapshot(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        properties: Option<Properties>,
        guard: &Guard,
    ) -> Result<(String, Inode)> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let node = core
            .find(&txn, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        guard
            .conditions
            .check(Some(node.inode.version()), ConditionUse::Write)?;
        crate::store::lease::check_read(
            node.inode.lease.as_ref(),
            guard.lease_id.as_deref(),
            core.now_unix_ns(),
        )?;
        check_key(&node.inode, guard.customer_key.as_ref())?;
        let mut at = core.now_unix_ns();
        let (time, name) = loop {
            let time = snapshot_time(at)?;
            let name = path.snapshot(&time).to_string();
            if core.entry(&txn, record.root, &name)?.is_none() {
                break (time, name);
            }
            // Two snapshots of one blob have different times.
            at += 100;
        };
        let mut inode = node.inode.clone();
        inode.id = core.extents.allocate_id();
        inode.lease = None;
        if let Some(properties) = properties {
            inode.properties = properties;
        }
        txn.put_inode(None, &inode, node.record.content.clone())?;
        txn.link(record.root, &name, inode.id, NodeKind::File);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok((time, inode))
    }

    /// Deletes a blob, its snapshots, or both, and tells whether that can be undone.
    ///
    /// # Errors
    /// `PathNotFound`, `SnapshotsPresent` when there are some and nothing is said of them, conditions, leases.
    pub fn delete_with_snapshots(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        with: WithSnapshots,
        guard: &Guard,
    ) -> Result<bool> {
        if path.is_root() {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        }
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let node = core
            .find(&txn, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        let prefix = key::entry(record.root, &format!("{path}{SNAPSHOT_MARK}"));
        let base = key::entries(record.root).len();
        let mut gone = Vec::new();
        for item in core.tree().scan_prefix(prefix) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            if with == WithSnapshots::None {
                return Err(ErrorCode::SnapshotsPresent.into());
            }
            if let Some((id, _)) = decode_entry(&value) {
                let name = String::from_utf8_lossy(key.get(base..).unwrap_or_default());
                gone.push((StorePath::entry(&name), core.node(&txn, id)?.inode));
            }
        }
        if with != WithSnapshots::Only {
            core.drop_staged(&mut txn, record.id, path)?;
            gone.push((path.clone(), node.inode));
        }
        let mut is_kept = false;
        for (path, inode) in gone {
            txn.remove(key::entry(record.root, &path.to_string()));
            is_kept = core
                .keep_or_reclaim(&mut txn, account, record.id, &path, &inode)?
                .is_some();
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(is_kept)
    }

    /// Restores a blob, if its name is free, and the snapshots of it that were deleted.
    ///
    /// # Errors
    /// `PathNotFound` when there is neither the blob nor a deletion of it.
    pub(crate) fn undelete_flat(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
    ) -> Result<()> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let snapshots = path.snapshot("").to_string();
        let mut deleted = core.restorable(record.id)?;
        deleted.retain(|(_, deleted)| {
            deleted.path == path.to_string() || deleted.path.starts_with(&snapshots)
        });
        let is_there = core.find(&txn, record.root, path)?.is_some();
        // Where a name was deleted more than once, the last time counts.
        for (key, deleted) in deleted.into_iter().rev() {
            if core.entry(&txn, record.root, &deleted.path)?.is_none() {
                txn.link(record.root, &deleted.path, deleted.inode, deleted.kind);
                txn.remove(key);
            }
        }
        if !is_there && core.entry(&txn, record.root, &path.to_string())?.is_none() {
            return Err(ErrorCode::PathNotFound.into());
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)
    }
}
