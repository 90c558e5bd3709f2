//! Which snapshot, as text.

use std::str::FromStr;

use lakestage_engine::SnapshotAt;

/// `newest`, `previous`, `v<version>`, Unix seconds or a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub SnapshotAt);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let version = text.strip_prefix('v').and_then(|v| v.parse().ok());
        let at = match text {
            "newest" => SnapshotAt::Newest,
            "previous" => SnapshotAt::Previous,
            _ if version.is_some() => SnapshotAt::Version(version.unwrap_or_default()),
            _ => SnapshotAt::Time(unix_s(text).ok_or(
                "write newest, previous, v<version>, a snapshot's number or a time such as 2026-11-25T08:00:00Z",
            )?),
        };
        Ok(At(at))
    }
}

/// Unix seconds, given as such or as a time with a zone.
pub(super) fn unix_s(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_word_version_number_or_time() {
        let at = |text: &str| text.parse::<At>().map(|at| at.0);
        assert_eq!(at("newest"), Ok(SnapshotAt::Newest));
        assert_eq!(at("previous"), Ok(SnapshotAt::Previous));
        assert_eq!(at("v12"), Ok(SnapshotAt::Version(12)));
        assert_eq!(at("1700000000"), Ok(SnapshotAt::Time(1_700_000_000)));
        assert_eq!(
            at("2023-11-14T22:13:20.9Z"),
            Ok(SnapshotAt::Time(1_700_000_000))
        );
        for wrong in ["", "v", "yesterday", "2023-11-14"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
