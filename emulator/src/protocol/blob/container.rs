//! Containers.

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::instant;
use crate::protocol::blob::xml::{XmlText, elements};
use crate::protocol::blob::{batch, list, not_done};
use crate::protocol::common::{
    Call, checked_id, conditions, guard, lease_action, lease_status, metadata,
};
use crate::protocol::reply::Reply;
use crate::store::inode::{AccessPolicy, Filesystem};

const POLICIES_MAX: usize = 5;
const POLICIES_MAX_BYTES: u64 = 64 * 1024;

pub(super) fn dispatch(call: &mut Call<'_>, comp: Option<&str>) -> Result<Reply> {
    let request = call.request;
    match (&request.method, comp) {
        (&Method::PUT, None) => create(call),
        (&Method::GET | &Method::HEAD, None | Some("metadata")) => get(call),
        (&Method::DELETE, None) => delete(call),
        (&Method::PUT, Some("metadata")) => set_metadata(call),
        (&Method::PUT, Some("lease")) => lease(call),
        (&Method::GET | &Method::HEAD, Some("acl")) => get_acl(call),
        (&Method::PUT, Some("acl")) => set_acl(call),
        (&Method::GET, Some("list")) => list::blobs(call),
        (&Method::PUT, Some("undelete")) => undelete(call),
        (&Method::PUT, Some("rename")) => rename(call),
        (&Method::POST, Some("batch")) => batch::submit(call),
        (_, Some(comp)) => Err(not_done(comp)),
        _ => Err(ErrorCode::UnsupportedHttpVerb.into()),
    }
}

fn public_access(call: &Call<'_>) -> Result<Option<String>> {
    let name = "x-ms-blob-public-access";
    match call.request.header(name)? {
        None => Ok(None),
        Some(level @ ("container" | "blob")) => Ok(Some(level.to_owned())),
        Some(other) => Err(StoreError::invalid_header(name, other)),
    }
}

fn create(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let record = call.store.create_filesystem_with(
        &request.account,
        &request.filesystem,
        metadata(request)?,
        public_access(call)?,
        request.principal.id(),
        false,
    )?;
    Ok(Reply::new(201).version(record.etag, record.modified_unix_ns))
}

fn get(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let record = call
        .store
        .filesystem_record(&request.account, &request.filesystem)?;
    Ok(described(call, &record))
}

fn described(call: &Call<'_>, record: &Filesystem) -> Reply {
    let mut reply = Reply::new(200)
        .version(record.etag, record.modified_unix_ns)
        .lease_state(record.lease.as_ref(), call.store.now_unix_ns())
        .with("x-ms-has-immutability-policy", "false")
        .with("x-ms-has-legal-hold", "false")
        .with("x-ms-immutable-storage-with-versioning-enabled", "false")
        .with("x-ms-default-encryption-scope", "$account-encryption-key")
        .with("x-ms-deny-encryption-scope-override", "false")
        .with_optional("x-ms-blob-public-access", record.public_access.as_deref());
    for (name, value) in &record.properties {
        reply.set(&format!("x-ms-meta-{name}"), &value.0);
    }
    reply
}

fn delete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    call.store
        .delete_filesystem_with(&request.account, &request.filesystem, &guard(request)?)?;
    Ok(Reply::new(202))
}

fn undelete(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let name = request.required_header("x-ms-deleted-container-name")?;
    let version = request.required_header("x-ms-deleted-container-version")?;
    let record =
        call.store
            .undelete_filesystem(&request.account, &request.filesystem, name, version)?;
    Ok(Reply::new(201).version(record.etag, record.modified_unix_ns))
}

fn set_metadata(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let properties = metadata(request)?;
    let record = call.store.set_filesystem_properties(
        &request.account,
        &request.filesystem,
        properties,
        &guard(request)?,
    )?;
    Ok(Reply::new(200).version(record.etag, record.modified_unix_ns))
}

/// Rename Container, which the service had for accounts without a hierarchical namespace.
fn rename(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    if !request.is_flat {
        return Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into());
    }
    let source = request.required_header("x-ms-source-container-name")?;
    let name = "x-ms-source-lease-id";
    let lease_id = match request.header(name)? {
        None => None,
        Some(id) => Some(checked_id(name, id)?),
    };
    let lease_id = lease_id.as_deref();
    call.store
        .rename_filesystem(&request.account, source, &request.filesystem, lease_id)?;
    Ok(Reply::new(200))
}

fn lease(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let action = lease_action(request)?;
    let conditions = conditions(request, "")?;
    let (record, outcome) =
        call.store
            .lease_filesystem(&request.account, &request.filesystem, &action, &conditions)?;
    let mut reply = Reply::new(lease_status(&action)).version(record.etag, record.modified_unix_ns);
    if let Some(id) = &outcome.id {
        reply.set("x-ms-lease-id", id);
    }
    if let Some(time_s) = outcome.time_s {
        reply.set("x-ms-lease-time", time_s.to_string());
    }
    Ok(reply)
}

fn get_acl(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let record = call
        .store
        .filesystem_record(&request.account, &request.filesystem)?;
    let mut xml = XmlText::default();
    xml.open("SignedIdentifiers");
    for policy in &record.policies {
        xml.open("SignedIdentifier")
            .text("Id", &policy.id)
            .open("AccessPolicy");
        for (name, value) in [
            ("Start", &policy.start),
            ("Expiry", &policy.expiry),
            ("Permission", &policy.permissions),
        ] {
            if let Some(value) = value {
                xml.text(name, value);
            }
        }
        xml.close("AccessPolicy").close("SignedIdentifier");
    }
    xml.close("SignedIdentifiers");
    let reply = Reply::new(200)
        .version(record.etag, record.modified_unix_ns)
        .xml(&xml.finish());
    Ok(reply.with_optional("x-ms-blob-public-access", record.public_access.as_deref()))
}

fn set_acl(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let document = call.body.read_all(POLICIES_MAX_BYTES)?;
    let policies = match document.is_empty() {
        true => Vec::new(),
        false => policies(&document)?,
    };
    let record = call.store.set_filesystem_policies(
        &request.account,
        &request.filesystem,
        policies,
        public_access(call)?,
        &guard(request)?,
    )?;
    Ok(Reply::new(200).version(record.etag, record.modified_unix_ns))
}

/// The service keeps times with seven digits behind the point, however they came.
fn time(text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    let time = instant(&text).ok_or(ErrorCode::InvalidXmlNodeValue)?;
    Ok(Some(format!("{time:.7}")))
}

fn policies(document: &[u8]) -> Result<Vec<AccessPolicy>> {
    let mut policies = Vec::new();
    let mut current = AccessPolicy::default();
    for element in elements(document)? {
        let text = || Some(element.text.clone()).filter(|text| !text.is_empty());
        match element.name() {
            "Id" => current.id = element.text.clone(),
            "Start" => current.start = time(text())?,
            "Expiry" => current.expiry = time(text())?,
            "Permission" => current.permissions = text(),
            "SignedIdentifier" => policies.push(std::mem::take(&mut current)),
            _ => {}
        }
    }
    match policies.len() > POLICIES_MAX {
        true => Err(ErrorCode::InvalidXmlDocument.into()),
        false => Ok(policies),
    }
}
