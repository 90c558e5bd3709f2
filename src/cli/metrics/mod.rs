//! Metrics for an operator, over HTTP on a port of their own.

mod links;
mod text;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use lakestage::DataFolder;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A request is a few lines; who sends more, or slowly, is let go.
const REQUEST_BYTES_MAX: u64 = 16 << 10;
const TIMEOUT_MS: u64 = 5_000;

/// Answers `GET /metrics`, one after the other.
pub(crate) struct MetricsServer {
    address: SocketAddr,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    pub(crate) fn start(address: SocketAddr, data: &Arc<DataFolder>) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| {
            format!("metrics cannot be told at {address}; choose another address with --metrics")
        })?;
        let address = listener.local_addr()?;
        let is_ending = Arc::new(AtomicBool::new(false));
        let (ending, data) = (is_ending.clone(), data.clone());
        let thread = thread::Builder::new()
            .name("lakestage-metrics".into())
            .spawn(move || {
                for connection in listener.incoming() {
                    if ending.load(Ordering::SeqCst) {
                        return;
                    }
                    let answered = connection.and_then(|connection| answer(&connection, &data));
                    if let Err(error) = answered {
                        tracing::debug!(%error, "a request for metrics broke off");
                    }
                }
            })?;
        Ok(MetricsServer {
            address,
            is_ending,
            thread: Some(thread),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection.
        let is_woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| is_woken) {
            let _ = thread.join();
        }
    }
}

fn answer(connection: &TcpStream, data: &DataFolder) -> std::io::Result<()> {
    let timeout = Some(Duration::from_millis(TIMEOUT_MS));
    connection.set_read_timeout(timeout)?;
    connection.set_write_timeout(timeout)?;
    let mut lines = BufReader::new(connection.take(REQUEST_BYTES_MAX)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // The headers must be read, or closing would take the answer away from the client.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, content_type, body) = match (method, path) {
        (Some("GET" | "HEAD"), "/metrics") => match text::of(data) {
            Ok(text) => ("200 OK", CONTENT_TYPE, text),
            Err(error) => {
                tracing::warn!(%error, "metrics could not be told");
                (
                    "500 Internal Server Error",
                    "text/plain",
                    format!("{error:#}\n"),
                )
            }
        },
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "text/plain", "see /metrics\n".to_owned()),
        _ => (
            "405 Method Not Allowed",
            "text/plain",
            "only GET\n".to_owned(),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut out = connection;
    out.write_all(head.as_bytes())?;
    if method != Some("HEAD") {
        out.write_all(body.as_bytes())?;
    }
    out.flush()
}
