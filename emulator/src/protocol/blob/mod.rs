//! The Blob protocol.

mod attributes;
mod batch;
mod block;
mod container;
mod copy;
mod delegation;
mod flat;
mod list;
mod page;
mod properties;
mod query;
mod service;
mod snapshot;
mod source;
mod tags;
mod upload;
mod xml;

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::common::Call;
use crate::protocol::read;
use crate::protocol::reply::Reply;

/// Finds the operation that a request asks for, and carries it out.
pub(super) fn dispatch(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let comp = request.query.get("comp").map(str::to_ascii_lowercase);
    let comp = comp.as_deref().filter(|comp| !comp.is_empty());
    if request.filesystem.is_empty() {
        return service::dispatch(call, comp);
    }
    if request.query.is("restype", "account") {
        return Ok(service::account_information(request.is_flat));
    }
    if request.query.is("restype", "container")
        || (request.path.is_empty() && request.query.has("restype"))
    {
        return container::dispatch(call, comp);
    }
    if request.path.trim_matches('/').is_empty()
        && request.method != Method::GET
        && request.method != Method::HEAD
    {
        return Err(ErrorCode::InvalidUri.into());
    }
    let snapshots = request.query.has("snapshot") || comp == Some("snapshot");
    if request.query.has("versionid") || (snapshots && !request.is_flat) {
        return Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into());
    }
    path(call, comp)
}

fn path(call: &mut Call<'_>, comp: Option<&str>) -> Result<Reply> {
    let request = call.request;
    match (&request.method, comp) {
        (&Method::GET, None) => read::get(call),
        (&Method::HEAD, None) => read::head(call),
        (&Method::DELETE, None) if request.is_flat => snapshot::delete(call),
        (&Method::DELETE, None) => attributes::delete(call),
        (&Method::PUT, None) if request.headers.contains_key("x-ms-copy-source") => {
            copy::start(call)
        }
        (&Method::PUT, None) => upload::put_blob(call),
        (&Method::PUT, Some("block")) => block::put(call),
        (&Method::PUT, Some("blocklist")) => block::put_list(call),
        (&Method::GET, Some("blocklist")) => block::get_list(call),
        (_, Some("page" | "pagelist")) if !request.is_flat => {
            Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into())
        }
        (&Method::PUT, Some("page")) => page::put(call),
        (&Method::GET, Some("pagelist")) => page::ranges(call),
        (&Method::PUT, Some("appendblock")) => upload::append_block(call),
        (&Method::GET | &Method::HEAD, Some("metadata")) => read::head(call),
        (&Method::PUT, Some("metadata")) => attributes::set_metadata(call),
        (&Method::PUT, Some("properties")) => attributes::set_headers(call),
        (&Method::PUT, Some("lease")) => attributes::lease(call),
        (&Method::PUT, Some("undelete")) => attributes::undelete(call),
        (&Method::PUT, Some("snapshot")) => snapshot::take(call),
        (&Method::PUT, Some("seal")) => attributes::seal(call),
        // A copy is done when it is answered, so there is never one to abort.
        (&Method::PUT, Some("copy")) if request.query.has("copyid") => {
            Err(ErrorCode::NoPendingCopyOperation.into())
        }
        (&Method::PUT, Some("tier")) => attributes::set_tier(call),
        (&Method::PUT, Some("expiry")) => attributes::set_expiry(call),
        (&Method::PUT, Some("tags")) => tags::set(call),
        (&Method::GET, Some("tags")) => tags::get(call),
        (&Method::POST, Some("query")) => query::run(call),
        (_, Some(comp)) => Err(not_done(comp)),
        _ => Err(ErrorCode::UnsupportedHttpVerb.into()),
    }
}

/// The refusal of an operation that the emulator does not have.
fn not_done(comp: &str) -> StoreError {
    StoreError::with_message(
        ErrorCode::NotImplemented,
        format!(
            "The emulator does not have the operation comp={comp} for this resource and method."
        ),
    )
}
