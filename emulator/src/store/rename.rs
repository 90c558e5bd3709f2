//! Renaming: one entry goes, one comes, whatever is below.

use crate::error::{ErrorCode, Result};
use crate::store::condition::{ConditionUse, Conditions};
use crate::store::core::Core;
use crate::store::inode::{Inode, NodeKind, Properties};
use crate::store::lease;
use crate::store::namespace::{Guard, Node};
use crate::store::path::StorePath;
use crate::store::transaction::Transaction;
use crate::store::{Store, expiry, key};

/// A rename within an account.
#[derive(Clone, Debug)]
pub struct RenameRequest {
    /// The filesystem it comes from.
    pub source_filesystem: String,
    /// Its old path.
    pub source: StorePath,
    /// Conditions on the source.
    pub source_conditions: Conditions,
    /// `x-ms-source-lease-id`.
    pub source_lease_id: Option<String>,
    /// The filesystem it goes to.
    pub filesystem: String,
    /// Its new path.
    pub path: StorePath,
    /// Conditions and lease of what is at the new path.
    pub guard: Guard,
    /// Whether a directory at the new path takes it in, under its old name, as `mv` does.
    pub into_directory: bool,
    /// Properties in place of those it has.
    pub properties: Option<Properties>,
}

impl Core {
    /// The directory that a path's last name stands in.
    fn parent(&self, txn: &Transaction<'_>, root: u64, path: &StorePath) -> Result<Option<u64>> {
        let Some((parents, _)) = path.split() else {
            return Ok(None);
        };
        Ok(match self.walk(txn, root, parents)? {
            Some((id, NodeKind::Directory)) => Some(id),
            _ => None,
        })
    }

    /// Where a rename leads: into the directory at the new path, if it goes there.
    fn rename_target(
        &self,
        txn: &Transaction<'_>,
        root: u64,
        request: &RenameRequest,
    ) -> Result<StorePath> {
        let is_itself =
            request.path == request.source && request.filesystem == request.source_filesystem;
        let name = request.source.segments().last();
        let Some(name) = name.filter(|_| request.into_directory && !is_itself) else {
            return Ok(request.path.clone());
        };
        Ok(match self.walk(txn, root, request.path.segments())? {
            Some((_, NodeKind::Directory)) => request.path.join(name),
            _ => request.path.clone(),
        })
    }

    /// Checks what stands at the new path and takes it away.
    fn make_room(
        &self,
        txn: &mut Transaction<'_>,
        source: &Inode,
        target: &Node,
        guard: &Guard,
    ) -> Result<()> {
        guard
            .conditions
            .check(Some(target.inode.version()), ConditionUse::Create)?;
        if target.inode.kind != source.kind {
            return Err(ErrorCode::InvalidSourceOrDestinationResourceType.into());
        }
        lease::check_write(
            target.inode.lease.as_ref(),
            guard.lease_id.as_deref(),
            self.now_unix_ns(),
        )?;
        if target.inode.is_directory() && !self.is_empty_directory(txn, target.inode.id)? {
            return Err(ErrorCode::PathAlreadyExists.into());
        }
        txn.reclaim(target.inode.id);
        Ok(())
    }
}

impl Store {
    /// Renames a file or directory at once. It keeps ETag, times, permissions and lease.
    ///
    /// A file replaces a file, a directory an empty directory.
    ///
    /// # Errors
    /// `SourcePathNotFound`, `RenameDestinationParentPathNotFound`, `InvalidRenameSourcePath` onto itself or into its
    /// own subtree, `InvalidSourceOrDestinationResourceType`, `PathAlreadyExists`, conditions, leases.
    pub fn rename(&self, account: &str, request: &RenameRequest) -> Result<Inode> {
        let core = self.core();
        let mut txn = core.write()?;
        let from = core.filesystem(&txn, account, &request.source_filesystem)?;
        let to = core.filesystem(&txn, account, &request.filesystem)?;
        let source = core
            .find_as(&txn, &request.guard.principal, from.root, &request.source)?
            .ok_or(ErrorCode::SourcePathNotFound)?;
        let target = core.rename_target(&txn, to.root, request)?;
        let (Some((_, source_name)), Some((_, name))) = (request.source.split(), target.split())
        else {
            return Err(ErrorCode::InvalidRenameSourcePath.into());
        };
        if from.id == to.id && target.starts_with(&request.source) {
            return Err(ErrorCode::InvalidRenameSourcePath.into());
        }
        request
            .source_conditions
            .check(Some(source.inode.version()), ConditionUse::Source)?;
        let principal = &request.guard.principal;
        if let Some((parents, _)) = request.source.split() {
            core.check_may_take(&txn, principal, from.root, parents, &source.inode)?;
        }
        if let Some((parents, _)) = target.split() {
            core.check_may_add(&txn, principal, to.root, parents)?;
        }
        let lease_id = request.source_lease_id.as_deref();
        lease::check_write(source.inode.lease.as_ref(), lease_id, core.now_unix_ns())?;
        let source_parent = core
            .parent(&txn, from.root, &request.source)?
            .ok_or(ErrorCode::SourcePathNotFound)?;
        let parent = core
            .parent(&txn, to.root, &target)?
            .ok_or(ErrorCode::RenameDestinationParentPathNotFound)?;
        match core.find(&txn, to.root, &target)? {
            Some(there) => {
                if let Some((parents, _)) = target.split() {
                    core.check_may_take(&txn, principal, to.root, parents, &there.inode)?;
                }
                core.make_room(&mut txn, &source.inode, &there, &request.guard)?;
            }
            None => request.guard.conditions.check(None, ConditionUse::Create)?,
        }
        txn.remove(key::entry(source_parent, source_name));
        txn.link(parent, name, source.inode.id, source.inode.kind);
        let mut inode = source.inode;
        expiry::note(&mut txn, &inode, parent, name);
        if let Some(properties) = &request.properties {
            inode.properties.clone_from(properties);
            txn.put_inode(Some(&source.record), &inode, source.record.content.clone())?;
        }
        if inode.kind == NodeKind::File {
            core.drop_staged(&mut txn, to.id, &request.path)?;
        }
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(inode)
    }
}
