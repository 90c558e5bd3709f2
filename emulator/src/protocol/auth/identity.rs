//! For whom a request is: the development stand-in for bearer tokens.
//!
//! `x-lakestage-identity: <object id>[;<group's object id>[,…]]` beside a valid signature. Access control applies to
//! whoever it names; what the account itself does, such as creating filesystems, is not theirs to do.

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::request::Request;
use crate::store::authorize::Principal;

const HEADER: &str = "x-lakestage-identity";

/// Reads who a request is for.
pub(crate) fn principal(request: &Request, is_taken: bool) -> Result<Principal> {
    let Some(identity) = request.header(HEADER)? else {
        return Ok(Principal::Superuser);
    };
    if !is_taken {
        return Err(StoreError::with_message(
            ErrorCode::UnsupportedHeader,
            format!("The server was not started to take {HEADER}."),
        )
        .element("HeaderName", HEADER));
    }
    let (id, groups) = identity.split_once(';').unwrap_or((identity, ""));
    let fits = |id: &str| !id.is_empty() && !id.contains([',', ';', ':', ' ']);
    let groups: Vec<String> = groups
        .split(',')
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect();
    if !fits(id) || !groups.iter().all(|group| fits(group)) {
        return Err(StoreError::invalid_header(HEADER, identity));
    }
    check_scope(request)?;
    Ok(Principal::User {
        id: id.to_owned(),
        groups,
    })
}

/// Access control lists are about paths; accounts and filesystems go by roles, and somebody without one has none.
fn check_scope(request: &Request) -> Result<()> {
    let query = &request.query;
    let lists = request.method == Method::GET
        && (query.is("resource", "filesystem") || query.is("comp", "list"));
    let is_path = !request.path.is_empty()
        || query.has("action")
        || (!request.filesystem.is_empty() && lists);
    match is_path {
        true => Ok(()),
        false => Err(ErrorCode::AuthorizationPermissionMismatch.into()),
    }
}
