//! List Containers and List Blobs.

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::flat;
use crate::protocol::blob::xml::XmlText;
use crate::protocol::common::{Call, http_date};
use crate::protocol::reply::{Reply, escape};
use crate::protocol::request::Request;
use crate::store::deleted::DeletedFilesystem;
use crate::store::inode::{Inode, Origin, Properties, etag_text};
use crate::store::lease::{Lease, lease_state};
use crate::store::list::{LIST_ENTRIES_MAX, ListRequest, Listed};
use crate::store::path::StorePath;

pub(super) fn entries_max(request: &Request) -> Result<usize> {
    let most = request
        .page_entries_max
        .unwrap_or(LIST_ENTRIES_MAX)
        .min(LIST_ENTRIES_MAX);
    match request.query_number("maxresults")? {
        Some(0) => Err(StoreError::code(ErrorCode::OutOfRangeQueryParameterValue)
            .element("QueryParameterName", "maxresults")
            .element("QueryParameterValue", "0")
            .element("MinimumAllowed", "1")),
        Some(wanted) => Ok(usize::try_from(wanted).unwrap_or(usize::MAX).min(most)),
        None => Ok(most),
    }
}

pub(super) fn includes(request: &Request, what: &str) -> bool {
    request
        .query
        .get("include")
        .is_some_and(|list| list.split(',').any(|item| item.trim() == what))
}

fn lease(xml: &mut XmlText, lease: Option<&Lease>, now_unix_ns: i64) {
    let state = lease_state(lease, now_unix_ns);
    xml.text(
        "LeaseStatus",
        if state.is_locked() {
            "locked"
        } else {
            "unlocked"
        },
    );
    xml.text("LeaseState", state.name());
    if let (true, Some(lease)) = (state.name() == "leased", lease) {
        xml.text(
            "LeaseDuration",
            if lease.duration_s.is_some() {
                "fixed"
            } else {
                "infinite"
            },
        );
    }
}

pub(super) fn metadata(xml: &mut XmlText, properties: &Properties, is_directory: bool) {
    xml.open("Metadata");
    for (name, value) in properties {
        xml.text(name, &String::from_utf8_lossy(&value.0));
    }
    if is_directory {
        xml.text("hdi_isfolder", "true");
    }
    xml.close("Metadata");
}

pub(super) fn containers(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let prefix = request.query.get("prefix").unwrap_or("");
    let marker = request
        .query
        .get("marker")
        .filter(|marker| !marker.is_empty());
    let max = entries_max(request)?;
    let (found, more) = call
        .store
        .list_filesystems_page(&request.account, prefix, marker, max)?;
    let now = call.store.now_unix_ns();
    let mut xml = XmlText::default();
    xml.open_with(
        "EnumerationResults",
        &[("ServiceEndpoint", &format!("{}/", request.endpoint))],
    );
    echo(&mut xml, request, &["prefix", "marker", "maxresults"]);
    xml.open("Containers");
    for info in &found {
        let record = &info.record;
        xml.open("Container")
            .text("Name", &info.name)
            .open("Properties");
        xml.text("Last-Modified", &http_date(record.modified_unix_ns))
            .text("Etag", &etag_text(record.etag));
        lease(&mut xml, record.lease.as_ref(), now);
        if let Some(level) = &record.public_access {
            xml.text("PublicAccess", level);
        }
        xml.text("DefaultEncryptionScope", "$account-encryption-key")
            .text("DenyEncryptionScopeOverride", "false");
        xml.text("HasImmutabilityPolicy", "false")
            .text("HasLegalHold", "false");
        xml.close("Properties");
        if includes(request, "metadata") {
            metadata(&mut xml, &record.properties, false);
        }
        xml.close("Container");
    }
    if includes(request, "deleted") && more.is_none() {
        for deleted in call.store.list_deleted_filesystems(&request.account)? {
            if deleted.name.starts_with(prefix) {
                deleted_container(&mut xml, &deleted);
            }
        }
    }
    xml.close("Containers")
        .text("NextMarker", more.as_deref().unwrap_or(""))
        .close("EnumerationResults");
    Ok(Reply::new(200).xml(&xml.finish()))
}

fn deleted_container(xml: &mut XmlText, deleted: &DeletedFilesystem) {
    xml.open("Container")
        .text("Name", &deleted.name)
        .text("Deleted", "true")
        .text("Version", &deleted.version)
        .open("Properties")
        .text("Last-Modified", &http_date(deleted.record.modified_unix_ns))
        .text("Etag", &etag_text(deleted.record.etag))
        .text("LeaseStatus", "unlocked")
        .text("LeaseState", "expired")
        .text("DefaultEncryptionScope", "$account-encryption-key")
        .text("DenyEncryptionScopeOverride", "false")
        .text("HasImmutabilityPolicy", "false")
        .text("HasLegalHold", "false")
        .text("DeletedTime", &http_date(deleted.deleted_unix_ns))
        .text("RemainingRetentionDays", &deleted.days_left.to_string())
        .close("Properties")
        .close("Container");
}

