//! The HTTP server: two ports, both of which take both protocols.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};

use crate::account::DEFAULT_ACCOUNT_NAME;
use crate::faults::connection::{Resettable, Socket};
use crate::faults::{Faults, admin};
use crate::protocol::auth::{AccessOptions, Gate};
use crate::protocol::request::Face;
use crate::serve::{self, Port};
use crate::store::Store;
use crate::tls::{self, Opened, Speaker, Tls};

/// The Blob port that clients of the well-known account expect.
pub const BLOB_PORT: u16 = 10_000;
/// The DFS port that has become the custom.
pub const DFS_PORT: u16 = 10_004;

const WORKER_THREADS: usize = 2;
/// How long requests under way may take when the server ends.
const SHUTDOWN_TIMEOUT_S: u64 = 10;
/// How long a client may take to send a request's head.
const HEADER_READ_TIMEOUT_S: u64 = 60;

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address; 127.0.0.1 unless told otherwise.
    pub bind: IpAddr,
    /// 0 takes any that is free.
    pub blob_port: u16,
    /// 0 takes any that is free.
    pub dfs_port: u16,
    /// Whether a signed request may say in `x-lakestage-identity` for whom it is, so that access control applies to
    /// it. Refused unless it is switched on.
    pub takes_identities: bool,
    /// What shall go wrong, and where requests are recorded.
    pub faults: Option<Arc<Faults>>,
    /// The port of 127.0.0.1 on which the plan of faults can be changed, if there is one; 0 takes any that is free.
    pub faults_port: Option<u16>,
    /// Who may come in besides holders of a key, and from where.
    pub access: AccessOptions,
    /// How far behind an account's read-only copy says it is.
    pub secondary_lag_s: u32,
    /// The certificate with which both ports also speak TLS; without one they do not.
    pub tls: Option<Tls>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            blob_port: BLOB_PORT,
            dfs_port: DFS_PORT,
            takes_identities: false,
            faults: None,
            faults_port: None,
            access: AccessOptions::default(),
            secondary_lag_s: 0,
            tls: None,
        }
    }
}

