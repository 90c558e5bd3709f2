//! What changed between two snapshots, file by file and row by row, in the memory of two rows.

use std::collections::{BTreeMap, BTreeSet};

use csv::ByteRecord;
use serde::Serialize;

use super::reader::{SnapshotReader, SnapshotRows, SnapshotTable};
use crate::error::{Error, Result};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RowDifference {
    /// In place: it is only in the later snapshot.
    Created,
    /// In place: its cells differ.
    Updated,
    /// In place: it is only in the earlier snapshot.
    Deleted,
    /// Append-only: it was added behind the rows of the earlier snapshot.
    Added,
}

/// What changed in one table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableDifference {
    /// The table.
    pub table: String,
    /// Rows that are only in the later snapshot.
    pub created: u64,
    /// Rows whose cells differ.
    pub updated: u64,
    /// Rows that are only in the earlier snapshot.
    pub deleted: u64,
    /// Rows that were added to an append-only table.
    pub added: u64,
    /// Files that both snapshots name.
    pub files_same: u64,
    /// Files that were compared.
    pub files_compared: u64,
}

/// Compares two snapshots of a link. `changed` is told of each row that differs: its table, its id and what became of
/// it; in-place tables come partition by partition in the order of ids.
///
/// # Errors
/// `Lake` if a file is not there or is not CSV; `Corrupt` is never an answer, since nothing here is trusted.
pub fn difference(
    from: &SnapshotReader<'_>,
    to: &SnapshotReader<'_>,
    mut changed: impl FnMut(&str, &str, RowDifference) -> Result<()>,
) -> Result<Vec<TableDifference>> {
    let names: BTreeSet<&str> = [from, to]
        .iter()
        .flat_map(|snapshot| snapshot.tables())
        .map(|table| table.name.as_str())
        .collect();
    names
        .into_iter()
        .map(|name| {
            let mut comparison = Comparison {
                from,
                to,
                append_only: false,
                found: TableDifference {
                    table: name.to_owned(),
                    ..TableDifference::default()
                },
                changed: &mut changed,
            };
            comparison.table(from.table(name).ok(), to.table(name).ok())?;
            Ok(comparison.found)
        })
        .collect()
}

struct Comparison<'a, F> {
    from: &'a SnapshotReader<'a>,
    to: &'a SnapshotReader<'a>,
    append_only: bool,
    found: TableDifference,
    changed: &'a mut F,
}

/// The partition that a snapshot's file holds: its name without the snapshot's number.
fn partition(file: &str) -> &str {
    file.rsplit_once('_')
        .map_or(file, |(partition, _)| partition)
}

fn by_partition(table: Option<&SnapshotTable>) -> BTreeMap<&str, &str> {
    let files = table.iter().flat_map(|table| &table.files);
    files.map(|file| (partition(file), file.as_str())).collect()
}

impl<F: FnMut(&str, &str, RowDifference) -> Result<()>> Comparison<'_, F> {
    fn table(&mut self, from: Option<&SnapshotTable>, to: Option<&SnapshotTable>) -> Result<()> {
        self.append_only = to.or(from).is_some_and(SnapshotTable::is_append_only);
        let (from, to) = (by_partition(from), by_partition(to));
        let partitions: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
        for partition in partitions {
            let (before, after) = (from.get(partition), to.get(partition));
            if before == after {
                self.found.files_same += 1;
                continue;
            }
            self.found.files_compared += 1;
            let mut before = before.map(|file| self.from.rows(file)).transpose()?;
            let mut after = after.map(|file| self.to.rows(file)).transpose()?;
            match self.append_only {
                true => self.added(&mut before, &mut after)?,
                false => self.merged(&mut before, &mut after)?,
            }
        }
        Ok(())
    }

    /// An append-only file begins with what it held before.
    fn added(
        &mut self,
        before: &mut Option<SnapshotRows>,
        after: &mut Option<SnapshotRows>,
    ) -> Result<()> {
        loop {
            match (next(before)?, next(after)?) {
                (_, None) => return Ok(()),
                (Some(old), Some(new)) if old == new => {}
                (_, Some(new)) => self.tell(&new, RowDifference::Added)?,
            }
        }
    }

    /// Both files are sorted by id.
    fn merged(
        &mut self,
        before: &mut Option<SnapshotRows>,
        after: &mut Option<SnapshotRows>,
    ) -> Result<()> {
        let (mut old, mut new) = (next(before)?, next(after)?);
        loop {
            match (&old, &new) {
                (None, None) => return Ok(()),
                (Some(row), None) => {
                    self.tell(row, RowDifference::Deleted)?;
                    old = next(before)?;
                }
                (None, Some(row)) => {
                    self.tell(row, RowDifference::Created)?;
                    new = next(after)?;
                }
                (Some(was), Some(is)) => match was.get(0).cmp(&is.get(0)) {
                    std::cmp::Ordering::Less => {
                        self.tell(was, RowDifference::Deleted)?;
                        old = next(before)?;
                    }
                    std::cmp::Ordering::Greater => {
                        self.tell(is, RowDifference::Created)?;
                        new = next(after)?;
                    }
                    std::cmp::Ordering::Equal => {
                        if was != is {
                            self.tell(is, RowDifference::Updated)?;
                        }
                        (old, new) = (next(before)?, next(after)?);
                    }
                },
            }
        }
    }

    fn tell(&mut self, row: &ByteRecord, change: RowDifference) -> Result<()> {
        let counted = match change {
            RowDifference::Created => &mut self.found.created,
            RowDifference::Updated => &mut self.found.updated,
            RowDifference::Deleted => &mut self.found.deleted,
            RowDifference::Added => &mut self.found.added,
        };
        *counted += 1;
        let id = row.get(0).and_then(|id| std::str::from_utf8(id).ok());
        let id = id.ok_or_else(|| {
            Error::Lake(format!(
                "a row of table {} does not start with an id",
                self.found.table
            ))
        })?;
        (self.changed)(&self.found.table, id, change)
    }
}

fn next(rows: &mut Option<SnapshotRows>) -> Result<Option<ByteRecord>> {
    rows.as_mut().and_then(Iterator::next).transpose()
}
