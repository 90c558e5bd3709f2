//! Create, rename, delete, lease and properties of paths.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth;
use crate::protocol::common::{
    Call, checked_id, conditions, content_headers, dfs_properties, guard, lease_action,
    lease_duration, lease_status,
};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Request, decode};
use crate::store::Store;
use crate::store::acl::{parse_acl, parse_permissions, parse_umask};
use crate::store::authorize::Principal;
use crate::store::flat::WithSnapshots;
use crate::store::inode::{ContentHeaders, NodeKind, Origin, Properties};
use crate::store::path::StorePath;
use crate::store::rename::RenameRequest;
use crate::store::{CreateRequest, Expiry};

const NS_PER_S: i64 = 1_000_000_000;
const CONTENT_PREFIX: &str = "x-ms-";

pub(super) fn create(call: &mut Call<'_>) -> Result<Reply> {
    call.no_body()?;
    let request = call.request;
    let kind = match request
        .required_query("resource")?
        .to_ascii_lowercase()
        .as_str()
    {
        "file" => NodeKind::File,
        "directory" => NodeKind::Directory,
        other => {
            return Err(StoreError::invalid_query(
                "resource",
                other,
                "It must be file or directory.",
            ));
        }
    };
    if kind == NodeKind::Directory {
        request.needs_namespace()?;
    }
    let mut create = CreateRequest::new(kind, Origin::Dfs);
    if request.query.is("blobtype", "appendblob") {
        create.origin = Origin::AppendBlob;
    }
    create.guard = guard(request)?;
    create.breaks_lease = true;
    create.headers = content_headers(request, CONTENT_PREFIX)?;
    create.properties = dfs_properties(request)?.unwrap_or_default();
    access(request, &mut create)?;
    if let Some(id) = request.header("x-ms-proposed-lease-id")? {
        let id = checked_id("x-ms-proposed-lease-id", id)?;
        create.lease = Some((id, lease_duration(request)?));
    }
    create.encryption_context = request
        .header("x-ms-encryption-context")?
        .map(str::to_owned);
    create.expiry = expiry(request)?;
    if create.expiry.is_some() && kind == NodeKind::Directory {
        return Err(ErrorCode::ResourceTypeMismatch.into());
    }
    let path = request.store_path()?;
    let inode = call
        .store
        .create(&request.account, &request.filesystem, &path, &create, None)?;
    let reply = Reply::new(201).version_of(&inode);
    Ok(reply.with("x-ms-request-server-encrypted", "true"))
}

fn access(request: &Request, create: &mut CreateRequest) -> Result<()> {
    for name in [
        "x-ms-permissions",
        "x-ms-acl",
        "x-ms-umask",
        "x-ms-owner",
        "x-ms-group",
    ] {
        if request.headers.contains_key(name) {
            request.needs_namespace()?;
        }
    }
    let permissions = request.header("x-ms-permissions")?;
    let acl = request.header("x-ms-acl")?;
    if let (Some(permissions), Some(_)) = (permissions, acl) {
        return Err(StoreError::invalid_header("x-ms-permissions", permissions));
    }
    create.permissions = permissions.map(parse_permissions).transpose()?;
    create.acl = acl.map(|acl| parse_acl(acl, true)).transpose()?;
    if let Some(umask) = request.header("x-ms-umask")? {
        create.umask = parse_umask(umask)?;
    }
    create.owner = request.header("x-ms-owner")?.map(str::to_owned);
    create.group = request.header("x-ms-group")?.map(str::to_owned);
    Ok(())
}

/// `x-ms-expiry-option` and `x-ms-expiry-time`.
pub(in crate::protocol) fn expiry(request: &Request) -> Result<Option<Expiry>> {
    let Some(option) = request.header("x-ms-expiry-option")? else {
        return Ok(None);
    };
    if option.eq_ignore_ascii_case("NeverExpire") {
        return Ok(Some(Expiry::Never));
    }
    let name = "x-ms-expiry-time";
    let text = request.required_header(name)?;
    let wrong = || StoreError::invalid_header(name, text);
    let milliseconds = || text.parse::<u64>().map_err(|_| wrong());
    match option.to_ascii_lowercase().as_str() {
        "relativetocreation" => Ok(Some(Expiry::RelativeToCreation(milliseconds()?))),
        "relativetonow" => Ok(Some(Expiry::RelativeToNow(milliseconds()?))),
        "absolute" => {
            let time = httpdate::parse_http_date(text).map_err(|_| wrong())?;
            let since = time
                .duration_since(std::time::UNIX_EPOCH)
                .map_err(|_| wrong())?;
            let seconds = i64::try_from(since.as_secs()).map_err(|_| wrong())?;
            Ok(Some(Expiry::AbsoluteUnixNs(
                seconds.saturating_mul(NS_PER_S),
            )))
        }
        _ => Err(StoreError::invalid_header("x-ms-expiry-option", option)),
    }
}

