//! What takes bytes from outside, as plain functions for fuzzers and for tests with random input.
//!
//! Each takes any bytes and panics where a promise is broken: a panic of what is called, an answer with status 500, or a
//! property that the function names. No socket, no clock and no disk is involved.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::account::{Account, DEFAULT_ACCOUNT_NAME};
use crate::error::Result;
use crate::faults::FaultPlan;
use crate::protocol::auth::{self, Authority, Gate, Roles};
use crate::protocol::body::RequestBody;
use crate::protocol::reply::{Reply, ReplyBody, error_reply};
use crate::protocol::request::{Arrival, Face, Request};
use crate::protocol::structured::Decoder;
use crate::serve::{is_flat, try_carry_out};
use crate::store::acl::{AccessControl, parse_acl, parse_permissions, parse_umask};
use crate::store::{Store, StoreOptions};

/// A function, with the name that a fuzz target has for it.
pub type Target = (&'static str, fn(&[u8]));

/// All there are.
pub const TARGETS: [Target; 8] = [
    ("request", request),
    ("acl", acl),
    ("structured", structured),
    ("xml", xml),
    ("batch", batch),
    ("query", query),
    ("sas", sas),
    ("plan", plan),
];

const FLAT_NAME: &str = "flataccount1";
/// After so many requests a lake begins anew, so that it does not grow.
const REQUESTS_A_LAKE: u32 = 2_000;

thread_local! {
    static LAKE: RefCell<Option<(Store, u32)>> = const { RefCell::new(None) };
    /// Nobody who may changes anything here.
    static CLOSED_LAKE: RefCell<Option<(Store, u32)>> = const { RefCell::new(None) };
}

/// A lake in memory with two accounts, where each has a container `raw` with a few files.
fn new_lake() -> Result<Store> {
    let flat = Account {
        name: FLAT_NAME.to_owned(),
        flat: true,
        soft_delete_days: Some(7),
        ..Account::well_known()
    };
    let store = Store::open(StoreOptions {
        accounts: vec![Account::well_known(), flat],
        ..StoreOptions::default()
    })?;
    for account in [DEFAULT_ACCOUNT_NAME, FLAT_NAME] {
        store.create_file_system(account, "raw")?;
        for (path, kind) in [
            ("a/file", "BlockBlob"),
            ("a/log", "AppendBlob"),
            ("rows", "BlockBlob"),
        ] {
            let text = format!("PUT /{account}/raw/{path}\nx-ms-blob-type: {kind}\n\n1,a\n2,b\n");
            sent(&store, text.as_bytes(), Face::Blob, true);
        }
    }
    Ok(store)
}

fn lake() -> Store {
    LAKE.with_borrow_mut(used)
}

/// The lake, with one more request to it, or a new one.
fn used(lake: &mut Option<(Store, u32)>) -> Store {
    let fresh = lake
        .take()
        .filter(|(_, requests)| *requests < REQUESTS_A_LAKE);
    let (store, requests) = fresh.unwrap_or_else(|| match new_lake() {
        Ok(store) => (store, 0),
        Err(error) => panic!("a lake in memory cannot be opened: {error}"),
    });
    *lake = Some((store.clone(), requests + 1));
    store
}

/// Reads `METHOD target`, lines of headers, an empty line and a body; `None` where HTTP itself would refuse it.
fn arrival(data: &[u8], face: Face) -> Option<(Arrival, Vec<u8>)> {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (data.get(..end)?, data.get(end + 2..)?.to_vec()),
        None => (data, Vec::new()),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let start = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = start.split_once(' ')?;
    // What the HTTP library takes for a target is what arrives.
    let target: http::Uri = target.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
        let value = line.get(colon + 1..)?.trim_ascii();
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    headers
        .entry("content-length")
        .or_insert(HeaderValue::from(body.len()));
    let arrival = Arrival {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        raw_path: target.path().to_owned(),
        raw_query: target.query().unwrap_or("").to_owned(),
        headers,
        port_face: face,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_https: true,
        gate: Arc::new(Gate::default()),
    };
    Some((arrival, body))
}

/// Carries a request out, by its own credentials or as the account itself, and checks the answer.
fn sent(store: &Store, data: &[u8], face: Face, is_trusted: bool) -> Option<u16> {
    let (arrival, body) = arrival(data, face)?;
    let mut request = Request::new(arrival, |name| store.account(name).is_some());
    request.is_flat = is_flat(store, &request.account);
    let allowed = match is_trusted {
        true => {
            request.authority = Authority::Key;
            Ok(())
        }
        false => auth::authorize(store, &mut request),
    };
    let mut body = RequestBody::gathered(vec![Ok(Bytes::from(body))]);
    let reply = allowed.and_then(|()| try_carry_out(store, &request, &mut body));
    let mut reply = reply.unwrap_or_else(|error| error_reply(&error, &request));
    read_whole(&mut reply);
    let reply = reply.finish(&request);
    assert_ne!(reply.status, 500, "{}", String::from_utf8_lossy(data));
    Some(reply.status)
}

/// Reads a file that an answer has, up to a bound: a page blob may be larger than memory.
fn read_whole(reply: &mut Reply) {
    const READ_BYTES_MAX: u64 = 1 << 20;
    if let ReplyBody::File {
        reader,
        offset,
        length,
    } = &mut reply.body
    {
        let read = reader.read_range(*offset, (*length).min(READ_BYTES_MAX));
        assert!(
            read.is_ok(),
            "a file that was found cannot be read: {read:?}"
        );
    }
}

fn sent_everywhere(data: &[u8]) {
    let store = lake();
    for face in [Face::Blob, Face::Dfs] {
        for is_trusted in [true, false] {
            sent(&store, data, face, is_trusted);
        }
    }
}

/// Any request, on both protocols, with the credentials that it has and as the account's own.
pub fn request(data: &[u8]) {
    sent_everywhere(data);
}

/// Access control lists, permissions and umasks: what is read is written so that it reads the same.
pub fn acl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = parse_acl(text, false);
    for mode in [parse_permissions(text), parse_umask(text)]
        .into_iter()
        .flatten()
    {
        assert!(mode <= 0o1777, "{text}");
    }
    if let Ok(entries) = parse_acl(text, true) {
        let mut access = AccessControl::from_mode(0o640);
        if access.replace(entries).is_ok() {
            let written = access.acl();
            let again = parse_acl(&written, true);
            let mut other = AccessControl::from_mode(0o640);
            let same = again.and_then(|entries| other.replace(entries));
            assert!(same.is_ok() && other.acl() == written, "{text} {written}");
        }
    }
}

