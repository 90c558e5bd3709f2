//! Listing: depth first, by path component.

use std::ops::Bound;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::authorize::{EXECUTE, Principal, READ};
use crate::store::core::{Core, View};
use crate::store::inode::{Filesystem, Inode, NodeKind};
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;
use crate::store::table::Entries;
use crate::store::transaction::decode_entry;
use crate::store::{Store, key};

/// Entries of a page when nothing is said, and at most.
pub const LIST_ENTRIES_MAX: usize = 5_000;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Below which directory; it is not listed itself.
    pub directory: StorePath,
    /// Only names directly in the directory that start so, and what is below them.
    pub name_prefix: String,
    /// Whether to go into directories.
    pub recursive: bool,
    /// Starts at this path, whether it is there or not.
    pub from: Option<StorePath>,
    /// Entries at most.
    pub entries_max: usize,
    /// Whether the list of a file is the file itself.
    pub lists_files: bool,
}

/// A file or directory in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// From the filesystem's root.
    pub path: StorePath,
    /// Its attributes.
    pub inode: Inode,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The filesystem, whose ETag and time a list carries.
    pub filesystem: Filesystem,
    /// What was found.
    pub entries: Vec<Listed>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<StorePath>,
}

/// A directory that is being gone through.
struct Level {
    path: StorePath,
    entries: Entries,
    /// How many bytes of a key stand before the name.
    name_from: usize,
}

impl Core {
    fn level(
        &self,
        directory: u64,
        path: StorePath,
        prefix: &str,
        start: Option<Bound<&str>>,
    ) -> Level {
        let base = key::entries(directory);
        let name_from = base.len();
        let entries = match start {
            None => self.tree().scan_prefix(key::entry(directory, prefix)),
            Some(start) => {
                let start = start.map(|name| key::entry(directory, name));
                self.tree()
                    .range((start, Bound::Excluded(key::entries(directory + 1))))
            }
        };
        Level {
            path,
            entries,
            name_from,
        }
    }

    /// The levels to go through from a path on, the outermost first. The path need not be there.
    fn levels_from(
        &self,
        view: &impl View,
        directory: u64,
        request: &ListRequest,
        place: &StorePath,
    ) -> Result<Vec<Level>> {
        let depth = request.directory.segments().len();
        let mut levels = Vec::new();
        let mut current = (directory, request.directory.clone());
        let mut names = place.segments().iter().skip(depth).peekable();
        while let Some(name) = names.next() {
            let is_start = names.peek().is_none();
            let bound = match is_start {
                true => Bound::Included(name.as_str()),
                false => Bound::Excluded(name.as_str()),
            };
            levels.push(self.level(current.0, current.1.clone(), "", Some(bound)));
            if is_start || !request.recursive {
                return Ok(levels);
            }
            match self.entry(view, current.0, name)? {
                Some((id, NodeKind::Directory)) => current = (id, current.1.join(name)),
                _ => return Ok(levels),
            }
        }
        levels.push(self.level(current.0, current.1, "", None));
        Ok(levels)
    }
}

impl Store {
    /// A page of what is in a directory.
    ///
    /// # Errors
    /// `FilesystemNotFound`; `PathNotFound` when the directory is not there or is a file.
    pub fn list(&self, account: &str, filesystem: &str, request: &ListRequest) -> Result<ListPage> {
        self.list_as(&Principal::Superuser, account, filesystem, request)
    }

    /// As [`Store::list`], for somebody who must be allowed to read the directory. One below that may not be read is
    /// listed, and not gone into.
    ///
    /// # Errors
    /// `AuthorizationPermissionMismatch` beside those of [`Store::list`].
    pub fn list_as(
        &self,
        principal: &Principal,
        account: &str,
        filesystem: &str,
        request: &ListRequest,
    ) -> Result<ListPage> {
        let core = self.core();
        let view = core.read();
        let record = core.filesystem(&view, account, filesystem)?;
        let way = request.directory.segments();
        core.check_way(&view, principal, record.root, way)?;
        let found = core.walk(&view, record.root, way)?;
        let directory = match found {
            Some((id, NodeKind::Directory)) => id,
            Some((id, NodeKind::File)) if request.lists_files => {
                let path = request.directory.clone();
                let inode = core.node(&view, id)?.inode;
                return Ok(ListPage {
                    filesystem: record,
                    entries: vec![Listed { path, inode }],
                    next: None,
                });
            }
            _ => return Err(ErrorCode::PathNotFound.into()),
        };
        if !principal.is_unrestricted() {
            let inode = core.node(&view, directory)?.inode;
            core.check_access(principal, &inode, READ | EXECUTE)?;
        }
        let within = |place: &&StorePath| place.starts_with(&request.directory);
        let mut levels = match request.from.as_ref().filter(within) {
            Some(from) => core.levels_from(&view, directory, request, from)?,
            None => {
                let path = request.directory.clone();
                vec![core.level(directory, path, &request.name_prefix, None)]
            }
        };
        let mut page = ListPage {
            filesystem: record,
            entries: Vec::new(),
            next: None,
        };
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else {
                break;
            };
            let Some(item) = level.entries.next() else {
                levels.pop();
                continue;
            };
            let (key, value) = item.map_err(|e| namespace_error("read", &e))?;
            let name = String::from_utf8_lossy(key.get(level.name_from..).unwrap_or_default())
                .into_owned();
            if depth == 1 && !name.starts_with(&request.name_prefix) {
                if name > request.name_prefix {
                    levels.pop();
                }
                continue;
            }
            let path = level.path.join(&name);
            let Some((id, kind)) = decode_entry(&value) else {
                return Err(StoreError::corrupt(
                    format!("the entry '{path}'"),
                    "it is not readable",
                ));
            };
            let inode = core.node(&view, id)?.inode;
            if inode
                .expires_unix_ns
                .is_some_and(|expires| expires <= core.now_unix_ns())
            {
                continue;
            }
            if page.entries.len() == request.entries_max {
                page.next = Some(path);
                break;
            }
            let goes_in = request.recursive && kind == NodeKind::Directory;
            if goes_in && principal.may(&inode.access, READ | EXECUTE) {
                levels.push(core.level(id, path.clone(), "", None));
            }
            page.entries.push(Listed { path, inode });
        }
        Ok(page)
    }
}
