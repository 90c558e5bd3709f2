//! Copy Blob and Put Blob From URL, within the server: no bytes are copied.

use crate::error::{Result, StoreError};
use crate::protocol::blob::source;
use crate::protocol::blob::upload::create_request;
use crate::protocol::common::{Call, conditions};
use crate::protocol::reply::Reply;
use crate::store::inode::{CopyState, Origin};

pub(super) fn start(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let url = request.required_header("x-ms-copy-source")?;
    let source = source::place(call.store, request, url)?;
    let name = "x-ms-blob-type";
    let is_put = match request.header(name)? {
        None => false,
        Some("BlockBlob") => true,
        // Only a block blob is put from a URL.
        Some(other) => return Err(StoreError::invalid_header(name, other)),
    };
    let is_sync = is_put || request.header("x-ms-requires-sync")?.is_some();
    let mut create = create_request(call, Origin::Blob)?;
    let id = uuid::Uuid::new_v4().to_string();
    create.blob.is_sealed = source::seals(request)?;
    if !is_put {
        create.copy = Some(CopyState {
            id: id.clone(),
            source: url.split('?').next().unwrap_or(url).to_owned(),
            length: 0,
            completed_unix_ns: call.store.now_unix_ns(),
        });
    }
    let path = request.store_path()?;
    let mut conditions = conditions(request, "x-ms-source-")?;
    if is_put && let Some(etag) = source::verify(call, url)? {
        // What was compared is what is copied.
        conditions.if_match = Some(etag);
    }
    let inode = call.store.copy(
        (&source.account, &source.container, &source.path),
        &source.principal,
        &conditions,
        (&request.account, &request.filesystem),
        &path,
        create,
        true,
    )?;
    let status = match (is_put, is_sync) {
        (true, _) => 201,
        (false, _) => 202,
    };
    let reply = Reply::new(status).version_of(&inode);
    Ok(match is_put {
        true => reply.with("x-ms-request-server-encrypted", "true"),
        false => reply
            .with("x-ms-copy-id", id)
            .with("x-ms-copy-status", "success"),
    })
}
