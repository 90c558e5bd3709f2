//! The store without a protocol, for a program that has it in its own process.

use std::io::Read;
use std::path::Path;

use crate::assembly::{Assembly, shared_extent};
use crate::error::{ErrorCode, Result, StoreError};
use crate::store::CreateRequest;
use crate::store::authorize::Principal;
use crate::store::condition::Conditions;
use crate::store::content::ContentReader;
use crate::store::core::View;
use crate::store::extent::PIECE_SIZE_BYTES;
use crate::store::inode::{ContentHeaders, Inode, NodeKind, Origin, Properties, etag_text};
use crate::store::list::{LIST_ENTRIES_MAX, ListRequest};
use crate::store::namespace::Guard;
use crate::store::path::StorePath;
use crate::store::rename::RenameRequest;
use crate::store::{Store, key};

/// How often a write starts again because a shared file came or went meanwhile.
const SHARE_ATTEMPTS_MAX: usize = 16;

/// A part of a file that is written.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A range of an immutable file that is on the disk already. It is linked into the store once and referred to.
    Shared {
        /// The file's name among all that are shared with this store, for ever.
        key: &'a str,
        /// The file.
        file: &'a Path,
        /// Where the range starts, in bytes.
        offset: u64,
        /// Its bytes.
        length: u64,
        /// Its CRC-32C.
        crc32c: u32,
    },
}

/// How a file is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// What readers are told; `application/octet-stream` when it is `None`.
    pub content_type: Option<String>,
    /// Fails with `PathAlreadyExists` instead of replacing a file.
    pub only_new: bool,
}

impl WriteOptions {
    fn request(&self) -> CreateRequest {
        let mut request = CreateRequest::new(NodeKind::File, Origin::Blob);
        request.headers = ContentHeaders {
            content_type: self.content_type.clone(),
            ..ContentHeaders::default()
        };
        if self.only_new {
            request.guard.conditions = Conditions::if_absent();
        }
        request
    }
}

/// What is known about a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// From the filesystem's root, without `/` at either end; empty for the root.
    pub path: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes.
    pub length: u64,
    /// Changes with the content.
    pub etag: String,
    /// Last modified, in nanoseconds since 1970.
    pub modified_unix_ns: i64,
    /// As it was written.
    pub content_type: Option<String>,
}

impl PathInfo {
    fn of(path: &StorePath, inode: &Inode) -> Self {
        Self {
            path: path.to_string(),
            is_directory: inode.is_directory(),
            length: inode.length,
            etag: etag_text(inode.etag),
            modified_unix_ns: inode.modified_unix_ns,
            content_type: inode.headers.content_type.clone(),
        }
    }
}

/// One filesystem of a store, whether it exists or not. Paths have `/` between their names.
#[derive(Clone, Debug)]
pub struct FileSystem {
    store: Store,
    account: String,
    name: String,
}

