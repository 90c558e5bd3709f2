//! Blob Batch: deletes and tier changes, up to 256 in one request.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::Authority;
use crate::protocol::body::RequestBody;
use crate::protocol::common::Call;
use crate::protocol::reply::{Reply, ReplyBody, error_reply};
use crate::protocol::request::{Arrival, Face, Request};
use crate::protocol::{auth, carry_out};
use crate::store::Store;

const BATCH_MAX_BYTES: u64 = 4 << 20;
const REQUESTS_MAX: usize = 256;

pub(super) fn submit(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let content_type = request.required_header("content-type")?;
    let boundary = content_type
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"'))
        .next()
        .ok_or_else(|| StoreError::invalid_header("Content-Type", content_type))?;
    let body = String::from_utf8(call.body.read_all(BATCH_MAX_BYTES)?)
        .map_err(|_| StoreError::code(ErrorCode::InvalidInput))?;
    let delimiter = format!("--{boundary}");
    let parts: Vec<&str> = body
        .split(&delimiter)
        .skip(1)
        .take_while(|part| !part.starts_with("--"))
        .collect();
    if parts.is_empty() || parts.len() > REQUESTS_MAX {
        return Err(StoreError::with_message(
            ErrorCode::InvalidInput,
            format!("A batch has 1 to {REQUESTS_MAX} requests."),
        ));
    }
    let answer = format!("batchresponse_{}", uuid::Uuid::new_v4());
    let mut text = String::new();
    for part in parts {
        let (id, reply) = one(call.store, request, part)?;
        text.push_str(&format!("--{answer}\r\nContent-Type: application/http\r\n"));
        if let Some(id) = id {
            text.push_str(&format!("Content-ID: {id}\r\n"));
        }
        text.push_str(&format!("\r\n{}", reply_text(reply)));
    }
    text.push_str(&format!("--{answer}--\r\n"));
    let mut reply = Reply::new(202).with(
        "content-type",
        format!("multipart/mixed; boundary={answer}"),
    );
    reply.body = ReplyBody::Bytes(text.into_bytes());
    Ok(reply)
}

/// Carries one request of a batch out. Only a part that is none fails the batch.
fn one(store: &Store, outer: &Request, part: &str) -> Result<(Option<String>, Reply)> {
    let malformed = || {
        StoreError::with_message(
            ErrorCode::InvalidInput,
            "A part of the batch is not a request.",
        )
    };
    let part = part.trim_start_matches("\r\n").trim_start_matches('\n');
    let (envelope, inner) = part
        .split_once("\r\n\r\n")
        .or_else(|| part.split_once("\n\n"))
        .ok_or_else(malformed)?;
    let id = envelope.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-id")
            .then(|| value.trim().to_owned())
    });
    let mut lines = inner.lines();
    let mut start = lines.next().unwrap_or("").split_whitespace();
    let (Some(method), Some(target)) = (start.next(), start.next()) else {
        return Err(malformed());
    };
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| malformed())?;
        headers.append(name, value);
    }
    let (raw_path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let arrival = Arrival {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| malformed())?,
        raw_path: raw_path.to_owned(),
        raw_query: raw_query.to_owned(),
        headers,
        port_face: Face::Blob,
        client_ip: outer.client_ip,
        is_https: outer.is_https,
        gate: outer.gate.clone(),
    };
    Ok((id, inner_reply(store, outer, arrival)))
}

fn inner_reply(store: &Store, outer: &Request, arrival: Arrival) -> Reply {
    let signed =
        arrival.headers.contains_key("authorization") || arrival.raw_query.contains("sig=");
    let mut request = Request::new(arrival, |name| store.account(name).is_some());
    request.face = Face::Blob;
    request.is_flat = crate::serve::is_flat(store, &request.account);
    let allowed = request.method == Method::DELETE || request.query.is("comp", "tier");
    let done = may(store, outer, &mut request, signed).and_then(|()| match allowed {
        true => carry_out(store, &request, &mut RequestBody::empty()),
        false => Err(StoreError::with_message(
            ErrorCode::InvalidInput,
            "A batch takes Delete Blob and Set Blob Tier.",
        )),
    });
    done.unwrap_or_else(|error| error_reply(&error, &request))
        .finish(&request)
}

/// Without credentials of its own a request goes by those of the batch, which have to reach as far as it does.
fn may(store: &Store, outer: &Request, request: &mut Request, signed: bool) -> Result<()> {
    if signed {
        return auth::authorize(store, request);
    }
    if request.account != outer.account {
        return Err(ErrorCode::NoAuthenticationInformation.into());
    }
    match (&outer.authority, outer.query.has("sig")) {
        (Authority::Key, _) => {
            request.principal = outer.principal.clone();
            request.authority = outer.authority.clone();
            Ok(())
        }
        (_, true) => {
            request.query.take_signature(&outer.query);
            auth::authorize(store, request)
        }
        (Authority::User(identity), false) => {
            request.principal = auth::permit(store, request, identity, true)?;
            request.authority = outer.authority.clone();
            Ok(())
        }
        _ => Err(ErrorCode::NoAuthenticationInformation.into()),
    }
}

fn reply_text(mut reply: Reply) -> String {
    let reason = http::StatusCode::from_u16(reply.status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let mut text = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or(""));
    let body = match std::mem::replace(&mut reply.body, ReplyBody::Empty) {
        ReplyBody::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        ReplyBody::Empty | ReplyBody::File { .. } | ReplyBody::Structured { .. } => String::new(),
    };
    for (name, value) in &reply.headers {
        text.push_str(&format!(
            "{name}: {}\r\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}\r\n", body.len()));
    text
}