/// Repeats parameters of the request.
fn echo(xml: &mut XmlText, request: &Request, names: &[&str]) {
    for (shown, name) in [
        ("Prefix", "prefix"),
        ("Marker", "marker"),
        ("MaxResults", "maxresults"),
        ("Delimiter", "delimiter"),
    ] {
        if names.contains(&name)
            && let Some(value) = request.query.get(name)
        {
            xml.text(shown, value);
        }
    }
}

/// What `prefix`, `delimiter` and `marker` ask of the namespace.
fn list_request(call: &Call<'_>) -> Result<ListRequest> {
    let request = call.request;
    let prefix = request.query.get("prefix").unwrap_or("");
    let (directory, name_prefix) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let recursive = match request
        .query
        .get("delimiter")
        .filter(|delimiter| !delimiter.is_empty())
    {
        None => true,
        Some("/") => false,
        Some(other) => {
            return Err(StoreError::invalid_query(
                "delimiter",
                other,
                "An account with a hierarchical namespace takes / only.",
            ));
        }
    };
    let start = match request
        .query
        .get("startfrom")
        .filter(|start| !start.is_empty())
    {
        Some(start) => Some(StorePath::parse(start)?),
        None => None,
    };
    Ok(ListRequest {
        from: call.continuation("marker")?.or(start),
        directory: StorePath::parse(directory)?,
        name_prefix: name_prefix.to_owned(),
        recursive,
        entries_max: entries_max(request)?,
        lists_files: false,
    })
}

/// The head of a list of blobs.
pub(super) fn begin(request: &Request) -> XmlText {
    let mut xml = XmlText::default();
    let endpoint = format!("{}/", request.endpoint);
    xml.open_with(
        "EnumerationResults",
        &[
            ("ServiceEndpoint", &endpoint),
            ("ContainerName", &request.filesystem),
        ],
    );
    echo(
        &mut xml,
        request,
        &["prefix", "marker", "maxresults", "delimiter"],
    );
    xml.open("Blobs");
    xml
}

/// `showonly=deleted`: what can be restored, in one page.
fn deleted(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.principal.must_be_unrestricted()?;
    let mut xml = begin(request);
    let prefix = request.query.get("prefix").unwrap_or("");
    let now = call.store.now_unix_ns();
    for deleted in call
        .store
        .list_deleted(&request.account, &request.filesystem)?
    {
        let path = deleted.path.to_string();
        if !path.starts_with(prefix) {
            continue;
        }
        let element = match deleted.inode.is_directory() {
            true => "BlobPrefix",
            false => "Blob",
        };
        xml.open(element);
        name(&mut xml, &path);
        xml.text("Deleted", "true")
            .text("DeletionId", &deleted.deletion.to_string())
            .open("Properties");
        properties(&mut xml, &deleted.inode, request.is_flat, now);
        xml.text("DeletedTime", &http_date(deleted.deleted_unix_ns))
            .text("RemainingRetentionDays", &deleted.days_left.to_string())
            .close("Properties")
            .close(element);
    }
    xml.close("Blobs")
        .text("NextMarker", "")
        .close("EnumerationResults");
    Ok(Reply::new(200).xml(&xml.finish()))
}

pub(super) fn blobs(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    match request.query.get("showonly") {
        None | Some("") => {}
        Some("deleted") => return deleted(call),
        Some(other) => {
            return Err(StoreError::invalid_query(
                "showonly",
                other,
                "It must be deleted.",
            ));
        }
    }
    if request.is_flat {
        return flat::blobs(call);
    }
    let list = list_request(call)?;
    let page = match call.store.list_as(
        &request.principal,
        &request.account,
        &request.filesystem,
        &list,
    ) {
        // A prefix that nothing has is no error.
        Err(error) if error.is(ErrorCode::PathNotFound) => None,
        found => Some(found?),
    };
    let mut xml = begin(request);
    let now = call.store.now_unix_ns();
    for listed in page.iter().flat_map(|page| &page.entries) {
        let is_prefix = !list.recursive && listed.inode.is_directory();
        blob(&mut xml, request, listed, is_prefix, now);
    }
    let more = page
        .as_ref()
        .and_then(|page| Some((page.filesystem.created_unix_ns, page.next.as_ref()?)))
        .map(|(created, path)| call.token(created, path));
    xml.close("Blobs")
        .text("NextMarker", more.as_deref().unwrap_or(""))
        .close("EnumerationResults");
    Ok(Reply::new(200).xml(&xml.finish()))
}

