//! The endpoint that plans are set by, on a port of its own.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /faults` | the plan, and how often each fault has happened |
//! | `PUT /faults` | takes the plan in the body from now on |
//! | `DELETE /faults` | nothing goes wrong from now on |
//! | `GET /requests` | the last requests as JSON lines |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::faults::{FaultPlan, Faults};

const PLAN_MAX_BYTES: usize = 1 << 20;

/// Answers until the task ends.
pub(crate) async fn serve(listener: std::net::TcpListener, faults: Arc<Faults>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the port for faults cannot be used"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let faults = Arc::clone(&faults);
                tokio::spawn(async move { connection(stream, client, faults).await });
            }
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, client: SocketAddr, faults: Arc<Faults>) {
    let service = service_fn(move |request| {
        let faults = Arc::clone(&faults);
        async move { Ok::<_, Infallible>(answer(&faults, request).await) }
    });
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, %client, "a connection ended early");
    }
}

async fn answer(faults: &Faults, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/faults") => plan(faults),
        (&Method::PUT, "/faults") => set(faults, request.into_body()).await,
        (&Method::DELETE, "/faults") => match faults.set(FaultPlan::default()) {
            Ok(()) => reply(StatusCode::NO_CONTENT, "text/plain", String::new()),
            Err(error) => wrong(error.to_string()),
        },
        (&Method::GET, "/requests") => requests(faults),
        (method, path) => reply(
            StatusCode::NOT_FOUND,
            "text/plain",
            format!(
                "There is no {method} {path} here, but GET, PUT and DELETE /faults, and GET /requests.\n"
            ),
        ),
    }
}

fn plan(faults: &Faults) -> Response<Full<Bytes>> {
    let (plan, happened) = faults.plan();
    let json = serde_json::json!({ "plan": plan, "happened": happened });
    reply(StatusCode::OK, "application/json", format!("{json}\n"))
}

async fn set(faults: &Faults, body: Incoming) -> Response<Full<Bytes>> {
    let read = Limited::new(body, PLAN_MAX_BYTES).collect().await;
    let bytes = match read {
        Ok(body) => body.to_bytes(),
        Err(error) => return wrong(format!("the plan cannot be read: {error}")),
    };
    let set =
        FaultPlan::from_json(&String::from_utf8_lossy(&bytes)).and_then(|plan| faults.set(plan));
    match set {
        Ok(()) => reply(StatusCode::NO_CONTENT, "text/plain", String::new()),
        Err(error) => wrong(error.to_string()),
    }
}

fn requests(faults: &Faults) -> Response<Full<Bytes>> {
    let mut lines = String::new();
    for record in faults.records() {
        if let Ok(line) = serde_json::to_string(&record) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    reply(StatusCode::OK, "application/jsonl", lines)
}

fn wrong(reason: String) -> Response<Full<Bytes>> {
    reply(StatusCode::BAD_REQUEST, "text/plain", reason + "\n")
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
