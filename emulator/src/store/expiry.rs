//! Files that vanish: an index of when, so that the collector finds those whose time has come without looking at others.
//!
//! An entry of the index says where the file stood. Renaming a directory above it changes nothing of that, and renaming
//! the file itself adds another entry; one that is no longer true is dropped when its time has come.

use crate::error::Result;
use crate::store::core::Core;
use crate::store::inode::Inode;
use crate::store::key;
use crate::store::namespace::Node;
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::Transaction;

/// Files taken away at once, so that others need not wait long.
const STEP_FILES_MAX: usize = 256;

/// Notes when a file vanishes, if it does.
pub(crate) fn note(txn: &mut Transaction<'_>, inode: &Inode, parent: u64, name: &str) {
    if let Some(expires_unix_ns) = inode.expires_unix_ns {
        let mut place = parent.to_be_bytes().to_vec();
        place.extend_from_slice(name.as_bytes());
        txn.put(key::expiry(expires_unix_ns, inode.id), place);
    }
}

impl Core {
    /// As [`note`], for the file at a path.
    pub(crate) fn note_expiry(
        &self,
        txn: &mut Transaction<'_>,
        root: u64,
        path: &StorePath,
        inode: &Inode,
    ) -> Result<()> {
        if inode.expires_unix_ns.is_some()
            && let Some((parents, name)) = path.split()
            && let Some((parent, _)) = self.walk(txn, root, parents)?
        {
            note(txn, inode, parent, name);
        }
        Ok(())
    }

    /// Takes away files whose time has come, some at a time; `false` when there are no more.
    pub(crate) fn unlink_due(&self) -> Result<bool> {
        let now = self.now_unix_ns();
        let mut due = Vec::new();
        for item in self
            .tree()
            .scan_prefix(key::expiries())
            .take(STEP_FILES_MAX)
        {
            let (key, place) = item.map_err(|e| namespace_error("read", &e))?;
            let (expires_unix_ns, inode) = key::expiry_parts(&key);
            if expires_unix_ns > now {
                break;
            }
            due.push((key.to_vec(), inode, place.to_vec()));
        }
        if due.is_empty() {
            return Ok(false);
        }
        let mut txn = self.write()?;
        for (key, inode, place) in due {
            txn.remove(key);
            if self.is_due(&txn, inode, &place, now)? {
                let (parent, name) = place.split_at_checked(8).unwrap_or_default();
                let mut entry = key::entries(number(parent));
                entry.extend_from_slice(name);
                txn.remove(entry);
                txn.reclaim(inode);
            }
        }
        let batch = txn.commit()?;
        self.acknowledge(batch, false)?;
        Ok(true)
    }

    /// Whether the file still stands where the index says, and has no more time.
    fn is_due(&self, txn: &Transaction<'_>, id: u64, place: &[u8], now: i64) -> Result<bool> {
        let (parent, name) = place.split_at_checked(8).unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        match self.entry(txn, number(parent), &name)? {
            Some((found, _)) if found == id => {
                let Node { inode, .. } = self.node(txn, id)?;
                Ok(inode.expires_unix_ns.is_some_and(|expires| expires <= now))
            }
            _ => Ok(false),
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}
