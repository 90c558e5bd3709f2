//! A server in memory and a client that signs, with the signature worked out apart from the server's code.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lakestage_emulator::faults::Faults;
use lakestage_emulator::{
    DEFAULT_ACCOUNT_KEY, DEFAULT_ACCOUNT_NAME, Server, ServerOptions, Store, StoreOptions,
};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Which port a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Blob,
    Dfs,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The content of an element that stands once in the XML.
    pub fn element(&self, name: &str) -> &str {
        let (_, rest) = self.text().split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0
    }

    /// The error code, which stands in a header and in the body.
    pub fn code(&self) -> &str {
        self.header("x-ms-error-code")
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{} {shown}", self.code());
        self
    }

    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

/// A lake of its own.
pub struct Lake {
    server: Server,
    runtime: Runtime,
}

impl Lake {
    pub fn new() -> Self {
        Self::with_store(Store::open(StoreOptions::default()).unwrap())
    }

    pub fn with_store(store: Store) -> Self {
        Self::with_options(store, ServerOptions::default())
    }

    /// A lake without a hierarchical namespace, with the container `raw`.
    pub fn flat() -> Self {
        let mut options = StoreOptions::default();
        for account in &mut options.accounts {
            account.flat = true;
        }
        let lake = Self::with_store(Store::open(options).unwrap());
        lake.blob("PUT", "/raw?restype=container", &[], b"")
            .expect(201);
        lake
    }

    /// A lake with the filesystem `raw` that takes identities.
    pub fn taking_identities() -> Self {
        Self::taking_identities_over(Store::open(StoreOptions::default()).unwrap())
    }

    /// The same over a store that the test keeps at hand.
    pub fn taking_identities_over(store: Store) -> Self {
        let options = ServerOptions {
            takes_identities: true,
            ..ServerOptions::default()
        };
        let lake = Self::with_options(store, options);
        lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
            .expect(201);
        lake
    }

    /// A lake with the filesystem `raw` in which things go wrong from now on.
    pub fn with_faults(faults: &Arc<Faults>) -> Self {
        let options = ServerOptions {
            faults: Some(Arc::clone(faults)),
            faults_port: Some(0),
            ..ServerOptions::default()
        };
        let lake = Self::with_options(Store::open(StoreOptions::default()).unwrap(), options);
        lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
            .expect(201);
        lake
    }

    /// Where plans of faults are set.
    pub fn faults_address(&self) -> SocketAddr {
        self.server.faults_address().unwrap()
    }

    fn with_options(store: Store, options: ServerOptions) -> Self {
        let options = ServerOptions {
            blob_port: 0,
            dfs_port: 0,
            ..options
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Lake {
            server: Server::start(store, options).unwrap(),
            runtime,
        }
    }

    /// A lake with the filesystem `raw`.
    pub fn with_raw() -> Self {
        let lake = Self::new();
        lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
            .expect(201);
        lake
    }

    pub fn address(&self, port: Port) -> SocketAddr {
        match port {
            Port::Blob => self.server.blob_address(),
            Port::Dfs => self.server.dfs_address(),
        }
    }

    pub fn dfs(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.signed(Port::Dfs, method, target, headers, body)
    }

    pub fn blob(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.signed(Port::Blob, method, target, headers, body)
    }

    /// Creates a file by way of DFS.
    pub fn file(&self, path: &str, content: &[u8]) {
        self.dfs("PUT", &format!("{path}?resource=file"), &[], b"")
            .expect(201);
        let length = content.len();
        if length > 0 {
            self.dfs(
                "PATCH",
                &format!("{path}?action=append&position=0"),
                &[],
                content,
            )
            .expect(202);
            self.dfs(
                "PATCH",
                &format!("{path}?action=flush&position={length}"),
                &[],
                b"",
            )
            .expect(200);
        }
    }

    /// Sends a request that is signed with the well-known key. `target` starts behind the account.
    pub fn signed(
        &self,
        port: Port,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.signed_over(port, method, (target, target), headers, body)
    }

    /// As [`Lake::signed`], where the connection may end without a whole answer. `account` may be the secondary.
    pub fn try_signed(
        &self,
        port: Port,
        method: &str,
        (account, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> hyper::Result<Answer> {
        let target = format!("/{account}{target}");
        let all = signed_headers(method, &target, headers, body);
        self.try_send(port, method, &target, &all, body)
    }

    /// As [`Lake::signed`], with another target in the signature than in the request.
    pub fn signed_over(
        &self,
        port: Port,
        method: &str,
        (over, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let over = format!("/{DEFAULT_ACCOUNT_NAME}{over}");
        let target = format!("/{DEFAULT_ACCOUNT_NAME}{target}");
        let all = signed_headers(method, &over, headers, body);
        self.send(port, method, &target, &all, body)
    }

    /// Sends a request as it is. `target` starts with the account.
    pub fn send(
        &self,
        port: Port,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Answer {
        self.try_send(port, method, target, headers, body).unwrap()
    }

    /// As [`Lake::send`], where the connection may end without a whole answer.
    pub fn try_send(
        &self,
        port: Port,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> hyper::Result<Answer> {
        let address = self.address(port);
        let mut request = Request::builder().method(method).uri(target);
        if !headers.contains_key("host") {
            request = request.header("host", address.to_string());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        self.runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            connection.abort();
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        })
    }
}

/// The headers of a request, signed. The paths start with the account.
fn signed_headers(
    method: &str,
    over: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let now = httpdate::fmt_http_date(SystemTime::now());
    all.entry("x-ms-date".into()).or_insert(now);
    all.entry("x-ms-version".into())
        .or_insert("2023-11-03".into());
    if !body.is_empty() || method == "PUT" {
        all.insert("content-length".into(), body.len().to_string());
    }
    let signature = sign(&text_to_sign(method, over, &all));
    let authorization = format!("SharedKey {DEFAULT_ACCOUNT_NAME}:{signature}");
    all.insert("authorization".into(), authorization);
    all
}

/// The text that a client signs.
fn text_to_sign(method: &str, target: &str, headers: &BTreeMap<String, String>) -> String {
    let value = |name: &str| headers.get(name).map_or("", String::as_str);
    let length = Some(value("content-length"))
        .filter(|l| *l != "0")
        .unwrap_or("");
    let mut text = [
        method,
        value("content-encoding"),
        value("content-language"),
        length,
        value("content-md5"),
        value("content-type"),
        "",
        value("if-modified-since"),
        value("if-match"),
        value("if-none-match"),
        value("if-unmodified-since"),
        value("range"),
    ]
    .join("\n");
    text.push('\n');
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        text.push_str(&format!("{name}:{value}\n"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // In the emulator's address the account stands in the path, and so it is there twice.
    text.push_str(&format!("/{DEFAULT_ACCOUNT_NAME}{path}"));
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .unwrap();
            (name.to_lowercase(), value.into_owned())
        })
        .collect();
    parameters.sort();
    for (name, value) in parameters {
        text.push_str(&format!("\n{name}:{value}"));
    }
    text
}

pub fn sign(text: &str) -> String {
    let key = BASE64.decode(DEFAULT_ACCOUNT_KEY).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}
