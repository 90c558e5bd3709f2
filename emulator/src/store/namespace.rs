//! Names: finding, creating and opening files and directories.

use std::sync::Arc;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::authorize::{Principal, READ, WRITE};
use crate::store::condition::{ConditionUse, Conditions};
use crate::store::content::ContentReader;
use crate::store::core::{Core, View};
use crate::store::inode::{Filesystem, Inode, InodeRecord, NodeKind};
use crate::store::lease::{self, LeaseAction, LeaseOutcome};
use crate::store::path::StorePath;
use crate::store::seal::CustomerKey;
use crate::store::transaction::decode_entry;
use crate::store::{Store, key};

/// A file or directory as it is now.
#[derive(Clone, Debug)]
pub struct Node {
    /// Attributes.
    pub inode: Inode,
    pub(crate) record: InodeRecord,
}

/// What a request is conditional on.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// HTTP conditions.
    pub conditions: Conditions,
    /// `x-ms-lease-id`.
    pub lease_id: Option<String>,
    /// Who asks.
    pub principal: Principal,
    /// Whether they may create and not replace.
    pub creates_only: bool,
    /// The key of theirs that seals the content.
    pub customer_key: Option<CustomerKey>,
}

impl Guard {
    /// Somebody, without any condition.
    #[must_use]
    pub fn of(principal: Principal) -> Self {
        Self {
            principal,
            ..Self::default()
        }
    }

    /// Checks a change of `node`.
    pub(crate) fn check_write(
        &self,
        core: &Core,
        inode: &Inode,
        for_use: ConditionUse,
    ) -> Result<()> {
        self.conditions.check(Some(inode.version()), for_use)?;
        lease::check_write(
            inode.lease.as_ref(),
            self.lease_id.as_deref(),
            core.now_unix_ns(),
        )
    }
}

impl Core {
    pub(crate) fn filesystem(
        &self,
        view: &impl View,
        account: &str,
        name: &str,
    ) -> Result<Filesystem> {
        let bytes = view
            .get(&key::filesystem(account, name))?
            .ok_or(ErrorCode::FilesystemNotFound)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::corrupt(format!("filesystem {name}"), e.to_string()))
    }

    /// What the entry says, `None` when there is none.
    pub(crate) fn entry(
        &self,
        view: &impl View,
        directory: u64,
        name: &str,
    ) -> Result<Option<(u64, NodeKind)>> {
        let Some(value) = view.get(&key::entry(directory, name))? else {
            return Ok(None);
        };
        let entry = decode_entry(&value);
        entry
            .map(Some)
            .ok_or_else(|| StoreError::corrupt(format!("the entry '{name}'"), "it is not readable"))
    }

    /// Follows the segments from the root; `None` when one is missing or a file stands in the way.
    pub(crate) fn walk(
        &self,
        view: &impl View,
        root: u64,
        segments: &[String],
    ) -> Result<Option<(u64, NodeKind)>> {
        let mut current = (root, NodeKind::Directory);
        for segment in segments {
            if current.1 != NodeKind::Directory {
                return Ok(None);
            }
            match self.entry(view, current.0, segment)? {
                Some(next) => current = next,
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    pub(crate) fn node(&self, view: &impl View, id: u64) -> Result<Node> {
        let bytes = view.get(&key::inode(id))?.ok_or_else(|| {
            StoreError::corrupt(format!("inode {id}"), "a name leads to it and it is gone")
        })?;
        let record = self.decode_record(id, &bytes)?;
        let inode = self.decode_inode(id, &record)?;
        Ok(Node { inode, record })
    }

    /// The node at `path`; what has expired is not there.
    pub(crate) fn find(
        &self,
        view: &impl View,
        root: u64,
        path: &StorePath,
    ) -> Result<Option<Node>> {
        let Some((id, _)) = self.walk(view, root, path.segments())? else {
            return Ok(None);
        };
        let node = self.node(view, id)?;
        let now = self.now_unix_ns();
        let expired = node
            .inode
            .expires_unix_ns
            .is_some_and(|expires| expires <= now);
        Ok((!expired).then_some(node))
    }
}

impl Core {
    /// Checks that the principal may go to a path and write what is there.
    pub(crate) fn check_change(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        path: &StorePath,
        inode: &Inode,
    ) -> Result<()> {
        let parents = path.split().map_or(&[][..], |(parents, _)| parents);
        self.check_way(view, principal, root, parents)?;
        self.check_access(principal, inode, WRITE)
    }
}

impl Store {
    /// The file or directory at `path`.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `PathNotFound`.
    pub fn node(&self, account: &str, filesystem: &str, path: &StorePath) -> Result<Node> {
        self.node_as(&Principal::Superuser, account, filesystem, path)
    }

    /// As [`Store::node`], for somebody who must be allowed to go there.
    ///
    /// # Errors
    /// `AuthorizationPermissionMismatch` beside those of [`Store::node`].
    pub fn node_as(
        &self,
        principal: &Principal,
        account: &str,
        filesystem: &str,
        path: &StorePath,
    ) -> Result<Node> {
        let core = self.core();
        let view = core.read();
        let filesystem = core.filesystem(&view, account, filesystem)?;
        let parents = path.split().map_or(&[][..], |(parents, _)| parents);
        core.check_way(&view, principal, filesystem.root, parents)?;
        core.find(&view, filesystem.root, path)?
            .ok_or_else(|| ErrorCode::PathNotFound.into())
    }

    /// The node and a reader of the content it has now, which stays readable to its end.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `PathNotFound`, `Corrupt`.
    pub fn open_node(
        &self,
        principal: &Principal,
        account: &str,
        filesystem: &str,
        path: &StorePath,
    ) -> Result<(Node, ContentReader)> {
        let core = self.core();
        let view = core.read();
        let filesystem = core.filesystem(&view, account, filesystem)?;
        let parents = path.split().map_or(&[][..], |(parents, _)| parents);
        core.check_way(&view, principal, filesystem.root, parents)?;
        let node = core
            .find(&view, filesystem.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        core.check_access(principal, &node.inode, READ)?;
        let content = core.content(&node.record.content)?;
        let pins = core.extents.pin(content.extents().into_iter().collect());
        drop(view);
        let reader = ContentReader::new(&core.extents, Arc::clone(&content), pins);
        Ok((node, reader))
    }

    /// Acquires, renews, changes, releases or breaks the lease of a path.
    ///
    /// # Errors
    /// The lease codes, `ConditionNotMet`, `PathNotFound`.
    pub fn lease(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        action: &LeaseAction,
        guard: &Guard,
    ) -> Result<(Inode, LeaseOutcome)> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        core.check_change(&txn, &guard.principal, record.root, path, &node.inode)?;
        guard
            .conditions
            .check(Some(node.inode.version()), ConditionUse::Write)?;
        let outcome = lease::apply(node.inode.lease.as_ref(), action, core.now_unix_ns())?;
        node.inode.lease.clone_from(&outcome.lease);
        txn.put_inode(Some(&node.record), &node.inode, node.record.content.clone())?;
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok((node.inode, outcome))
    }

    /// Ends the lease of a path as though its time had run out; one without end is such a one then.
    pub(crate) fn end_lease(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
    ) -> Result<()> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core
            .find(&txn, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        if let Some(lease) = &mut node.inode.lease {
            lease.ends_unix_ns = Some(core.now_unix_ns());
            lease.breaks_unix_ns = None;
            txn.put_inode(Some(&node.record), &node.inode, node.record.content.clone())?;
            let batch = txn.commit()?;
            core.acknowledge(batch, false)?;
        }
        Ok(())
    }
}
