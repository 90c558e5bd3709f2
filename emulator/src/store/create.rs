//! Creating files and directories, with everything that goes with it.

use std::sync::Arc;

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::acl::{AccessControl, UMASK_DEFAULT};
use crate::store::authorize::Principal;
use crate::store::body::Body;
use crate::store::condition::ConditionUse;
use crate::store::content::{CommittedBlock, Content};
use crate::store::core::{Core, View};
use crate::store::create_request::CreateRequest;
use crate::store::expiry;
use crate::store::inode::{
    ContentHeaders, Filesystem, Inode, NodeKind, Origin, Properties, Stored,
};
use crate::store::lease::{self, Lease};
use crate::store::namespace::Node;
use crate::store::path::StorePath;
use crate::store::transaction::Transaction;

const DIRECTORY_MODE: u16 = 0o777;
const FILE_MODE: u16 = 0o666;
/// Permissions of a filesystem's root.
const ROOT_MODE: u16 = 0o750;
/// Content that is stored and only needs a name.
pub(crate) struct Prepared {
    pub(crate) stored: Stored,
    pub(crate) length: u64,
    pub(crate) floating: crate::store::extent::Floating,
}

impl Core {
    pub(crate) fn prepare(
        &self,
        body: Body,
        blocks: Vec<CommittedBlock>,
        sync: bool,
    ) -> Result<Prepared> {
        let content = Content {
            segments: body.segments,
            blocks,
        };
        let (stored, mut floating) = self.store_content(content, sync)?;
        floating.join(body.floating);
        Ok(Prepared {
            stored,
            length: body.length,
            floating,
        })
    }

    /// A new inode's attributes.
    pub(crate) fn new_inode(&self, kind: NodeKind, origin: Origin, access: AccessControl) -> Inode {
        let now = self.now_unix_ns();
        Inode {
            id: self.extents.allocate_id(),
            kind,
            origin,
            length: 0,
            etag: self.next_etag(),
            created_unix_ns: now,
            modified_unix_ns: now,
            access,
            properties: Properties::new(),
            headers: ContentHeaders::default(),
            lease: None,
            expires_unix_ns: None,
            tags: std::collections::BTreeMap::new(),
            copy: None,
            tier: None,
            encryption_context: None,
            tier_changed_unix_ns: None,
            is_sealed: false,
            appended_blocks: 0,
            sequence_number: 0,
            customer_key_sha256: None,
        }
    }

    pub(crate) fn new_root(&self) -> Inode {
        self.new_inode(
            NodeKind::Directory,
            Origin::Dfs,
            AccessControl::from_mode(ROOT_MODE),
        )
    }

    /// Creates the directories of `segments` that are missing and gives the last one.
    pub(crate) fn ensure_directories(
        &self,
        txn: &mut Transaction<'_>,
        root: u64,
        segments: &[String],
        principal: &Principal,
    ) -> Result<u64> {
        let mut current = root;
        for segment in segments {
            current = match self.entry(txn, current, segment)? {
                Some((id, NodeKind::Directory)) => id,
                Some((_, NodeKind::File)) => return Err(ErrorCode::PathConflict.into()),
                None => {
                    let mut access = self.default_access(
                        txn,
                        current,
                        NodeKind::Directory,
                        None,
                        UMASK_DEFAULT,
                    )?;
                    self.give(txn, &mut access, current, principal)?;
                    let inode = self.new_inode(NodeKind::Directory, Origin::Dfs, access);
                    txn.put_inode(None, &inode, empty_content())?;
                    txn.link(current, segment, inode.id, NodeKind::Directory);
                    inode.id
                }
            };
        }
        Ok(current)
    }

    /// Makes the principal the owner of something new in a directory; its group is the directory's.
    fn give(
        &self,
        view: &impl View,
        access: &mut AccessControl,
        directory: u64,
        principal: &Principal,
    ) -> Result<()> {
        if let Some(id) = principal.id() {
            id.clone_into(&mut access.owner);
            access.group = self.node(view, directory)?.inode.access.group;
        }
        Ok(())
    }

