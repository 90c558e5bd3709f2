//! Filesystems (containers on the Blob side).

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::condition::{ConditionUse, Conditions};
use crate::store::core::Core;
use crate::store::create::empty_content;
use crate::store::inode::{AccessPolicy, Filesystem, Properties};
use crate::store::lease::{self, LeaseAction, LeaseOutcome};
use crate::store::namespace::Guard;
use crate::store::path::check_filesystem_name;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::Transaction;
use crate::store::{Store, key};

/// A filesystem with its name.
#[derive(Clone, Debug)]
pub struct FilesystemInfo {
    /// Its name.
    pub name: String,
    /// Everything else.
    pub record: Filesystem,
}

/// Container operations say "container" where path operations say "blob".
fn container_lease_error(error: StoreError) -> StoreError {
    match error.service_code() {
        ErrorCode::LeaseIdMismatch => ErrorCode::LeaseIdMismatchWithContainerOperation.into(),
        ErrorCode::LeaseNotPresent => ErrorCode::LeaseNotPresentWithContainerOperation.into(),
        ErrorCode::LeaseIdMissing => StoreError::with_message(
            ErrorCode::LeaseIdMissing,
            "There is currently a lease on the container and no lease ID was specified in the request.",
        ),
        _ => error,
    }
}

impl Core {
    pub(crate) fn put_filesystem(
        &self,
        txn: &mut Transaction<'_>,
        account: &str,
        name: &str,
        record: &Filesystem,
    ) -> Result<()> {
        let value = serde_json::to_vec(record)
            .map_err(|e| StoreError::corrupt(format!("filesystem {name}"), e.to_string()))?;
        let key = key::filesystem(account, name);
        if key.len() + value.len() > crate::store::sled_file::ENTRY_SIZE_MAX_BYTES {
            return Err(StoreError::with_message(
                ErrorCode::MetadataTooLarge,
                "The metadata and access policies of a container can have about 3 KB here.",
            ));
        }
        txn.put(key, value);
        Ok(())
    }

    fn change_filesystem<T>(
        &self,
        account: &str,
        name: &str,
        change: impl FnOnce(&mut Filesystem) -> Result<T>,
    ) -> Result<(Filesystem, T)> {
        let mut txn = self.write()?;
        let mut record = self.filesystem(&txn, account, name)?;
        let result = change(&mut record)?;
        self.put_filesystem(&mut txn, account, name, &record)?;
        let batch = txn.commit()?;
        self.acknowledge(batch, false)?;
        Ok((record, result))
    }

    fn touch(&self, record: &mut Filesystem) {
        record.etag = self.next_etag();
        record.modified_unix_ns = self.now_unix_ns();
    }
}

impl Store {
    /// Creates a filesystem.
    ///
    /// # Errors
    /// `FilesystemAlreadyExists`, `InvalidResourceName`.
    pub fn create_filesystem_with(
        &self,
        account: &str,
        name: &str,
        properties: Properties,
        public_access: Option<String>,
        owner: Option<&str>,
        force: bool,
    ) -> Result<Filesystem> {
        check_filesystem_name(name)?;
        let core = self.core();
        let mut txn = core.write()?;
        match core.filesystem(&txn, account, name) {
            Ok(_) => return Err(ErrorCode::FilesystemAlreadyExists.into()),
            Err(error) if error.is(ErrorCode::FilesystemNotFound) => {}
            Err(error) => return Err(error),
        }
        let mut root = core.new_root();
        if let Some(owner) = owner {
            owner.clone_into(&mut root.access.owner);
            owner.clone_into(&mut root.access.group);
        }
        txn.put_inode(None, &root, empty_content())?;
        let record = Filesystem {
            id: core.extents.allocate_id(),
            root: root.id,
            etag: root.etag,
            created_unix_ns: root.created_unix_ns,
            modified_unix_ns: root.modified_unix_ns,
            properties,
            public_access,
            policies: Vec::new(),
            lease: None,
        };
        core.put_filesystem(&mut txn, account, name, &record)?;
        let batch = txn.commit()?;
        core.acknowledge(batch, force)?;
        Ok(record)
    }

    /// The filesystem of that name.
    ///
    /// # Errors
    /// `FilesystemNotFound`.
    pub fn filesystem_record(&self, account: &str, name: &str) -> Result<Filesystem> {
        let core = self.core();
        core.filesystem(&core.read(), account, name)
    }

    /// Replaces its properties.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `ConditionNotMet`, lease codes.
    pub fn set_filesystem_properties(
        &self,
        account: &str,
        name: &str,
        properties: Properties,
        guard: &Guard,
    ) -> Result<Filesystem> {
        let core = self.core();
        let (record, ()) = core.change_filesystem(account, name, |record| {
            guard
                .conditions
                .check(Some(record.version()), ConditionUse::Write)?;
            check_named_lease(core, record, guard)?;
            record.properties = properties;
            core.touch(record);
            Ok(())
        })?;
        Ok(record)
    }

