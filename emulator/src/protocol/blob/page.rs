//! Put Page, Get Page Ranges, and what page blobs have of Put Blob and Set Blob Properties.

use std::ops::Range;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::source;
use crate::protocol::blob::upload::create_request;
use crate::protocol::blob::xml::XmlText;
use crate::protocol::checksums::Sums;
use crate::protocol::common::{Call, content_headers, guard};
use crate::protocol::read;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::store::content::Segment;
use crate::store::inode::{ContentHeaders, Inode, Origin};
use crate::store::page::{PAGE_BLOB_MAX_BYTES, PAGE_BYTES, PageRange, SequenceConditions};

/// Pages that one request may write.
const PAGES_MAX_BYTES: u64 = 4 << 20;
const RANGES_MAX: u64 = 10_000;
const LENGTH: &str = "x-ms-blob-content-length";
const NUMBER: &str = "x-ms-blob-sequence-number";
const NUMBER_ACTION: &str = "x-ms-sequence-number-action";
/// The numbers that a client may count with: signed ones of 64 bits.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// The length of a page blob that the request asks for.
fn length(request: &Request) -> Result<Option<u64>> {
    let length = request.header_number(LENGTH)?;
    match length {
        Some(length) if length % PAGE_BYTES != 0 || length > PAGE_BLOB_MAX_BYTES => {
            Err(StoreError::invalid_header(LENGTH, &length.to_string()))
        }
        length => Ok(length),
    }
}

fn number(request: &Request) -> Result<Option<u64>> {
    let number = request.header_number(NUMBER)?;
    match number {
        Some(number) if number > NUMBER_MAX => {
            Err(StoreError::invalid_header(NUMBER, &number.to_string()))
        }
        number => Ok(number),
    }
}

fn answer(status: u16, inode: &Inode) -> Reply {
    Reply::new(status)
        .version_of(inode)
        .with(NUMBER, inode.sequence_number.to_string())
}

/// Put Blob of a page blob, which has no pages yet.
pub(super) fn create(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let length = length(request)?.ok_or_else(|| StoreError::missing_header(LENGTH))?;
    if request.content_length().is_some_and(|length| length > 0) {
        return Err(ErrorCode::ContentLengthMustBeZero.into());
    }
    let mut create = create_request(call, Origin::PageBlob)?;
    create.blob.sequence_number = number(request)?.unwrap_or(0);
    if create.headers.content_type.is_none() {
        create.headers.content_type = request.header("content-type")?.map(str::to_owned);
    }
    let mut body = call.store.body_writer(None).finish()?;
    if length > 0 {
        body.segments.push(Segment::Hole(length));
        body.length = length;
    }
    let path = request.store_path()?;
    let inode = call.store.create(
        &request.account,
        &request.filesystem,
        &path,
        &create,
        Some(body),
    )?;
    Ok(Reply::new(201)
        .version_of(&inode)
        .with("x-ms-request-server-encrypted", "true"))
}

/// `x-ms-range` or `Range`: `bytes=first-last`, or `bytes=first-`.
fn span(request: &Request) -> Result<Option<Range<u64>>> {
    let (name, text) = match request.header("x-ms-range")? {
        Some(text) => ("x-ms-range", text),
        None => match request.header("range")? {
            Some(text) => ("Range", text),
            None => return Ok(None),
        },
    };
    let wrong = || StoreError::invalid_header(name, text);
    let (first, last) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(wrong)?;
    let first: u64 = first.parse().map_err(|_| wrong())?;
    let last: u64 = match last {
        "" => u64::MAX - 1,
        last => last.parse().map_err(|_| wrong())?,
    };
    match first <= last && last < u64::MAX {
        true => Ok(Some(first..last + 1)),
        false => Err(wrong()),
    }
}

/// The pages that a write is for.
fn pages(request: &Request) -> Result<Range<u64>> {
    let span = span(request)?.ok_or_else(|| StoreError::missing_header("x-ms-range"))?;
    match span.start % PAGE_BYTES == 0 && span.end % PAGE_BYTES == 0 {
        true => Ok(span),
        false => Err(ErrorCode::InvalidPageRange.into()),
    }
}

fn sequence_conditions(request: &Request) -> Result<SequenceConditions> {
    Ok(SequenceConditions {
        at_most: request.header_number("x-ms-if-sequence-number-le")?,
        below: request.header_number("x-ms-if-sequence-number-lt")?,
        equal: request.header_number("x-ms-if-sequence-number-eq")?,
    })
}

