//! The accounts that a data folder knows by name.
//!
//! ```text
//! <data>/accounts/accounts.json   where they are and who we are there; no secrets
//! <data>/accounts/writer          tells this data folder from others that write into the same account
//! <data>/accounts/<container>/    what is known of the files of a container
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccountOptions, CredentialSettings, Endpoint, Schedule, file};

const ACCOUNTS_FILE: &str = "accounts.json";
const WRITER_FILE: &str = "writer";
/// Requests that are on their way at once, unless the settings say otherwise.
pub const CONNECTIONS: usize = 8;
/// How often a request is sent again, unless the settings say otherwise. What is not done then is tried again at the next
/// publication.
pub const RETRIES: u32 = 4;

/// An account as it stands in `accounts.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSettings {
    /// The address of its Blob or DFS endpoint.
    pub endpoint: String,
    /// Who we are there.
    pub credential: CredentialSettings,
    /// Where tokens of Entra ID are had, unless that is the public cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Certificates of authorities that are trusted beside those of the system, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Requests that are on their way at once.
    #[serde(default = "connections")]
    pub connections: usize,
    /// How often a request is sent again.
    #[serde(default = "retries")]
    pub retries: u32,
    /// How fast the way there may be used, and when.
    #[serde(flatten)]
    pub schedule: Schedule,
}

fn connections() -> usize {
    CONNECTIONS
}

fn retries() -> u32 {
    RETRIES
}

/// The folder that holds what is known of accounts.
#[derive(Debug, Clone)]
pub struct Accounts {
    folder: PathBuf,
}

impl Accounts {
    /// The accounts of a folder, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Accounts { folder }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The accounts, by name.
    ///
    /// # Errors
    /// When the file does not parse.
    pub fn all(&self) -> Result<BTreeMap<String, AccountSettings>> {
        let path = self.folder.join(ACCOUNTS_FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            text => text.with_context(|| path.display().to_string())?,
        };
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// How the account of that name is reached.
    ///
    /// # Errors
    /// When there is none.
    pub fn options(&self, name: &str) -> Result<AccountOptions> {
        let all = self.all()?;
        let Some(settings) = all.get(name) else {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            let there = match names.is_empty() {
                true => "none is there yet".to_owned(),
                false => format!("there is {}", names.join(", ")),
            };
            bail!(
                "there is no account named \"{name}\"; {there}. `lakestage account add` adds one"
            );
        };
        settings.options()
    }

    /// Adds an account, or says anew how it is reached.
    ///
    /// # Errors
    /// When the name or the address does not fit, or the file cannot be written.
    pub fn set(&self, name: &str, settings: AccountSettings) -> Result<()> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            bail!("\"{name}\" cannot name an account: use lower-case letters, digits and -");
        }
        settings.options()?;
        let mut all = self.all()?;
        all.insert(name.to_owned(), settings);
        self.write(&all)
    }

    /// Forgets an account.
    ///
    /// # Errors
    /// When there is none, or the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut all = self.all()?;
        if all.remove(name).is_none() {
            self.options(name)?;
        }
        self.write(&all)
    }

    /// Tells this data folder from others.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn writer(&self) -> Result<String> {
        let path = self.folder.join(WRITER_FILE);
        match fs::read_to_string(&path) {
            Ok(writer) if !writer.trim().is_empty() => Ok(writer.trim().to_owned()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| path.display().to_string())
            }
            _ => {
                let writer = Uuid::new_v4().to_string();
                file::replace(&path, writer.as_bytes())
                    .with_context(|| path.display().to_string())?;
                Ok(writer)
            }
        }
    }

    fn write(&self, all: &BTreeMap<String, AccountSettings>) -> Result<()> {
        let json = serde_json::to_vec_pretty(all)?;
        let path = self.folder.join(ACCOUNTS_FILE);
        file::replace(&path, &json).with_context(|| path.display().to_string())
    }
}

impl AccountSettings {
    /// The same, checked.
    ///
    /// # Errors
    /// When the address or the credential does not fit.
    pub fn options(&self) -> Result<AccountOptions> {
        let endpoint: Endpoint = self.endpoint.parse().map_err(anyhow::Error::msg)?;
        let by_token = !matches!(
            self.credential,
            CredentialSettings::AccountKey { .. } | CredentialSettings::Sas { .. }
        );
        if by_token && !endpoint.is_encrypted() {
            bail!("{endpoint}: tokens of Entra ID are sent over https:// only");
        }
        if let Some(authority) = &self.authority
            && !authority.starts_with("https://")
        {
            bail!("\"{authority}\" cannot be where tokens are had: it must begin with https://");
        }
        if self.connections == 0 || self.connections > 256 {
            bail!("connections must be from 1 to 256");
        }
        self.schedule.check()?;
        Ok(AccountOptions {
            endpoint,
            credential: self.credential.clone(),
            authority: self.authority.clone(),
            ca_file: self.ca_file.clone(),
            connections: self.connections,
            retries: self.retries,
            schedule: self.schedule.clone(),
        })
    }
}
