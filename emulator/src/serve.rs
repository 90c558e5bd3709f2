//! One request from its bytes to the answer's: the store blocks, so its work is done on threads that may.

use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::TRANSFER_ENCODING;
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use crate::error::{ErrorCode, Result, StoreError};
use crate::faults::connection::Reset;
use crate::faults::{Faults, effect};
use crate::protocol;
use crate::protocol::auth::{self, Gate, issuer};
use crate::protocol::body::RequestBody;
use crate::protocol::reply::{Reply, ReplyBody, error_reply};
use crate::protocol::request::{Arrival, Face, Request};
use crate::protocol::structured::{Encoder, SEGMENT_BYTES};
use crate::store::Store;
use crate::store::content::ContentReader;

/// Chunks that may wait between network and store.
const CHUNKS_WAITING: usize = 8;
/// A body up to this size is waited for before a request's work begins, where that is done at once.
const QUICK_BODY_MAX_BYTES: u64 = 64 * 1024;
/// An answer up to this size is sent at once.
const WHOLE_ANSWER_MAX_BYTES: u64 = 256 * 1024;

/// What a connection came in by.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub face: Face,
    pub is_https: bool,
    pub gate: Arc<Gate>,
}

pub(crate) type AnswerBody = BoxBody<Bytes, io::Error>;

/// Answers a request. What fails is an answer too; only a fault ends the connection instead.
pub(crate) async fn answer(
    store: Store,
    incoming: hyper::Request<Incoming>,
    client_ip: IpAddr,
    port: Port,
    faults: Option<Arc<Faults>>,
    reset: Reset,
) -> io::Result<Response<AnswerBody>> {
    let (head, body) = incoming.into_parts();
    let arrival = Arrival {
        method: head.method,
        raw_path: head.uri.path().to_owned(),
        raw_query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        port_face: port.face,
        client_ip,
        is_https: port.is_https,
        gate: port.gate,
    };
    let request = Request::new(arrival, |name| store.account(name).is_some());
    match faults {
        None => Ok(carry_out_request(store, request, body).await),
        Some(faults) => effect::answer(&faults, store, request, body, &reset).await,
    }
}

