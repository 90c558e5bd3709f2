//! Append and flush.

use crate::error::{Result, StoreError};
use crate::protocol::checksums::Answered;
use crate::protocol::common::{Call, checked_id, content_headers, guard, lease_duration};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::store::{FlushRequest, LeaseWithWrite};

/// `x-ms-lease-action` beside a write.
fn lease_with_write(request: &Request, flushes: bool) -> Result<Option<LeaseWithWrite>> {
    let name = "x-ms-lease-action";
    let Some(action) = request.header(name)? else {
        return Ok(None);
    };
    let acquired = || -> Result<(String, Option<u32>)> {
        let id = request.required_header("x-ms-proposed-lease-id")?;
        request.required_header("x-ms-lease-duration")?;
        Ok((
            checked_id("x-ms-proposed-lease-id", id)?,
            lease_duration(request)?,
        ))
    };
    match (action.to_ascii_lowercase().as_str(), flushes) {
        ("acquire", _) => {
            let (id, duration_s) = acquired()?;
            Ok(Some(LeaseWithWrite::Acquire { id, duration_s }))
        }
        ("auto-renew", _) => Ok(Some(LeaseWithWrite::AutoRenew)),
        ("release", true) => Ok(Some(LeaseWithWrite::Release)),
        ("acquire-release", true) => {
            let (id, duration_s) = acquired()?;
            Ok(Some(LeaseWithWrite::AcquireRelease { id, duration_s }))
        }
        _ => Err(StoreError::invalid_header(name, action)),
    }
}

fn position(request: &Request) -> Result<u64> {
    request.required_query("position")?;
    Ok(request.query_number("position")?.unwrap_or(0))
}

pub(super) fn append(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let position = position(request)?;
    let flushes = request.query_flag("flush")?;
    request.query_flag("close")?;
    let lease = lease_with_write(request, flushes)?;
    let guard = guard(request)?;
    let path = request.store_path()?;
    let (body, sums) = call.store_body(Answered::Sent)?;
    let mut reply = sums.answer(Reply::new(202).with("x-ms-request-server-encrypted", "true"));
    if lease == Some(LeaseWithWrite::AutoRenew) {
        reply.set("x-ms-lease-renewed", "true");
    }
    let (account, filesystem) = (&request.account, &request.filesystem);
    if flushes {
        let flush = FlushRequest {
            guard,
            lease,
            ..FlushRequest::default()
        };
        let inode = call
            .store
            .append_and_flush(account, filesystem, &path, position, body, flush)?;
        return Ok(reply.version_of(&inode));
    }
    let lease = lease.as_ref();
    call.store
        .append(account, filesystem, &path, position, body, &guard, lease)?;
    Ok(reply)
}

pub(super) fn flush(call: &mut Call<'_>) -> Result<Reply> {
    call.no_body()?;
    let request = call.request;
    let flush = FlushRequest {
        position: position(request)?,
        retain_uncommitted: request.query_flag("retainuncommitteddata")?,
        guard: guard(request)?,
        headers: content_headers(request, "x-ms-")?,
        lease: lease_with_write(request, true)?,
    };
    // It only tells subscribers of change events, of which there are none here; a wrong value is wrong all the same.
    request.query_flag("close")?;
    let path = request.store_path()?;
    let inode = call
        .store
        .flush(&request.account, &request.filesystem, &path, &flush)?;
    let mut reply = Reply::new(200)
        .version_of(&inode)
        .with("x-ms-request-server-encrypted", "false");
    if flush.lease == Some(LeaseWithWrite::AutoRenew) {
        reply.set("x-ms-lease-renewed", "true");
    }
    Ok(reply)
}