    /// Permissions of a new child: the parent's default list, or the mode after the umask.
    pub(crate) fn default_access(
        &self,
        view: &impl View,
        parent: u64,
        kind: NodeKind,
        permissions: Option<u16>,
        umask: u16,
    ) -> Result<AccessControl> {
        let is_directory = kind == NodeKind::Directory;
        let full = if is_directory {
            DIRECTORY_MODE
        } else {
            FILE_MODE
        };
        let parent = self.node(view, parent)?.inode.access;
        match parent.inherited(is_directory) {
            None => Ok(AccessControl::from_mode(
                permissions.unwrap_or(full) & !umask,
            )),
            Some(entries) => {
                let mut access = AccessControl::from_mode(full);
                access.replace(entries)?;
                if let Some(mode) = permissions {
                    access.set_mode(mode);
                }
                Ok(access)
            }
        }
    }

    /// Creates or replaces `path` in `txn`, with everything that goes with it.
    pub(crate) fn create_in(
        &self,
        txn: &mut Transaction<'_>,
        (account, filesystem): (&str, &Filesystem),
        path: &StorePath,
        request: &CreateRequest,
        prepared: Prepared,
    ) -> Result<Inode> {
        let Some((parents, name)) = path.split() else {
            return Err(ErrorCode::PathConflict.into());
        };
        let existing = self.find(txn, filesystem.root, path)?;
        let principal = &request.guard.principal;
        match &existing {
            None => self.check_may_add(txn, principal, filesystem.root, parents)?,
            Some(_) if request.guard.creates_only => {
                return Err(ErrorCode::UnauthorizedBlobOverwrite.into());
            }
            Some(node) => {
                self.check_change(txn, principal, filesystem.root, path, &node.inode)?;
                if request.acl.is_some() || request.permissions.is_some() {
                    principal.check_access_change(&node.inode.access, None, None)?;
                }
            }
        }
        if request.owner.is_some() || request.group.is_some() {
            principal.must_be_superuser()?;
        }
        self.check_create(request, existing.as_ref())?;
        let parent = self.ensure_directories(txn, filesystem.root, parents, principal)?;
        let mut inode = self.created_inode(txn, parent, request, existing.as_ref())?;
        inode.length = prepared.length;
        inode.headers = request.headers.clone();
        inode.properties = request.properties.clone();
        inode.tags = request.tags.clone();
        inode.copy = request.copy.clone();
        inode.tier = request.tier.clone();
        inode.tier_changed_unix_ns = request.tier.as_ref().map(|_| inode.created_unix_ns);
        inode.encryption_context = request.encryption_context.clone();
        let key = request.guard.customer_key.as_ref();
        inode.customer_key_sha256 = key.map(|key| key.sha256().to_owned());
        inode.is_sealed = request.blob.is_sealed;
        inode.appended_blocks = request.blob.appended_blocks;
        inode.sequence_number = request.blob.sequence_number;
        inode.expires_unix_ns = request
            .expiry
            .and_then(|expiry| expiry.resolve(inode.created_unix_ns, self.now_unix_ns()));
        match existing {
            Some(existing) if request.kind == NodeKind::File => {
                self.keep_overwritten(txn, account, filesystem, path, &existing)?;
                self.drop_uncommitted(txn, inode.id)?;
                txn.put_inode(Some(&existing.record), &inode, prepared.stored)?;
            }
            Some(existing) => txn.put_inode(
                Some(&existing.record),
                &inode,
                existing.record.content.clone(),
            )?,
            None => {
                txn.put_inode(None, &inode, prepared.stored)?;
                self.unlink_expired(txn, parent, name)?;
                txn.link(parent, name, inode.id, request.kind);
            }
        }
        if request.kind == NodeKind::File {
            self.drop_staged(txn, filesystem.id, path)?;
        }
        expiry::note(txn, &inode, parent, name);
        txn.adopt(prepared.floating);
        Ok(inode)
    }

    fn check_create(&self, request: &CreateRequest, existing: Option<&Node>) -> Result<()> {
        let Some(existing) = existing else {
            request.guard.conditions.check(None, ConditionUse::Create)?;
            return match request.guard.lease_id {
                Some(_) if !request.breaks_lease => Err(ErrorCode::LeaseNotPresent.into()),
                _ => Ok(()),
            };
        };
        let inode = &existing.inode;
        let lease_id = request.guard.lease_id.as_deref();
        let mut conditions = request.guard.conditions.clone();
        if !request.breaks_lease && lease_id.is_some() {
            // Whoever holds the lease of a blob replaces it, `If-None-Match: *` or not; whoever has lost it is told so
            // first. Recorded.
            lease::check_write(inode.lease.as_ref(), lease_id, self.now_unix_ns())?;
            if conditions.if_none_match.as_deref() == Some("*") {
                conditions.if_none_match = None;
            }
        }
        conditions
            .check(Some(inode.version()), ConditionUse::Create)
            .map_err(|error| {
                let kind = if inode.is_directory() {
                    "directory"
                } else {
                    "file"
                };
                if error.is(ErrorCode::PathAlreadyExists) {
                    error.header("x-ms-existing-resource-type", kind)
                } else {
                    error
                }
            })?;
        if inode.kind != request.kind {
            return Err(ErrorCode::PathConflict.into());
        }
        if request.breaks_lease && lease_id.is_none() {
            return Ok(());
        }
        lease::check_write(inode.lease.as_ref(), lease_id, self.now_unix_ns())
    }

