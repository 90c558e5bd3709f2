//! A server in memory and a client that signs, with the signature worked out apart from the server's code.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lakestage_emulator::faults::Faults;
use lakestage_emulator::{
    AccessOptions, Account, DEFAULT_ACCOUNT_KEY, DEFAULT_ACCOUNT_NAME, Server, ServerOptions,
    Store, StoreOptions, TENANT_DEFAULT, Tls, Token, bearer_token,
};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::secure;
use crate::shared_key::signed_headers;

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
    store: Store,
    runtime: Runtime,
    /// Whether [`Lake::send`] speaks TLS.
    is_secure: bool,
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

    /// A lake with the filesystem `raw` that speaks TLS, to which requests are sent over it.
    pub fn secure(access: AccessOptions) -> Self {
        let lake = Self::secure_over(Store::open(StoreOptions::default()).unwrap(), access);
        lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
            .expect(201);
        lake
    }

    /// What it serves.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where plans of faults are set.
    pub fn faults_address(&self) -> SocketAddr {
        self.server.faults_address().unwrap()
    }

    /// The same over a store, without a filesystem.
    pub fn secure_over(store: Store, access: AccessOptions) -> Self {
        let made = Tls::SelfSigned {
            folder: None,
            names: Vec::new(),
        };
        let options = ServerOptions {
            tls: Some(made),
            access,
            ..ServerOptions::default()
        };
        Lake {
            is_secure: true,
            ..Self::with_options(store, options)
        }
    }

    /// The certificate authority of a lake that speaks TLS.
    pub fn authority_pem(&self) -> &str {
        self.server.authority_pem().unwrap()
    }

    /// Sends requests plainly from now on.
    pub fn plain(self) -> Self {
        Lake {
            is_secure: false,
            ..self
        }
    }

    /// Sends requests over TLS from now on.
    pub fn over_tls(self) -> Self {
        Lake {
            is_secure: true,
            ..self
        }
    }

    /// Carries out what somebody asks of a server.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Somebody with a token.
    pub fn bearer(&self, oid: &str, groups: &[&str]) -> Bearer<'_> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let now = jiff::Timestamp::now().as_second();
        let token = Token {
            oid,
            groups: &groups,
            tenant: TENANT_DEFAULT,
            issued_unix_s: now,
            lifetime_s: 600,
        };
        let token = bearer_token(&Account::well_known(), &token).unwrap();
        Bearer { lake: self, token }
    }

    pub fn with_options(store: Store, options: ServerOptions) -> Self {
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
            server: Server::start(store.clone(), options).unwrap(),
            store,
            runtime,
            is_secure: false,
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
            match self.is_secure {
                false => exchange(stream, request).await,
                true => {
                    let connector = secure::connector(Some(self.authority_pem()));
                    let name = address.ip().into();
                    exchange(connector.connect(name, stream).await.unwrap(), request).await
                }
            }
        })
    }
}

/// Sends a request over a connection, and reads its answer.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
}

/// Somebody who sends a token with each request.
pub struct Bearer<'l> {
    pub lake: &'l Lake,
    pub token: String,
}

impl Bearer<'_> {
    pub fn ask(
        &self,
        port: Port,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let own = [
            ("authorization", authorization.as_str()),
            ("x-ms-version", "2023-11-03"),
        ];
        let mut all: BTreeMap<String, String> = own
            .iter()
            .chain(headers)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if !body.is_empty() || method == "PUT" {
            all.insert("content-length".into(), body.len().to_string());
        }
        let target = format!("/{DEFAULT_ACCOUNT_NAME}{target}");
        self.lake.send(port, method, &target, &all, body)
    }

    pub fn dfs(&self, method: &str, target: &str) -> Answer {
        self.ask(Port::Dfs, method, target, &[], b"")
    }

    pub fn blob(&self, method: &str, target: &str) -> Answer {
        self.ask(Port::Blob, method, target, &[], b"")
    }
}

pub fn sign(text: &str) -> String {
    sign_with(&BASE64.decode(DEFAULT_ACCOUNT_KEY).unwrap(), text)
}

pub fn sign_with(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}
