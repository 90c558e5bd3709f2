//! Keys that come with requests: what is written with one is sealed by it, and read with it only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::common::Call;
use crate::protocol::reply::Reply;
use crate::protocol::request::{Face, Request};
use crate::store::CustomerKey;
use crate::store::inode::Inode;
use crate::store::seal::check_key;

/// Key, hash and algorithm.
type Names = [&'static str; 3];

const NAMES: Names = [
    "x-ms-encryption-key",
    "x-ms-encryption-key-sha256",
    "x-ms-encryption-algorithm",
];
const NAMES_OF_SOURCE: Names = [
    "x-ms-source-encryption-key",
    "x-ms-source-encryption-key-sha256",
    "x-ms-source-encryption-algorithm",
];
const ALGORITHM_KNOWN: &str = "AES256";

/// Whether the request has anything to do with a key of the client's. Some clients name the algorithm without any, which
/// the service passes over. Recorded.
fn is_named(request: &Request, [key, hash, _]: Names) -> bool {
    [key, hash]
        .iter()
        .any(|name| request.headers.contains_key(*name))
}

/// The key that a request brings. It is only looked for where an operation takes one; [`check`] refuses others.
pub(super) fn of(request: &Request) -> Result<Option<CustomerKey>> {
    read(request, NAMES)
}

/// The key that the source of a request was sealed by.
pub(super) fn of_source(request: &Request) -> Result<Option<CustomerKey>> {
    read(request, NAMES_OF_SOURCE)
}

fn read(request: &Request, names: Names) -> Result<Option<CustomerKey>> {
    if !is_named(request, names) {
        return Ok(None);
    }
    let [key_name, hash_name, algorithm_name] = names;
    let text = request.required_header(key_name)?;
    let hash = request.required_header(hash_name)?;
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    match request.header(algorithm_name)? {
        Some(ALGORITHM_KNOWN) => {}
        None if reads => {}
        None => return Err(StoreError::missing_header(algorithm_name)),
        Some(other) => return Err(StoreError::invalid_header(algorithm_name, other)),
    }
    // The key itself is in no answer and no record.
    let wrong = || StoreError::invalid_header(key_name, "…");
    let key = STANDARD.decode(text).map_err(|_| wrong())?;
    let key = CustomerKey::new(&key).ok_or_else(wrong)?;
    match key.sha256() == hash {
        true => Ok(Some(key)),
        false => Err(StoreError::invalid_header(hash_name, hash)),
    }
}

/// Refuses a key where no operation takes one, and one that came over the network for everybody to read.
pub(super) fn check(request: &Request) -> Result<()> {
    let (brings, names_source) = (is_named(request, NAMES), is_named(request, NAMES_OF_SOURCE));
    if !brings && !names_source {
        return Ok(());
    }
    if !request.is_https && !request.client_ip.is_loopback() {
        return Err(ErrorCode::AccountRequiresHttps.into());
    }
    let refused = |[name, ..]: Names| {
        Err(StoreError::code(ErrorCode::UnsupportedHeader).element("HeaderName", name))
    };
    match (
        brings && !takes_key(request),
        names_source && !reads_source(request),
    ) {
        (true, _) => refused(NAMES),
        (_, true) => refused(NAMES_OF_SOURCE),
        _ => Ok(()),
    }
}

/// Whether the operation reads the bytes of a source.
fn reads_source(request: &Request) -> bool {
    let comp = request.query.get("comp").unwrap_or("");
    request.headers.contains_key("x-ms-copy-source")
        && ["block", "appendblock", "page"].contains(&comp)
}

fn takes_key(request: &Request) -> bool {
    if request.path.is_empty() {
        return false;
    }
    let copies = request.headers.contains_key("x-ms-copy-source");
    let renames = request.headers.contains_key("x-ms-rename-source");
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    match (request.face, request.query.get("comp")) {
        (Face::Blob, None) => reads || request.method == Method::PUT && !copies,
        (Face::Blob, Some("blocklist")) => request.method == Method::PUT,
        (Face::Blob, Some(comp)) => [
            "block",
            "appendblock",
            "page",
            "metadata",
            "snapshot",
            "query",
        ]
        .contains(&comp),
        (Face::Dfs, _) => match request.query.get("action") {
            None => reads || request.method == Method::PUT && !renames,
            Some(action) => ["append", "flush", "getstatus"]
                .iter()
                .any(|known| action.eq_ignore_ascii_case(known)),
        },
    }
}

/// Says which key sealed what was written or read.
pub(super) fn answer(request: &Request, reply: &mut Reply) {
    let [_, name, _] = NAMES;
    if let Some(hash) = request.headers.get(name) {
        reply.set(name, hash.as_bytes());
    }
}

impl Call<'_> {
    /// Refuses a request for a file that was sealed by another key than the one it brings, or with a key for one that
    /// was not.
    pub(super) fn check_customer_key(&self, inode: &Inode) -> Result<()> {
        check_key(inode, of(self.request)?.as_ref())
    }
}
