//! Which partition a row belongs to.

use serde::{Deserialize, Serialize};

use crate::clock::Ticks;
use crate::value::to_civil;

/// The partition of rows without `createdon`.
pub const NO_DATE: &str = "1";
/// The same in folders of what changed, as readers of the real ones expect.
const FOLDER_NO_DATE: &str = "1900";
/// The number of `1`, before every other.
const NO_DATE_KEY: i32 = i32::MIN;

/// How finely a table is partitioned by `createdon`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Granularity {
    /// One partition a year, such as `2024`. What the service's documentation calls the default.
    #[default]
    Year,
    /// One partition a month, such as `2024-03`.
    Month,
    /// Two partitions a month, by their first days, such as `2024-03-01` and `2024-03-16`.
    HalfMonth,
    /// Six partitions a month, by their first days, such as `2024-03-06`; the last one takes the month's end.
    FiveDay,
}

impl Granularity {
    /// The name in `Athena:PartitionGranularity`.
    pub fn name(self) -> &'static str {
        match self {
            Granularity::Year => "Year",
            Granularity::Month => "Month",
            Granularity::HalfMonth => "HalfMonth",
            Granularity::FiveDay => "FiveDay",
        }
    }

    /// The partition of a row that was created at the given time, in UTC.
    pub fn partition(self, created: Option<Ticks>) -> String {
        self.name_of(self.key(created))
    }

    /// The same as a number: it sorts as the partitions do, and costs no allocation.
    pub(crate) fn key(self, created: Option<Ticks>) -> i32 {
        let Some(created) = created else {
            return NO_DATE_KEY;
        };
        let civil = to_civil(created);
        let (year, month) = (i32::from(civil.year()), i32::from(civil.month()));
        // The first day of the partition, from 0.
        let first_day = |days: i32, partitions: i32| {
            let place = (i32::from(civil.day()) - 1) / days;
            place.min(partitions - 1) * days
        };
        match self {
            Granularity::Year => key_of(year, 0, 0),
            Granularity::Month => key_of(year, month, 0),
            Granularity::HalfMonth => key_of(year, month, first_day(15, 2) + 1),
            Granularity::FiveDay => key_of(year, month, first_day(5, 6) + 1),
        }
    }

    /// The name of the partition that [`key`](Self::key) numbers.
    pub(crate) fn name_of(self, key: i32) -> String {
        if key == NO_DATE_KEY {
            return NO_DATE.to_owned();
        }
        let (year, month, day) = (
            year_of(key),
            key.rem_euclid(YEAR) / MONTH,
            key.rem_euclid(MONTH),
        );
        match self {
            Granularity::Year => format!("{year:04}"),
            Granularity::Month => format!("{year:04}-{month:02}"),
            Granularity::HalfMonth | Granularity::FiveDay => {
                format!("{year:04}-{month:02}-{day:02}")
            }
        }
    }
}

/// Numbers of partitions count days, with room for any month and any year.
const MONTH: i32 = 100;
const YEAR: i32 = 10_000;

fn key_of(year: i32, month: i32, day: i32) -> i32 {
    year * YEAR + month * MONTH + day
}

fn year_of(key: i32) -> i32 {
    key.div_euclid(YEAR)
}

/// Whether files are rewritten or only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// An update replaces its row and a delete removes it.
    InPlace,
    /// Every change is a new row at the end; a delete is a row with `IsDelete`.
    AppendOnly,
}

/// Where the row of a delete goes in an append-only table. The sources do not settle it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum DeletePartition {
    /// Into `1.csv`, since the row carries no `createdon`. What readers of the real files expect.
    #[default]
    NoDate,
    /// Into the partition that the row was in.
    Original,
}

/// How a table stands in files. Fixed for as long as the table is in a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// Whether files are rewritten or only grow.
    pub mode: Mode,
    /// How finely the table is partitioned.
    pub granularity: Granularity,
    /// Where deletes go in append-only mode.
    pub deletes: DeletePartition,
    /// The link that takes the rows away folder by folder; 0 for a layout that links may share.
    #[serde(default)]
    pub owner: u32,
}

impl Layout {
    /// In-place, partitioned as given.
    pub fn in_place(granularity: Granularity) -> Self {
        Layout {
            mode: Mode::InPlace,
            granularity,
            deletes: DeletePartition::NoDate,
            owner: 0,
        }
    }

    /// Append-only, which is always partitioned by year.
    pub fn append_only(deletes: DeletePartition) -> Self {
        Layout {
            mode: Mode::AppendOnly,
            granularity: Granularity::Year,
            deletes,
            owner: 0,
        }
    }

    /// Append-only by year, for the link of that number alone.
    pub(crate) fn incremental(owner: u32) -> Self {
        Layout {
            owner,
            ..Layout::append_only(DeletePartition::NoDate)
        }
    }

    /// The partition of a row that is there. In a link that writes folders `1` is for deletes alone, so that each file
    /// has rows of one sort.
    pub(crate) fn partition(&self, created: Option<Ticks>) -> String {
        match created {
            None if self.owner > 0 => FOLDER_NO_DATE.to_owned(),
            _ => self.granularity.partition(created),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TICKS_PER_SECOND;

    #[test]
    fn partitions_follow_the_calendar_in_utc() {
        let last_second = 1_704_067_199 * TICKS_PER_SECOND; // 2023-12-31T23:59:59Z
        assert_eq!(Granularity::Year.partition(Some(last_second)), "2023");
        assert_eq!(Granularity::Month.partition(Some(last_second)), "2023-12");
        let next = last_second + TICKS_PER_SECOND;
        assert_eq!(Granularity::Month.partition(Some(next)), "2024-01");
        assert_eq!(Granularity::Year.partition(None), "1");
        let on = |granularity: Granularity, day: i64| {
            // January 2024 began right after.
            granularity.partition(Some(last_second + TICKS_PER_SECOND * 86_400 * day))
        };
        for (day, half, five) in [
            (1, "01", "01"),
            (5, "01", "01"),
            (6, "01", "06"),
            (15, "01", "11"),
            (16, "16", "16"),
            (30, "16", "26"),
            (31, "16", "26"),
        ] {
            assert_eq!(on(Granularity::HalfMonth, day), format!("2024-01-{half}"));
            assert_eq!(on(Granularity::FiveDay, day), format!("2024-01-{five}"));
        }
    }
}
