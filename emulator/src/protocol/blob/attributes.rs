//! Deleting a blob, and changing what is known about it.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::{page, snapshot};
use crate::protocol::common::{
    Call, content_headers, guard, http_date, lease_action, lease_status, metadata,
};
use crate::protocol::dfs::expiry;
use crate::protocol::query::Query;
use crate::protocol::reply::Reply;
use crate::protocol::request::decode;
use crate::store::inode::{Inode, Origin, Properties};
use crate::store::path::StorePath;

const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];

fn change(
    call: &Call<'_>,
    touches: bool,
    change: impl FnOnce(&mut Inode) -> Result<()>,
) -> Result<Inode> {
    let request = call.request;
    let path = request.store_path()?;
    call.store.change(
        &request.account,
        &request.filesystem,
        &path,
        &guard(request)?,
        touches,
        change,
    )
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let path = request.store_path()?;
    let deleted = call.store.delete(
        &request.account,
        &request.filesystem,
        &path,
        false,
        &guard(request)?,
    )?;
    Ok(Reply::new(202).deletion(deleted.deletion))
}

pub(super) fn set_metadata(call: &mut Call<'_>) -> Result<Reply> {
    let mut properties: Properties = metadata(call.request)?;
    // The mark of a directory is shown, not stored.
    properties.remove("hdi_isfolder");
    let inode = change(call, true, |inode| {
        call.check_customer_key(inode)?;
        inode.properties = properties;
        Ok(())
    })?;
    Ok(Reply::new(200)
        .version_of(&inode)
        .with("x-ms-request-server-encrypted", "true"))
}

pub(super) fn set_headers(call: &mut Call<'_>) -> Result<Reply> {
    if page::is_about_pages(call.request) {
        return page::set_properties(call);
    }
    let headers = content_headers(call.request, "x-ms-blob-")?;
    let inode = change(call, true, |inode| {
        inode.headers = headers;
        Ok(())
    })?;
    Ok(Reply::new(200).version_of(&inode))
}

pub(super) fn lease(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let action = lease_action(request)?;
    let path = request.store_path()?;
    let (inode, outcome) = call.store.lease(
        &request.account,
        &request.filesystem,
        &path,
        &action,
        &guard(request)?,
    )?;
    let mut reply = Reply::new(lease_status(&action)).version_of(&inode);
    if let Some(id) = &outcome.id {
        reply.set("x-ms-lease-id", id);
    }
    if let Some(time_s) = outcome.time_s {
        reply.set("x-ms-lease-time", time_s.to_string());
    }
    Ok(reply)
}

pub(super) fn set_tier(call: &mut Call<'_>) -> Result<Reply> {
    let name = "x-ms-access-tier";
    let wanted = call.request.required_header(name)?;
    let Some(tier) = TIERS
        .into_iter()
        .find(|tier| tier.eq_ignore_ascii_case(wanted))
    else {
        return Err(StoreError::invalid_header(name, wanted));
    };
    let now = call.store.now_unix_ns();
    change(call, false, |inode| {
        inode.tier = Some(tier.to_owned());
        inode.tier_changed_unix_ns = Some(now);
        Ok(())
    })?;
    Ok(Reply::new(200))
}

/// Closes an append blob for good.
pub(super) fn seal(call: &mut Call<'_>) -> Result<Reply> {
    let expected = call
        .request
        .header_number("x-ms-blob-condition-appendpos")?;
    let inode = change(call, true, |inode| {
        if inode.origin != Origin::AppendBlob {
            return Err(ErrorCode::InvalidBlobType.into());
        }
        if expected.is_some_and(|expected| expected != inode.length) {
            return Err(ErrorCode::AppendPositionConditionNotMet.into());
        }
        inode.is_sealed = true;
        Ok(())
    })?;
    Ok(Reply::new(200)
        .version_of(&inode)
        .with("x-ms-blob-sealed", "true"))
}

pub(super) fn set_expiry(call: &mut Call<'_>) -> Result<Reply> {
    call.request.needs_namespace()?;
    let Some(expiry) = expiry(call.request)? else {
        return Err(StoreError::missing_header("x-ms-expiry-option"));
    };
    let now = call.store.now_unix_ns();
    let inode = change(call, true, |inode| {
        if inode.is_directory() {
            return Err(ErrorCode::ResourceTypeMismatch.into());
        }
        inode.expires_unix_ns = expiry.resolve(inode.created_unix_ns, now);
        Ok(())
    })?;
    Ok(Reply::new(200).version_of(&inode))
}

/// `x-ms-undelete-source: path?deletionid=number`, or without it the last deletion of the path.
pub(super) fn undelete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    if request.is_flat {
        return snapshot::undelete(call);
    }
    let name = "x-ms-undelete-source";
    let (path, deletion) = match request.header(name)? {
        None => (request.store_path()?, None),
        Some(source) => {
            let wrong = || StoreError::invalid_header(name, source);
            let (path, query) = source.split_once('?').ok_or_else(wrong)?;
            let id = Query::parse(query)
                .get("deletionid")
                .and_then(|id| id.parse().ok())
                .ok_or_else(wrong)?;
            // A client may leave the path out, since the address has it.
            let path = match path.is_empty() {
                true => request.store_path()?,
                false => StorePath::parse(&decode(path))?,
            };
            (path, Some(id))
        }
    };
    let inode = call.store.undelete(
        &request.account,
        &request.filesystem,
        &path,
        deletion,
        &request.principal,
    )?;
    let kind = if inode.is_directory() {
        "directory"
    } else {
        "file"
    };
    Ok(Reply::new(200)
        .with("x-ms-resource-type", kind)
        .with("x-ms-creation-time", http_date(inode.created_unix_ns)))
}
