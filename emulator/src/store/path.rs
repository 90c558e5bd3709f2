//! Names of filesystems and paths inside them.

use std::fmt;

use crate::error::{ErrorCode, Result, StoreError};

/// Segments a path may have: the documented limit of nested directories.
pub const PATH_DEPTH_MAX: usize = 63;
/// UTF-16 units a whole path may have.
pub const PATH_LENGTH_MAX_UTF16: usize = 1_024;

/// Stands between a blob's name and the time of its snapshot.
pub const SNAPSHOT_MARK: char = '\0';

/// A path inside a filesystem: its segments, in the form the service keeps them.
///
/// Empty segments collapse and dots at a segment's end are dropped, as on an account with hierarchical namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    segments: Vec<String>,
}

impl StorePath {
    /// Reads a path that is no longer percent-encoded.
    ///
    /// # Errors
    /// `InvalidResourceName` for control characters, `.` and `..` and paths that are too long, `PathIsTooDeep`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.chars().any(|c| c.is_control()) {
            return Err(StoreError::code(ErrorCode::InvalidResourceName));
        }
        let mut segments = Vec::new();
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            let segment = segment.trim_end_matches('.');
            if segment.is_empty() {
                return Err(StoreError::with_message(
                    ErrorCode::InvalidResourceName,
                    "A path segment cannot consist of dots alone.",
                ));
            }
            segments.push(segment.to_owned());
        }
        if segments.len() > PATH_DEPTH_MAX {
            return Err(StoreError::code(ErrorCode::PathIsTooDeep));
        }
        if text.encode_utf16().count() > PATH_LENGTH_MAX_UTF16 {
            return Err(StoreError::with_message(
                ErrorCode::InvalidResourceName,
                format!("A path can have at most {PATH_LENGTH_MAX_UTF16} characters."),
            ));
        }
        Ok(Self { segments })
    }

    /// Reads the name of a blob in an account without directories: slashes are letters like any other.
    ///
    /// # Errors
    /// `InvalidResourceName` for control characters and names that are too long.
    pub fn flat(name: &str) -> Result<Self> {
        let too_long = name.encode_utf16().count() > PATH_LENGTH_MAX_UTF16;
        if too_long || name.chars().any(|c| c.is_control()) {
            return Err(StoreError::code(ErrorCode::InvalidResourceName));
        }
        let segments = match name.is_empty() {
            true => Vec::new(),
            false => vec![name.to_owned()],
        };
        Ok(Self { segments })
    }

    /// Where the snapshot that was taken then stands: behind its blob, under a name that no blob can have.
    #[must_use]
    pub fn snapshot(&self, time: &str) -> Self {
        Self {
            segments: vec![format!("{self}{SNAPSHOT_MARK}{time}")],
        }
    }

    /// An entry of a flat filesystem by its whole name, which may be a snapshot's.
    pub(crate) fn entry(name: &str) -> Self {
        Self {
            segments: vec![name.to_owned()],
        }
    }

    /// The filesystem's root.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether it is the filesystem's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// From the root downwards.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The directory it is in and its name there; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(&[String], &str)> {
        self.segments
            .split_last()
            .map(|(name, parents)| (parents, name.as_str()))
    }

    /// Whether it is `other` or below it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.segments.starts_with(&other.segments)
    }

    /// The path of `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut segments = self.segments.clone();
        segments.push(name.to_owned());
        Self { segments }
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

/// Checks a filesystem's name by the service's rule: 3 to 63 of a-z, 0-9 and single hyphens inside, or `$root` and kin.
///
/// # Errors
/// `InvalidResourceName`.
pub fn check_filesystem_name(name: &str) -> Result<()> {
    let inner = name.strip_prefix('$').unwrap_or(name);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (3..=63).contains(&name.len())
        && inner.chars().all(|c| plain(c) || c == '-')
        && inner.starts_with(plain)
        && inner.ends_with(plain)
        && !inner.contains("--");
    if good {
        Ok(())
    } else {
        Err(StoreError::code(ErrorCode::InvalidResourceName))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn slashes_collapse_and_trailing_dots_go() {
        assert_eq!(StorePath::parse("/a//b./c/").unwrap().to_string(), "a/b/c");
        assert!(StorePath::parse("").unwrap().is_root());
        assert!(StorePath::parse("a/../b").is_err());
        assert!(StorePath::parse("a\u{7}").is_err());
        assert!(
            StorePath::parse(&"d/".repeat(64))
                .unwrap_err()
                .is(ErrorCode::PathIsTooDeep)
        );
    }

    #[test]
    fn a_flat_name_keeps_its_slashes_and_dots() {
        let name = "/a//b./c/";
        assert_eq!(StorePath::flat(name).unwrap().to_string(), name);
        assert!(StorePath::flat("").unwrap().is_root());
        assert!(StorePath::flat("a\0b").is_err());
    }

    #[test]
    fn filesystem_names_follow_the_rule() {
        for good in ["abc", "dataverse-env-org", "$root", "a1-b2"] {
            assert!(check_filesystem_name(good).is_ok(), "{good}");
        }
        for bad in ["ab", "-ab", "ab-", "a--b", "Abc", "a_b", &"a".repeat(64)] {
            assert!(check_filesystem_name(bad).is_err(), "{bad}");
        }
    }
}
