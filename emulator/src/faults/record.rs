//! What was asked, what was answered, and which fault lay between.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// Records that are kept to be looked at.
const KEPT_MAX: usize = 10_000;

/// A request. Signatures are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it came, in RFC 3339.
    pub time: String,
    /// `x-ms-request-id`.
    pub request_id: String,
    /// `x-ms-client-request-id`, by which a client's attempts are known.
    pub client_request_id: Option<String>,
    /// A name of [`crate::faults::OPERATIONS`].
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// The path of the URL as it came, and its query without the signature.
    pub target: String,
    /// The account.
    pub account: String,
    /// Filesystem and path.
    pub path: String,
    /// Whether the secondary was asked.
    pub secondary: bool,
    /// What was answered; `None` when nothing was.
    pub status: Option<u16>,
    /// `x-ms-error-code`.
    pub error_code: Option<String>,
    /// What the fault is called in the plan.
    pub fault: Option<String>,
    /// Which fault of the plan, from 1.
    pub fault_number: Option<usize>,
    /// From the request's head to the answer's.
    pub duration_us: u64,
}

/// The last records, and the file that gets all.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) last: VecDeque<Record>,
    pub(crate) file: Option<File>,
}

impl Records {
    pub(crate) fn note(&mut self, record: Record) {
        if let Some(file) = &mut self.file
            && let Err(error) = write_line(file, &record)
        {
            tracing::error!(%error, "requests are recorded no more");
            self.file = None;
        }
        if self.last.len() == KEPT_MAX {
            self.last.pop_front();
        }
        self.last.push_back(record);
    }
}

/// One write a line, so that a reader sees whole lines.
fn write_line(file: &mut File, record: &Record) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// A query without what proves who asks.
pub(crate) fn without_signature(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if name.eq_ignore_ascii_case("sig") => format!("{name}=…"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}