/// `/{filesystem}/{path}[?sas]`, where some clients put the account in front.
fn rename_source(store: &Store, request: &Request) -> Result<(String, StorePath, Principal)> {
    let given = request.required_header("x-ms-rename-source")?;
    let (path, query) = given.split_once('?').unwrap_or((given, ""));
    let wrong = || StoreError::code(ErrorCode::InvalidSourceUri);
    let mut rest = path.trim_start_matches('/');
    if let Some((first, after)) = rest.split_once('/')
        && first == request.account
    {
        rest = after;
    }
    let (filesystem, path) = rest.split_once('/').ok_or_else(wrong)?;
    let (filesystem, decoded) = (decode(filesystem), decode(path));
    let path = StorePath::parse(&decoded)?;
    if filesystem.is_empty() || path.is_root() {
        return Err(wrong());
    }
    let source = (filesystem.as_str(), decoded.as_str(), query);
    let principal =
        auth::source_principal(store, request, auth::account(store, request)?, source, true)?;
    Ok((filesystem, path, principal))
}

pub(super) fn rename(call: &mut Call<'_>) -> Result<Reply> {
    call.no_body()?;
    let request = call.request;
    request.needs_namespace()?;
    if let Some(mode) = request.query.get("mode")
        && !["posix", "legacy"]
            .iter()
            .any(|known| mode.eq_ignore_ascii_case(known))
    {
        return Err(StoreError::invalid_query(
            "mode",
            mode,
            "It must be posix or legacy.",
        ));
    }
    let (source_filesystem, source, principal) = rename_source(call.store, request)?;
    let mut guard = guard(request)?;
    // A role that reaches one end only leaves both to access control lists.
    if guard.principal.is_unrestricted() {
        guard.principal = principal;
    }
    let rename = RenameRequest {
        source_filesystem,
        source,
        source_conditions: conditions(request, "x-ms-source-")?,
        source_lease_id: request.header("x-ms-source-lease-id")?.map(str::to_owned),
        filesystem: request.filesystem.clone(),
        path: request.store_path()?,
        guard,
        into_directory: !request.query.is("mode", "legacy"),
        properties: dfs_properties(request)?,
    };
    let inode = call.store.rename(&request.account, &rename)?;
    Ok(Reply::new(201).version_of(&inode))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let recursive = request.query_flag("recursive")?;
    let paginated = request.query_flag("paginated")?;
    call.continuation("continuation")?;
    let path = request.store_path()?;
    if request.is_flat {
        call.store.delete_with_snapshots(
            &request.account,
            &request.filesystem,
            &path,
            WithSnapshots::None,
            &guard(request)?,
        )?;
        return Ok(Reply::new(200).deletion(None));
    }
    let (account, filesystem, guard) = (&request.account, &request.filesystem, guard(request)?);
    // For the superuser a deletion is one step whatever is below.
    if paginated
        && recursive
        && !guard.principal.is_unrestricted()
        && let Some(next) = call.store.delete_page(account, filesystem, &path, &guard)?
    {
        let record = call.store.filesystem_record(account, filesystem)?;
        let token = call.token(record.created_unix_ns, &next);
        return Ok(Reply::new(200).with("x-ms-continuation", token));
    }
    let deleted = call
        .store
        .delete(account, filesystem, &path, recursive, &guard)?;
    Ok(Reply::new(200).deletion(deleted.deletion))
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

pub(super) fn set_properties(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let properties: Option<Properties> = dfs_properties(request)?;
    let headers: ContentHeaders = content_headers(request, CONTENT_PREFIX)?;
    let path = request.store_path()?;
    let inode = call.store.change(
        &request.account,
        &request.filesystem,
        &path,
        &guard(request)?,
        true,
        |inode| {
            if let Some(properties) = properties {
                inode.properties = properties;
            }
            let content_md5 = headers
                .content_md5
                .clone()
                .or_else(|| inode.headers.content_md5.clone());
            crate::store::merge_headers(&mut inode.headers, &headers);
            inode.headers.content_md5 = content_md5;
            Ok(())
        },
    )?;
    Ok(Reply::new(200).version_of(&inode))
}