/// Put Page and Put Page From URL: writes pages, or clears them.
pub(super) fn put(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let name = "x-ms-page-write";
    let write = request.required_header(name)?;
    let pages = pages(request)?;
    let (body, sums) = match write.to_ascii_lowercase().as_str() {
        "update" => {
            if pages.end - pages.start > PAGES_MAX_BYTES {
                return Err(ErrorCode::RequestBodyTooLarge.into());
            }
            let (body, sums) = source::body(call)?;
            if body.length != pages.end - pages.start {
                let length = body.length.to_string();
                return Err(StoreError::invalid_header("Content-Length", &length));
            }
            (Some(body), sums)
        }
        "clear" if request.content_length().is_some_and(|length| length > 0) => {
            return Err(ErrorCode::ContentLengthMustBeZero.into());
        }
        "clear" => (None, Sums::default()),
        _ => return Err(StoreError::invalid_header(name, write)),
    };
    let inode = call.store.write_pages(
        &request.account,
        &request.filesystem,
        &request.store_path()?,
        pages,
        body,
        sequence_conditions(request)?,
        &guard(request)?,
    )?;
    let reply = answer(201, &inode).with("x-ms-request-server-encrypted", "true");
    Ok(sums.answer(reply))
}

/// Whether Set Blob Properties is asked for what only page blobs have.
pub(super) fn is_about_pages(request: &Request) -> bool {
    [LENGTH, NUMBER_ACTION]
        .iter()
        .any(|name| request.headers.contains_key(*name))
}

/// Set Blob Properties with a new length or number. Headers stay as they are unless one of them is given.
pub(super) fn set_properties(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let headers = content_headers(request, "x-ms-blob-")?;
    let (action, number) = (request.header(NUMBER_ACTION)?, number(request)?);
    let inode = call.store.set_page_blob(
        &request.account,
        &request.filesystem,
        &request.store_path()?,
        length(request)?,
        &guard(request)?,
        |inode| {
            if headers != ContentHeaders::default() {
                inode.headers = headers;
            }
            let Some(action) = action else { return Ok(()) };
            inode.sequence_number = counted(inode.sequence_number, action, number)?;
            Ok(())
        },
    )?;
    Ok(answer(200, &inode))
}

/// The number after `x-ms-sequence-number-action`.
fn counted(before: u64, action: &str, number: Option<u64>) -> Result<u64> {
    match (action.to_ascii_lowercase().as_str(), number) {
        ("max", Some(number)) => Ok(before.max(number)),
        ("update", Some(number)) => Ok(number),
        ("max" | "update", None) => Err(StoreError::missing_header(NUMBER)),
        ("increment", Some(number)) => Err(StoreError::invalid_header(NUMBER, &number.to_string())),
        ("increment", None) if before >= NUMBER_MAX => {
            Err(ErrorCode::SequenceNumberIncrementTooLarge.into())
        }
        ("increment", None) => Ok(before + 1),
        _ => Err(StoreError::invalid_header(NUMBER_ACTION, action)),
    }
}

/// Get Page Ranges: what was written, or with `prevsnapshot` what has changed since.
pub(super) fn ranges(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let by_url = "x-ms-previous-snapshot-url";
    if request.headers.contains_key(by_url) {
        return Err(StoreError::code(ErrorCode::UnsupportedHeader).element("HeaderName", by_url));
    }
    let path = request.path_or_snapshot()?;
    let previous = match request.query.get("prevsnapshot") {
        None => None,
        Some(time) => {
            // Times of snapshots are written so that they sort as text.
            if request.query.get("snapshot").is_some_and(|own| own < time) {
                return Err(ErrorCode::PreviousSnapshotCannotBeNewer.into());
            }
            Some(request.snapshot_of(&request.store_path()?, time)?)
        }
    };
    let mut within = span(request)?.unwrap_or(0..u64::MAX);
    if let Some(marker) = request.query_number("marker")? {
        within.start = within.start.max(marker);
    }
    let (inode, mut ranges) = call.store.page_ranges(
        &request.principal,
        (&request.account, &request.filesystem, &path),
        previous.as_ref(),
        within,
        |inode| read::check(call, inode),
    )?;
    let max = request.query_number("maxresults")?;
    if max == Some(0) {
        return Err(ErrorCode::OutOfRangeQueryParameterValue.into());
    }
    let max = usize::try_from(max.unwrap_or(RANGES_MAX).min(RANGES_MAX)).unwrap_or(usize::MAX);
    let next = ranges.get(max).map(|range| range.bytes.start);
    ranges.truncate(max);
    Ok(Reply::new(200)
        .version_of(&inode)
        .with(LENGTH, inode.length.to_string())
        .xml(&document(&ranges, next)))
}

fn document(ranges: &[PageRange], next: Option<u64>) -> String {
    let mut xml = XmlText::default();
    xml.open("PageList");
    for range in ranges {
        let name = match range.is_cleared {
            true => "ClearRange",
            false => "PageRange",
        };
        xml.open(name)
            .text("Start", &range.bytes.start.to_string())
            .text("End", &(range.bytes.end - 1).to_string())
            .close(name);
    }
    if let Some(next) = next {
        xml.text("NextMarker", &next.to_string());
    }
    xml.close("PageList");
    xml.finish()
}
