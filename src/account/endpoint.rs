//! Where an account is, as text.

use std::fmt;
use std::str::FromStr;

use azure_core::http::Url;

/// The Blob endpoint of a storage account.
///
/// Everything that a lake needs can be done there, on accounts with a hierarchical namespace too, so the address of
/// the DFS endpoint, which people have at hand, is taken for that of its neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    account: String,
}

impl Endpoint {
    /// The name of the account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The address, without a `/` at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Whether the way there is encrypted. Tokens are sent no other way.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address of a container.
    #[must_use]
    pub fn container(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(name);
        }
        url
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |rule: &str| {
            format!(
                "\"{text}\" is not the address of a storage account: {rule}, as in \
                 https://<account>.dfs.core.windows.net or http://127.0.0.1:10000/<account>"
            )
        };
        let mut url: Url = text.parse().map_err(|_| wrong("it must be a URL"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(wrong("it must begin with https:// or http://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong(
                "a signature or a password goes into the credential, not into the address",
            ));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let below = url.path().trim_matches('/').to_owned();
        if below.contains('/') {
            return Err(wrong("the name of a container does not belong to it"));
        }
        // An address of numbers, or a name without dots, has the account in its path.
        let is_path_style = host.starts_with('[')
            || !host.contains('.')
            || host.split('.').all(|part| part.parse::<u8>().is_ok());
        let account = match (is_path_style, below.is_empty()) {
            (true, false) => below,
            (false, true) => host.split('.').next().unwrap_or_default().to_owned(),
            (true, true) => return Err(wrong("the account is missing in its path")),
            (false, false) => return Err(wrong("the name of a container does not belong to it")),
        };
        if !is_path_style && let Some((name, rest)) = host.split_once(".dfs.") {
            let blob = format!("{name}.blob.{rest}");
            url.set_host(Some(&blob))
                .map_err(|_| wrong("it must name a host"))?;
        }
        Ok(Endpoint { url, account })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn both_endpoints_of_an_account_name_it() {
        for text in [
            "https://contoso.dfs.core.windows.net/",
            "https://contoso.blob.core.windows.net",
        ] {
            let endpoint = endpoint(text);
            assert_eq!(endpoint.account(), "contoso");
            assert_eq!(endpoint.url(), "https://contoso.blob.core.windows.net");
        }
    }

    #[test]
    fn an_address_of_numbers_has_the_account_in_its_path() {
        let endpoint = endpoint("http://127.0.0.1:10000/devstoreaccount1");
        assert_eq!(endpoint.account(), "devstoreaccount1");
        assert_eq!(
            endpoint.container("lake").as_str(),
            "http://127.0.0.1:10000/devstoreaccount1/lake"
        );
    }

    #[test]
    fn what_is_no_account_is_refused_with_the_forms_there_are() {
        for text in [
            "contoso",
            "ftp://contoso.blob.core.windows.net",
            "https://contoso.blob.core.windows.net/container",
            "https://contoso.blob.core.windows.net?sv=1&sig=2",
            "http://127.0.0.1:10000",
            "http://127.0.0.1:10000/account/container",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains("https://<account>.dfs"), "{error}");
        }
    }
}