/// A server at work. It ends when it is dropped.
pub struct Server {
    store: Store,
    blob: SocketAddr,
    dfs: SocketAddr,
    faults: Option<SocketAddr>,
    speaker: Option<Speaker>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("blob", &self.blob)
            .field("dfs", &self.dfs)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// When a port is taken, or may not be used; a certificate that cannot be read, made or used.
    pub fn start(store: Store, options: ServerOptions) -> io::Result<Self> {
        let listen_at = |bind: IpAddr, port: u16| {
            let address = SocketAddr::new(bind, port);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
            let listener = TcpListener::bind(address).map_err(named)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        let listen = |port| listen_at(options.bind, port);
        let (blob, dfs) = (listen(options.blob_port)?, listen(options.dfs_port)?);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let admin = options
            .faults_port
            .map(|port| listen_at(loopback, port))
            .transpose()?;
        let faults_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let faults = match admin.is_some() {
            true => Some(options.faults.unwrap_or_default()),
            false => options.faults,
        };
        let speaker = match &options.tls {
            None => None,
            Some(tls) => {
                let names = tls::names(options.bind, store.accounts());
                Some(Speaker::new(tls, &names)?)
            }
        };
        let (blob_address, dfs_address) = (blob.local_addr()?, dfs.local_addr()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("lake-http")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Serving {
            store: store.clone(),
            speaker: speaker.clone(),
            gate: Arc::new(Gate {
                options: options.access,
                takes_identities: options.takes_identities,
                secondary_lag_s: options.secondary_lag_s,
            }),
            faults,
        };
        let thread = thread::Builder::new()
            .name("lake-server".to_owned())
            .spawn(move || {
                if let Some((admin, faults)) = admin.zip(serving.faults.clone()) {
                    runtime.spawn(admin::serve(admin, faults));
                }
                runtime.block_on(run(serving, blob, dfs, stopped));
                // Handlers that still run have had their time.
                runtime.shutdown_timeout(Duration::from_secs(1));
            })?;
        Ok(Self {
            store,
            blob: blob_address,
            dfs: dfs_address,
            faults: faults_address,
            speaker,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The Blob endpoint of the first account, such as `http://127.0.0.1:10000/devstoreaccount1`; with TLS it begins
    /// with `https://`, and `http://` is answered too.
    #[must_use]
    pub fn blob_url(&self) -> String {
        self.url(self.blob)
    }

    /// The DFS endpoint of the first account.
    #[must_use]
    pub fn dfs_url(&self) -> String {
        self.url(self.dfs)
    }

    /// The Blob port's address.
    #[must_use]
    pub fn blob_address(&self) -> SocketAddr {
        self.blob
    }

    /// The DFS port's address.
    #[must_use]
    pub fn dfs_address(&self) -> SocketAddr {
        self.dfs
    }

    /// The address of the port for faults.
    #[must_use]
    pub fn faults_address(&self) -> Option<SocketAddr> {
        self.faults
    }

    /// The certificate authority that was made for this server, in PEM, for clients to trust.
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        let authority = self.speaker.as_ref()?.authority()?;
        Some(&authority.pem)
    }

    /// The file it stands in.
    #[must_use]
    pub fn authority_file(&self) -> Option<&Path> {
        self.speaker.as_ref()?.authority()?.file.as_deref()
    }

    fn url(&self, address: SocketAddr) -> String {
        let account = self
            .store
            .accounts()
            .first()
            .map_or(DEFAULT_ACCOUNT_NAME, |account| account.name.as_str());
        let scheme = match self.speaker {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{address}/{account}")
    }

    /// Takes no more connections, lets requests under way end, and waits for it.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Serving {
    store: Store,
    speaker: Option<Speaker>,
    gate: Arc<Gate>,
    faults: Option<Arc<Faults>>,
}

async fn run(
    serving: Serving,
    blob: TcpListener,
    dfs: TcpListener,
    stopped: oneshot::Receiver<()>,
) {
    let connections = GracefulShutdown::new();
    let (goes_on, ends) = watch::channel(());
    {
        let mut blob = pin!(accept(&serving, blob, Face::Blob, &connections, &ends));
        let mut dfs = pin!(accept(&serving, dfs, Face::Dfs, &connections, &ends));
        tokio::select! {
            _ = stopped => {}
            () = &mut blob => {}
            () = &mut dfs => {}
        }
    }
    // Whoever has not said anything yet is not waited for.
    drop(goes_on);
    let timeout = tokio::time::sleep(Duration::from_secs(SHUTDOWN_TIMEOUT_S));
    tokio::select! {
        () = connections.shutdown() => {}
        () = timeout => tracing::warn!("requests were cut off when the server ended"),
    }
}

async fn accept(
    serving: &Serving,
    listener: TcpListener,
    face: Face,
    connections: &GracefulShutdown,
    ends: &watch::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the port cannot be used"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small answers may wait");
                }
                let connection = Connection {
                    client,
                    face,
                    watcher: connections.watcher(),
                    ends: ends.clone(),
                };
                tokio::spawn(open(serving.clone(), stream, connection));
            }
            Err(error) => {
                // Mostly too many open files: others must end first.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A connection that has come in.
struct Connection {
    client: SocketAddr,
    face: Face,
    watcher: Watcher,
    /// Closed when the server ends.
    ends: watch::Receiver<()>,
}

/// Finds out whether a connection speaks TLS, and answers what comes over it until it ends.
async fn open(serving: Serving, stream: tokio::net::TcpStream, connection: Connection) {
    let Connection {
        client,
        face,
        watcher,
        mut ends,
    } = connection;
    let opened = match &serving.speaker {
        None => Ok(Opened::Plain(stream)),
        Some(speaker) => tokio::select! {
            opened = speaker.open(stream) => opened,
            _ = ends.changed() => return,
        },
    };
    let gate = serving.gate.clone();
    let port = |is_https| Port {
        face,
        is_https,
        gate: gate.clone(),
    };
    match opened {
        Ok(Opened::Plain(stream)) => {
            answer(serving, stream, client, port(false), watcher).await;
        }
        Ok(Opened::Tls(stream)) => {
            answer(serving, *stream, client, port(true), watcher).await;
        }
        // Mostly a client that does not trust the certificate.
        Err(error) => tracing::debug!(%error, %client, "a connection was not opened"),
    }
}

async fn answer<S>(serving: Serving, stream: S, client: SocketAddr, port: Port, watcher: Watcher)
where
    S: Socket + AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connection, reset) = Resettable::new(stream);
    let Serving { store, faults, .. } = serving;
    let service = service_fn(move |request| {
        serve::answer(
            store.clone(),
            request,
            client.ip(),
            port.clone(),
            faults.clone(),
            reset.clone(),
        )
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_READ_TIMEOUT_S))
        .serve_connection(TokioIo::new(connection), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
