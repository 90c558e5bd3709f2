//! Append Block: bytes at the end of an append blob, there at once.

use crate::error::{ErrorCode, Result};
use crate::store::Store;
use crate::store::body::Body;
use crate::store::condition::ConditionUse;
use crate::store::content::Content;
use crate::store::inode::{Inode, Origin};
use crate::store::namespace::Guard;
use crate::store::path::StorePath;
use crate::store::seal::check_key;

/// Blocks of one append blob at most.
const APPENDED_BLOCKS_MAX: u32 = 50_000;

impl Store {
    /// Adds a block at the end, and gives where it starts.
    ///
    /// # Errors
    /// `InvalidBlobType` on what is no append blob, `AppendPositionConditionNotMet`, `MaxBlobSizeConditionNotMet`,
    /// `BlockCountExceedsLimit`, conditions, leases.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a header of the protocol's operation"
    )]
    pub(crate) fn append_block(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        body: Body,
        position_expected: Option<u64>,
        length_max: u64,
        guard: &Guard,
    ) -> Result<(Inode, u64)> {
        let core = self.core();
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let mut node = core
            .find_as(&txn, &guard.principal, record.root, path)?
            .ok_or(ErrorCode::PathNotFound)?;
        core.check_change(&txn, &guard.principal, record.root, path, &node.inode)?;
        if node.inode.origin != Origin::AppendBlob {
            return Err(ErrorCode::InvalidBlobType.into());
        }
        guard.check_write(core, &node.inode, ConditionUse::Write)?;
        if node.inode.is_sealed {
            return Err(ErrorCode::BlobIsSealed.into());
        }
        check_key(&node.inode, guard.customer_key.as_ref())?;
        if node.inode.appended_blocks >= APPENDED_BLOCKS_MAX {
            return Err(ErrorCode::BlockCountExceedsLimit.into());
        }
        let position = node.inode.length;
        if position_expected.is_some_and(|expected| expected != position) {
            return Err(ErrorCode::AppendPositionConditionNotMet.into());
        }
        let length = position.saturating_add(body.length);
        if length > length_max {
            return Err(ErrorCode::MaxBlobSizeConditionNotMet.into());
        }
        let mut content = Content::clone(&*core.content(&node.record.content)?);
        content.segments.extend(body.segments);
        let (stored, floating) = core.store_content(content, core.extents.sync)?;
        node.inode.length = length;
        node.inode.appended_blocks += 1;
        node.inode.etag = core.next_etag();
        node.inode.modified_unix_ns = core.now_unix_ns();
        txn.put_inode(Some(&node.record), &node.inode, stored)?;
        txn.adopt(floating);
        txn.adopt(body.floating);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok((node.inode, position))
    }
}
