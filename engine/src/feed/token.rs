//! Where a reader of changes stands.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::error::{Error, Result};

/// The text begins so, and the number is the form's.
const PREFIX: &str = "lsc1";

/// Where a reader of changes stands: behind every change up to a version. It is text of the form
/// `lsc1-<environment>-<version>`; tokens of another environment are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeToken {
    pub(super) environment: Uuid,
    pub(super) version: u64,
}

impl ChangeToken {
    pub(crate) fn new(environment: Uuid, version: u64) -> Self {
        ChangeToken {
            environment,
            version,
        }
    }

    /// The version behind which it stands; 0 is before the first.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl fmt::Display for ChangeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment = self.environment.simple();
        write!(f, "{PREFIX}-{environment}-{}", self.version)
    }
}

impl FromStr for ChangeToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "\"{text}\" is no change token; one looks like {PREFIX}-<environment>-<version>"
            ))
        };
        let mut parts = text.split('-');
        let (Some(PREFIX), Some(environment), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(ChangeToken {
            environment: Uuid::try_parse(environment).map_err(|_| wrong())?,
            version: version.parse().map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text_and_nothing_else_does() {
        let token = ChangeToken::new(Uuid::from_u128(7), 12);
        assert_eq!(token.to_string().parse::<ChangeToken>().unwrap(), token);
        for text in ["", "12", "lsc1-x-1", "lsc2-00-1", "lsc1-7", "lsc1-7-1-1"] {
            assert!(text.parse::<ChangeToken>().is_err(), "{text}");
        }
    }
}
