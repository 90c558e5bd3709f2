//! For whom a signed request is: the development stand-in for bearer tokens.
//!
//! `x-lakestage-identity: <object id>[;<group's object id>[,…]]` beside a valid signature. Roles and access control
//! apply to whoever it names, as to the bearer of a token.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::Identity;
use crate::protocol::request::Request;

const HEADER: &str = "x-lakestage-identity";

/// Reads who a request is for, if it says so.
pub(super) fn named(request: &Request) -> Result<Option<Identity>> {
    let Some(identity) = request.header(HEADER)? else {
        return Ok(None);
    };
    if !request.gate.takes_identities {
        return Err(refused("The server was not started to take identities."));
    }
    let (id, groups) = identity.split_once(';').unwrap_or((identity, ""));
    let groups: Vec<String> = groups
        .split(',')
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect();
    if !is_id(id) || !groups.iter().all(|group| is_id(group)) {
        return Err(StoreError::invalid_header(HEADER, identity));
    }
    Ok(Some(Identity {
        id: id.to_owned(),
        tenant: request.gate.options.tenant.clone(),
        groups,
    }))
}

/// The refusal of the header.
pub(super) fn refused(reason: &str) -> StoreError {
    StoreError::with_message(ErrorCode::UnsupportedHeader, reason).element("HeaderName", HEADER)
}

/// Whether a text can stand for somebody in an access control list.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && !text.contains([',', ';', ':', ' ', '\n', '\r'])
}
