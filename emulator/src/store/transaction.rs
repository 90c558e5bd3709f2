//! One operation's changes, applied as one batch or not at all.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLockWriteGuard};

use crate::error::{Result, StoreError};
use crate::store::core::{Core, View};
use crate::store::extent::Floating;
use crate::store::inode::{ATTRIBUTES_INLINE_MAX_BYTES, Inode, InodeRecord, NodeKind, Stored};
use crate::store::inode_record::encode_attributes;
use crate::store::key;
use crate::store::table::Changes;

/// Numbers reserved at once, so that most batches need not move the mark.
const ID_RESERVE: u64 = 4_096;

/// Holds the namespace for writing until it is committed or dropped.
pub(crate) struct Transaction<'a> {
    pub(crate) core: &'a Core,
    reserved: RwLockWriteGuard<'a, u64>,
    changes: Changes,
    floating: Floating,
    /// Something was put on the list of what is to be taken apart.
    garbage: bool,
}

impl View for Transaction<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.core.get(key),
        }
    }
}

impl Core {
    /// Begins a change of the namespace.
    pub(crate) fn write(&self) -> Result<Transaction<'_>> {
        self.check_poison()?;
        let reserved = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        let floating = Floating::none(&self.extents);
        Ok(Transaction {
            core: self,
            reserved,
            changes: Changes::new(),
            floating,
            garbage: false,
        })
    }
}

impl Transaction<'_> {
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// Extents that this transaction begins to reference.
    pub(crate) fn adopt(&mut self, floating: Floating) {
        self.floating.join(floating);
    }

    /// Applies everything in one batch. Gives the number to wait for with [`Core::acknowledge`].
    pub(crate) fn commit(mut self) -> Result<u64> {
        let next_id = self.core.extents.next_id();
        if next_id >= *self.reserved {
            *self.reserved = next_id + ID_RESERVE;
        }
        let mut meta = self.reserved.to_be_bytes().to_vec();
        meta.extend_from_slice(&self.core.last_etag().to_be_bytes());
        self.put(key::META.to_vec(), meta);
        if let Err(error) = self.core.apply(std::mem::take(&mut self.changes)) {
            self.core.poison(&error);
            return Err(error);
        }
        self.floating.keep();
        let number = self.core.applied();
        if self.garbage {
            self.core.wake_up();
        }
        Ok(number)
    }

    /// Counts one more reference to each extent.
    pub(crate) fn reference(&mut self, extents: &BTreeSet<u64>) -> Result<()> {
        for id in extents {
            let key = key::extent(*id);
            let mut value = self
                .get(&key)?
                .unwrap_or_else(|| 0_u64.to_be_bytes().to_vec());
            let count = reference_count(&value) + 1;
            value.splice(..8, count.to_be_bytes());
            self.put(key, value);
        }
        Ok(())
    }

    /// Counts one reference less; what has none left is put on the garbage list.
    pub(crate) fn dereference(&mut self, extents: &BTreeSet<u64>) -> Result<()> {
        for id in extents {
            let key = key::extent(*id);
            let Some(mut value) = self.get(&key)? else {
                continue;
            };
            let count = reference_count(&value).saturating_sub(1);
            if count > 0 {
                value.splice(..8, count.to_be_bytes());
                self.put(key, value);
                continue;
            }
            if let Some(name) = value.get(8..).filter(|name| !name.is_empty()) {
                self.remove(key::shared(&String::from_utf8_lossy(name)));
            }
            self.remove(key);
            self.put(key::garbage_extent(*id), Vec::new());
            self.garbage = true;
        }
        Ok(())
    }

    /// Remembers that `extent` is the caller's file `name`; the reference is counted with the content that uses it.
    pub(crate) fn name_shared(&mut self, name: &str, extent: u64) {
        let mut value = 0_u64.to_be_bytes().to_vec();
        value.extend_from_slice(name.as_bytes());
        self.put(key::extent(extent), value);
        self.put(key::shared(name), extent.to_be_bytes().to_vec());
    }

    /// Puts an unlinked inode, with all below it, on the list of what is to be taken apart.
    pub(crate) fn reclaim(&mut self, inode: u64) {
        self.put(key::reclaim(inode), Vec::new());
        self.garbage = true;
    }

    pub(crate) fn link(&mut self, directory: u64, name: &str, inode: u64, kind: NodeKind) {
        self.put(key::entry(directory, name), entry_value(inode, kind));
    }

    /// Extents that a record keeps alive.
    pub(crate) fn extents_of(&self, record: &InodeRecord) -> Result<BTreeSet<u64>> {
        let mut extents = self.core.content(&record.content)?.extents();
        extents.extend(record.content.extent());
        extents.extend(record.attributes.extent());
        Ok(extents)
    }

    /// Writes an inode in place of `before`, and counts references accordingly.
    pub(crate) fn put_inode(
        &mut self,
        before: Option<&InodeRecord>,
        inode: &Inode,
        content: Stored,
    ) -> Result<()> {
        let attributes = encode_attributes(inode)
            .map_err(|e| StoreError::corrupt(format!("inode {}", inode.id), e.to_string()))?;
        let (attributes, floating) = self.core.store_bytes(
            attributes,
            ATTRIBUTES_INLINE_MAX_BYTES,
            self.core.extents.sync,
        )?;
        self.adopt(floating);
        let record = InodeRecord {
            attributes,
            content,
        };
        // The same content is the usual case for changes of attributes, and may have many extents.
        let same_content = before.is_some_and(|before| before.content == record.content);
        let (old, new) = if same_content {
            let old = before
                .and_then(|before| before.attributes.extent())
                .into_iter()
                .collect();
            (old, record.attributes.extent().into_iter().collect())
        } else {
            let old = before
                .map(|before| self.extents_of(before))
                .transpose()?
                .unwrap_or_default();
            (old, self.extents_of(&record)?)
        };
        let (gone, fresh): (BTreeSet<u64>, BTreeSet<u64>) = (
            old.difference(&new).copied().collect(),
            new.difference(&old).copied().collect(),
        );
        self.reference(&fresh)?;
        self.dereference(&gone)?;
        self.put(key::inode(inode.id), record.encode());
        Ok(())
    }
}

fn reference_count(value: &[u8]) -> u64 {
    value
        .get(..8)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// What a directory entry says: which inode, and of what kind.
pub(crate) fn entry_value(inode: u64, kind: NodeKind) -> Vec<u8> {
    let mut value = inode.to_be_bytes().to_vec();
    value.push(u8::from(kind == NodeKind::Directory));
    value
}

/// Reads a directory entry.
pub(crate) fn decode_entry(value: &[u8]) -> Option<(u64, NodeKind)> {
    let id = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    let kind = if *value.get(8)? == 1 {
        NodeKind::Directory
    } else {
        NodeKind::File
    };
    Some((id, kind))
}
