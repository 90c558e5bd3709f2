//! A lake with its server in one value, for tests of other programs.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::StoreError;
use crate::server::{Server, ServerOptions};
use crate::store::{Store, StoreOptions};

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ports could not be had.
    #[error("the server cannot listen: {0}")]
    Server(#[from] io::Error),
}

/// A lake that is served while this lives, and forgotten afterwards.
#[derive(Debug)]
pub struct Emulator {
    server: Server,
    store: Store,
}

impl Emulator {
    /// Starts with an empty lake that nothing is kept of, on ports that are free.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> Result<Self, StartError> {
        let server = ServerOptions {
            blob_port: 0,
            dfs_port: 0,
            ..ServerOptions::default()
        };
        Self::start_with(StoreOptions::default(), server)
    }

    /// Starts with other accounts, a folder, ports, roles, or TLS:
    ///
    /// ```
    /// use lakestage_emulator::{Emulator, ServerOptions, StoreOptions, Tls};
    ///
    /// let mut options = ServerOptions {
    ///     blob_port: 0,
    ///     dfs_port: 0,
    ///     tls: Some(Tls::SelfSigned { folder: None, names: Vec::new() }),
    ///     ..ServerOptions::default()
    /// };
    /// options.access.roles.assignments.push("alice=Storage Blob Data Reader".parse()?);
    /// let emulator = Emulator::start_with(StoreOptions::default(), options)?;
    /// assert!(emulator.blob_url().starts_with("https://"));
    /// assert!(emulator.authority_pem().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::open`] and [`Server::start`].
    pub fn start_with(store: StoreOptions, server: ServerOptions) -> Result<Self, StartError> {
        let store = Store::open(store)?;
        let server = Server::start(store.clone(), server)?;
        Ok(Self { server, store })
    }

    /// What is served.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The Blob endpoint of the first account.
    #[must_use]
    pub fn blob_url(&self) -> String {
        self.server.blob_url()
    }

    /// The DFS endpoint of the first account.
    #[must_use]
    pub fn dfs_url(&self) -> String {
        self.server.dfs_url()
    }

    /// The certificate authority, in PEM, that clients must trust when the server makes its own certificate.
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        self.server.authority_pem()
    }

    /// What SDKs take to connect to the first account.
    #[must_use]
    pub fn connection_string(&self) -> String {
        let (name, key) = match self.store.accounts().first() {
            Some(account) => (account.name.as_str(), account.keys.first()),
            None => ("", None),
        };
        let scheme = match self.blob_url().starts_with("https:") {
            true => "https",
            false => "http",
        };
        let key = key.map(|key| STANDARD.encode(key)).unwrap_or_default();
        format!(
            "DefaultEndpointsProtocol={scheme};AccountName={name};AccountKey={key};BlobEndpoint={};DfsEndpoint={};",
            self.blob_url(),
            self.dfs_url()
        )
    }
}
