//! Filesystems.

use serde_json::json;

use crate::error::{Result, StoreError};
use crate::protocol::common::{Call, dfs_properties, guard, http_date, properties_text};
use crate::protocol::reply::Reply;
use crate::store::inode::etag_text;
use crate::store::list::LIST_ENTRIES_MAX;

/// How many entries a page may have, from `maxResults`.
pub(super) fn entries_max(call: &Call<'_>) -> Result<usize> {
    let most = call
        .request
        .page_entries_max
        .unwrap_or(LIST_ENTRIES_MAX)
        .min(LIST_ENTRIES_MAX);
    match call.request.query_number("maxresults")? {
        Some(0) => Err(
            StoreError::code(crate::error::ErrorCode::OutOfRangeQueryParameterValue)
                .element("QueryParameterName", "maxResults")
                .element("QueryParameterValue", "0"),
        ),
        Some(wanted) => Ok(usize::try_from(wanted).unwrap_or(usize::MAX).min(most)),
        None => Ok(most),
    }
}

pub(super) fn list(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let prefix = request.query.get("prefix").unwrap_or("");
    let after = request
        .query
        .get("continuation")
        .filter(|token| !token.is_empty());
    let (found, more) =
        call.store
            .list_filesystems_page(&request.account, prefix, after, entries_max(call)?)?;
    let filesystems: Vec<_> = found
        .iter()
        .map(|info| {
            json!({
                "name": info.name,
                "lastModified": http_date(info.record.modified_unix_ns),
                "eTag": etag_text(info.record.etag),
            })
        })
        .collect();
    let reply = Reply::new(200).json(&json!({ "filesystems": filesystems }));
    Ok(reply.with_optional("x-ms-continuation", more.as_deref()))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Reply> {
    call.no_body()?;
    let request = call.request;
    let properties = dfs_properties(request)?.unwrap_or_default();
    let record = call.store.create_filesystem_with(
        &request.account,
        &request.filesystem,
        properties,
        None,
        request.principal.id(),
        false,
    )?;
    let reply = Reply::new(201).version(record.etag, record.modified_unix_ns);
    Ok(reply.with("x-ms-namespace-enabled", (!request.is_flat).to_string()))
}

pub(super) fn set_properties(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let properties = dfs_properties(request)?.unwrap_or_default();
    let record = call.store.set_filesystem_properties(
        &request.account,
        &request.filesystem,
        properties,
        &guard(request)?,
    )?;
    Ok(Reply::new(200).version(record.etag, record.modified_unix_ns))
}

pub(super) fn get_properties(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let record = call
        .store
        .filesystem_record(&request.account, &request.filesystem)?;
    let mut reply = Reply::new(200).version(record.etag, record.modified_unix_ns);
    reply.set("x-ms-namespace-enabled", (!request.is_flat).to_string());
    reply.set("x-ms-properties", properties_text(&record.properties));
    Ok(reply)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    call.store
        .delete_filesystem_with(&request.account, &request.filesystem, &guard(request)?)?;
    Ok(Reply::new(202))
}
