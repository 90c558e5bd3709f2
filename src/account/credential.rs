//! Who we are to an account.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::ClientOptions;
use azure_identity::{
    AzureCliCredential, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;

/// Where tokens are had unless the settings say otherwise.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// Where a secret is. The secret itself never stands in a file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretPlace {
    /// In the environment variable of that name.
    Environment(String),
    /// In a file, read anew for each publication, so that it can be replaced.
    File(PathBuf),
}

impl SecretPlace {
    /// The secret.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&self) -> Result<String> {
        let text = match self {
            SecretPlace::Environment(name) => env::var(name)
                .with_context(|| format!("the environment variable {name} is not set"))?,
            SecretPlace::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let text = text.trim();
        if text.is_empty() {
            bail!("{self} is empty");
        }
        Ok(text.to_owned())
    }
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPlace::Environment(name) => write!(f, "the environment variable {name}"),
            SecretPlace::File(path) => write!(f, "the file {}", Path::display(path)),
        }
    }
}

/// How to prove who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "type"
)]
pub enum CredentialSettings {
    /// The account's key. Signatures that last a day are made of it.
    AccountKey {
        /// Where the key is, in base64.
        key: SecretPlace,
    },
    /// A shared access signature that may read, add, create, write, delete and list.
    Sas {
        /// Where its text is, with or without `?`.
        sas: SecretPlace,
    },
    /// An application of Entra ID and its secret.
    ClientSecret {
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Where the secret is.
        secret: SecretPlace,
    },
    /// An application of Entra ID and its certificate.
    ClientCertificate {
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The file with the certificate and its key, in PEM; it is read anew for each token.
        certificate_file: PathBuf,
    },
    /// The workload identity of a pod, as its environment says.
    WorkloadIdentity,
    /// The managed identity of the machine.
    ManagedIdentity {
        /// The client id of an identity that was assigned by a user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// Whoever has signed in with `az login`.
    AzureCli,
}

impl fmt::Display for CredentialSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialSettings::AccountKey { key } => write!(f, "account key in {key}"),
            CredentialSettings::Sas { sas } => write!(f, "signature in {sas}"),
            CredentialSettings::ClientSecret { client_id, .. }
            | CredentialSettings::ClientCertificate { client_id, .. } => {
                write!(f, "application {client_id}")
            }
            CredentialSettings::WorkloadIdentity => f.write_str("workload identity"),
            CredentialSettings::ManagedIdentity { client_id } => match client_id {
                Some(id) => write!(f, "managed identity {id}"),
                None => f.write_str("managed identity"),
            },
            CredentialSettings::AzureCli => f.write_str("az login"),
        }
    }
}

impl CredentialSettings {
    /// Every credential that goes by tokens of Entra ID; `None` if it goes by signatures.
    pub(super) fn token(
        &self,
        options: &ClientOptions,
        authority: Option<&str>,
    ) -> Result<Option<Arc<dyn TokenCredential>>> {
        let mut client_options = options.clone();
        client_options.cloud = authority.map(|authority| {
            let mut cloud = CustomConfiguration::default();
            cloud.authority_host = authority.to_owned();
            Arc::new(cloud.into())
        });
        let credential: Arc<dyn TokenCredential> = match self {
            CredentialSettings::AccountKey { .. } | CredentialSettings::Sas { .. } => {
                return Ok(None);
            }
            CredentialSettings::ClientSecret {
                tenant_id,
                client_id,
                secret,
            } => ClientSecretCredential::new(
                tenant_id,
                client_id.clone(),
                Secret::new(secret.read()?),
                Some(ClientSecretCredentialOptions { client_options }),
            )?,
            CredentialSettings::ClientCertificate {
                tenant_id,
                client_id,
                certificate_file,
            } => {
                let authority = authority.unwrap_or(PUBLIC_AUTHORITY);
                let assertion =
                    Certificate::new(certificate_file, authority, tenant_id, client_id)?;
                ClientAssertionCredential::new(
                    tenant_id.clone(),
                    client_id.clone(),
                    assertion,
                    Some(ClientAssertionCredentialOptions { client_options }),
                )?
            }
            CredentialSettings::WorkloadIdentity => {
                let mut options = WorkloadIdentityCredentialOptions::default();
                options.credential_options.client_options = client_options;
                WorkloadIdentityCredential::new(Some(options))?
            }
            CredentialSettings::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
            CredentialSettings::AzureCli => AzureCliCredential::new(None)?,
        };
        Ok(Some(credential))
    }
}
