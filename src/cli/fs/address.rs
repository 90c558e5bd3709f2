//! A path in the lake, as it is typed.

use std::fmt;
use std::str::FromStr;

/// A filesystem and a path in it. The path is empty for the filesystem itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LakePath {
    /// The account, where the path names one.
    pub account: Option<String>,
    /// The filesystem.
    pub filesystem: String,
    /// The path in it, without `/` at either end.
    pub path: String,
    /// Whether it was typed with a `/` at its end: what is meant is a folder.
    pub is_folder: bool,
}

impl FromStr for LakePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = text
            .strip_prefix("abfss://")
            .or_else(|| text.strip_prefix("abfs://"));
        let (account, rest) = match url {
            Some(rest) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (filesystem, host) = authority.split_once('@').ok_or_else(|| {
                    format!(
                        "{text}: write abfss://<filesystem>@<account>.dfs.core.windows.net/<path>"
                    )
                })?;
                let account = host.split('.').next().unwrap_or(host).to_owned();
                (Some(account), format!("{filesystem}/{path}"))
            }
            None => (None, text.trim_start_matches('/').to_owned()),
        };
        let (filesystem, path) = rest.split_once('/').unwrap_or((&rest, ""));
        if filesystem.is_empty() {
            return Err(format!(
                "\"{text}\" names no filesystem: write <filesystem>/<path>"
            ));
        }
        Ok(LakePath {
            account,
            filesystem: filesystem.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
            is_folder: path.ends_with('/'),
        })
    }
}

impl fmt::Display for LakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.filesystem),
            false => write!(f, "{}/{}", self.filesystem, self.path),
        }
    }
}

impl LakePath {
    /// The last part of the path, or the filesystem's name.
    pub(crate) fn name(&self) -> &str {
        match self.path.rsplit('/').next() {
            Some(name) if !name.is_empty() => name,
            _ => &self.filesystem,
        }
    }

    /// A path below this one.
    pub(crate) fn join(&self, name: &str) -> Self {
        LakePath {
            path: match self.path.is_empty() {
                true => name.to_owned(),
                false => format!("{}/{name}", self.path),
            },
            is_folder: false,
            ..self.clone()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_file() {
        let short: LakePath = "raw/2026/a.csv".parse().unwrap();
        let url: LakePath = "abfss://raw@devstoreaccount1.dfs.core.windows.net/2026/a.csv"
            .parse()
            .unwrap();
        assert_eq!(
            (&short.filesystem, &short.path),
            (&url.filesystem, &url.path)
        );
        assert_eq!(url.account.as_deref(), Some("devstoreaccount1"));
        assert_eq!(short.name(), "a.csv");
    }

    #[test]
    fn a_slash_at_the_end_means_a_folder() {
        let folder: LakePath = "raw/2026/".parse().unwrap();
        assert!(folder.is_folder);
        assert_eq!(folder.join("a.csv").path, "2026/a.csv");
        assert!("/".parse::<LakePath>().is_err());
    }
}
