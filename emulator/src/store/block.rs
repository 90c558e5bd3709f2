//! Blocks: staged by Put Block, made a file by Put Block List.

use std::collections::BTreeMap;

use crate::error::{ErrorCode, Result};
use crate::store::authorize::{Principal, READ};
use crate::store::body::Body;
use crate::store::condition::Conditions;
use crate::store::content::{CommittedBlock, Content, Segment};
use crate::store::core::Core;
use crate::store::create::Prepared;
use crate::store::create_request::{BlobState, CreateRequest};
use crate::store::extent::Floating;
use crate::store::flush::Waiting;
use crate::store::inode::{Inode, Origin};
use crate::store::lease;
use crate::store::namespace::{Guard, Node};
use crate::store::path::StorePath;
use crate::store::seal::{CustomerKey, check_hash, check_key};
use crate::store::transaction::Transaction;
use crate::store::{Store, key};

/// Blocks a file can have.
pub const BLOCKS_MAX: usize = 50_000;
/// Bytes of a block's id before base64.
pub const BLOCK_ID_BYTES_MAX: usize = 64;
/// How often a commit starts again because the file changed while its content list was written.
const COMMIT_ATTEMPTS_MAX: usize = 16;

/// Where a block of a list is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockChoice {
    /// Among those of the file as it is.
    Committed,
    /// Among those staged.
    Uncommitted,
    /// Among those staged, then among those of the file.
    Latest,
}

/// A block as Get Block List tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its id, decoded from base64.
    pub id: Vec<u8>,
    /// Bytes.
    pub length: u64,
}

/// The blocks of a file.
#[derive(Clone, Debug, Default)]
pub struct BlockList {
    /// The file as it is; `None` when there are only staged blocks.
    pub inode: Option<Inode>,
    /// Its blocks in order.
    pub committed: Vec<BlockInfo>,
    /// Staged blocks by id.
    pub uncommitted: Vec<BlockInfo>,
}

impl Core {
    pub(crate) fn drop_staged(
        &self,
        txn: &mut Transaction<'_>,
        filesystem: u64,
        path: &StorePath,
    ) -> Result<()> {
        for waiting in self.waiting(&key::staged_of(filesystem, &path.to_string()))? {
            self.remove_waiting(txn, &waiting)?;
        }
        Ok(())
    }

    fn staged(&self, filesystem: u64, path: &StorePath) -> Result<BTreeMap<Vec<u8>, Waiting>> {
        let prefix = key::staged_of(filesystem, &path.to_string());
        let waiting = self.waiting(&prefix)?.into_iter();
        Ok(waiting
            .map(|block| {
                (
                    block.key.get(prefix.len()..).unwrap_or_default().to_vec(),
                    block,
                )
            })
            .collect())
    }
}

/// A file's blocks by id, with the segments that they consist of.
fn committed_blocks(content: &Content) -> BTreeMap<Vec<u8>, (u64, Vec<Segment>)> {
    let mut start = 0;
    let mut found = BTreeMap::new();
    for block in &content.blocks {
        found.insert(
            block.id.clone(),
            (block.length, content.range(start..start + block.length)),
        );
        start += block.length;
    }
    found
}

