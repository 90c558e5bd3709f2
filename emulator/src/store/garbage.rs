//! Takes apart what was unlinked, in small steps, and gives its space back.

use crate::error::Result;
use crate::store::SyncMode;
use crate::store::core::Core;
use crate::store::inode::NodeKind;
use crate::store::key;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::{Transaction, decode_entry};

/// Entries taken out of a directory at once, so that others need not wait long.
const STEP_ENTRIES_MAX: usize = 256;

/// Works until nothing is left, or until `stop` says so. Extents that readers hold stay for a later round.
pub(crate) fn collect(core: &Core, stop: impl Fn() -> bool) -> Result<()> {
    while !stop() && core.unlink_due()? {}
    while !stop() && reclaim_step(core)? {}
    remove_extents(core, stop)
}

/// Takes one thing off the list, or a part of it; `false` when the list is empty.
fn reclaim_step(core: &Core) -> Result<bool> {
    let mut txn = core.write()?;
    let first = core.tree().scan_prefix(key::reclaims()).next();
    let Some(item) = first else { return Ok(false) };
    let (key, _) = item.map_err(|e| namespace_error("read", &e))?;
    let id = key::id_of(&key);
    let done = match core.get(&key::inode(id))? {
        None => {
            core.drop_deleted(&mut txn, id)?;
            reclaim_staged(core, &mut txn, id)?
        }
        Some(_) => reclaim_inode(core, &mut txn, id)?,
    };
    if done {
        txn.remove(key.to_vec());
    }
    let batch = txn.commit()?;
    core.acknowledge(batch, false)?;
    Ok(true)
}

/// What was staged in a filesystem that is gone.
fn reclaim_staged(core: &Core, txn: &mut Transaction<'_>, filesystem: u64) -> Result<bool> {
    let mut staged = core.waiting(&key::staged_in(filesystem))?;
    let more = staged.len() > STEP_ENTRIES_MAX;
    staged.truncate(STEP_ENTRIES_MAX);
    for waiting in staged {
        core.remove_waiting(txn, &waiting)?;
    }
    Ok(!more)
}

fn reclaim_inode(core: &Core, txn: &mut Transaction<'_>, id: u64) -> Result<bool> {
    let node = core.node(txn, id)?;
    if node.inode.kind == NodeKind::Directory {
        let mut entries = 0;
        for item in core
            .tree()
            .scan_prefix(key::entries(id))
            .take(STEP_ENTRIES_MAX)
        {
            let (entry, value) = item.map_err(|e| namespace_error("read", &e))?;
            if let Some((child, _)) = decode_entry(&value) {
                txn.reclaim(child);
            }
            txn.remove(entry.to_vec());
            entries += 1;
        }
        if entries == STEP_ENTRIES_MAX {
            return Ok(false);
        }
    }
    core.drop_uncommitted(txn, id)?;
    let extents = txn.extents_of(&node.record)?;
    txn.dereference(&extents)?;
    txn.remove(key::inode(id));
    Ok(true)
}

fn remove_extents(core: &Core, stop: impl Fn() -> bool) -> Result<()> {
    let mut garbage = Vec::new();
    for item in core.tree().scan_prefix(key::garbage_extents()) {
        let (key, _) = item.map_err(|e| namespace_error("read", &e))?;
        let id = key::id_of(&key);
        if !core.extents.is_pinned(id) {
            garbage.push(id);
        }
    }
    if garbage.is_empty() {
        return Ok(());
    }
    // A power cut must not bring back a record whose extent is gone.
    if core.on_disk && core.sync_mode != SyncMode::Off {
        core.sync_all()?;
    }
    for step in garbage.chunks(STEP_ENTRIES_MAX) {
        if stop() {
            break;
        }
        let mut txn = core.write()?;
        for id in step {
            core.extents.remove(*id)?;
            txn.remove(key::garbage_extent(*id));
        }
        txn.commit()?;
    }
    Ok(())
}
