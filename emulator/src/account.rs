//! The storage accounts an emulator answers for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The account every Azure client knows as "the emulator's".
pub const DEFAULT_ACCOUNT_NAME: &str = "devstoreaccount1";

/// The published key of [`DEFAULT_ACCOUNT_NAME`], in base64. It protects nothing.
pub const DEFAULT_ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A storage account: its name and the keys that sign for it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name, as in `<name>.dfs.core.windows.net`.
    pub name: String,
    /// Decoded keys; a signature by any of them is good.
    pub keys: Vec<Vec<u8>>,
    /// Whether it has no hierarchical namespace: names are flat, and only the Blob protocol writes.
    pub flat: bool,
    /// Days that what was deleted can be restored, `None` for not at all. Paths go by what Set Blob Service
    /// Properties says once it was called.
    pub soft_delete_days: Option<u32>,
}

impl Account {
    /// An account with one key given in base64, or `None` when that is not base64.
    #[must_use]
    pub fn from_base64(name: &str, key: &str) -> Option<Self> {
        let key = STANDARD.decode(key).ok()?;
        Some(Self {
            name: name.to_owned(),
            keys: vec![key],
            flat: false,
            soft_delete_days: None,
        })
    }

    /// The well-known emulator account.
    #[must_use]
    pub fn well_known() -> Self {
        let keys = STANDARD.decode(DEFAULT_ACCOUNT_KEY).into_iter().collect();
        Self {
            name: DEFAULT_ACCOUNT_NAME.to_owned(),
            keys,
            flat: false,
            soft_delete_days: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_key_has_64_bytes() {
        assert_eq!(Account::well_known().keys[0].len(), 64);
    }
}