fn blob(xml: &mut XmlText, request: &Request, listed: &Listed, is_prefix: bool, now_unix_ns: i64) {
    let inode = &listed.inode;
    let element = if is_prefix { "BlobPrefix" } else { "Blob" };
    let end = if is_prefix { "/" } else { "" };
    xml.open(element);
    name(xml, &format!("{}{end}", listed.path));
    xml.open("Properties");
    properties(xml, inode, false, now_unix_ns);
    if includes(request, "permissions") {
        xml.text("Owner", &inode.access.owner)
            .text("Group", &inode.access.group);
        xml.text("Permissions", &inode.access.permissions())
            .text("Acl", &inode.access.acl());
    }
    xml.close("Properties");
    if includes(request, "metadata") && !is_prefix {
        metadata(xml, &inode.properties, inode.is_directory());
    }
    tags(xml, request, inode);
    if !is_prefix {
        end_of_blob(xml, request);
    }
    xml.close(element);
}

pub(super) fn tags(xml: &mut XmlText, request: &Request, inode: &Inode) {
    if !includes(request, "tags") || inode.tags.is_empty() {
        return;
    }
    xml.open("Tags").open("TagSet");
    for (key, value) in &inode.tags {
        xml.open("Tag")
            .text("Key", key)
            .text("Value", value)
            .close("Tag");
    }
    xml.close("TagSet").close("Tags");
}

/// What stands last in a blob: recorded lists have it from this version on, always empty.
pub(super) fn end_of_blob(xml: &mut XmlText, request: &Request) {
    if request.version.as_str() >= "2020-02-10" {
        xml.text("OrMetadata", "");
    }
}

/// XML cannot hold every character that a name can.
pub(super) fn name(xml: &mut XmlText, name: &str) {
    let fits = !name.contains(['\u{fffe}', '\u{ffff}']);
    if fits {
        xml.open("Name").raw(&escape(name)).close("Name");
        return;
    }
    let encoded =
        percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
    xml.open_with("Name", &[("Encoded", "true")])
        .raw(&encoded)
        .close("Name");
}

pub(super) fn properties(xml: &mut XmlText, inode: &Inode, is_flat: bool, now_unix_ns: i64) {
    xml.text("Creation-Time", &http_date(inode.created_unix_ns));
    xml.text("Last-Modified", &http_date(inode.modified_unix_ns));
    xml.text("Etag", etag_text(inode.etag).trim_matches('"'));
    if !is_flat {
        let kind = if inode.is_directory() {
            "directory"
        } else {
            "file"
        };
        xml.text("ResourceType", kind);
    }
    xml.text("Content-Length", &inode.length.to_string());
    let headers = &inode.headers;
    xml.text(
        "Content-Type",
        headers
            .content_type
            .as_deref()
            .unwrap_or("application/octet-stream"),
    );
    for (name, value) in [
        ("Content-Encoding", &headers.content_encoding),
        ("Content-Language", &headers.content_language),
        ("Content-CRC64", &None),
        ("Content-MD5", &headers.content_md5),
        ("Cache-Control", &headers.cache_control),
        ("Content-Disposition", &headers.content_disposition),
    ] {
        xml.text(name, value.as_deref().unwrap_or(""));
    }
    xml.text("BlobType", inode.origin.blob_type());
    if inode.origin == Origin::PageBlob {
        let number = inode.sequence_number.to_string();
        xml.text("x-ms-blob-sequence-number", &number);
    }
    xml.text("AccessTier", inode.tier.as_deref().unwrap_or("Hot"));
    match inode.tier_changed_unix_ns {
        None if inode.tier.is_none() => {
            xml.text("AccessTierInferred", "true");
        }
        None => {}
        Some(changed) => {
            xml.text("AccessTierChangeTime", &http_date(changed));
        }
    }
    if inode.is_sealed {
        xml.text("Sealed", "true");
    }
    lease(xml, inode.lease.as_ref(), now_unix_ns);
    if let Some(copy) = &inode.copy {
        xml.text("CopyId", &copy.id)
            .text("CopySource", &copy.source)
            .text("CopyStatus", "success");
        xml.text("CopyProgress", &format!("{0}/{0}", copy.length));
        xml.text("CopyCompletionTime", &http_date(copy.completed_unix_ns));
    }
    xml.text("ServerEncrypted", "true");
    if let Some(hash) = &inode.customer_key_sha256 {
        xml.text("CustomerProvidedKeySha256", hash);
    }
    if !inode.tags.is_empty() {
        xml.text("TagCount", &inode.tags.len().to_string());
    }
}
