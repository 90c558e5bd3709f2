//! An account's read-only copy.
//!
//! The copy is the account itself, so it shows every change at once. With a lag it says that it surely has only what was
//! there so long ago, which is as true: Last-Sync-Time is the time until which everything is there, and later changes
//! may be there or not.

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::request::Request;

const NS_PER_S: i64 = 1_000_000_000;

/// Until when the copy says to have everything, in nanoseconds since 1970.
pub(super) fn last_sync_unix_ns(request: &Request, now_unix_ns: i64) -> i64 {
    now_unix_ns.saturating_sub(i64::from(request.gate.secondary_lag_s) * NS_PER_S)
}

/// Refuses writes.
pub(super) fn check(request: &Request) -> Result<()> {
    let reads = [Method::GET, Method::HEAD].contains(&request.method)
        || (request.method == Method::POST && request.query.is("comp", "query"));
    match request.is_secondary && !reads {
        true => Err(StoreError::with_message(
            ErrorCode::InsufficientAccountPermissions,
            "Write operations are not allowed.",
        )),
        false => Ok(()),
    }
}