/// Does what a request asks for, where its work may be done.
pub(crate) async fn carry_out_request(
    store: Store,
    request: Request,
    body: Incoming,
) -> Response<AnswerBody> {
    let is_inline = is_quick(&store, &request);
    let source = match body.is_end_stream() {
        true => RequestBody::empty(),
        false if is_inline => gather(body).await,
        false => feed(body),
    };
    let work = move || answer_now(&store, request, source);
    let answered = match is_inline {
        true => catch_unwind(AssertUnwindSafe(work)).map_err(|_| ()),
        false => tokio::task::spawn_blocking(work).await.map_err(|_| ()),
    };
    answered.unwrap_or_else(|()| {
        tracing::error!("the work for a request panicked");
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Does a request's work and prepares its answer; it may wait for the disk.
fn answer_now(store: &Store, mut request: Request, source: RequestBody) -> Response<AnswerBody> {
    request.is_flat = is_flat(store, &request.account);
    let allowed = auth::authorize(store, &mut request);
    let reply = carry_out(store, &request, allowed, source).finish(&request);
    respond(reply, &request)
}

/// Whether a request is about one path, has a small body and waits for no disk: then handing it to another thread
/// would take longer than its work.
fn is_quick(store: &Store, request: &Request) -> bool {
    let is_small = match request.content_length() {
        Some(length) => length <= QUICK_BODY_MAX_BYTES,
        None => !request.headers.contains_key(TRANSFER_ENCODING),
    };
    let is_of_one_path = match request.method {
        Method::GET | Method::HEAD => true,
        Method::PUT => {
            !request.headers.contains_key("x-ms-copy-source")
                && !request.headers.contains_key("x-ms-rename-source")
        }
        Method::PATCH => {
            request.query.is("action", "append") || request.query.is("action", "flush")
        }
        _ => false,
    };
    is_small && is_of_one_path && !request.path.is_empty() && !store.is_on_disk()
}

/// Waits for a small body.
async fn gather(mut body: Incoming) -> RequestBody {
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => chunks.push(Ok(data)),
            Ok(Err(_)) => {}
            Err(error) => {
                chunks.push(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
                break;
            }
        }
    }
    RequestBody::gathered(chunks)
}

/// Whether an account has no hierarchical namespace.
pub(crate) fn is_flat(store: &Store, account: &str) -> bool {
    store.account(account).is_some_and(|account| account.flat)
}

/// Carries out a request, and reads its body to the end even when nobody wanted it: the client may read the answer
/// only after it has sent all.
fn carry_out(
    store: &Store,
    request: &Request,
    allowed: Result<()>,
    mut body: RequestBody,
) -> Reply {
    let reply = allowed.and_then(|()| try_carry_out(store, request, &mut body));
    body.drain();
    reply.unwrap_or_else(|error| error_reply(&error, request))
}

pub(crate) fn try_carry_out(
    store: &Store,
    request: &Request,
    body: &mut RequestBody,
) -> Result<Reply> {
    if issuer::is_asked(request) {
        return issuer::answer(store, request, body);
    }
    request.check_version()?;
    if request.account.is_empty() {
        return Err(StoreError::code(ErrorCode::InvalidUri));
    }
    protocol::carry_out(store, request, body)
}

/// Hands a body on as it arrives.
fn feed(mut body: Incoming) -> RequestBody {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let chunk = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(error) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    RequestBody::new(receiver)
}

fn whole(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

pub(crate) fn respond(mut reply: Reply, request: &Request) -> Response<AnswerBody> {
    let length = reply.length();
    let is_head = request.method == hyper::Method::HEAD;
    if !reply.headers.contains_key(hyper::header::CONTENT_LENGTH) && reply.status != 304 && !is_head
    {
        reply.set("content-length", length.to_string());
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match reply.body {
        _ if is_head => whole(Bytes::new()),
        ReplyBody::Empty => whole(Bytes::new()),
        ReplyBody::Bytes(bytes) => whole(bytes.into()),
        ReplyBody::File {
            mut reader,
            offset,
            length,
        } => {
            if length <= WHOLE_ANSWER_MAX_BYTES {
                match reader.read_range(offset, length) {
                    Ok(bytes) => whole(bytes.into()),
                    Err(error) => {
                        let reply = error_reply(&error, request).finish(request);
                        return respond(reply, request);
                    }
                }
            } else {
                stream(reader, offset, length)
            }
        }
        ReplyBody::Structured {
            reader,
            offset,
            length,
        } => stream_structured(reader, offset, length),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = reply.headers;
    response
}

/// Sends a file piece by piece. One that turns out damaged ends the connection: half an answer must not look whole.
fn stream(mut reader: Box<ContentReader>, offset: u64, length: u64) -> AnswerBody {
    let (sender, receiver) = mpsc::channel::<io::Result<Frame<Bytes>>>(CHUNKS_WAITING);
    tokio::task::spawn_blocking(move || {
        reader.set_position(offset);
        let mut left = length;
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX);
            let chunk = match reader.next_run(limit) {
                Ok(run) if run.is_empty() => break,
                Ok(run) => {
                    left -= run.len() as u64;
                    Ok(Frame::data(run))
                }
                Err(error) => {
                    tracing::error!(%error, "an answer was cut off");
                    left = 0;
                    Err(io::Error::other(error))
                }
            };
            if sender.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    FileBody(receiver).boxed()
}

/// Sends a file in segments, as [`stream`].
fn stream_structured(mut reader: Box<ContentReader>, offset: u64, length: u64) -> AnswerBody {
    let (sender, receiver) = mpsc::channel::<io::Result<Frame<Bytes>>>(CHUNKS_WAITING);
    tokio::task::spawn_blocking(move || {
        let send = |bytes: Vec<u8>| sender.blocking_send(Ok(Frame::data(bytes.into()))).is_ok();
        let mut work = || -> Result<bool> {
            let mut encoder = Encoder::new(length)?;
            let mut sent = send(encoder.header());
            for from in (0..length).step_by(SEGMENT_BYTES as usize) {
                let here = SEGMENT_BYTES.min(length - from);
                sent = sent && send(encoder.segment(&reader.read_range(offset + from, here)?));
            }
            Ok(sent && send(encoder.trailer()))
        };
        if let Err(error) = work() {
            tracing::error!(%error, "an answer was cut off");
            // Nobody listens when this fails.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    FileBody(receiver).boxed()
}

/// A body whose pieces come through a channel.
pub(crate) fn piecewise(pieces: mpsc::Receiver<io::Result<Frame<Bytes>>>) -> AnswerBody {
    FileBody(pieces).boxed()
}

struct FileBody(mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context)
    }
}
