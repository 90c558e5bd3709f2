//! Getting a file to the account, block by block.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use azure_core::Bytes;
use azure_core::http::{Etag, RequestContent, StatusCode};
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders as _, BlockBlobClientCommitBlockListOptions,
    BlockBlobClientCommitBlockListResultHeaders as _, BlockBlobClientStageBlockFromUrlOptions,
    BlockBlobClientStageBlockOptions, BlockListType, BlockLookupList, HttpRange,
};
use crc_fast::CrcAlgorithm::Crc64Nvme;
use futures::{StreamExt as _, TryStreamExt as _};
use lakestage_engine::{Cost, Traffic};
use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::failure::{Failure, Result};
use super::known::{Content, Known, KnownFile, KnownPart};
use super::local::LocalPart;
use super::plan::{self, Chunk, Way};
use super::staging::{self, BlockId, Staging};

/// How the account says that a source has not the checksum that it should have.
const OTHER_CONTENT: &str = "Crc64Mismatch";

/// What went over the wire, and what did not have to.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent_bytes: AtomicU64,
    taken_over_bytes: AtomicU64,
    found_bytes: AtomicU64,
}

impl Meter {
    pub(super) fn read(&self) -> Traffic {
        Traffic {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            taken_over_bytes: self.taken_over_bytes.load(Ordering::Relaxed),
            found_bytes: self.found_bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What is needed to send files into one container.
pub(super) struct Uploads {
    pub client: Client,
    pub folder: PathBuf,
    pub connections: usize,
    pub known: Mutex<Known>,
    pub meter: Meter,
}

/// Why a block did not get to its place.
enum Setback {
    /// The file that was to be copied from is not what it was.
    SourceGone(String),
    /// The account does not copy.
    CopyRefused(Failure),
    Failed(Failure),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Setback::Failed(failure)
    }
}

impl From<io::Error> for Setback {
    fn from(error: io::Error) -> Self {
        Setback::Failed(error.into())
    }
}

impl Uploads {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a file of local parts; gives its ETag.
    pub(super) async fn write(
        &self,
        path: &str,
        local: &[LocalPart],
        content_type: &str,
    ) -> Result<String> {
        self.save_what_was_sent(path).await?;
        let parts = self.contents(local)?;
        let contents: Vec<Content> = parts.iter().map(|part| part.content).collect();
        let mut copies = true;
        loop {
            let block_bytes = plan::sent_block_bytes(self.client.pace().slowest_bytes_s());
            let chunks = match copies {
                true => plan::plan(&self.known(), &contents, block_bytes),
                false => plan::sent_whole(&contents, block_bytes),
            };
            match self
                .carry_out(path, local, &parts, &chunks, content_type)
                .await
            {
                Ok(etag) => return Ok(etag),
                Err(Setback::SourceGone(source)) => {
                    tracing::info!(%source, "is not what was published; its content is sent again");
                    self.known().forget(&source)?;
                }
                Err(Setback::CopyRefused(failure)) => {
                    tracing::warn!(%path, %failure, "the account does not copy; everything is sent");
                    copies = false;
                }
                Err(Setback::Failed(failure)) => return Err(failure.at(path)),
            }
        }
    }

    /// Makes a file of the content of another; `false` if the account cannot do it from what is known.
    pub(super) async fn copy(&self, from: &str, to: &str, content_type: &str) -> Result<bool> {
        let Some(source) = self.known().file(from).cloned() else {
            return Ok(false);
        };
        let chunks = plan::copies(from, &source.etag, &source.parts);
        match self
            .carry_out(to, &[], &source.parts, &chunks, content_type)
            .await
        {
            Ok(_) => Ok(true),
            Err(Setback::SourceGone(path)) => {
                self.known().forget(&path)?;
                Ok(false)
            }
            Err(Setback::CopyRefused(failure)) => {
                tracing::warn!(path = %to, %failure, "the account does not copy; everything is sent");
                Ok(false)
            }
            Err(Setback::Failed(failure)) => Err(failure.at(to)),
        }
    }

    /// The contents of local parts. What is known is not read.
    fn contents(&self, local: &[LocalPart]) -> Result<Vec<KnownPart>> {
        let mut parts = Vec::with_capacity(local.len());
        for part in local {
            let origin = part.origin();
            let known = origin
                .as_ref()
                .and_then(|origin| self.known().content(origin));
            let content = match known {
                Some(content) => content,
                None => content(&part.read()?),
            };
            parts.push(KnownPart { content, origin });
        }
        Ok(parts)
    }

    /// What a file of these parts would cost. Unless `exact` is given, what is not known by its place is to be sent.
    pub(super) fn cost(&self, local: &[LocalPart], exact: bool) -> Result<Cost> {
        let mut cost = Cost::default();
        for part in local {
            let origin = part.origin();
            let known = origin.and_then(|origin| self.known().content(&origin));
            let content = match known {
                None if exact => Some(content(&part.read()?)),
                known => known,
            };
            let is_there = content.is_some_and(|c| self.known().find(&c, None).is_some());
            match is_there {
                true => cost.taken_over_bytes += part.length(),
                false => cost.sent_bytes += part.length(),
            }
        }
        Ok(cost)
    }

    /// Whether a file is still what was sent, and that was these parts; `None` if nothing is known of it.
    pub(super) async fn is_made_of(&self, path: &str, local: &[LocalPart]) -> Result<Option<bool>> {
        let Some(known) = self.known().file(path).cloned() else {
            return Ok(None);
        };
        let found = self.client.blob(path).get_properties(None).await;
        let etag = match found {
            Err(error) if error.http_status() == Some(StatusCode::NotFound) => {
                return Ok(Some(false));
            }
            found => found.map_err(|e| Failure::from(e).at(path))?.etag()?,
        };
        if etag.is_none_or(|etag| etag.to_string() != known.etag) {
            return Ok(Some(false));
        }
        let parts = self.contents(local)?;
        let same = parts.len() == known.parts.len()
            && parts
                .iter()
                .zip(&known.parts)
                .all(|(part, known)| part.content == known.content);
        Ok(Some(
            same && self.committed_bytes(path).await? == Some(length(&parts)),
        ))
    }

    /// Bytes of the blocks that a file is made of, as the account lists them.
    async fn committed_bytes(&self, path: &str) -> Result<Option<u64>> {
        let answer = self
            .client
            .block_blob(path)
            .get_block_list(BlockListType::Committed, None)
            .await?;
        let blocks = answer.into_model()?.committed_blocks.unwrap_or_default();
        let sizes = blocks.iter().map(|block| u64::try_from(block.size?).ok());
        Ok(sizes.sum())
    }

    async fn carry_out(
        &self,
        path: &str,
        local: &[LocalPart],
        parts: &[KnownPart],
        chunks: &[Chunk],
        content_type: &str,
    ) -> std::result::Result<String, Setback> {
        let mut staging = Staging::open(&self.folder, path)?;
        let there = match staging.sent.is_empty() {
            true => HashMap::new(),
            false => self.uncommitted(path).await?,
        };
        let ids = ids(path, parts, chunks);
        let mut planned = HashSet::new();
        let missing: Vec<(BlockId, &Chunk)> = ids
            .iter()
            .zip(chunks)
            .map(|(id, chunk)| (*id, chunk))
            .filter(|(id, chunk)| {
                let is_there = there.get(id) == Some(&chunk.length);
                if is_there && chunk.way == Way::Send {
                    self.meter
                        .found_bytes
                        .fetch_add(chunk.length, Ordering::Relaxed);
                }
                !is_there && planned.insert(*id)
            })
            .collect();
        let sent = futures::stream::iter(missing)
            .map(|(id, chunk)| async move {
                self.stage(path, local, parts, chunk, &id).await?;
                Ok::<_, Setback>((id, chunk))
            })
            .buffer_unordered(self.connections);
        futures::pin_mut!(sent);
        while let Some((id, chunk)) = sent.try_next().await? {
            if chunk.way == Way::Send {
                staging.note(id, parts[chunk.parts.0..chunk.parts.1].to_vec())?;
            }
        }
        let etag = self.commit(path, &ids, content_type).await?;
        self.known().note(KnownFile {
            path: path.to_owned(),
            etag: etag.clone(),
            parts: parts.to_vec(),
            is_leftover: false,
        })?;
        staging.end()?;
        Ok(etag)
    }

    async fn stage(
        &self,
        path: &str,
        local: &[LocalPart],
        parts: &[KnownPart],
        chunk: &Chunk,
        id: &BlockId,
    ) -> std::result::Result<(), Setback> {
        let (first, end) = chunk.parts;
        let crc64 = combined(&parts[first..end]);
        match &chunk.way {
            Way::Send => {
                self.client.check_open()?;
                let bytes = LocalPart::read_all(local[first..end].to_vec()).await?;
                self.send_block(path, id, bytes, crc64).await?;
            }
            Way::Copy {
                path: source,
                etag,
                at,
            } => {
                let range = (*at, chunk.length);
                self.copy_block(path, id, (source, etag), range, crc64)
                    .await?;
            }
        }
        Ok(())
    }

    async fn send_block(&self, path: &str, id: &BlockId, bytes: Bytes, crc64: u64) -> Result<()> {
        let length = bytes.len() as u64;
        let options = BlockBlobClientStageBlockOptions {
            transactional_content_crc64: Some(crc64.to_le_bytes().to_vec()),
            ..BlockBlobClientStageBlockOptions::default()
        };
        self.client
            .block_blob(path)
            .stage_block(
                id,
                length,
                RequestContent::from(bytes.to_vec()),
                Some(options),
            )
            .await?;
        self.meter.sent(length);
        Ok(())
    }

    async fn copy_block(
        &self,
        path: &str,
        id: &BlockId,
        (source, etag): (&str, &str),
        (at, length): (u64, u64),
        crc64: u64,
    ) -> std::result::Result<(), Setback> {
        let (url, token) = self.client.source(source).await.map_err(Failure::from)?;
        let options = BlockBlobClientStageBlockFromUrlOptions {
            copy_source_authorization: token,
            source_content_crc64: Some(crc64.to_le_bytes().to_vec()),
            source_if_match: Some(Etag::from(etag)),
            source_range: Some(HttpRange::new(at, length)),
            ..BlockBlobClientStageBlockFromUrlOptions::default()
        };
        self.client
            .block_blob(path)
            .stage_block_from_url(id, 0, url.to_string(), Some(options))
            .await
            .map_err(|error| setback(source, error.into()))?;
        self.meter
            .taken_over_bytes
            .fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    #[allow(clippy::field_reassign_with_default)]
    async fn commit(&self, path: &str, ids: &[BlockId], content_type: &str) -> Result<String> {
        let mut list = BlockLookupList::default();
        // The library lets nobody else write all of its fields.
        list.latest = Some(ids.iter().map(|id| id.to_vec()).collect());
        let options = BlockBlobClientCommitBlockListOptions {
            blob_content_type: Some(content_type.to_owned()),
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        let answer = self
            .client
            .block_blob(path)
            .commit_block_list(RequestContent::try_from(list)?, Some(options))
            .await?;
        let etag = answer.etag()?.map(|etag| etag.to_string());
        etag.ok_or_else(|| Failure::Answer("the account's answer has no ETag".into()))
    }

    /// The blocks of a file that were sent and are in no list yet, with their bytes.
    async fn uncommitted(&self, path: &str) -> Result<HashMap<BlockId, u64>> {
        let answer = self
            .client
            .block_blob(path)
            .get_block_list(BlockListType::Uncommitted, None)
            .await;
        let list = match answer {
            Ok(answer) => answer.into_model()?,
            Err(error) if error.http_status() == Some(StatusCode::NotFound) => {
                return Ok(HashMap::new());
            }
            Err(error) => return Err(error.into()),
        };
        let blocks = list.uncommitted_blocks.unwrap_or_default();
        Ok(blocks
            .into_iter()
            .filter_map(|block| {
                let id = BlockId::try_from(block.name?).ok()?;
                Some((id, u64::try_from(block.size?).ok()?))
            })
            .collect())
    }

    /// Makes files of the blocks that interrupted publications have sent, so that they can be copied from. They stand
    /// under names that nothing refers to, and go when the next snapshot is visible.
    async fn save_what_was_sent(&self, except: &str) -> Result<()> {
        for (path, sent) in staging::unfinished(&self.folder)? {
            if path == except {
                continue;
            }
            let there = self.uncommitted(&path).await?;
            let mut blocks: Vec<(BlockId, Vec<KnownPart>)> = sent
                .into_iter()
                .filter(|(id, parts)| {
                    let length = parts.iter().map(|part| part.content.length).sum();
                    there.get(id) == Some(&length)
                })
                .collect();
            blocks.sort_by_key(|(id, _)| *id);
            // A file that is there already keeps its content; what was sent for it is sent again.
            let is_new = self.known().file(&path).is_none();
            if !blocks.is_empty() && is_new {
                let ids: Vec<BlockId> = blocks.iter().map(|(id, _)| *id).collect();
                let etag = self.commit(&path, &ids, "application/octet-stream").await?;
                self.known().note(KnownFile {
                    path: path.clone(),
                    etag,
                    parts: blocks.into_iter().flat_map(|(_, parts)| parts).collect(),
                    is_leftover: true,
                })?;
            }
            staging::forget(&self.folder, &path)?;
        }
        Ok(())
    }
}

fn length(parts: &[KnownPart]) -> u64 {
    parts.iter().map(|part| part.content.length).sum()
}

/// What it means that the account did not copy.
fn setback(source: &str, failure: Failure) -> Setback {
    if failure.is_code(OTHER_CONTENT) {
        return Setback::SourceGone(source.to_owned());
    }
    match failure.status() {
        Some(StatusCode::NotFound | StatusCode::PreconditionFailed | StatusCode::NotModified) => {
            Setback::SourceGone(source.to_owned())
        }
        Some(
            StatusCode::BadRequest
            | StatusCode::Forbidden
            | StatusCode::Conflict
            | StatusCode::NotImplemented,
        ) => Setback::CopyRefused(failure),
        _ => Setback::Failed(failure),
    }
}

/// Names for the blocks. A name says what is in the block and, where the same comes twice, the how manieth it is.
fn ids(path: &str, parts: &[KnownPart], chunks: &[Chunk]) -> Vec<BlockId> {
    let mut seen: HashMap<BlockId, u64> = HashMap::new();
    chunks
        .iter()
        .map(|chunk| {
            let mut hash = Sha256::new();
            hash.update(path.as_bytes());
            if let Way::Copy { path, etag, at } = &chunk.way {
                hash.update(format!("\n{path}\n{etag}\n{at}\n").as_bytes());
            }
            for part in &parts[chunk.parts.0..chunk.parts.1] {
                hash.update(part.content.sha256);
            }
            let base: BlockId = hash.clone().finalize().into();
            let nth = seen.entry(base).or_default();
            hash.update(nth.to_le_bytes());
            *nth += 1;
            hash.finalize().into()
        })
        .collect()
}

/// The checksum of parts that stand one behind the other.
fn combined(parts: &[KnownPart]) -> u64 {
    let mut parts = parts.iter().map(|part| part.content);
    let Some(first) = parts.next() else {
        return crc_fast::checksum(Crc64Nvme, &[]);
    };
    parts.fold(first.crc64, |sum, part| {
        crc_fast::checksum_combine(Crc64Nvme, sum, part.crc64, part.length)
    })
}

pub(super) fn content(bytes: &[u8]) -> Content {
    Content {
        sha256: Sha256::digest(bytes).into(),
        crc64: crc_fast::checksum(Crc64Nvme, bytes),
        length: bytes.len() as u64,
    }
}