fn absent<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is(ErrorCode::PathNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Store {
    /// Creates a filesystem; `false` when it is there already.
    ///
    /// # Errors
    /// `InvalidResourceName`, and as any write.
    pub fn create_file_system(&self, account: &str, name: &str) -> Result<bool> {
        match self.create_filesystem_with(account, name, Properties::new(), None, None, true) {
            Ok(_) => Ok(true),
            Err(error) if error.is(ErrorCode::FilesystemAlreadyExists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a filesystem with everything in it; `false` when there is none.
    ///
    /// # Errors
    /// Leases, and as any write.
    pub fn delete_file_system(&self, account: &str, name: &str) -> Result<bool> {
        match self.delete_filesystem_with(account, name, &Guard::default()) {
            Ok(()) => Ok(true),
            Err(error) if error.is(ErrorCode::FilesystemNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names of an account's filesystems, sorted.
    ///
    /// # Errors
    /// As any read.
    pub fn list_file_systems(&self, account: &str) -> Result<Vec<String>> {
        let (found, _) = self.list_filesystems_page(account, "", None, usize::MAX)?;
        Ok(found.into_iter().map(|info| info.name).collect())
    }

    /// A filesystem of an account, whether it exists or not.
    #[must_use]
    pub fn file_system(&self, account: &str, name: &str) -> FileSystem {
        FileSystem {
            store: self.clone(),
            account: account.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl FileSystem {
    /// Writes a file whole, in place of the one that is there. Parents are created.
    ///
    /// When it returns the file is on the disk, whatever the store's sync mode.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `PathConflict`, `Corrupt` when a range does not have its checksum, and as any write.
    pub fn write_file(
        &self,
        path: &str,
        parts: &[Part<'_>],
        options: &WriteOptions,
    ) -> Result<PathInfo> {
        let path = StorePath::parse(path)?;
        for _ in 0..SHARE_ATTEMPTS_MAX {
            if let Some(inode) = self.try_write(&path, parts, options)? {
                return Ok(PathInfo::of(&path, &inode));
            }
        }
        Err(ErrorCode::InternalOperationAbort.into())
    }

    /// `None` when a shared file came or went meanwhile.
    fn try_write(
        &self,
        path: &StorePath,
        parts: &[Part<'_>],
        options: &WriteOptions,
    ) -> Result<Option<Inode>> {
        let core = self.store.core();
        let mut assembly = Assembly::new(&self.store);
        for part in parts {
            assembly.add(part)?;
        }
        let Assembly {
            body,
            shared,
            pins: _pins,
            ..
        } = assembly;
        let prepared = core.prepare(body, Vec::new(), core.wants_sync(true))?;
        let mut txn = core.write()?;
        for file in &shared {
            let known = shared_extent(&txn.get(&key::shared(&file.key))?);
            match (known, file.is_new) {
                (None, true) => txn.name_shared(&file.key, file.extent),
                (Some(known), false) if known == file.extent => {}
                _ => return Ok(None),
            }
        }
        let record = core.filesystem(&txn, &self.account, &self.name)?;
        let inode = core.create_in(
            &mut txn,
            (&self.account, &record),
            path,
            &options.request(),
            prepared,
        )?;
        let batch = txn.commit()?;
        core.acknowledge(batch, true)?;
        Ok(Some(inode))
    }

    /// Writes a file from a reader, as [`FileSystem::write_file`].
    ///
    /// # Errors
    /// `Source` when the reader fails: nothing is written then.
    pub fn write_stream(
        &self,
        path: &str,
        source: &mut dyn Read,
        options: &WriteOptions,
    ) -> Result<PathInfo> {
        let path = StorePath::parse(path)?;
        let core = self.store.core();
        let mut writer = crate::store::BodyWriter::new(&core.extents, core.wants_sync(true));
        let mut buffer = vec![0; PIECE_SIZE_BYTES];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => writer.push(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::Source(error)),
            }
        }
        let body = Some(writer.finish()?);
        let inode = self.store.create_with(
            &self.account,
            &self.name,
            &path,
            &options.request(),
            body,
            true,
        )?;
        Ok(PathInfo::of(&path, &inode))
    }

    /// Makes `to` a file with the content of `from`; no bytes are copied.
    ///
    /// # Errors
    /// `CannotVerifyCopySource`, `PathConflict`, and as any write.
    pub fn copy_file(&self, from: &str, to: &str) -> Result<PathInfo> {
        let (from, to) = (StorePath::parse(from)?, StorePath::parse(to)?);
        let request = CreateRequest::new(NodeKind::File, Origin::Blob);
        let source = (&*self.account, &*self.name, &from);
        let target = (&*self.account, &*self.name);
        let none = Conditions::default();
        let inode = self.store.copy(
            source,
            &Principal::Superuser,
            &none,
            target,
            &to,
            request,
            true,
        )?;
        Ok(PathInfo::of(&to, &inode))
    }

    /// The content of a file; `None` when there is none.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `ResourceTypeMismatch` for a directory, `Corrupt`.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.open(path)? {
            Some(mut reader) => reader.read_range(0, u64::MAX).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a file as it is now; it stays so for the reader.
    ///
    /// # Errors
    /// As [`FileSystem::read`].
    pub fn open(&self, path: &str) -> Result<Option<ContentReader>> {
        let path = StorePath::parse(path)?;
        match absent(
            self.store
                .open_node(&Principal::Superuser, &self.account, &self.name, &path),
        )? {
            Some((node, _)) if node.inode.is_directory() => {
                Err(ErrorCode::ResourceTypeMismatch.into())
            }
            found => Ok(found.map(|(_, reader)| reader)),
        }
    }

    /// What is known about a path; `None` when there is nothing.
    ///
    /// # Errors
    /// `FilesystemNotFound`.
    pub fn stat(&self, path: &str) -> Result<Option<PathInfo>> {
        let path = StorePath::parse(path)?;
        let node = absent(self.store.node(&self.account, &self.name, &path))?;
        Ok(node.map(|node| PathInfo::of(&path, &node.inode)))
    }

    /// What is in a directory, by path.
    ///
    /// # Errors
    /// `FilesystemNotFound`, `PathNotFound`.
    pub fn list(&self, path: &str, recursive: bool) -> Result<Vec<PathInfo>> {
        let mut request = ListRequest {
            directory: StorePath::parse(path)?,
            recursive,
            entries_max: LIST_ENTRIES_MAX,
            ..ListRequest::default()
        };
        let mut found = Vec::new();
        loop {
            let page = self.store.list(&self.account, &self.name, &request)?;
            found.extend(
                page.entries
                    .iter()
                    .map(|listed| PathInfo::of(&listed.path, &listed.inode)),
            );
            request.from = page.next;
            if request.from.is_none() {
                return Ok(found);
            }
        }
    }

    /// Creates a directory with its parents; it is fine when it exists.
    ///
    /// # Errors
    /// `PathConflict` when a file stands in the way.
    pub fn create_directory(&self, path: &str) -> Result<()> {
        let path = StorePath::parse(path)?;
        let core = self.store.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, &self.account, &self.name)?;
        core.ensure_directories(
            &mut txn,
            record.root,
            path.segments(),
            &Principal::Superuser,
        )?;
        let batch = txn.commit()?;
        core.acknowledge(batch, true)
    }

    /// Deletes a file or directory; `false` when there is none.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` without `recursive`, leases.
    pub fn delete(&self, path: &str, recursive: bool) -> Result<bool> {
        let path = StorePath::parse(path)?;
        let deleted = self.store.delete(
            &self.account,
            &self.name,
            &path,
            recursive,
            &Guard::default(),
        );
        Ok(absent(deleted)?.is_some())
    }

    /// Renames a file or directory within the filesystem.
    ///
    /// # Errors
    /// As [`Store::rename`].
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let request = RenameRequest {
            source_filesystem: self.name.clone(),
            source: StorePath::parse(from)?,
            source_conditions: Conditions::default(),
            source_lease_id: None,
            filesystem: self.name.clone(),
            path: StorePath::parse(to)?,
            guard: Guard::default(),
            into_directory: false,
            properties: None,
        };
        self.store.rename(&self.account, &request).map(drop)
    }
}
