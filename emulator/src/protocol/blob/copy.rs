//! Copy Blob and Put Blob From URL, within the server: no bytes are copied.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::upload::create_request;
use crate::protocol::common::{Call, conditions};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Request, decode};
use crate::store::inode::{CopyState, Origin};
use crate::store::path::StorePath;

/// The container and path that a URL of this server names.
fn source(request: &Request, url: &str) -> Result<(String, StorePath)> {
    let elsewhere = || {
        StoreError::with_message(
            ErrorCode::CannotVerifyCopySource,
            format!(
                "The emulator copies only within the account {}; {url} is not in it.",
                request.account
            ),
        )
    };
    let rest = url
        .split_once("://")
        .map(|(_, rest)| rest)
        .ok_or_else(elsewhere)?;
    let (host, path) = rest.split_once('/').ok_or_else(elsewhere)?;
    let path = path.split('?').next().unwrap_or("");
    let in_path = path
        .split_once('/')
        .filter(|(first, _)| *first == request.account);
    let within = match in_path {
        Some((_, within)) => within,
        None if host.starts_with(&format!("{}.", request.account)) => path,
        None => return Err(elsewhere()),
    };
    let (container, path) = within.split_once('/').ok_or_else(elsewhere)?;
    Ok((decode(container), request.path_of(&decode(path))?))
}

pub(super) fn start(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let url = request.required_header("x-ms-copy-source")?;
    let (container, from) = source(request, url)?;
    let is_put = request.header("x-ms-blob-type")?.is_some();
    let is_sync = is_put || request.header("x-ms-requires-sync")?.is_some();
    let mut create = create_request(call, Origin::Blob)?;
    let id = uuid::Uuid::new_v4().to_string();
    if !is_put {
        create.copy = Some(CopyState {
            id: id.clone(),
            source: url.split('?').next().unwrap_or(url).to_owned(),
            length: 0,
            completed_unix_ns: call.store.now_unix_ns(),
        });
    }
    let path = request.store_path()?;
    let conditions = conditions(request, "x-ms-source-")?;
    let inode = call.store.copy(
        &request.account,
        (&container, &from),
        &conditions,
        &request.filesystem,
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
