//! A table with its options, as text.

use std::str::FromStr;

use lakestage_engine::{DeletePartition, Granularity, LinkTableOptions, Mode};

/// What may follow a table's name, for the help of the commands that take one.
macro_rules! table_options_help {
    () => {
        "What may follow a table's name:\n  \
mode=in-place        an update replaces its row, a delete removes it; needs createdon, and is the default there\n  \
mode=append-only     a changed row is added once a snapshot, a deleted one with IsDelete; always partitioned by year\n  \
partition=year       a file a year of createdon; or month, half-month, five-day\n  \
deletes=no-date      append-only: rows of deletes go into 1.csv (default)\n  \
deletes=original     append-only: rows of deletes go into the partition that the row was in"
    };
}
pub(super) use table_options_help;

/// A table with its options, as text: `account,mode=append-only`.
#[derive(Debug, Clone)]
pub(super) struct TableChoice(pub LinkTableOptions);

impl FromStr for TableChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mut options = LinkTableOptions::of(parts.next().unwrap_or_default());
        for part in parts {
            match part {
                "mode=in-place" => options.mode = Some(Mode::InPlace),
                "mode=append-only" => options.mode = Some(Mode::AppendOnly),
                "partition=year" => options.granularity = Some(Granularity::Year),
                "partition=month" => options.granularity = Some(Granularity::Month),
                "partition=half-month" => options.granularity = Some(Granularity::HalfMonth),
                "partition=five-day" => options.granularity = Some(Granularity::FiveDay),
                "deletes=no-date" => options.deletes = DeletePartition::NoDate,
                "deletes=original" => options.deletes = DeletePartition::Original,
                _ => {
                    return Err(format!(
                        "\"{part}\" is no option of a table: there are mode=in-place, mode=append-only, partition=year, month, half-month or five-day, deletes=no-date and deletes=original"
                    ));
                }
            }
        }
        Ok(TableChoice(options))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_a_tables_name() {
        let choice: TableChoice = "account,mode=append-only,deletes=original".parse().unwrap();
        assert_eq!(choice.0.table, "account");
        assert_eq!(choice.0.mode, Some(Mode::AppendOnly));
        assert_eq!(choice.0.deletes, DeletePartition::Original);
        assert!(
            "account,mode=both"
                .parse::<TableChoice>()
                .unwrap_err()
                .contains("mode=in-place")
        );
    }
}