    /// Replaces its stored access policies and its public access.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `ConditionNotMet`, lease codes.
    pub fn set_filesystem_policies(
        &self,
        account: &str,
        name: &str,
        policies: Vec<AccessPolicy>,
        public_access: Option<String>,
        guard: &Guard,
    ) -> Result<Filesystem> {
        let core = self.core();
        let (record, ()) = core.change_filesystem(account, name, |record| {
            guard
                .conditions
                .check(Some(record.version()), ConditionUse::Write)?;
            check_named_lease(core, record, guard)?;
            record.policies = policies;
            record.public_access = public_access;
            core.touch(record);
            Ok(())
        })?;
        Ok(record)
    }

    /// Acquires, renews, changes, releases or breaks the lease of a filesystem.
    ///
    /// # Errors
    /// The lease codes, `ConditionNotMet`, `FilesystemNotFound`.
    pub fn lease_filesystem(
        &self,
        account: &str,
        name: &str,
        action: &LeaseAction,
        conditions: &Conditions,
    ) -> Result<(Filesystem, LeaseOutcome)> {
        let core = self.core();
        core.change_filesystem(account, name, |record| {
            conditions.check(Some(record.version()), ConditionUse::Write)?;
            let outcome = lease::apply(record.lease.as_ref(), action, core.now_unix_ns())?;
            record.lease.clone_from(&outcome.lease);
            Ok(outcome)
        })
    }

    /// Deletes a filesystem with everything in it; the name is free at once.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `ConditionNotMet`, lease codes.
    pub fn delete_filesystem_with(&self, account: &str, name: &str, guard: &Guard) -> Result<()> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, name)?;
        guard
            .conditions
            .check(Some(record.version()), ConditionUse::Write)?;
        lease::check_write(
            record.lease.as_ref(),
            guard.lease_id.as_deref(),
            core.now_unix_ns(),
        )
        .map_err(container_lease_error)?;
        txn.remove(key::filesystem(account, name));
        core.keep_or_reclaim_filesystem(&mut txn, account, name, record)?;
        let batch = txn.commit()?;
        core.acknowledge(batch, false)
    }

    /// Gives a filesystem another name. It loses its lease, whose id must be named.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `FilesystemAlreadyExists`, `InvalidResourceName`, lease codes.
    pub(crate) fn rename_filesystem(
        &self,
        account: &str,
        source: &str,
        name: &str,
        source_lease_id: Option<&str>,
    ) -> Result<Filesystem> {
        check_filesystem_name(name)?;
        let core = self.core();
        let mut txn = core.write()?;
        let mut record = core.filesystem(&txn, account, source)?;
        lease::check_write(record.lease.as_ref(), source_lease_id, core.now_unix_ns())
            .map_err(container_lease_error)?;
        match core.filesystem(&txn, account, name) {
            Ok(_) => return Err(ErrorCode::FilesystemAlreadyExists.into()),
            Err(error) if error.is(ErrorCode::FilesystemNotFound) => {}
            Err(error) => return Err(error),
        }
        txn.remove(key::filesystem(account, source));
        record.lease = None;
        core.touch(&mut record);
        core.put_filesystem(&mut txn, account, name, &record)?;
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(record)
    }

    /// Filesystems of an account by name, from `after` on, at most `max` of them; the last name when there are more.
    ///
    /// # Errors
    /// `Corrupt`, `Namespace`.
    pub fn list_filesystems_page(
        &self,
        account: &str,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Vec<FilesystemInfo>, Option<String>)> {
        let core = self.core();
        let _view = core.read();
        let base = key::filesystems(account);
        let mut found: Vec<FilesystemInfo> = Vec::new();
        for item in core.tree().scan_prefix(key::filesystem(account, prefix)) {
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            let name = String::from_utf8_lossy(key.get(base.len()..).unwrap_or(&[])).into_owned();
            if after.is_some_and(|after| name.as_str() <= after) {
                continue;
            }
            if found.len() == max {
                let last = found.last().map(|info| info.name.clone());
                return Ok((found, last));
            }
            let record = serde_json::from_slice(&value)
                .map_err(|e| StoreError::corrupt(format!("filesystem {name}"), e.to_string()))?;
            found.push(FilesystemInfo { name, record });
        }
        Ok((found, None))
    }
}

/// Changes of a container need no lease id, but one that is named must be right.
fn check_named_lease(core: &Core, record: &Filesystem, guard: &Guard) -> Result<()> {
    lease::check_read(
        record.lease.as_ref(),
        guard.lease_id.as_deref(),
        core.now_unix_ns(),
    )
    .map_err(container_lease_error)
}