/// Blocks go only onto what blocks, or nothing, made.
fn check_target(node: Option<&Node>) -> Result<()> {
    match node {
        Some(node) if node.inode.is_directory() => Err(ErrorCode::PathConflict.into()),
        Some(node) if node.inode.origin == Origin::Dfs && node.inode.length > 0 => {
            Err(ErrorCode::BlobOperationNotSupported.into())
        }
        Some(node) if matches!(node.inode.origin, Origin::AppendBlob | Origin::PageBlob) => {
            Err(ErrorCode::InvalidBlobType.into())
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Stages a block. The file need not exist yet.
    pub(crate) fn stage_block(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        block_id: &[u8],
        body: Body,
        guard: &Guard,
    ) -> Result<()> {
        if block_id.is_empty() || block_id.len() > BLOCK_ID_BYTES_MAX {
            return Err(ErrorCode::InvalidBlockId.into());
        }
        let core = self.core();
        let text = path.to_string();
        let (stored, length, floating) = core.prepare_waiting(body, text.len() + 80)?;
        let mut txn = core.write()?;
        let record = core.filesystem(&txn, account, filesystem)?;
        let node = core.find(&txn, record.root, path)?;
        check_target(node.as_ref())?;
        let (principal, lease_id) = (&guard.principal, guard.lease_id.as_deref());
        match &node {
            Some(node) => {
                core.check_change(&txn, principal, record.root, path, &node.inode)?;
                lease::check_write(node.inode.lease.as_ref(), lease_id, core.now_unix_ns())?;
            }
            None => {
                let parents = path.split().map_or(&[][..], |(parents, _)| parents);
                core.check_may_add(&txn, principal, record.root, parents)?;
            }
        }
        let staged = core.staged(record.id, path)?;
        if staged.keys().any(|other| other.len() != block_id.len()) {
            return Err(ErrorCode::InvalidBlobOrBlock.into());
        }
        if let Some(before) = staged.get(block_id) {
            core.remove_waiting(&mut txn, before)?;
        }
        core.put_waiting(
            &mut txn,
            key::staged(record.id, &text, block_id),
            (stored, length),
            guard.customer_key.as_ref(),
        )?;
        txn.adopt(floating);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)
    }

    /// Makes a file of blocks, in the order of the list.
    ///
    /// # Errors
    /// `InvalidBlockList` when a block is not where the list says, `BlockCountExceedsLimit`, conditions, leases.
    pub fn commit_blocks(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        list: &[(BlockChoice, Vec<u8>)],
        request: &CreateRequest,
    ) -> Result<Inode> {
        if list.len() > BLOCKS_MAX {
            return Err(ErrorCode::BlockCountExceedsLimit.into());
        }
        let core = self.core();
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let (node, staged, record) = {
                let view = core.read();
                let record = core.filesystem(&view, account, filesystem)?;
                let node = core.find(&view, record.root, path)?;
                (node, core.staged(record.id, path)?, record)
            };
            check_target(node.as_ref())?;
            let key = request.guard.customer_key.as_ref();
            let content = self.chosen(node.as_ref(), &staged, list, key)?;
            let length = content.length();
            let (stored, floating) = core.store_content(content, core.extents.sync)?;
            let mut txn = core.write()?;
            let now = core.find(&txn, record.root, path)?;
            let same = now.as_ref().map(|n| &n.record) == node.as_ref().map(|n| &n.record);
            let keys = |staged: &BTreeMap<Vec<u8>, Waiting>| -> Vec<(Vec<u8>, i64)> {
                staged
                    .iter()
                    .map(|(id, waiting)| (id.clone(), waiting.written_unix_ns))
                    .collect()
            };
            if !same || keys(&core.staged(record.id, path)?) != keys(&staged) {
                continue;
            }
            let prepared = Prepared {
                stored,
                length,
                floating,
            };
            let inode = core.create_in(&mut txn, (account, &record), path, request, prepared)?;
            let batch = txn.commit()?;
            core.acknowledge(batch, false)?;
            return Ok(inode);
        }
        Err(ErrorCode::InternalOperationAbort.into())
    }

    fn chosen(
        &self,
        node: Option<&Node>,
        staged: &BTreeMap<Vec<u8>, Waiting>,
        list: &[(BlockChoice, Vec<u8>)],
        customer_key: Option<&CustomerKey>,
    ) -> Result<Content> {
        let core = self.core();
        let committed = match node {
            Some(node) => committed_blocks(&*core.content(&node.record.content)?),
            None => BTreeMap::new(),
        };
        let mut content = Content::default();
        for (choice, id) in list {
            let from_staged = (*choice != BlockChoice::Committed)
                .then(|| staged.get(id))
                .flatten();
            let from_file = (*choice != BlockChoice::Uncommitted)
                .then(|| committed.get(id))
                .flatten();
            let (length, segments) = match (from_staged, from_file) {
                (Some(waiting), _) => {
                    check_hash(waiting.customer_key_sha256.as_deref(), customer_key)?;
                    (
                        waiting.length,
                        core.content(&waiting.stored)?.segments.clone(),
                    )
                }
                (None, Some((length, segments))) => {
                    if let Some(node) = node {
                        check_key(&node.inode, customer_key)?;
                    }
                    (*length, segments.clone())
                }
                (None, None) => return Err(ErrorCode::InvalidBlockList.into()),
            };
            content.segments.extend(segments);
            content.blocks.push(CommittedBlock {
                id: id.clone(),
                length,
            });
        }
        Ok(content)
    }

    /// The blocks of a file, or those staged for one.
    ///
    /// # Errors
    /// `PathNotFound` when there is neither.
    pub fn block_list(
        &self,
        account: &str,
        filesystem: &str,
        path: &StorePath,
        principal: &Principal,
    ) -> Result<BlockList> {
        let core = self.core();
        let view = core.read();
        let record = core.filesystem(&view, account, filesystem)?;
        let parents = path.split().map_or(&[][..], |(parents, _)| parents);
        core.check_way(&view, principal, record.root, parents)?;
        let node = core.find(&view, record.root, path)?;
        if let Some(node) = &node {
            core.check_access(principal, &node.inode, READ)?;
        }
        let staged = core.staged(record.id, path)?;
        let mut blocks = BlockList::default();
        let uncommitted = staged.into_iter().map(|(id, waiting)| BlockInfo {
            id,
            length: waiting.length,
        });
        blocks.uncommitted = uncommitted.collect();
        match node {
            Some(node) if node.inode.is_directory() => {
                return Err(ErrorCode::ResourceTypeMismatch.into());
            }
            Some(node) => {
                let content = core.content(&node.record.content)?;
                let committed = content.blocks.iter();
                blocks.committed = committed
                    .map(|block| BlockInfo {
                        id: block.id.clone(),
                        length: block.length,
                    })
                    .collect();
                blocks.inode = Some(node.inode);
            }
            None if blocks.uncommitted.is_empty() => return Err(ErrorCode::PathNotFound.into()),
            None => {}
        }
        Ok(blocks)
    }

    /// Makes `path` a file with the content of another one of the store, which is read for the principal; no bytes are
    /// copied.
    ///
    /// # Errors
    /// `CannotVerifyCopySource` when the source is not there, `SourceConditionNotMet`, and what creating answers.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a header or parameter of the operation"
    )]
    pub fn copy(
        &self,
        (source_account, source_filesystem, source_path): (&str, &str, &StorePath),
        principal: &Principal,
        source_conditions: &Conditions,
        (account, filesystem): (&str, &str),
        path: &StorePath,
        mut request: CreateRequest,
        takes_attributes: bool,
    ) -> Result<Inode> {
        let core = self.core();
        let mut txn = core.write()?;
        let from = core.filesystem(&txn, source_account, source_filesystem)?;
        let node = core
            .find(&txn, from.root, source_path)?
            .ok_or(ErrorCode::CannotVerifyCopySource)?;
        let parents = source_path.split().map_or(&[][..], |(parents, _)| parents);
        core.check_way(&txn, principal, from.root, parents)?;
        core.check_access(principal, &node.inode, READ)?;
        source_conditions.check(
            Some(node.inode.version()),
            crate::store::condition::ConditionUse::Source,
        )?;
        if node.inode.is_directory() {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        }
        // No bytes are copied, so what a customer's key sealed would stay sealed by it.
        check_key(&node.inode, None)?;
        let to = core.filesystem(&txn, account, filesystem)?;
        let is_flat = core
            .accounts
            .iter()
            .any(|known| known.name == account && known.flat);
        if request.copy.is_some() && node.inode.origin == Origin::PageBlob && !is_flat {
            return Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into());
        }
        if request.copy.is_some()
            && core.find(&txn, to.root, path)?.is_some_and(|target| {
                target.inode.origin.blob_type() != node.inode.origin.blob_type()
            })
        {
            return Err(ErrorCode::InvalidBlobType.into());
        }
        // A copy is of its source's type; Put Blob From URL makes a block blob of anything.
        if request.copy.is_some() && node.inode.origin != Origin::Dfs {
            let seals = request.blob.is_sealed && node.inode.origin == Origin::AppendBlob;
            request.origin = node.inode.origin;
            request.blob = BlobState::of(&node.inode);
            request.blob.is_sealed |= seals;
        }
        if takes_attributes {
            request.headers = node.inode.headers.clone();
            if request.properties.is_empty() {
                request.properties = node.inode.properties.clone();
            }
        }
        if let Some(copy) = &mut request.copy {
            copy.length = node.inode.length;
        }
        let prepared = Prepared {
            stored: node.record.content.clone(),
            length: node.inode.length,
            floating: Floating::none(&core.extents),
        };
        let inode = core.create_in(&mut txn, (account, &to), path, &request, prepared)?;
        let batch = txn.commit()?;
        core.acknowledge(batch, false)?;
        Ok(inode)
    }
}
