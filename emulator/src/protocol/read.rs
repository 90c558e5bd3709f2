//! Reading a file, and what is known about a path: the same on both protocols.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::checksums::crc64_of;
use crate::protocol::common::{Call, conditions};
use crate::protocol::customer_key;
use crate::protocol::reply::{Reply, ReplyBody};
use crate::protocol::request::Request;
use crate::protocol::structured;
use crate::store::condition::ConditionUse;
use crate::store::content::ContentReader;
use crate::store::inode::Inode;
use crate::store::lease;

/// The largest range whose MD5 or CRC-64 is worked out on request.
const RANGE_CHECKSUM_MAX_BYTES: u64 = 4 << 20;

/// What a `Range` header asks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Whole,
    Part { first: u64, last: u64 },
}

/// Reads `bytes=first-last`, `bytes=first-` or `bytes=-last`. A range of another form is ignored, as HTTP has it.
fn span(request: &Request, length: u64) -> Result<Span> {
    let given = match request.header("x-ms-range")? {
        Some(range) => Some(range),
        None => request.header("range")?,
    };
    let Some((first, last)) = given
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(Span::Whole);
    };
    let end = length.saturating_sub(1);
    let (first, last) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(end)),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, end),
        (Err(_), Ok(last)) if first.trim().is_empty() && last > 0 => {
            (length.saturating_sub(last), end)
        }
        _ => return Ok(Span::Whole),
    };
    if first >= length {
        let error = StoreError::code(ErrorCode::InvalidRange);
        return Err(error.header("content-range", &format!("bytes */{length}")));
    }
    Ok(Span::Part { first, last })
}

/// Checks the conditions, the lease and the customer's key of a read.
pub(super) fn check(call: &Call<'_>, inode: &Inode) -> Result<()> {
    let now = call.store.now_unix_ns();
    conditions(call.request, "")?.check(Some(inode.version()), ConditionUse::Read)?;
    lease::check_read(
        inode.lease.as_ref(),
        call.request.header("x-ms-lease-id")?,
        now,
    )?;
    call.check_customer_key(inode)
}

/// Whether the range's MD5 is wanted, or its CRC-64; both at once is an error.
fn range_checksums(request: &Request) -> Result<(bool, bool)> {
    let wanted = |name: &str| -> Result<bool> {
        match request.header(name)? {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(StoreError::invalid_header(name, text)),
        }
    };
    let crc64 = "x-ms-range-get-content-crc64";
    match (wanted("x-ms-range-get-content-md5")?, wanted(crc64)?) {
        (true, true) => Err(StoreError::invalid_header(crc64, "true")),
        wanted => Ok(wanted),
    }
}

/// `GET` of a path.
pub(super) fn get(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let path = request.path_or_snapshot()?;
    let (node, mut reader) = call.store.open_node(
        &request.principal,
        &request.account,
        &request.filesystem,
        &path,
    )?;
    let inode = node.inode;
    check(call, &inode)?;
    reader.set_customer_key(customer_key::of(request)?);
    let reply = Reply::new(200).attributes(&inode, request.is_flat, call.store.now_unix_ns());
    let Span::Part { first, last } = span(request, inode.length)? else {
        let length = inode.length;
        return with_content(request, reply, reader, 0, length);
    };
    let length = last - first + 1;
    let mut reply = reply.with(
        "content-range",
        format!("bytes {first}-{last}/{}", inode.length),
    );
    reply.status = 206;
    reply.headers.remove("content-md5");
    if let Some(md5) = &inode.headers.content_md5 {
        reply.set("x-ms-blob-content-md5", md5);
        reply.set("x-ms-content-md5", md5);
    }
    let (wants_md5, wants_crc64) = range_checksums(request)?;
    if wants_md5 || wants_crc64 {
        if length > RANGE_CHECKSUM_MAX_BYTES {
            return Err(StoreError::code(ErrorCode::OutOfRangeInput));
        }
        let bytes = reader.read_range(first, length)?;
        match wants_md5 {
            true => reply.set("content-md5", STANDARD.encode(md5::Md5::digest(&bytes))),
            false => reply.set("x-ms-content-crc64", crc64_of(&bytes)),
        }
    }
    with_content(request, reply, reader, first, length)
}

/// Puts a range of the file into the answer, in the form that the request wants.
fn with_content(
    request: &Request,
    mut reply: Reply,
    reader: ContentReader,
    offset: u64,
    length: u64,
) -> Result<Reply> {
    let reader = Box::new(reader);
    reply.body = match structured::is_wanted(request)? {
        false => ReplyBody::File {
            reader,
            offset,
            length,
        },
        true => {
            structured::Encoder::new(length)?;
            reply.set("x-ms-structured-body", structured::FORM);
            reply.set("x-ms-structured-content-length", length.to_string());
            ReplyBody::Structured {
                reader,
                offset,
                length,
            }
        }
    };
    Ok(reply)
}

/// `HEAD` of a path.
pub(super) fn head(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let path = request.path_or_snapshot()?;
    let inode = call
        .store
        .node_as(
            &request.principal,
            &request.account,
            &request.filesystem,
            &path,
        )?
        .inode;
    check(call, &inode)?;
    let reply = Reply::new(200).attributes(&inode, request.is_flat, call.store.now_unix_ns());
    Ok(reply.with("content-length", inode.length.to_string()))
}
