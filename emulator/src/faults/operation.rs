//! Names of operations, for plans and records: those of the REST reference, in camel case.

use http::Method;

use crate::protocol::request::{Face, Request};

/// Every name that an operation has here.
pub const OPERATIONS: &[&str] = &[
    "abortCopyBlob",
    "append",
    "appendBlock",
    "batch",
    "checkAccess",
    "copyBlob",
    "createContainer",
    "createFilesystem",
    "createPath",
    "deleteBlob",
    "deleteContainer",
    "deleteFilesystem",
    "deletePath",
    "findBlobsByTags",
    "flush",
    "getAccessControl",
    "getAccountInformation",
    "getBlob",
    "getBlobProperties",
    "getBlockList",
    "getContainerAcl",
    "getContainerProperties",
    "getFilesystemProperties",
    "getPageRanges",
    "getPathProperties",
    "getServiceProperties",
    "getServiceStats",
    "getTags",
    "getUserDelegationKey",
    "leaseBlob",
    "leaseContainer",
    "leasePath",
    "listBlobs",
    "listContainers",
    "listFilesystems",
    "listPaths",
    "putBlob",
    "putBlock",
    "putBlockList",
    "putPage",
    "queryBlob",
    "readPath",
    "renameContainer",
    "renamePath",
    "sealBlob",
    "setAccessControl",
    "setAccessControlRecursive",
    "setBlobProperties",
    "setContainerAcl",
    "setExpiry",
    "setFilesystemProperties",
    "setMetadata",
    "setPathProperties",
    "setServiceProperties",
    "setTags",
    "setTier",
    "snapshotBlob",
    "undelete",
    "unknown",
];

/// The operation that a request asks for.
pub(crate) fn name(request: &Request) -> &'static str {
    match request.face {
        Face::Dfs => dfs(request),
        Face::Blob => blob(request),
    }
}

fn dfs(request: &Request) -> &'static str {
    let action = request.query.get("action").map(str::to_ascii_lowercase);
    let is_filesystem = request.query.is("resource", "filesystem");
    match (&request.method, is_filesystem, action.as_deref()) {
        (&Method::GET, _, _) if request.filesystem.is_empty() => "listFilesystems",
        (&Method::PUT, true, _) => "createFilesystem",
        (&Method::PATCH, true, _) => "setFilesystemProperties",
        (&Method::HEAD, true, _) => "getFilesystemProperties",
        (&Method::DELETE, true, _) => "deleteFilesystem",
        (&Method::GET, true, _) => "listPaths",
        (&Method::PUT, _, None) if request.headers.contains_key("x-ms-rename-source") => {
            "renamePath"
        }
        (&Method::PUT, _, None) if request.query.is("comp", "expiry") => "setExpiry",
        (&Method::PUT, _, None) if request.query.is("comp", "undelete") => "undelete",
        (&Method::PUT, _, None) => "createPath",
        (&Method::DELETE, _, _) => "deletePath",
        (&Method::GET, _, _) => "readPath",
        (&Method::HEAD, _, Some("getaccesscontrol")) => "getAccessControl",
        (&Method::HEAD, _, Some("checkaccess")) => "checkAccess",
        (&Method::HEAD, _, _) => "getPathProperties",
        (&Method::POST, _, _) => "leasePath",
        (&Method::PATCH, _, Some("append")) => "append",
        (&Method::PATCH, _, Some("flush")) => "flush",
        (&Method::PATCH, _, Some("setproperties")) => "setPathProperties",
        (&Method::PATCH, _, Some("setaccesscontrol")) => "setAccessControl",
        (&Method::PATCH, _, Some("setaccesscontrolrecursive")) => "setAccessControlRecursive",
        _ => "unknown",
    }
}

fn blob(request: &Request) -> &'static str {
    let comp = request.query.get("comp").map(str::to_ascii_lowercase);
    let comp = comp.as_deref().filter(|comp| !comp.is_empty());
    if request.query.is("restype", "account") {
        return "getAccountInformation";
    }
    if request.filesystem.is_empty() {
        return service(&request.method, comp);
    }
    if request.query.is("restype", "container") {
        return container(&request.method, comp);
    }
    let is_copy = request.headers.contains_key("x-ms-copy-source");
    match (&request.method, comp) {
        (&Method::GET, None) => "getBlob",
        (&Method::HEAD, None) | (_, Some("metadata")) if request.method != Method::PUT => {
            "getBlobProperties"
        }
        (&Method::DELETE, None) => "deleteBlob",
        (&Method::PUT, None) if is_copy && !request.headers.contains_key("x-ms-blob-type") => {
            "copyBlob"
        }
        (&Method::PUT, None) => "putBlob",
        (&Method::PUT, Some("block")) => "putBlock",
        (&Method::PUT, Some("blocklist")) => "putBlockList",
        (&Method::GET, Some("blocklist")) => "getBlockList",
        (&Method::PUT, Some("page")) => "putPage",
        (&Method::GET, Some("pagelist")) => "getPageRanges",
        (&Method::PUT, Some("appendblock")) => "appendBlock",
        (&Method::PUT, Some("metadata")) => "setMetadata",
        (&Method::PUT, Some("properties")) => "setBlobProperties",
        (&Method::PUT, Some("lease")) => "leaseBlob",
        (&Method::PUT, Some("undelete")) => "undelete",
        (&Method::PUT, Some("snapshot")) => "snapshotBlob",
        (&Method::PUT, Some("seal")) => "sealBlob",
        (&Method::PUT, Some("copy")) => "abortCopyBlob",
        (&Method::PUT, Some("tier")) => "setTier",
        (&Method::PUT, Some("expiry")) => "setExpiry",
        (&Method::PUT, Some("tags")) => "setTags",
        (&Method::GET, Some("tags")) => "getTags",
        (&Method::POST, Some("query")) => "queryBlob",
        _ => "unknown",
    }
}

fn service(method: &Method, comp: Option<&str>) -> &'static str {
    match (method, comp) {
        (&Method::GET, Some("list")) => "listContainers",
        (&Method::GET, Some("properties")) => "getServiceProperties",
        (&Method::PUT, Some("properties")) => "setServiceProperties",
        (&Method::GET, Some("stats")) => "getServiceStats",
        (&Method::GET, Some("blobs")) => "findBlobsByTags",
        (&Method::POST, Some("batch")) => "batch",
        (&Method::POST, Some("userdelegationkey")) => "getUserDelegationKey",
        _ => "unknown",
    }
}

fn container(method: &Method, comp: Option<&str>) -> &'static str {
    match (method, comp) {
        (&Method::PUT, None) => "createContainer",
        (&Method::GET | &Method::HEAD, None | Some("metadata")) => "getContainerProperties",
        (&Method::DELETE, None) => "deleteContainer",
        (&Method::PUT, Some("metadata")) => "setMetadata",
        (&Method::PUT, Some("lease")) => "leaseContainer",
        (&Method::GET | &Method::HEAD, Some("acl")) => "getContainerAcl",
        (&Method::PUT, Some("acl")) => "setContainerAcl",
        (&Method::GET, Some("list")) => "listBlobs",
        (&Method::GET, Some("blobs")) => "findBlobsByTags",
        (&Method::PUT, Some("undelete")) => "undelete",
        (&Method::PUT, Some("rename")) => "renameContainer",
        (&Method::POST, Some("batch")) => "batch",
        _ => "unknown",
    }
}
