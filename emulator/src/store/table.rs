//! The ordered entries of the namespace: on the disk, or in memory for a store that keeps nothing.
//!
//! Both give the same to their callers, in sled's types, which hold small keys and values without an allocation.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use sled::IVec;

use crate::error::{Result, StoreError};
use crate::store::encryption::Keys;
use crate::store::sled_file::{ENTRY_SIZE_MAX_BYTES, SledFile, namespace_error};

/// Entries that an iterator takes out of a table in memory at once.
const STEP_ENTRIES: usize = 64;

/// Changes to apply together; `None` removes.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

type Ordered = Arc<RwLock<BTreeMap<IVec, IVec>>>;

/// The entries by key.
pub(crate) enum Table {
    Disk(SledFile),
    Memory(Ordered),
    /// On the disk, where no key tells its order: it is read once, and kept in memory as well.
    Sealed(Sealed),
}

/// An encrypted table.
pub(crate) struct Sealed {
    file: SledFile,
    keys: Arc<Keys>,
    entries: Ordered,
}

impl Sealed {
    fn open(file: SledFile, keys: &Arc<Keys>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for item in file.db.iter() {
            let (name, sealed) = item.map_err(|e| namespace_error("read", &e))?;
            let Some((key, value)) = keys.open_entry(&name, &sealed) else {
                return Err(StoreError::corrupt(
                    "an entry of the encrypted namespace",
                    "its seal is broken",
                ));
            };
            entries.insert(IVec::from(key), IVec::from(value));
        }
        Ok(Self {
            file,
            keys: Arc::clone(keys),
            entries: Arc::new(RwLock::new(entries)),
        })
    }

    /// Both places change in the same order, and in memory only what the disk has taken.
    fn apply(&self, changes: Changes) -> Result<()> {
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        for (key, value) in &changes {
            let name = self.keys.entry_name(key)?;
            match value {
                None => batch.remove(name),
                Some(value) => {
                    check_size(key, value)?;
                    let sealed = self.keys.seal_entry(&name, key, value)?;
                    bytes += name.len() + sealed.len();
                    batch.insert(name, sealed);
                }
            }
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        self.file.apply(batch, bytes)?;
        insert(&mut entries, changes);
        Ok(())
    }
}

fn insert(entries: &mut BTreeMap<IVec, IVec>, changes: Changes) {
    for (key, value) in changes {
        match value {
            None => entries.remove(key.as_slice()),
            Some(value) => entries.insert(IVec::from(key), IVec::from(value)),
        };
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disk(_) => "Table::Disk",
            Self::Memory(_) => "Table::Memory",
            Self::Sealed(_) => "Table::Sealed",
        })
    }
}

impl Table {
    pub(crate) fn open(folder: &Path, keys: Option<&Arc<Keys>>) -> Result<Self> {
        let file = SledFile::open(folder)?;
        match keys {
            None => Ok(Self::Disk(file)),
            Some(keys) => Sealed::open(file, keys).map(Self::Sealed),
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self::Memory(Ordered::default())
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        match self {
            Self::Disk(file) => file.db.get(key).map_err(|e| namespace_error("read", &e)),
            Self::Memory(entries) | Self::Sealed(Sealed { entries, .. }) => {
                Ok(read(entries).get(key).cloned())
            }
        }
    }

    /// Every entry whose key begins so, in the order of keys.
    pub(crate) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        let prefix = prefix.as_ref();
        match self {
            Self::Disk(file) => Entries::Disk(file.db.scan_prefix(prefix)),
            Self::Memory(_) | Self::Sealed(_) => {
                let end = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
                self.range((Bound::Included(prefix.to_vec()), end))
            }
        }
    }

