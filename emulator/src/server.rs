//! The HTTP server: two ports, both of which take both protocols.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::oneshot;

use crate::account::DEFAULT_ACCOUNT_NAME;
use crate::protocol::request::Face;
use crate::serve::{self, Port};
use crate::store::Store;

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
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            blob_port: BLOB_PORT,
            dfs_port: DFS_PORT,
            takes_identities: false,
        }
    }
}

/// A server at work. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    store: Store,
    blob: SocketAddr,
    dfs: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// When a port is taken, or may not be used.
    pub fn start(store: Store, options: ServerOptions) -> io::Result<Self> {
        let listen = |port: u16| {
            let address = SocketAddr::new(options.bind, port);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
            let listener = TcpListener::bind(address).map_err(named)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        let (blob, dfs) = (listen(options.blob_port)?, listen(options.dfs_port)?);
        let (blob_address, dfs_address) = (blob.local_addr()?, dfs.local_addr()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("lake-http")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = store.clone();
        let thread = thread::Builder::new()
            .name("lake-server".to_owned())
            .spawn(move || {
                runtime.block_on(run(served, blob, dfs, options.takes_identities, stopped));
                // Handlers that still run have had their time.
                runtime.shutdown_timeout(Duration::from_secs(1));
            })?;
        Ok(Self {
            store,
            blob: blob_address,
            dfs: dfs_address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The Blob endpoint of the first account, such as `http://127.0.0.1:10000/devstoreaccount1`.
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

    fn url(&self, address: SocketAddr) -> String {
        let account = self
            .store
            .accounts()
            .first()
            .map_or(DEFAULT_ACCOUNT_NAME, |account| account.name.as_str());
        format!("http://{address}/{account}")
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

async fn run(
    store: Store,
    blob: TcpListener,
    dfs: TcpListener,
    takes_identities: bool,
    stopped: oneshot::Receiver<()>,
) {
    let connections = GracefulShutdown::new();
    let port = |face| Port {
        face,
        takes_identities,
    };
    {
        let mut blob = pin!(accept(store.clone(), blob, port(Face::Blob), &connections));
        let mut dfs = pin!(accept(store, dfs, port(Face::Dfs), &connections));
        tokio::select! {
            _ = stopped => {}
            () = &mut blob => {}
            () = &mut dfs => {}
        }
    }
    let timeout = tokio::time::sleep(Duration::from_secs(SHUTDOWN_TIMEOUT_S));
    tokio::select! {
        () = connections.shutdown() => {}
        () = timeout => tracing::warn!("requests were cut off when the server ended"),
    }
}

async fn accept(store: Store, listener: TcpListener, port: Port, connections: &GracefulShutdown) {
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
                let connection = connect(&store, stream, client, port);
                let watched = connections.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
            }
            Err(error) => {
                // Mostly too many open files: others must end first.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn connect(
    store: &Store,
    stream: tokio::net::TcpStream,
    client: SocketAddr,
    port: Port,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send + 'static + use<>
{
    let store = store.clone();
    let service =
        service_fn(move |request| serve::answer(store.clone(), request, client.ip(), port));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_READ_TIMEOUT_S))
        .serve_connection(TokioIo::new(stream), service)
}