    fn created_inode(
        &self,
        txn: &Transaction<'_>,
        parent: u64,
        request: &CreateRequest,
        existing: Option<&Node>,
    ) -> Result<Inode> {
        let mut access = self.default_access(
            txn,
            parent,
            request.kind,
            request.permissions,
            request.umask,
        )?;
        if let Some(entries) = &request.acl {
            access.replace(entries.clone())?;
        }
        match existing {
            None => self.give(txn, &mut access, parent, &request.guard.principal)?,
            // What is replaced keeps its owner unless the account itself replaces it.
            Some(existing) if request.guard.principal != Principal::Superuser => {
                access.owner.clone_from(&existing.inode.access.owner);
                access.group.clone_from(&existing.inode.access.group);
            }
            Some(_) => {}
        }
        if let (Some(existing), true) = (existing, request.keeps_access) {
            access = existing.inode.access.clone();
        }
        if let Some(owner) = &request.owner {
            access.owner.clone_from(owner);
        }
        if let Some(group) = &request.group {
            access.group.clone_from(group);
        }
        let mut inode = self.new_inode(request.kind, request.origin, access);
        if let Some(existing) = existing {
            inode.id = existing.inode.id;
            // Only the holder of a lease keeps it.
            inode.lease = existing
                .inode
                .lease
                .clone()
                .filter(|_| request.guard.lease_id.is_some());
            if request.kind == NodeKind::Directory {
                inode.created_unix_ns = existing.inode.created_unix_ns;
            }
        }
        if let Some((id, duration_s)) = &request.lease {
            inode.lease = Some(Lease::granted(id, *duration_s, self.now_unix_ns()));
        }
        Ok(inode)
    }

    /// A name that leads to an expired file is free; what it led to is taken apart.
    pub(crate) fn unlink_expired(
        &self,
        txn: &mut Transaction<'_>,
        parent: u64,
        name: &str,
    ) -> Result<()> {
        if let Some((id, _)) = self.entry(txn, parent, name)? {
            txn.reclaim(id);
        }
        Ok(())
    }
}

/// The content of what has none.
pub(crate) fn empty_content() -> Stored {
    Stored::Here(Content::default().encode())
}

impl Store {
    /// Creates or replaces a file or directory. A file gets `body`; parents are created.
    pub(crate) fn create(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        request: &CreateRequest,
        body: Option<Body>,
    ) -> Result<Inode> {
        self.create_with(account, filesystem, path, request, body, false)
    }

    /// As [`Store::create`]; with `force` it is on the disk whatever the sync mode.
    pub(crate) fn create_with(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        request: &CreateRequest,
        body: Option<Body>,
        force: bool,
    ) -> Result<Inode> {
        let core = self.core();
        let prepared = match body {
            Some(body) => core.prepare(body, Vec::new(), core.wants_sync(force))?,
            None => core.prepare(Body::empty(&core.extents), Vec::new(), false)?,
        };
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let inode = core.create_in(&mut txn, (account, &record), path, request, prepared)?;
        let batch = txn.commit()?;
        core.acknowledge(batch, force)?;
        Ok(inode)
    }
}

impl Core {
    /// Whether new extents are synced: by the mode, or because the caller insists and there is a disk.
    pub(crate) fn wants_sync(&self, force: bool) -> bool {
        self.extents.sync || (force && self.on_disk)
    }
}

impl Body {
    pub(crate) fn empty(extents: &Arc<crate::store::extent::Extents>) -> Self {
        Self {
            segments: Vec::new(),
            length: 0,
            floating: crate::store::extent::Floating::none(extents),
        }
    }
}
