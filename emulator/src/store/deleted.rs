//! Soft delete: what was deleted keeps its inodes for some days, and can be linked to its name again.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::authorize::Principal;
use crate::store::core::{Core, TICKS_TO_1970};
use crate::store::inode::{Filesystem, Inode, NodeKind};
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;
use crate::store::token::FILETIME_TO_1970;
use crate::store::transaction::Transaction;
use crate::store::{Store, expiry, key};

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// A path that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletedRecord {
    pub(crate) path: String,
    pub(crate) inode: u64,
    pub(crate) kind: NodeKind,
    pub(crate) deleted_unix_ns: i64,
    pub(crate) until_unix_ns: i64,
}

/// A filesystem that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletedFilesystemRecord {
    pub(crate) filesystem: Filesystem,
    pub(crate) deleted_unix_ns: i64,
    pub(crate) until_unix_ns: i64,
}

/// What a list of deleted paths tells.
#[derive(Clone, Debug)]
pub struct DeletedPath {
    /// Where it was.
    pub path: StorePath,
    /// As it was.
    pub inode: Inode,
    /// What an undelete names it by.
    pub deletion: u64,
    /// When it was deleted.
    pub deleted_unix_ns: i64,
    /// Whole days that it can still be restored.
    pub days_left: u32,
}

/// What a list of deleted filesystems tells.
#[derive(Clone, Debug)]
pub struct DeletedFilesystem {
    /// Its name.
    pub name: String,
    /// As it was.
    pub record: Filesystem,
    /// What an undelete names it by, as 16 hexadecimal digits.
    pub version: String,
    /// When it was deleted.
    pub deleted_unix_ns: i64,
    /// Whole days that it can still be restored.
    pub days_left: u32,
}

pub(crate) fn days_left(until_unix_ns: i64, now_unix_ns: i64) -> u32 {
    u32::try_from((until_unix_ns - now_unix_ns).max(0) / NS_PER_DAY).unwrap_or(u32::MAX)
}

fn until(now_unix_ns: i64, days: u32) -> i64 {
    now_unix_ns.saturating_add(i64::from(days).saturating_mul(NS_PER_DAY))
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| StoreError::corrupt("the record of something deleted", e.to_string()))
}

fn encoded(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|e| StoreError::corrupt("the record of something deleted", e.to_string()))
}

