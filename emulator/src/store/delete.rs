//! Deleting: one name goes at once, what was below it is taken apart later.

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::condition::ConditionUse;
use crate::store::core::{Core, View};
use crate::store::inode::{Filesystem, Inode, NodeKind};
use crate::store::key;
use crate::store::list::{LIST_ENTRIES_MAX, ListRequest, Listed};
use crate::store::namespace::Guard;
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::{Transaction, decode_entry};

impl Core {
    /// Whether a directory has entries; what has expired is none. The caller holds the namespace.
    pub(crate) fn is_empty_directory(&self, view: &impl View, directory: u64) -> Result<bool> {
        let now = self.now_unix_ns();
        for item in self.tree().scan_prefix(key::entries(directory)) {
            let (_, value) = item.map_err(|e| namespace_error("read", &e))?;
            let Some((id, _)) = decode_entry(&value) else {
                return Ok(false);
            };
            let expires = self.node(view, id)?.inode.expires_unix_ns;
            if expires.is_none_or(|expires| expires > now) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes away a path that was listed, unless it is another one by now or a directory with something left in it.
    fn unlink_listed(
        &self,
        txn: &mut Transaction<'_>,
        filesystem: &Filesystem,
        listed: &Listed,
    ) -> Result<()> {
        let Some((parents, name)) = listed.path.split() else {
            return Ok(());
        };
        let Some((parent, _)) = self.walk(txn, filesystem.root, parents)? else {
            return Ok(());
        };
        let id = listed.inode.id;
        if self
            .entry(txn, parent, name)?
            .is_none_or(|(now, _)| now != id)
        {
            return Ok(());
        }
        match listed.inode.kind {
            NodeKind::File => self.drop_staged(txn, filesystem.id, &listed.path)?,
            NodeKind::Directory => {
                for item in self.tree().scan_prefix(key::entries(id)) {
                    let (key, _) = item.map_err(|e| namespace_error("read", &e))?;
                    if txn.get(&key)?.is_some() {
                        return Ok(());
                    }
                }
            }
        }
        txn.remove(key::entry(parent, name));
        txn.reclaim(id);
        Ok(())
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
        if inode.is_directory() && !recursive && !core.is_empty_directory(&txn, inode.id)? {
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

    /// Deletes what is below a directory, a page of it at a time: for those who pay for every path that is checked.
    /// Gives where it goes on, or `None` when what is left is one page or less, for [`Store::delete`] to do at once.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub(crate) fn delete_page(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        guard: &Guard,
    ) -> Result<Option<StorePath>> {
        let core = self.core();
        // What can be restored is restored as the one directory that it was.
        if core.service_properties(account)?.delete_retention.enabled {
            return Ok(None);
        }
        let list = ListRequest {
            directory: path.clone(),
            recursive: true,
            entries_max: LIST_ENTRIES_MAX,
            ..ListRequest::default()
        };
        let node = self.node_as(&guard.principal, account, filesystem, path)?;
        if !node.inode.is_directory() {
            return Ok(None);
        }
        let page = self.list(account, filesystem, &list)?;
        if page.next.is_none() {
            return Ok(None);
        }
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        let Some((parents, _)) = path.split() else {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        };
        core.check_may_take(&txn, &guard.principal, record.root, parents, &node.inode)?;
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        core.check_may_empty(&txn, &guard.principal, &node.inode)?;
        // The list has directories before what is in them.
        for listed in page.entries.iter().rev() {
            core.unlink_listed(&mut txn, &record, listed)?;
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(page.next)
    }
}
