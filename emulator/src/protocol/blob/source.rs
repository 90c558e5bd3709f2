//! Sources that a request names by URL instead of sending a body, within the server.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::{names, source_principal};
use crate::protocol::checksums::{Answered, Checksums, Sums};
use crate::protocol::common::{Call, conditions};
use crate::protocol::customer_key;
use crate::protocol::query::Query;
use crate::protocol::request::{Request, decode, path_in, snapshot_in};
use crate::store::Store;
use crate::store::authorize::Principal;
use crate::store::body::Body;
use crate::store::condition::ConditionUse;
use crate::store::content::ContentReader;
use crate::store::inode::etag_text;
use crate::store::path::StorePath;
use crate::store::seal::check_key;

/// Read from a source at once.
const READ_BYTES: u64 = 256 * 1024;

/// What a URL of this server names.
pub(super) struct Source {
    pub account: String,
    pub container: String,
    pub path: StorePath,
    /// For whom it is read.
    pub principal: Principal,
}

/// Finds what a URL of this server names, and whether the request may read it: by a signature in the URL, or by what
/// gives the request its own right.
pub(super) fn place(store: &Store, request: &Request, url: &str) -> Result<Source> {
    let elsewhere = || {
        StoreError::with_message(
            ErrorCode::CannotVerifyCopySource,
            format!(
                "The emulator copies only from its own accounts, which are {}; {url} is in none of them.",
                names(store.accounts())
            ),
        )
    };
    let rest = url
        .split_once("://")
        .map(|(_, rest)| rest)
        .ok_or_else(elsewhere)?;
    let (host, path) = rest.split_once('/').ok_or_else(elsewhere)?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let known = |name: &str| store.account(name).cloned();
    let in_path = path
        .split_once('/')
        .and_then(|(first, within)| Some((known(first)?, within)));
    let in_host = || {
        let (first, _) = host.split_once('.')?;
        Some((known(first)?, path))
    };
    let (account, within) = in_path.or_else(in_host).ok_or_else(elsewhere)?;
    let (container, path) = within.split_once('/').ok_or_else(elsewhere)?;
    let (container, decoded) = (decode(container), decode(path));
    let named = (container.as_str(), decoded.as_str(), query);
    let principal = source_principal(store, request, &account, named, false).map_err(unverified)?;
    let path = path_in(account.flat, &decoded)?;
    let path = match Query::parse(query).get("snapshot") {
        Some(time) => snapshot_in(account.flat, &path, time)?,
        None => path,
    };
    Ok(Source {
        account: account.name,
        container,
        path,
        principal,
    })
}

/// A source that may not be read cannot be verified; the detail says why.
fn unverified(error: StoreError) -> StoreError {
    let status = error.service_code().status();
    match (&error, status) {
        (StoreError::Service(service), 401 | 403) => {
            let mut refusal = StoreError::code(ErrorCode::UnauthorizedCopySource)
                .element("CopySourceErrorCode", service.code.blob());
            for (name, value) in &service.elements {
                refusal = refusal.element(name, value);
            }
            refusal
        }
        _ => error,
    }
}

/// Whether the request names a source.
pub(super) fn is_named(request: &Request) -> bool {
    request.headers.contains_key("x-ms-copy-source")
}

/// `x-ms-seal-blob`: whether the copy of an append blob is closed, as that of a closed one is anyway.
pub(super) fn seals(request: &Request) -> Result<bool> {
    let name = "x-ms-seal-blob";
    match request.header(name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(StoreError::invalid_header(name, other)),
    }
}

/// The range of the source that is wanted.
fn range(request: &Request, length: u64) -> Result<Range<u64>> {
    let name = "x-ms-source-range";
    let Some(text) = request.header(name)? else {
        return Ok(0..length);
    };
    let wrong = || StoreError::invalid_header(name, text);
    let (first, last) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(wrong)?;
    let first: u64 = first.parse().map_err(|_| wrong())?;
    let last: u64 = match last {
        "" => length.saturating_sub(1),
        last => last.parse().map_err(|_| wrong())?,
    };
    if last < first {
        return Err(wrong());
    }
    if first >= length {
        return Err(ErrorCode::InvalidRange.into());
    }
    Ok(first..last.min(length - 1) + 1)
}

/// The reader of the source, whose conditions hold, its ETag, and the range that is wanted of it.
fn open(call: &Call<'_>, url: &str) -> Result<(ContentReader, u64, Range<u64>)> {
    let request = call.request;
    let source = place(call.store, request, url)?;
    let opened = call.store.open_node(
        &source.principal,
        &source.account,
        &source.container,
        &source.path,
    );
    let (node, mut reader) = opened.map_err(|error| {
        match error.is(ErrorCode::PathNotFound) || error.is(ErrorCode::FilesystemNotFound) {
            true => ErrorCode::CannotVerifyCopySource.into(),
            false => error,
        }
    })?;
    conditions(request, "x-ms-source-")?.check(Some(node.inode.version()), ConditionUse::Source)?;
    if node.inode.is_directory() {
        return Err(ErrorCode::ResourceTypeMismatch.into());
    }
    let key = customer_key::of_source(request)?;
    check_key(&node.inode, key.as_ref())?;
    reader.set_customer_key(key);
    let wanted = range(request, node.inode.length)?;
    Ok((reader, node.inode.etag, wanted))
}

/// The body of a block or of pages: what the request sent, or what its source has.
pub(super) fn body(call: &mut Call<'_>) -> Result<(Body, Sums)> {
    let request = call.request;
    let Some(url) = request.header("x-ms-copy-source")? else {
        return call.store_body(Answered::Crc64);
    };
    if request.content_length().is_some_and(|length| length > 0) {
        return Err(ErrorCode::ContentLengthMustBeZero.into());
    }
    let mut writer = call.store.body_writer(customer_key::of(request)?);
    let (sums, _) = read_checked(call, url, |bytes| writer.push(bytes))?;
    Ok((writer.finish()?, sums))
}

/// Compares the source with the checksum that the request expects of it, if any, and gives the ETag that it had.
pub(super) fn verify(call: &Call<'_>, url: &str) -> Result<Option<String>> {
    let expected = ["x-ms-source-content-md5", "x-ms-source-content-crc64"];
    let headers = &call.request.headers;
    match expected.iter().any(|name| headers.contains_key(*name)) {
        true => read_checked(call, url, |_| Ok(())).map(|(_, etag)| Some(etag_text(etag))),
        false => Ok(None),
    }
}

/// Reads the wanted range of a source, and gives its checksums, which are as expected, and its ETag.
fn read_checked(
    call: &Call<'_>,
    url: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(Sums, u64)> {
    let request = call.request;
    let (mut reader, etag, wanted) = open(call, url)?;
    let md5 = request.header("x-ms-source-content-md5")?;
    if md5.is_some_and(|text| STANDARD.decode(text).map_or(0, |bytes| bytes.len()) != 16) {
        return Err(ErrorCode::InvalidMd5.into());
    }
    let mut sums = Checksums::expecting(md5, request.header("x-ms-source-content-crc64")?);
    for from in wanted.clone().step_by(READ_BYTES as usize) {
        let bytes = reader.read_range(from, READ_BYTES.min(wanted.end - from))?;
        sums.see(&bytes);
        take(&bytes)?;
    }
    Ok((sums.check()?, etag))
}
