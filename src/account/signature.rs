//! Shared access signatures on requests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, Url};
use jiff::{SignedDuration, Timestamp};
use lakestage_emulator::{Account, AccountSas, account_sas};

use super::credential::{CredentialSettings, SecretPlace};

/// How long a signature that is made of the account's key lasts; half of it is used.
const LIFETIME_H: i64 = 24;
const PERMISSIONS: &str = "rwdlac";
const CONTAINERS_AND_OBJECTS: &str = "sco";

/// Makes or reads the signature that requests carry.
pub(super) struct Signature {
    source: Source,
    made: Mutex<Option<(Timestamp, String)>>,
}

enum Source {
    Key(Account),
    Given(SecretPlace),
}

impl Signature {
    /// `None` for a credential that goes by tokens.
    pub(super) fn of(account: &str, credential: &CredentialSettings) -> Result<Option<Arc<Self>>> {
        let source = match credential {
            CredentialSettings::AccountKey { key } => {
                let text = key.read()?;
                let account = Account::from_base64(account, &text)
                    .with_context(|| format!("{key} does not hold an account key in base64"))?;
                Source::Key(account)
            }
            CredentialSettings::Sas { sas } => Source::Given(sas.clone()),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Signature {
            source,
            made: Mutex::new(None),
        })))
    }

    /// The signature as the query of a URL, without `?`.
    pub(super) fn query(&self) -> Result<String> {
        let account = match &self.source {
            Source::Given(place) => {
                return Ok(place.read()?.trim_start_matches('?').to_owned());
            }
            Source::Key(account) => account,
        };
        let now = Timestamp::now();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, query)) = &*made
            && now < *until
        {
            return Ok(query.clone());
        }
        let end = now.checked_add(SignedDuration::from_hours(LIFETIME_H))?;
        let sas = AccountSas {
            permissions: PERMISSIONS,
            resource_types: CONTAINERS_AND_OBJECTS,
            expiry: &end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let query = account_sas(account, &sas).context("the account has no key")?;
        let until = now.checked_add(SignedDuration::from_hours(LIFETIME_H / 2))?;
        *made = Some((until, query.clone()));
        Ok(query)
    }

    /// The same address with the signature in its query.
    pub(super) fn sign(&self, url: &mut Url) -> Result<()> {
        let query = self.query()?;
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !query.split('&').any(|pair| is_named(pair, name)))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.set_query(Some(&query));
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        Ok(())
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    pair.split('=').next() == Some(name)
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret does not belong into a log.
        f.write_str("Signature")
    }
}

/// Puts the signature on every request of a client.
#[derive(Debug)]
pub(super) struct SigningPolicy(pub(super) Arc<Signature>);

// The trait leaves the lifetime of the context out, and `async_trait` takes it the same way only if we do.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl Policy for SigningPolicy {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        self.0.sign(request.url_mut()).map_err(|error| {
            azure_core::Error::with_message(
                azure_core::error::ErrorKind::Credential,
                format!("{error:#}"),
            )
        })?;
        match next.split_first() {
            Some((first, rest)) => first.send(context, request, rest).await,
            None => Err(azure_core::Error::with_message(
                azure_core::error::ErrorKind::Other,
                "nothing sends the request",
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_joins_what_a_request_asks_and_is_not_doubled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sas");
        std::fs::write(&file, "?sv=2023-11-03&sig=a%2Bb\n").unwrap();
        let settings = CredentialSettings::Sas {
            sas: SecretPlace::File(file),
        };
        let signature = Signature::of("contoso", &settings).unwrap().unwrap();
        let mut url: Url = "https://contoso.blob.core.windows.net/c/f?comp=block&blockid=x%3D"
            .parse()
            .unwrap();
        for _ in 0..2 {
            signature.sign(&mut url).unwrap();
        }
        assert_eq!(
            url.query(),
            Some("sv=2023-11-03&sig=a%2Bb&comp=block&blockid=x%3D")
        );
    }
}