fn number_at_end(key: &[u8]) -> u64 {
    let bytes = key.len().checked_sub(8).and_then(|from| key.get(from..));
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

impl Core {
    /// A number for a deletion: a Windows file time, above every earlier one.
    fn next_deletion(&self) -> u64 {
        let ticks = self.next_etag().saturating_sub(TICKS_TO_1970);
        ticks.saturating_add(FILETIME_TO_1970.unsigned_abs())
    }

    /// Keeps what a path led to, where the account has soft delete, or has it taken apart. Gives the deletion's number.
    pub(crate) fn keep_or_reclaim(
        &self,
        txn: &mut Transaction<'_>,
        account: &str,
        filesystem: u64,
        path: &StorePath,
        inode: &Inode,
    ) -> Result<Option<u64>> {
        let retention = self.service_properties(account)?.delete_retention;
        let Some(days) = retention.days.filter(|_| retention.enabled) else {
            txn.reclaim(inode.id);
            return Ok(None);
        };
        let now = self.now_unix_ns();
        let deletion = self.next_deletion();
        let record = DeletedRecord {
            path: path.to_string(),
            inode: inode.id,
            kind: inode.kind,
            deleted_unix_ns: now,
            until_unix_ns: until(now, days),
        };
        txn.put(key::deleted_path(filesystem, deletion), encoded(&record)?);
        Ok(Some(deletion))
    }

    /// As [`Core::keep_or_reclaim`], for a filesystem.
    pub(crate) fn keep_or_reclaim_filesystem(
        &self,
        txn: &mut Transaction<'_>,
        account: &str,
        name: &str,
        filesystem: Filesystem,
    ) -> Result<()> {
        let Some(days) = self.soft_delete_days(account) else {
            reclaim_filesystem(txn, &filesystem);
            return Ok(());
        };
        let now = self.now_unix_ns();
        let record = DeletedFilesystemRecord {
            filesystem,
            deleted_unix_ns: now,
            until_unix_ns: until(now, days),
        };
        let key = key::deleted_filesystem(account, name, self.next_deletion());
        txn.put(key, encoded(&record)?);
        Ok(())
    }

    fn deleted_paths(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, DeletedRecord)>> {
        let mut found = Vec::new();
        for item in self.tree().scan_prefix(prefix) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            found.push((key.to_vec(), decoded(&value)?));
        }
        Ok(found)
    }

    /// What was deleted in a filesystem and can still be restored, in the order of the deletions.
    pub(crate) fn restorable(&self, filesystem: u64) -> Result<Vec<(Vec<u8>, DeletedRecord)>> {
        let now = self.now_unix_ns();
        let mut found = self.deleted_paths(&key::deleted_in(filesystem))?;
        found.retain(|(_, record)| record.until_unix_ns > now);
        Ok(found)
    }

    /// Has taken apart what was deleted in a filesystem that goes itself.
    pub(crate) fn drop_deleted(&self, txn: &mut Transaction<'_>, filesystem: u64) -> Result<()> {
        for (key, record) in self.deleted_paths(&key::deleted_in(filesystem))? {
            txn.remove(key);
            txn.reclaim(record.inode);
        }
        Ok(())
    }

    /// Has taken apart what can be restored no more.
    pub(crate) fn end_retention(&self) -> Result<()> {
        let now = self.now_unix_ns();
        let mut paths = self.deleted_paths(&key::deleted())?;
        paths.retain(|(_, record)| record.until_unix_ns <= now);
        let mut filesystems = Vec::new();
        for item in self.tree().scan_prefix(key::all_deleted_filesystems()) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            let record: DeletedFilesystemRecord = decoded(&value)?;
            if record.until_unix_ns <= now {
                filesystems.push((key.to_vec(), record));
            }
        }
        if paths.is_empty() && filesystems.is_empty() {
            return Ok(());
        }
        let mut txn = self.write()?;
        for (key, record) in paths {
            // It may have been restored since it was looked at.
            if self.get(&key)?.is_some() {
                txn.remove(key);
                txn.reclaim(record.inode);
            }
        }
        for (key, record) in filesystems {
            if self.get(&key)?.is_some() {
                txn.remove(key);
                reclaim_filesystem(&mut txn, &record.filesystem);
            }
        }
        let batch = txn.commit()?;
        self.acknowledge(batch, false)
    }
}

/// Has a filesystem taken apart.
fn reclaim_filesystem(txn: &mut Transaction<'_>, filesystem: &Filesystem) {
    txn.reclaim(filesystem.root);
    // Staged blocks and soft-deleted paths belong to the filesystem's number; the collector knows it by this mark.
    txn.reclaim(filesystem.id);
}

impl Store {
    /// What was deleted in a filesystem and can be restored, by path and then by time.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `Corrupt`.
    pub fn list_deleted(&self, account: &str, filesystem: &str) -> Result<Vec<DeletedPath>> {
        let core = self.core();
        let view = core.read();
        let record = core.filesystem(&view, account, filesystem)?;
        let now = core.now_unix_ns();
        let mut found = Vec::new();
        for (key, deleted) in core.deleted_paths(&key::deleted_in(record.id))? {
            if deleted.until_unix_ns > now {
                found.push(DeletedPath {
                    path: StorePath::parse(&deleted.path)?,
                    inode: core.node(&view, deleted.inode)?.inode,
                    deletion: number_at_end(&key),
                    deleted_unix_ns: deleted.deleted_unix_ns,
                    days_left: days_left(deleted.until_unix_ns, now),
                });
            }
        }
        found.sort_by(|a, b| (&a.path, a.deletion).cmp(&(&b.path, b.deletion)));
        Ok(found)
    }

