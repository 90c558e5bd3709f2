//! Changes of attributes.

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::acl::{AccessControl, AclEntry};
use crate::store::authorize::Principal;
use crate::store::condition::ConditionUse;
use crate::store::inode::Inode;
use crate::store::list::ListRequest;
use crate::store::namespace::Guard;
use crate::store::path::StorePath;

/// What to do with an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclUpdate {
    /// Replaces it.
    Set(Vec<AclEntry>),
    /// Adds entries, or changes those of the same target.
    Modify(Vec<AclEntry>),
    /// Removes entries.
    Remove(Vec<AclEntry>),
}

impl AclUpdate {
    fn apply(&self, access: &mut AccessControl, is_directory: bool) -> Result<()> {
        let fitting = |entries: &[AclEntry]| -> Vec<AclEntry> {
            entries
                .iter()
                .filter(|entry| is_directory || !entry.default)
                .cloned()
                .collect()
        };
        match self {
            Self::Set(entries) => access.replace(fitting(entries)),
            Self::Modify(entries) => access.modify(&fitting(entries), is_directory),
            Self::Remove(entries) => access.remove(&fitting(entries)),
        }
    }
}

/// What a recursive change did.
#[derive(Clone, Debug, Default)]
pub struct AclOutcome {
    /// Directories changed.
    pub directories: usize,
    /// Files changed.
    pub files: usize,
    /// What could not be changed: path, whether it is a directory, and why.
    pub failed: Vec<(StorePath, bool, String)>,
    /// Where to go on; `None` at the end.
    pub next: Option<StorePath>,
}

impl Store {
    /// Changes attributes of a file or directory. With `touches` it gets a new ETag and time.
    ///
    /// # Errors
    /// `PathNotFound`, conditions, leases, and what `change` answers.
    pub fn change(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        guard: &Guard,
        touches: bool,
        change: impl FnOnce(&mut Inode) -> Result<()>,
    ) -> Result<Inode> {
        self.change_as(account, filesystem, path, guard, (touches, false), change)
    }

    /// As [`Store::change`], for a change of access control: `change` says who may.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub fn change_access(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        guard: &Guard,
        change: impl FnOnce(&mut Inode) -> Result<()>,
    ) -> Result<Inode> {
        self.change_as(account, filesystem, path, guard, (true, true), change)
    }

    fn change_as(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        guard: &Guard,
        (touches, access_only): (bool, bool),
        change: impl FnOnce(&mut Inode) -> Result<()>,
    ) -> Result<Inode> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        // Who changes access control is asked by `check_access_change`; everything else takes the right to write.
        match access_only {
            true => {
                let parents = path.split().map_or(&[][..], |(parents, _)| parents);
                core.check_way(&txn, &guard.principal, record.root, parents)?;
            }
            false => core.check_change(&txn, &guard.principal, record.root, path, &node.inode)?,
        }
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        change(&mut node.inode)?;
        core.note_expiry(&mut txn, record.root, path, &node.inode)?;
        if touches {
            node.inode.etag = core.next_etag();
            node.inode.modified_unix_ns = core.now_unix_ns();
        }
        txn.put_inode(Some(&node.record), &node.inode, node.record.content.clone())?;
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(node.inode)
    }

    /// Changes access control of a path and of everything below it, `records_max` of them at most.
    ///
    /// # Errors
    /// `PathNotFound`. A path that cannot be changed is reported; without `goes_on` it ends the work.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a header or parameter of the operation"
    )]
    pub fn change_acl_recursive(
        &self,
        principal: &Principal,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        update: &AclUpdate,
        records_max: usize,
        from: Option<StorePath>,
        goes_on: bool,
    ) -> Result<AclOutcome> {
        let top = self.node_as(principal, account, filesystem, path)?.inode;
        let mut outcome = AclOutcome::default();
        let mut room = records_max;
        if from.is_none() {
            self.change_one_acl(
                principal,
                (account, filesystem, path),
                &top,
                update,
                &mut outcome,
            );
            room -= 1;
        }
        if !top.is_directory() || (!outcome.failed.is_empty() && !goes_on) {
            return Ok(outcome);
        }
        let request = ListRequest {
            directory: path.clone(),
            recursive: true,
            from,
            entries_max: room,
            ..ListRequest::default()
        };
        let page = self.list_as(principal, account, filesystem, &request)?;
        for listed in page.entries {
            self.change_one_acl(
                principal,
                (account, filesystem, &listed.path),
                &listed.inode,
                update,
                &mut outcome,
            );
            if !outcome.failed.is_empty() && !goes_on {
                return Ok(outcome);
            }
        }
        outcome.next = page.next;
        Ok(outcome)
    }

    fn change_one_acl(
        &self,
        principal: &Principal,
        (account, filesystem, path): (&str, &str, &StorePath),
        inode: &Inode,
        update: &AclUpdate,
        outcome: &mut AclOutcome,
    ) {
        let is_directory = inode.is_directory();
        let guard = Guard::of(principal.clone());
        let changed = self.change_access(account, filesystem, path, &guard, |inode| {
            principal.check_access_change(&inode.access, None, None)?;
            update.apply(&mut inode.access, is_directory)
        });
        match changed {
            Ok(_) if is_directory => outcome.directories += 1,
            Ok(_) => outcome.files += 1,
            Err(error) => outcome
                .failed
                .push((path.clone(), is_directory, error.to_string())),
        }
    }
}
