//! The DFS protocol.

mod access;
mod filesystem;
mod list;
mod path;
pub(in crate::protocol) use path::expiry;
mod write;

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::common::Call;
use crate::protocol::read;
use crate::protocol::reply::Reply;

/// Finds the operation that a request asks for, and carries it out.
pub(super) fn dispatch(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    if request.filesystem.is_empty() {
        return match request.method {
            Method::GET if request.query.is("resource", "account") => filesystem::list(call),
            _ => Err(ErrorCode::InvalidUri.into()),
        };
    }
    if request.query.is("resource", "filesystem") {
        return match request.method {
            Method::PUT => filesystem::create(call),
            Method::PATCH => filesystem::set_properties(call),
            Method::HEAD => filesystem::get_properties(call),
            Method::DELETE => filesystem::delete(call),
            Method::GET => list::paths(call),
            _ => Err(ErrorCode::UnsupportedHttpVerb.into()),
        };
    }
    let action = request.query.get("action").map(str::to_ascii_lowercase);
    match (&request.method, action.as_deref()) {
        (&Method::PUT, None) if request.headers.contains_key("x-ms-rename-source") => {
            path::rename(call)
        }
        (&Method::PUT, None) => path::create(call),
        (&Method::DELETE, None) => path::delete(call),
        (&Method::GET, None) => read::get(call),
        (&Method::HEAD, None | Some("getstatus")) => read::head(call),
        (&Method::HEAD, Some("getaccesscontrol")) => access::get(call),
        (&Method::HEAD, Some("checkaccess")) => access::check(call),
        (&Method::POST, None) => path::lease(call),
        (&Method::PATCH, Some("append")) => write::append(call),
        (&Method::PATCH, Some("flush")) => write::flush(call),
        (&Method::PATCH, Some("setproperties")) => path::set_properties(call),
        (&Method::PATCH, Some("setaccesscontrol")) => access::set(call),
        (&Method::PATCH, Some("setaccesscontrolrecursive")) => access::set_recursive(call),
        (&Method::PATCH, None) => Err(StoreError::code(ErrorCode::MissingRequiredQueryParameter)
            .element("QueryParameterName", "action")),
        (&Method::PATCH | &Method::HEAD, Some(action)) => Err(StoreError::invalid_query(
            "action",
            action,
            "There is no such action.",
        )),
        _ => Err(ErrorCode::UnsupportedHttpVerb.into()),
    }
}
