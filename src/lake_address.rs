//! Which lake a link writes to, as text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lakestage_emulator::DEFAULT_ACCOUNT_NAME;

const FOLDER_PREFIX: &str = "folder:";
const EMULATOR: &str = "emulator";
const ACCOUNT: &str = "account";

/// A lake's address: `emulator`, `emulator:<account>`, `folder:<path>` or `account:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeAddress {
    /// The emulator of the same data folder.
    Emulator {
        /// The storage account.
        account: String,
    },
    /// A plain folder.
    Folder(PathBuf),
    /// A storage account that the data folder knows by that name.
    Account(String),
}

impl LakeAddress {
    /// The emulator with the account that every client knows.
    #[must_use]
    pub fn emulator() -> Self {
        LakeAddress::Emulator {
            account: DEFAULT_ACCOUNT_NAME.to_owned(),
        }
    }
}

impl FromStr for LakeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == EMULATOR => Ok(Self::emulator()),
            Some((EMULATOR, account)) if !account.is_empty() => Ok(LakeAddress::Emulator {
                account: account.to_owned(),
            }),
            Some((ACCOUNT, name)) if !name.is_empty() => Ok(LakeAddress::Account(name.to_owned())),
            Some(("https" | "http", _)) => Err(format!(
                "{text}: give the account a name first, with `lakestage account add <name> --endpoint {text} …`, and then write account:<name>"
            )),
            _ => match text.strip_prefix(FOLDER_PREFIX) {
                Some(folder) if !folder.is_empty() => Ok(LakeAddress::Folder(folder.into())),
                _ => Err(format!(
                    "\"{text}\" is not a lake: write emulator, emulator:<account>, folder:<path> or account:<name>"
                )),
            },
        }
    }
}

impl fmt::Display for LakeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LakeAddress::Emulator { account } if account == DEFAULT_ACCOUNT_NAME => {
                f.write_str(EMULATOR)
            }
            LakeAddress::Emulator { account } => write!(f, "{EMULATOR}:{account}"),
            LakeAddress::Folder(folder) => write!(f, "{FOLDER_PREFIX}{}", folder.display()),
            LakeAddress::Account(name) => write!(f, "{ACCOUNT}:{name}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        for text in [
            "emulator",
            "emulator:contoso",
            "folder:/srv/lake",
            "account:site",
        ] {
            assert_eq!(text.parse::<LakeAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_account_is_given_a_name_first() {
        let url = "https://contoso.dfs.core.windows.net";
        let error = url.parse::<LakeAddress>().unwrap_err();
        assert!(error.contains("lakestage account add"), "{error}");
    }

    #[test]
    fn what_is_no_lake_is_refused_with_the_forms_there_are() {
        for text in ["", "folder:", "emulator:", "s3:bucket", "/srv/lake"] {
            let error = text.parse::<LakeAddress>().unwrap_err();
            assert!(error.contains("folder:<path>"), "{error}");
        }
    }
}
