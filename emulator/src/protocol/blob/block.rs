//! Put Block, Put Block List and Get Block List.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::source;
use crate::protocol::blob::upload::create_request;
use crate::protocol::blob::xml::{XmlText, elements};
use crate::protocol::checksums::crc64_of;
use crate::protocol::common::{Call, guard};
use crate::protocol::reply::Reply;
use crate::store::inode::Origin;
use crate::store::{BlockChoice, BlockInfo};

/// 50,000 blocks of the longest ids are some 7 MB.
const LIST_MAX_BYTES: u64 = 16 << 20;

fn block_id(text: &str) -> Result<Vec<u8>> {
    STANDARD
        .decode(text)
        .map_err(|_| ErrorCode::InvalidBlockId.into())
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let id = block_id(request.required_query("blockid")?)?;
    if request.content_length() == Some(0) && !source::is_named(request) {
        return Err(StoreError::invalid_header("Content-Length", "0"));
    }
    let path = request.store_path()?;
    let (body, sums) = source::body(call)?;
    call.store.stage_block(
        &request.account,
        &request.filesystem,
        &path,
        &id,
        body,
        &guard(request)?,
    )?;
    Ok(sums.answer(Reply::new(201).with("x-ms-request-server-encrypted", "true")))
}

pub(super) fn put_list(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let document = call.body.read_all(LIST_MAX_BYTES)?;
    let mut list = Vec::new();
    for element in elements(&document)? {
        let choice = match element.name() {
            "Committed" => BlockChoice::Committed,
            "Uncommitted" => BlockChoice::Uncommitted,
            "Latest" => BlockChoice::Latest,
            "BlockList" => continue,
            _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
        };
        list.push((choice, block_id(element.text.trim())?));
    }
    let create = create_request(call, Origin::Blob)?;
    let path = request.store_path()?;
    let inode =
        call.store
            .commit_blocks(&request.account, &request.filesystem, &path, &list, &create)?;
    Ok(Reply::new(201)
        .version_of(&inode)
        .with("x-ms-content-crc64", crc64_of(&document))
        .with("x-ms-request-server-encrypted", "true"))
}

pub(super) fn get_list(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let kind = request
        .query
        .get("blocklisttype")
        .unwrap_or("committed")
        .to_ascii_lowercase();
    if !["committed", "uncommitted", "all"].contains(&kind.as_str()) {
        return Err(StoreError::invalid_query(
            "blocklisttype",
            &kind,
            "It must be committed, uncommitted or all.",
        ));
    }
    let path = request.store_path()?;
    let blocks = call.store.block_list(
        &request.account,
        &request.filesystem,
        &path,
        &request.principal,
    )?;
    let mut xml = XmlText::default();
    xml.open("BlockList");
    if kind != "uncommitted" {
        section(&mut xml, "CommittedBlocks", &blocks.committed);
    }
    if kind != "committed" {
        section(&mut xml, "UncommittedBlocks", &blocks.uncommitted);
    }
    xml.close("BlockList");
    let mut reply = Reply::new(200);
    let length = blocks.inode.as_ref().map_or(0, |inode| inode.length);
    if let Some(inode) = &blocks.inode {
        reply = reply.version_of(inode);
    }
    Ok(reply
        .with("x-ms-blob-content-length", length.to_string())
        .xml(&xml.finish()))
}

fn section(xml: &mut XmlText, name: &str, blocks: &[BlockInfo]) {
    xml.open(name);
    for block in blocks {
        xml.open("Block")
            .text("Name", &STANDARD.encode(&block.id))
            .text("Size", &block.length.to_string());
        xml.close("Block");
    }
    xml.close(name);
}