    /// Every entry in a range of keys, in their order.
    pub(crate) fn range(&self, (start, end): (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Entries {
        match self {
            Self::Disk(file) => Entries::Disk(file.db.range((start, end))),
            Self::Memory(entries) | Self::Sealed(Sealed { entries, .. }) => {
                Entries::Memory(Steps {
                    entries: Arc::clone(entries),
                    taken: Vec::new().into_iter(),
                    start: Some(start.map(IVec::from)),
                    end: end.map(IVec::from),
                })
            }
        }
    }

    /// Applies all of the changes or none.
    pub(crate) fn apply(&self, changes: Changes) -> Result<()> {
        match self {
            Self::Disk(file) => {
                let mut batch = sled::Batch::default();
                let mut bytes = 0;
                for (key, value) in changes {
                    bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                    match value {
                        None => batch.remove(key),
                        Some(value) => {
                            check_size(&key, &value)?;
                            batch.insert(key, value);
                        }
                    }
                }
                file.apply(batch, bytes)
            }
            Self::Memory(entries) => {
                let mut entries = entries.write().unwrap_or_else(PoisonError::into_inner);
                insert(&mut entries, changes);
                Ok(())
            }
            Self::Sealed(sealed) => sealed.apply(changes),
        }
    }

    /// Hands everything applied to the operating system.
    pub(crate) fn flush(&self) -> Result<()> {
        match self {
            Self::Disk(file) | Self::Sealed(Sealed { file, .. }) => file.flush(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Makes everything flushed durable.
    pub(crate) fn sync(&self) -> Result<()> {
        match self {
            Self::Disk(file) | Self::Sealed(Sealed { file, .. }) => file.sync(),
            Self::Memory(_) => Ok(()),
        }
    }
}

fn read(entries: &Ordered) -> RwLockReadGuard<'_, BTreeMap<IVec, IVec>> {
    entries.read().unwrap_or_else(PoisonError::into_inner)
}

/// The first key that is behind all with this prefix; `None` when there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// sled would move a larger entry to a side file that is never synced.
fn check_size(key: &[u8], value: &[u8]) -> Result<()> {
    let size = key.len() + value.len();
    debug_assert!(size <= ENTRY_SIZE_MAX_BYTES, "an entry of {size} bytes");
    if size <= ENTRY_SIZE_MAX_BYTES {
        return Ok(());
    }
    let reason = format!("an entry of {size} bytes is larger than {ENTRY_SIZE_MAX_BYTES}");
    Err(StoreError::Namespace {
        action: "write",
        reason,
    })
}

/// Goes through entries in the order of their keys.
pub(crate) enum Entries {
    Disk(sled::Iter),
    Memory(Steps),
}

impl Iterator for Entries {
    type Item = sled::Result<(IVec, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Disk(entries) => entries.next(),
            Self::Memory(steps) => steps.next().map(Ok),
        }
    }
}

/// Goes through a table in memory some entries at a time, so that writers need not wait for a reader to end.
pub(crate) struct Steps {
    entries: Ordered,
    taken: std::vec::IntoIter<(IVec, IVec)>,
    /// Where the next step begins; `None` after the last.
    start: Option<Bound<IVec>>,
    end: Bound<IVec>,
}

impl Iterator for Steps {
    type Item = (IVec, IVec);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.taken.next() {
            return Some(pair);
        }
        let start = self.start.take()?;
        if is_empty_range(&start, &self.end) {
            return None;
        }
        let taken: Vec<(IVec, IVec)> = read(&self.entries)
            .range((start, self.end.clone()))
            .take(STEP_ENTRIES)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if taken.len() == STEP_ENTRIES {
            self.start = taken.last().map(|(key, _)| Bound::Excluded(key.clone()));
        }
        self.taken = taken.into_iter();
        self.taken.next()
    }
}

/// Whether a range cannot hold anything; a map panics when its start is behind its end.
fn is_empty_range(start: &Bound<IVec>, end: &Bound<IVec>) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::store::encryption::Secret;

    fn keys(entries: Entries) -> Vec<Vec<u8>> {
        entries.map(|item| item.unwrap().0.to_vec()).collect()
    }

    #[test]
    fn a_table_in_memory_gives_what_one_on_the_disk_gives() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = folder.path().join("sealed");
        let secret = Secret::Passphrase("words".to_owned());
        let secret = Some(&secret);
        let sealing = Keys::open(&sealed, secret, true).unwrap().map(Arc::new);
        let tables = [
            Table::open(&folder.path().join("plain"), None).unwrap(),
            Table::in_memory(),
            Table::open(&sealed.join("db"), sealing.as_ref()).unwrap(),
        ];
        for table in &tables {
            let mut changes = Changes::new();
            for number in 0..300_u32 {
                let mut key = vec![b'k', (number % 3) as u8 + 253];
                key.extend_from_slice(&number.to_be_bytes());
                changes.insert(key, Some(vec![number as u8; 30]));
            }
            table.apply(changes).unwrap();
            table
                .apply(Changes::from([(vec![b'k', 253, 0, 0, 0, 0], None)]))
                .unwrap();
        }
        let [disk, memory, sealed] = tables;
        drop(sealed);
        let reopened = folder.path().join("sealed").join("db");
        let reopened = Table::open(&reopened, sealing.as_ref()).unwrap();
        assert_eq!(
            memory.get(&[b'k', 254, 0, 0, 0, 1]).unwrap().unwrap().len(),
            30
        );
        for prefix in [&[b'k', 253][..], &[b'k', 255], b"k", b"", b"z"] {
            assert_eq!(
                keys(disk.scan_prefix(prefix)),
                keys(memory.scan_prefix(prefix))
            );
            assert_eq!(
                keys(reopened.scan_prefix(prefix)),
                keys(memory.scan_prefix(prefix))
            );
        }
        let key = |last: u8| vec![b'k', 254, 0, 0, 0, last];
        for range in [
            (Bound::Included(key(1)), Bound::Excluded(key(200))),
            (Bound::Excluded(key(1)), Bound::Unbounded),
            (Bound::Excluded(key(1)), Bound::Included(key(1))),
            (Bound::Excluded(key(9)), Bound::Excluded(key(9))),
        ] {
            let expected = keys(memory.range(range.clone()));
            assert_eq!(keys(disk.range(range.clone())), expected);
            assert_eq!(keys(reopened.range(range)), expected);
        }
    }
}
