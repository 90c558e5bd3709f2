//! An account's settings for its Blob service: what Set Blob Service Properties keeps.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::core::{Core, View};
use crate::store::{Store, key};

/// How long something is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Whether it ends at all.
    pub enabled: bool,
    /// Days, given when it is enabled.
    pub days: Option<u32>,
}

/// Analytics logging: kept and told; the emulator writes no such logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Of the log's form.
    pub version: String,
    /// Reads.
    pub read: bool,
    /// Writes.
    pub write: bool,
    /// Deletes.
    pub delete: bool,
    /// Of the logs.
    pub retention: Retention,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            version: "1.0".to_owned(),
            read: false,
            write: false,
            delete: false,
            retention: Retention::default(),
        }
    }
}

/// Metrics by the hour or the minute: kept and told; the emulator gathers none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// Of the metrics' form.
    pub version: String,
    /// Whether they are wanted.
    pub enabled: bool,
    /// Whether by operation, given when they are enabled.
    pub include_apis: Option<bool>,
    /// Of the metrics.
    pub retention: Retention,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            version: "1.0".to_owned(),
            enabled: false,
            include_apis: None,
            retention: Retention::default(),
        }
    }
}

/// A rule for requests of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRule {
    /// Methods.
    pub methods: String,
    /// Origins.
    pub origins: String,
    /// Headers that a request may have.
    pub allowed_headers: String,
    /// Headers that an answer shows.
    pub exposed_headers: String,
    /// How long a browser may remember it.
    pub max_age_s: u32,
}

/// A website in `$web`: kept and told; there is no endpoint for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticWebsite {
    /// Whether it is wanted.
    pub enabled: bool,
    /// Name of each directory's page.
    pub index_document: Option<String>,
    /// Page for what is not there.
    pub error_document: Option<String>,
    /// Page for the root.
    pub default_index_path: Option<String>,
}

/// Settings of an account's Blob service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProperties {
    /// Analytics logging.
    pub logging: Logging,
    /// Metrics by the hour.
    pub hour_metrics: Metrics,
    /// Metrics by the minute.
    pub minute_metrics: Metrics,
    /// Rules for other origins.
    pub cors: Vec<CorsRule>,
    /// How long deleted paths can be restored.
    pub delete_retention: Retention,
    /// A website.
    pub static_website: StaticWebsite,
    /// `x-ms-version` of requests that name none.
    pub default_version: Option<String>,
}

impl Core {
    pub(crate) fn service_properties(&self, account: &str) -> Result<ServiceProperties> {
        if let Some(bytes) = self.get(&key::service(account))? {
            return serde_json::from_slice(&bytes).map_err(|e| {
                StoreError::corrupt(format!("the settings of {account}"), e.to_string())
            });
        }
        let days = self.soft_delete_days(account);
        Ok(ServiceProperties {
            delete_retention: Retention {
                enabled: days.is_some(),
                days,
            },
            ..ServiceProperties::default()
        })
    }

    /// What the account was opened with.
    pub(crate) fn soft_delete_days(&self, account: &str) -> Option<u32> {
        self.accounts
            .iter()
            .find(|known| known.name == account)
            .and_then(|account| account.soft_delete_days)
    }
}

/// Reads a count that is stored.
fn count(bytes: Option<Vec<u8>>) -> Result<u32> {
    let Some(bytes) = bytes else {
        return Ok(0);
    };
    let bytes = bytes.try_into().map_err(|_| {
        StoreError::corrupt("the count of revocations", "it does not have four bytes")
    })?;
    Ok(u32::from_be_bytes(bytes))
}

impl Store {
    /// How often the account's user delegation keys were revoked.
    ///
    /// # Errors
    /// `Corrupt`, `Namespace`.
    pub fn delegation_revocations(&self, account: &str) -> Result<u32> {
        count(self.core().get(&key::delegation(account))?)
    }

    /// Revokes every user delegation key that the account gave out so far, and with them the signatures by them.
    ///
    /// # Errors
    /// `ResourceNotFound` when there is no such account, and as any write.
    pub fn revoke_delegation_keys(&self, account: &str) -> Result<u32> {
        if self.account(account).is_none() {
            return Err(StoreError::with_message(
                ErrorCode::ResourceNotFound,
                format!("There is no account {account}."),
            ));
        }
        let core = self.core();
        let mut txn = core.write()?;
        let revocations = count(txn.get(&key::delegation(account))?)?.saturating_add(1);
        txn.put(key::delegation(account), revocations.to_be_bytes().to_vec());
        let batch = txn.commit()?;
        core.acknowledge(batch, true)?;
        Ok(revocations)
    }

    /// The settings of an account's Blob service.
    ///
    /// # Errors
    /// `Corrupt`, `Namespace`.
    pub fn service_properties(&self, account: &str) -> Result<ServiceProperties> {
        self.core().service_properties(account)
    }

    /// Changes the settings of an account's Blob service.
    ///
    /// # Errors
    /// What `change` answers, and as any write.
    pub fn change_service_properties(
        &self,
        account: &str,
        change: impl FnOnce(&mut ServiceProperties) -> Result<()>,
    ) -> Result<()> {
        let core = self.core();
        let mut txn = core.write()?;
        let mut properties = core.service_properties(account)?;
        change(&mut properties)?;
        let value = serde_json::to_vec(&properties).map_err(|e| {
            StoreError::corrupt(format!("the settings of {account}"), e.to_string())
        })?;
        txn.put(key::service(account), value);
        let batch = txn.commit()?;
        core.acknowledge(batch, false)
    }
}
