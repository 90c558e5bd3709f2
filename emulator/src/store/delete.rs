//! Deleting: one name goes at once, what was below it is taken apart later.

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::condition::ConditionUse;
use crate::store::core::Core;
use crate::store::inode::{Inode, NodeKind};
use crate::store::key;
use crate::store::namespace::Guard;
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;

impl Core {
    /// Whether a directory has entries. The caller holds the namespace.
    pub(crate) fn is_empty_directory(&self, directory: u64) -> Result<bool> {
        match self.tree().scan_prefix(key::entries(directory)).next() {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) => Err(namespace_error("read", &error)),
        }
    }
}

/// What a deletion did.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// What it was.
    pub inode: Inode,
    /// The number that an undelete names it by; `None` when it is gone for good.
    pub deletion: Option<u64>,
}

impl Store {
    /// Deletes a file or a directory, and gives what it was.
    ///
    /// # Errors
    /// `PathNotFound`, `DirectoryNotEmpty` without `recursive`, conditions, leases. The root cannot be deleted.
    pub fn delete(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        recursive: bool,
        guard: &Guard,
    ) -> Result<Deleted> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        let Some((parents, name)) = path.split() else {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        };
        let principal = &guard.principal;
        core.check_may_take(&txn, principal, record.root, parents, &node.inode)?;
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        let inode = node.inode;
        if inode.is_directory() && recursive {
            core.check_may_empty(&txn, principal, &inode)?;
        }
        if inode.is_directory() && !recursive && !core.is_empty_directory(inode.id)? {
            return Err(ErrorCode::DirectoryNotEmpty.into());
        }
        let Some((parent, NodeKind::Directory)) = core.walk(&txn, record.root, parents)? else {
            return Err(ErrorCode::PathNotFound.into());
        };
        txn.remove(key::entry(parent, name));
        let deletion = core.keep_or_reclaim(&mut txn, account, record.id, path, &inode)?;
        if !inode.is_directory() {
            core.drop_staged(&mut txn, record.id, path)?;
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(Deleted { inode, deletion })
    }
}
