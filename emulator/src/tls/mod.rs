//! TLS on the ports of the server: the certificate it shows, and which connections speak it.

mod certificate;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use self::certificate::Made;
use crate::account::Account;

/// What the first record of TLS begins with; no method of HTTP does.
const HANDSHAKE: u8 = 0x16;
/// How long a client may take to say which of the two it speaks.
const FIRST_BYTE_TIMEOUT_S: u64 = 60;
/// How long the handshake may take.
const HANDSHAKE_TIMEOUT_S: u64 = 20;

/// The certificate that a server shows. Its ports then answer TLS and plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Your own.
    Given {
        /// A PEM file: the server's certificate first, then those that lead to its root.
        certificate_file: PathBuf,
        /// A PEM file: the private key.
        key_file: PathBuf,
    },
    /// One that is made, for `localhost`, the loopback addresses and the names of the accounts, with a certificate
    /// authority of its own that clients are told to trust. The authority's key is forgotten at once.
    SelfSigned {
        /// Where certificate and authority are kept, so that they are the same at the next start; `None` keeps nothing.
        folder: Option<PathBuf>,
        /// Further names or addresses of this machine that clients use.
        names: Vec<String>,
    },
}

/// What a server needs to speak TLS.
#[derive(Clone)]
pub(crate) struct Speaker {
    acceptor: TlsAcceptor,
    authority: Option<Authority>,
}

/// The certificate authority of a made certificate.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub pem: String,
    pub file: Option<PathBuf>,
}

/// A connection, after it is known what it speaks.
pub(crate) enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Speaker {
    /// Reads the certificate, or makes one for `names`.
    pub(crate) fn new(tls: &Tls, names: &[String]) -> io::Result<Self> {
        let (certificates, key, authority) = match tls {
            Tls::Given {
                certificate_file,
                key_file,
            } => (read(certificate_file)?, read(key_file)?, None),
            Tls::SelfSigned {
                folder,
                names: more,
            } => {
                let names = &[names, more].concat();
                let made = match folder {
                    Some(folder) => Made::kept_in(folder, names)?,
                    None => Made::new(names)?,
                };
                let authority = Authority {
                    pem: made.authority_pem,
                    file: folder.as_deref().map(certificate::authority_file),
                };
                let chain = made.certificate_pem.into_bytes();
                (chain, made.key_pem.into_bytes(), Some(authority))
            }
        };
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config(&certificates, &key)?)),
            authority,
        })
    }

    /// The certificate authority, if it was made here.
    pub(crate) fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Looks at the first byte of a connection, which tells TLS from HTTP, and shakes hands if it is TLS.
    pub(crate) async fn open(&self, stream: TcpStream) -> io::Result<Opened> {
        let mut first = [0];
        let wait = Duration::from_secs(FIRST_BYTE_TIMEOUT_S);
        timeout(wait, stream.peek(&mut first)).await??;
        if first[0] != HANDSHAKE {
            return Ok(Opened::Plain(stream));
        }
        let wait = Duration::from_secs(HANDSHAKE_TIMEOUT_S);
        let stream = timeout(wait, self.acceptor.accept(stream)).await??;
        Ok(Opened::Tls(Box::new(stream)))
    }
}

/// What a server at `bind` is called: by the loopback names, and by its accounts where they stand in the host.
pub(crate) fn names(bind: IpAddr, accounts: &[Account]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !bind.is_unspecified() && !bind.is_loopback() {
        names.push(bind.to_string());
    }
    for account in accounts {
        for copy in ["", "-secondary"] {
            for service in ["blob", "dfs"] {
                for domain in ["localhost", "core.windows.net"] {
                    names.push(format!("{}{copy}.{service}.{domain}", account.name));
                }
            }
        }
    }
    names
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    fs::read(file).map_err(|error| named(file, &error))
}

fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn config(certificates_pem: &[u8], key_pem: &[u8]) -> io::Result<ServerConfig> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        let text = format!("{what} cannot be used: {error}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong("the certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|error| wrong("the certificate's key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong("the certificate", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
