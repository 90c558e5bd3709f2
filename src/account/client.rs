//! One container of an account, over its REST interface.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport, Url};
use azure_storage_blob::{
    BlobClient, BlobContainerClient, BlobContainerClientOptions, BlockBlobClient,
};
use tokio::runtime::Runtime;

use super::credential::CredentialSettings;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::pace::Pace;
use super::schedule::Schedule;
use super::signature::{Signature, SigningPolicy};

const TOKEN_SCOPE: &str = "https://storage.azure.com/.default";

/// How an account is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountOptions {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Who we are.
    pub credential: CredentialSettings,
    /// Where tokens are had, unless that is the public cloud's `https://login.microsoftonline.com`.
    pub authority: Option<String>,
    /// Certificates, in PEM, of authorities that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Requests that are on their way at once.
    pub connections: usize,
    /// How often a request is sent again before the publication is given up for this time.
    pub retries: u32,
    /// How fast the way there may be used, and when.
    pub schedule: Schedule,
}

/// A container, and the runtime that its requests run on.
pub(super) struct Client {
    runtime: Arc<Runtime>,
    container: BlobContainerClient,
    url: Url,
    signature: Option<Arc<Signature>>,
    token: Option<Arc<dyn TokenCredential>>,
    pace: Arc<Pace>,
}

impl Client {
    /// Sends nothing yet.
    pub(super) fn new(options: &AccountOptions, container: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("account")
            .enable_all()
            .build()
            .context("the threads that talk to the account do not start")?;
        let pace = Arc::new(Pace::new(options.schedule.clone()));
        let transport = super::transport::Transport::new(options, Arc::clone(&pace))?;
        let mut client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(transport))),
            retry: RetryOptions::exponential(ExponentialRetryOptions {
                max_retries: options.retries,
                ..ExponentialRetryOptions::default()
            }),
            ..ClientOptions::default()
        };
        let token = options
            .credential
            .token(&client_options, options.authority.as_deref())?;
        let signature = Signature::of(options.endpoint.account(), &options.credential)?;
        if let Some(signature) = &signature {
            let policy = Arc::new(SigningPolicy(Arc::clone(signature)));
            client_options.per_try_policies.push(policy);
        }
        let url = options.endpoint.container(container);
        let container = BlobContainerClient::new(
            url.clone(),
            token.clone(),
            Some(BlobContainerClientOptions {
                client_options,
                ..BlobContainerClientOptions::default()
            }),
        )?;
        Ok(Client {
            runtime: Arc::new(runtime),
            container,
            url,
            signature,
            token,
            pace,
        })
    }

    /// Runs what a request needs to its end.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// What requests run on, for somebody who reads on after this call.
    pub(super) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// How fast the way there is used, and when it is open.
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Refuses to send more while the schedule has the way closed.
    pub(super) fn check_open(&self) -> super::failure::Result<()> {
        match self.pace.closed_until() {
            None => Ok(()),
            Some(until) => Err(Failure::Closed { until }),
        }
    }

    /// Where the container is.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn container(&self) -> &BlobContainerClient {
        &self.container
    }

    pub(super) fn blob(&self, path: &str) -> BlobClient {
        self.container.blob_client(path)
    }

    pub(super) fn block_blob(&self, path: &str) -> BlockBlobClient {
        self.blob(path).block_blob_client()
    }

    /// The address of a file as the account itself can read it, and the token that goes with it.
    pub(super) async fn source(&self, path: &str) -> azure_core::Result<(Url, Option<String>)> {
        let mut url = self.blob(path).url().clone();
        if let Some(signature) = &self.signature {
            signature.sign(&mut url).map_err(|error| {
                azure_core::Error::with_message(
                    azure_core::error::ErrorKind::Credential,
                    format!("{error:#}"),
                )
            })?;
        }
        let token = match &self.token {
            None => None,
            Some(token) => {
                let token = token.get_token(&[TOKEN_SCOPE], None).await?;
                Some(format!("Bearer {}", token.token.secret()))
            }
        };
        Ok((url, token))
    }
}