/// Structured bodies: however the bytes are cut, the content is the same.
pub fn structured(data: &[u8]) {
    let read = |chunk_bytes: usize| -> Option<Vec<u8>> {
        let mut decoder = Decoder::new();
        let mut content = Vec::new();
        for chunk in data.chunks(chunk_bytes) {
            decoder
                .push(chunk, |run| {
                    content.extend_from_slice(run);
                    Ok(())
                })
                .ok()?;
        }
        decoder.finish().ok()?;
        Some(content)
    };
    let whole = read(data.len().max(1));
    for chunk_bytes in [1, 3, 13] {
        assert_eq!(read(chunk_bytes), whole, "in chunks of {chunk_bytes}");
    }
}

/// The documents that operations take.
pub fn xml(data: &[u8]) {
    let store = lake();
    for start in [
        "PUT /devstoreaccount1/?restype=service&comp=properties",
        "POST /devstoreaccount1/?restype=service&comp=userdelegationkey",
        "PUT /devstoreaccount1/raw?restype=container&comp=acl",
        "PUT /devstoreaccount1/raw/a/blocks?comp=blocklist",
        "PUT /devstoreaccount1/raw/a/file?comp=tags",
        "POST /devstoreaccount1/raw/rows?comp=query",
    ] {
        let text = [start.as_bytes(), b"\n\n", data].concat();
        sent(&store, &text, Face::Blob, true);
    }
}

/// Batches of deletions and tiers.
pub fn batch(data: &[u8]) {
    let store = lake();
    for container in ["", "raw"] {
        let start = format!(
            "POST /devstoreaccount1/{container}?restype=container&comp=batch\ncontent-type: multipart/mixed; boundary=b\n\n"
        );
        let text = [start.as_bytes(), data].concat();
        sent(&store, &text, Face::Blob, true);
    }
}

/// Queries of delimited text and of JSON: the first line is SQL, the rest is the blob.
pub fn query(data: &[u8]) {
    let store = lake();
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (sql, rows) = data.split_at(end);
    let put = b"PUT /devstoreaccount1/raw/rows\nx-ms-blob-type: BlockBlob\n\n";
    sent(&store, &[put, rows].concat(), Face::Blob, true);
    let sql = String::from_utf8_lossy(sql);
    let sql = sql.replace('&', "&amp;").replace('<', "&lt;");
    for input in [
        "<Type>delimited</Type><DelimitedTextConfiguration><HasHeaders>true</HasHeaders></DelimitedTextConfiguration>",
        "<Type>json</Type>",
    ] {
        let text = format!(
            "POST /devstoreaccount1/raw/rows?comp=query\n\n<QueryRequest><QueryType>SQL</QueryType><Expression>{sql}</Expression><InputSerialization><Format>{input}</Format></InputSerialization></QueryRequest>"
        );
        sent(&store, text.as_bytes(), Face::Blob, true);
    }
}

/// Shared access signatures, and other credentials: nobody gets in by them.
pub fn sas(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (query, header) = text.split_once('\n').unwrap_or((&text, ""));
    let store = CLOSED_LAKE.with_borrow_mut(used);
    for target in ["raw/a/file", "raw", ""] {
        for face in [Face::Blob, Face::Dfs] {
            let head = format!("GET /devstoreaccount1/{target}?{query}\nauthorization: {header}");
            if let Some(status) = sent(&store, head.as_bytes(), face, false) {
                assert!(status >= 400, "{status} for {head}");
            }
        }
    }
}

/// Plans of faults and lists of roles.
pub fn plan(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = FaultPlan::from_json(text);
        let _ = Roles::from_json(text);
    }
}