    /// Restores what was deleted at `path`: the deletion of that number, or the last one. It is as it was, ETag too.
    ///
    /// # Errors
    /// `PathNotFound` when there is no such deletion, `PathAlreadyExists` when the name is in use again,
    /// `PathConflict` when a file stands where its directory was.
    pub fn undelete(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        deletion: Option<u64>,
        principal: &Principal,
    ) -> Result<Inode> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let (parents, name) = path.split().ok_or(ErrorCode::PathNotFound)?;
        core.check_may_add(&txn, principal, record.root, parents)?;
        let text = path.to_string();
        let now = core.now_unix_ns();
        let deleted = core.deleted_paths(&key::deleted_in(record.id))?;
        let chosen = deleted.into_iter().rfind(|(key, deleted)| {
            deleted.path == text
                && deleted.until_unix_ns > now
                && deletion.is_none_or(|wanted| wanted == number_at_end(key))
        });
        let (key, deleted) = chosen.ok_or(ErrorCode::PathNotFound)?;
        if core.find(&txn, record.root, path)?.is_some() {
            return Err(ErrorCode::PathAlreadyExists.into());
        }
        let parent = core.ensure_directories(&mut txn, record.root, parents, principal)?;
        core.unlink_expired(&mut txn, parent, name)?;
        txn.link(parent, name, deleted.inode, deleted.kind);
        txn.remove(key);
        let inode = core.node(&txn, deleted.inode)?.inode;
        expiry::note(&mut txn, &inode, parent, name);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(inode)
    }

    /// Filesystems of an account that can be restored, by name and then by time.
    ///
    /// # Errors
    /// `Corrupt`, `Namespace`.
    pub fn list_deleted_filesystems(&self, account: &str) -> Result<Vec<DeletedFilesystem>> {
        let core = self.core();
        let _view = core.read();
        let now = core.now_unix_ns();
        let base = key::deleted_filesystems(account);
        let mut found = Vec::new();
        for item in core.tree().scan_prefix(&base) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            let record: DeletedFilesystemRecord = decoded(&value)?;
            let name = key.get(base.len()..key.len().saturating_sub(9));
            if record.until_unix_ns > now {
                found.push(DeletedFilesystem {
                    name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
                    record: record.filesystem,
                    version: format!("{:016X}", number_at_end(&key)),
                    deleted_unix_ns: record.deleted_unix_ns,
                    days_left: days_left(record.until_unix_ns, now),
                });
            }
        }
        Ok(found)
    }

    /// Restores a deleted filesystem under `name`.
    ///
    /// # Errors
    /// `FilesystemAlreadyExists`, `FilesystemNotFound` when there is no such deletion.
    pub fn undelete_filesystem(
        &self,
        account: &str,
        name: &str,
        deleted_name: &str,
        version: &str,
    ) -> Result<Filesystem> {
        crate::store::path::check_filesystem_name(name)?;
        let core = self.core();
        let mut txn = core.write()?;
        match core.filesystem(&txn, account, name) {
            Ok(_) => return Err(ErrorCode::FilesystemAlreadyExists.into()),
            Err(error) if error.is(ErrorCode::FilesystemNotFound) => {}
            Err(error) => return Err(error),
        }
        let deletion = u64::from_str_radix(version, 16)
            .map_err(|_| StoreError::invalid_header("x-ms-deleted-container-version", version))?;
        let key = key::deleted_filesystem(account, deleted_name, deletion);
        let bytes = core.get(&key)?.ok_or(ErrorCode::FilesystemNotFound)?;
        let mut record: DeletedFilesystemRecord = decoded(&bytes)?;
        if record.until_unix_ns <= core.now_unix_ns() {
            return Err(ErrorCode::FilesystemNotFound.into());
        }
        record.filesystem.lease = None;
        core.put_filesystem(&mut txn, account, name, &record.filesystem)?;
        txn.remove(key);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(record.filesystem)
    }
}
