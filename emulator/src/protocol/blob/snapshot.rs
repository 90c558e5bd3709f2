//! Snapshots, in accounts without a hierarchical namespace.

use crate::error::{Result, StoreError};
use crate::protocol::common::{Call, guard, metadata};
use crate::protocol::reply::Reply;
use crate::store::flat::WithSnapshots;

pub(super) fn take(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let properties = metadata(request)?;
    let (time, inode) = call.store.take_snapshot(
        &request.account,
        &request.filesystem,
        &request.store_path()?,
        (!properties.is_empty()).then_some(properties),
        &guard(request)?,
    )?;
    Ok(Reply::new(201)
        .version_of(&inode)
        .with("x-ms-snapshot", time)
        .with("x-ms-request-server-encrypted", "false"))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let name = "x-ms-delete-snapshots";
    let with = match request.header(name)? {
        None => WithSnapshots::None,
        Some(_) if request.query.has("snapshot") => {
            return Err(StoreError::invalid_header(name, "with a snapshot"));
        }
        Some("include") => WithSnapshots::Include,
        Some("only") => WithSnapshots::Only,
        Some(other) => return Err(StoreError::invalid_header(name, other)),
    };
    let is_kept = call.store.delete_with_snapshots(
        &request.account,
        &request.filesystem,
        &request.path_or_snapshot()?,
        with,
        &guard(request)?,
    )?;
    let is_permanent = (!is_kept).to_string();
    Ok(Reply::new(202).with("x-ms-delete-type-permanent", is_permanent))
}

/// Undelete Blob: the blob and its snapshots, as they were.
pub(super) fn undelete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let path = request.store_path()?;
    call.store
        .undelete_flat(&request.account, &request.filesystem, &path)?;
    Ok(Reply::new(200))
}
