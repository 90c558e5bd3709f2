//! Put Blob and Append Block.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::{page, source, tags};
use crate::protocol::checksums::Answered;
use crate::protocol::common::{Call, content_headers, guard, metadata};
use crate::protocol::reply::Reply;
use crate::store::CreateRequest;
use crate::store::inode::{NodeKind, Origin};

/// Metadata that makes an empty blob a directory.
const MARKS: [&str; 2] = ["hdi_isfolder", "is_directory"];

/// What a write by the Blob protocol says about the file.
pub(super) fn create_request(call: &Call<'_>, origin: Origin) -> Result<CreateRequest> {
    let request = call.request;
    let mut create = CreateRequest::new(NodeKind::File, origin);
    create.guard = guard(request)?;
    create.headers = content_headers(request, "x-ms-blob-")?;
    create.properties = metadata(request)?;
    create.tags = tags::of_header(request)?;
    create.tier = request.header("x-ms-access-tier")?.map(str::to_owned);
    Ok(create)
}

pub(super) fn put_blob(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let name = "x-ms-blob-type";
    let origin = match request.required_header(name)? {
        "BlockBlob" => Origin::Blob,
        "AppendBlob" => Origin::AppendBlob,
        "PageBlob" if request.is_flat => return page::create(call),
        "PageBlob" => {
            return Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into());
        }
        other => return Err(StoreError::invalid_header(name, other)),
    };
    let mut create = create_request(call, origin)?;
    // Clients that know no directories make them so: an empty blob with a mark, or with a slash at its end.
    let marked = MARKS.iter().any(|mark| {
        let value = create.properties.get(*mark);
        value.is_some_and(|value| value.0.eq_ignore_ascii_case(b"true"))
    });
    if !request.is_flat
        && (marked || request.path.ends_with('/'))
        && request.content_length() == Some(0)
    {
        create.kind = NodeKind::Directory;
        create.origin = Origin::Dfs;
        create.properties.remove("hdi_isfolder");
    }
    if create.headers.content_type.is_none() {
        create.headers.content_type = request.header("content-type")?.map(str::to_owned);
    }
    let path = request.store_path()?;
    let answered = match origin {
        Origin::Blob => Answered::Both,
        _ => Answered::Sent,
    };
    let (body, sums) = call.store_body(answered)?;
    if create.headers.content_md5.is_none() {
        create.headers.content_md5.clone_from(&sums.md5);
    }
    let body = (create.kind == NodeKind::File).then_some(body);
    let inode = call
        .store
        .create(&request.account, &request.filesystem, &path, &create, body)?;
    let reply = Reply::new(201)
        .version_of(&inode)
        .with("x-ms-request-server-encrypted", "true");
    Ok(sums.answer(reply))
}

pub(super) fn append_block(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let path = request.store_path()?;
    let expected = request.header_number("x-ms-blob-condition-appendpos")?;
    let size_max = request
        .header_number("x-ms-blob-condition-maxsize")?
        .unwrap_or(u64::MAX);
    let (body, sums) = source::body(call)?;
    let (inode, position) = call.store.append_block(
        &request.account,
        &request.filesystem,
        &path,
        body,
        expected,
        size_max,
        &guard(request)?,
    )?;
    let reply = Reply::new(201)
        .version_of(&inode)
        .with("x-ms-blob-append-offset", position.to_string())
        .with(
            "x-ms-blob-committed-block-count",
            inode.appended_blocks.to_string(),
        )
        .with("x-ms-request-server-encrypted", "true");
    Ok(sums.answer(reply))
}
