//! HTTP conditions: by ETag and by time.

use std::collections::BTreeMap;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::inode::etag_text;
use crate::store::tag_filter::TagFilter;

const NS_PER_S: i64 = 1_000_000_000;

/// Conditions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`: an ETag, with or without quotes, or `*`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since_unix_s: Option<i64>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since_unix_s: Option<i64>,
    /// `x-ms-if-tags`.
    pub if_tags: Option<TagFilter>,
}

/// How a failed condition is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionUse {
    /// Reads: what has not changed is 304.
    Read,
    /// Writes: 412.
    Write,
    /// Creation: `If-None-Match: *` on something that exists is "already exists".
    Create,
    /// Flush: `If-None-Match: *` on something that exists is 304, as the service does.
    Flush,
    /// The source of a rename or copy.
    Source,
}

/// The ETag and time that conditions are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// Its ETag.
    pub etag: u64,
    /// Last modified.
    pub modified_unix_ns: i64,
    /// Index tags, `None` for what cannot have any.
    pub tags: Option<&'a BTreeMap<String, String>>,
}

impl Conditions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only when nothing is there yet.
    #[must_use]
    pub fn if_absent() -> Self {
        Self {
            if_none_match: Some("*".to_owned()),
            ..Self::default()
        }
    }

    /// Checks them against what is there; `None` when nothing is.
    ///
    /// # Errors
    /// `ConditionNotMet`, `SourceConditionNotMet`, `PathAlreadyExists` or `NotModified`, by `for_use`.
    pub fn check(&self, current: Option<Version<'_>>, for_use: ConditionUse) -> Result<()> {
        let not_met = || match for_use {
            ConditionUse::Source => StoreError::code(ErrorCode::SourceConditionNotMet),
            _ => StoreError::code(ErrorCode::ConditionNotMet),
        };
        let Some(current) = current else {
            return if self.if_match.is_some() || self.if_tags.is_some() {
                Err(not_met())
            } else {
                Ok(())
            };
        };
        if let Some(filter) = &self.if_tags
            && !current.tags.is_some_and(|tags| filter.matches(tags))
        {
            // The service does not tell a source's tags from the target's. Recorded.
            return Err(ErrorCode::ConditionNotMet.into());
        }
        let modified_unix_s = current.modified_unix_ns.div_euclid(NS_PER_S);
        if self
            .if_match
            .as_deref()
            .is_some_and(|etags| !matches_any(etags, current.etag))
        {
            return Err(not_met());
        }
        if self
            .if_unmodified_since_unix_s
            .is_some_and(|since| modified_unix_s > since)
        {
            return Err(not_met());
        }
        if let Some(etags) = self.if_none_match.as_deref() {
            if matches_any(etags, current.etag) {
                return Err(self.none_match_failure(etags, for_use));
            }
        } else if self
            .if_modified_since_unix_s
            .is_some_and(|since| modified_unix_s <= since)
        {
            return Err(match for_use {
                ConditionUse::Read => StoreError::code(ErrorCode::NotModified),
                _ => not_met(),
            });
        }
        Ok(())
    }

    fn none_match_failure(&self, etags: &str, for_use: ConditionUse) -> StoreError {
        StoreError::code(match (for_use, etags.trim() == "*") {
            (ConditionUse::Read, _) | (ConditionUse::Flush, true) => ErrorCode::NotModified,
            (ConditionUse::Create, true) => ErrorCode::PathAlreadyExists,
            (ConditionUse::Source, _) => ErrorCode::SourceConditionNotMet,
            _ => ErrorCode::ConditionNotMet,
        })
    }
}

fn matches_any(etags: &str, current: u64) -> bool {
    let current = etag_text(current);
    etags.split(',').map(str::trim).any(|etag| {
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        etag == "*" || etag.eq_ignore_ascii_case(current.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn conditions_say_what_the_use_calls_for() {
        let current = Some(Version {
            etag: 0x8DE_0000_0000_0001,
            modified_unix_ns: 10 * NS_PER_S + 5,
            tags: None,
        });
        let absent = Conditions::if_absent();
        let code = |for_use| absent.check(current, for_use).unwrap_err().service_code();
        assert_eq!(code(ConditionUse::Create), ErrorCode::PathAlreadyExists);
        assert_eq!(code(ConditionUse::Read), ErrorCode::NotModified);
        assert_eq!(code(ConditionUse::Source), ErrorCode::SourceConditionNotMet);
        assert!(absent.check(None, ConditionUse::Create).is_ok());
        let unquoted = Conditions {
            if_match: Some("0x8DE000000000001".to_owned()),
            ..Conditions::default()
        };
        assert!(unquoted.check(current, ConditionUse::Write).is_ok());
        assert!(unquoted.check(None, ConditionUse::Write).is_err());
        let since = Conditions {
            if_modified_since_unix_s: Some(10),
            ..Conditions::default()
        };
        assert!(
            since
                .check(current, ConditionUse::Write)
                .unwrap_err()
                .is(ErrorCode::ConditionNotMet)
        );
        let until = Conditions {
            if_unmodified_since_unix_s: Some(10),
            ..Conditions::default()
        };
        assert!(until.check(current, ConditionUse::Write).is_ok());
    }
}
