//! Access control lists.

use serde_json::{Value, json};

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::common::{Call, guard};
use crate::protocol::read;
use crate::protocol::reply::Reply;
use crate::store::AclUpdate;
use crate::store::acl::{parse_acl, parse_permissions};

/// Paths changed by one request at most.
const RECORDS_MAX: u64 = 2_000;

pub(super) fn get(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.needs_namespace()?;
    // There is no directory of users here, so ids stand for names.
    request.query_flag("upn")?;
    let reply = read::head(call)?;
    let inode = call
        .store
        .node_as(
            &request.principal,
            &request.account,
            &request.filesystem,
            &request.store_path()?,
        )?
        .inode;
    Ok(reply
        .with("x-ms-acl", inode.access.acl())
        .with("content-length", "0"))
}

/// Whether the principal may do what it asks for with the path.
pub(super) fn check(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.needs_namespace()?;
    let wanted = request.required_query("fsaction")?;
    let wrong = || StoreError::invalid_query("fsAction", wanted, "It must be of the form rwx.");
    if wanted.len() != 3 {
        return Err(wrong());
    }
    let mut bits = 0;
    for (letter, (bit, known)) in wanted.chars().zip([(4, 'r'), (2, 'w'), (1, 'x')]) {
        match letter {
            '-' => {}
            letter if letter == known => bits |= bit,
            _ => return Err(wrong()),
        }
    }
    let path = request.store_path()?;
    let principal = &request.principal;
    let node = call
        .store
        .node_as(principal, &request.account, &request.filesystem, &path)?;
    match principal.may(&node.inode.access, bits) {
        true => Ok(Reply::new(200)),
        false => Err(ErrorCode::AuthorizationPermissionMismatch.into()),
    }
}

pub(super) fn set(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.needs_namespace()?;
    let permissions = request.header("x-ms-permissions")?;
    let acl = request.header("x-ms-acl")?;
    if let (Some(permissions), Some(_)) = (permissions, acl) {
        return Err(StoreError::invalid_header("x-ms-permissions", permissions));
    }
    let mode = permissions.map(parse_permissions).transpose()?;
    let entries = acl.map(|acl| parse_acl(acl, true)).transpose()?;
    let owner = request.header("x-ms-owner")?.map(str::to_owned);
    let group = request.header("x-ms-group")?.map(str::to_owned);
    let path = request.store_path()?;
    let changed = call.store.change_access(
        &request.account,
        &request.filesystem,
        &path,
        &guard(request)?,
        |inode| {
            request.principal.check_access_change(
                &inode.access,
                owner.as_deref(),
                group.as_deref(),
            )?;
            if let Some(mode) = mode {
                inode.access.set_mode(mode);
            }
            if let Some(entries) = entries {
                if !inode.is_directory() && entries.iter().any(|entry| entry.default) {
                    return Err(StoreError::with_message(
                        ErrorCode::InvalidHeaderValue,
                        "A file has no default access control list.",
                    )
                    .element("HeaderName", "x-ms-acl"));
                }
                inode.access.replace(entries)?;
            }
            if let Some(owner) = owner {
                inode.access.owner = owner;
            }
            if let Some(group) = group {
                inode.access.group = group;
            }
            Ok(())
        },
    )?;
    Ok(Reply::new(200)
        .version_of(&changed)
        .with("x-ms-namespace-enabled", "true"))
}

pub(super) fn set_recursive(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.needs_namespace()?;
    let mode = request.required_query("mode")?.to_ascii_lowercase();
    let acl = request.required_header("x-ms-acl")?;
    let update = match mode.as_str() {
        "set" => AclUpdate::Set(parse_acl(acl, true)?),
        "modify" => AclUpdate::Modify(parse_acl(acl, true)?),
        "remove" => AclUpdate::Remove(parse_acl(acl, false)?),
        _ => {
            return Err(StoreError::invalid_query(
                "mode",
                &mode,
                "It must be set, modify or remove.",
            ));
        }
    };
    let records = request.query_number("maxrecords")?.unwrap_or(RECORDS_MAX);
    if records == 0 || records > RECORDS_MAX {
        return Err(StoreError::code(ErrorCode::OutOfRangeQueryParameterValue)
            .element("QueryParameterName", "maxRecords")
            .element("QueryParameterValue", &records.to_string()));
    }
    let records = request.acl_records_max.unwrap_or(records).min(records);
    let from = call.continuation("continuation")?;
    let goes_on = request.query_flag("forceflag")?;
    let path = request.store_path()?;
    let outcome = call.store.change_acl_recursive(
        &request.principal,
        &request.account,
        &request.filesystem,
        &path,
        &update,
        usize::try_from(records).unwrap_or(usize::MAX),
        from,
        goes_on,
    )?;
    let failed: Vec<Value> = outcome
        .failed
        .iter()
        .map(|(path, is_directory, reason)| {
            let kind = if *is_directory { "DIRECTORY" } else { "FILE" };
            json!({ "name": path.to_string(), "type": kind, "errorMessage": reason })
        })
        .collect();
    let reply = Reply::new(200)
        .with("x-ms-namespace-enabled", "true")
        .json(&json!({
            "directoriesSuccessful": outcome.directories,
            "filesSuccessful": outcome.files,
            "failureCount": failed.len(),
            "failedEntries": failed,
        }));
    let next = outcome.next.as_ref().map(|path| call.token(0, path));
    Ok(reply.with_optional("x-ms-continuation", next.as_deref()))
}
