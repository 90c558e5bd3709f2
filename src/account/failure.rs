//! What an account, or the way there, can answer instead of what was asked for.

use std::io;
use std::path::PathBuf;

use azure_core::error::ErrorKind;
use azure_core::http::StatusCode;
use jiff::Timestamp;

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why something was not done at the account.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", told(.0))]
    Account(#[from] azure_core::Error),
    #[error("{path}: {cause}")]
    At { path: String, cause: Box<Failure> },
    #[error("{0}")]
    Answer(String),
    #[error(
        "the account's schedule has the way closed until {until}; what was sent is kept, and it goes on then"
    )]
    Closed { until: Timestamp },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "{file}, {length} bytes at {offset}: the checksum does not match; nothing of it was sent. `lakestage verify` names what is damaged",
        file = file.display()
    )]
    Damaged {
        file: PathBuf,
        offset: u64,
        length: u64,
    },
}

impl Failure {
    /// The same, with the path it is about.
    pub(super) fn at(self, path: &str) -> Self {
        Failure::At {
            path: path.to_owned(),
            cause: Box::new(self),
        }
    }

    /// The status of the account's answer, if there was one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Failure::Account(error) => error.http_status(),
            Failure::At { cause, .. } => cause.status(),
            _ => None,
        }
    }

    /// Whether the account's answer has this error code.
    pub(super) fn is_code(&self, code: &str) -> bool {
        match self {
            Failure::Account(error) => matches!(
                error.kind(),
                ErrorKind::HttpResponse { error_code: Some(found), .. } if found == code
            ),
            Failure::At { cause, .. } => cause.is_code(code),
            _ => false,
        }
    }
}

fn told(error: &azure_core::Error) -> String {
    match error.kind() {
        ErrorKind::HttpResponse {
            status, error_code, ..
        } => {
            let code = error_code.as_deref().unwrap_or("without an error code");
            let what = format!("the account answered {} {code}", u16::from(*status));
            match advice(code) {
                Some(advice) => format!("{what}: {advice}"),
                None => what,
            }
        }
        ErrorKind::Connection | ErrorKind::Io => {
            format!("the account cannot be reached: {}", causes(error))
        }
        ErrorKind::Credential => format!("the credential does not work: {}", causes(error)),
        _ => causes(error),
    }
}

fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "AuthenticationFailed" => {
            "the key or signature is not the account's, has expired, or this machine's clock is wrong"
        }
        "AuthorizationPermissionMismatch" | "AuthorizationFailure" => {
            "the identity needs the role Storage Blob Data Contributor, or the signature more permissions"
        }
        "ContainerNotFound" => "the container is gone",
        "ContainerBeingDeleted" => "the container is being deleted; try again in half a minute",
        "KeyBasedAuthenticationNotPermitted" => {
            "the account takes no keys; use a credential of Entra ID"
        }
        _ => return None,
    })
}

/// The message and those beneath it, without repeating one.
fn causes(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    without_query(&text)
}

/// Addresses without what is behind their `?`: it holds the signature.
fn without_query(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let end = rest[start..]
            .find(|c: char| c.is_whitespace() || [')', '"', ',', '\'', '>'].contains(&c))
            .map_or(rest.len(), |end| start + end);
        let query = rest[start..end].find('?').map_or(end, |at| start + at);
        kept.push_str(&rest[..query]);
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_a_signature() {
        let told = without_query(
            "sending to (http://h:1/a/b?sv=1&sig=secret): refused? https://x/y?sig=z",
        );
        assert_eq!(told, "sending to (http://h:1/a/b): refused? https://x/y");
    }
}
