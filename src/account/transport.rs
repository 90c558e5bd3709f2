//! Requests over HTTP: bodies at the pace that is allowed, and no request that stands still for ever.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::request::Body;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};

use super::AccountOptions;
use super::pace::{Pace, PacedBody, Progress};

/// Longer than a host that is away for a moment needs, and short enough to tell a person.
const CONNECT_TIMEOUT_S: u64 = 20;
/// How long nothing may come, or go, before a request is given up. It is not the time of a whole request: a block takes
/// minutes on a slow way.
const STALL_TIMEOUT_S: u64 = 60;
/// Bodies up to here go at once: waiting for a turn would take longer.
const SMALL_BYTES: u64 = 4 << 10;

/// The client that the account's library sends its requests with.
#[derive(Debug)]
pub(super) struct Transport {
    /// For requests without a body to speak of: an answer has to come soon.
    asking: reqwest::Client,
    /// For requests with one: the time to send it counts for nothing as long as it goes on.
    sending: reqwest::Client,
    pace: Arc<Pace>,
}

impl Transport {
    pub(super) fn new(options: &AccountOptions, pace: Arc<Pace>) -> Result<Self> {
        let stall = Duration::from_secs(STALL_TIMEOUT_S);
        let asking = builder(options)?.read_timeout(stall).build();
        let sending = builder(options)?.build();
        let failed = "the HTTP client does not start";
        Ok(Transport {
            asking: asking.context(failed)?,
            sending: sending.context(failed)?,
            pace,
        })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let body = match request.body() {
            Body::Bytes(bytes) if bytes.len() as u64 > SMALL_BYTES => bytes.clone(),
            _ => return self.asking.execute_request(request).await,
        };
        let length = body.len();
        let _busy = self.pace.busy();
        let progress = Progress::new();
        let paced = PacedBody::new(body, Arc::clone(&self.pace), progress.clone());
        let mut request = request.clone();
        request.set_body(Body::SeekableStream(Box::new(paced)));
        // A stream has no length of its own, and the account wants one.
        request.insert_header("content-length", length.to_string());
        let stall = Duration::from_secs(STALL_TIMEOUT_S);
        tokio::select! {
            answer = self.sending.execute_request(&request) => answer,
            () = progress.stalled(stall) => Err(azure_core::Error::with_message(
                ErrorKind::Io,
                format!("nothing went over the wire for {STALL_TIMEOUT_S} s"),
            )),
        }
    }
}

/// The proxy is that of the environment (`HTTPS_PROXY`, `NO_PROXY`).
fn builder(options: &AccountOptions) -> Result<reqwest::ClientBuilder> {
    // Whoever is second finds that it is done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
        .redirect(reqwest::redirect::Policy::none());
    if let Some(file) = &options.ca_file {
        let pem = fs::read(file).with_context(|| file.display().to_string())?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("{} does not hold certificates in PEM", file.display()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}
