//! What changed between two snapshots, file by file and row by row, in the memory of two rows.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use csv::ByteRecord;
use serde::Serialize;

use super::parts::partition_of;
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

/// The partition that a snapshot's file holds: its name without the part's and the snapshot's number.
fn partition(file: &str) -> &str {
    partition_of(file.rsplit('/').next().unwrap_or(file))
}

/// The files of each partition in the order of their parts.
fn by_partition(table: Option<&SnapshotTable>) -> BTreeMap<&str, Vec<&str>> {
    let mut partitions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in table.iter().flat_map(|table| &table.files) {
        partitions.entry(partition(file)).or_default().push(file);
    }
    partitions
}

/// Whether two rows are the same, though one may be older than the last columns and end before them.
fn is_same(one: &ByteRecord, other: &ByteRecord) -> bool {
    let cells = one.len().max(other.len());
    (0..cells).all(|at| one.get(at).unwrap_or_default() == other.get(at).unwrap_or_default())
}

/// The rows of a partition, whose files are read together.
struct Rows {
    parts: Vec<Peekable<SnapshotRows>>,
    /// Whether the next row is the one with the least id, or the next of the first part that has one.
    by_id: bool,
}

impl Rows {
    fn open(snapshot: &SnapshotReader<'_>, files: &[&str], by_id: bool) -> Result<Self> {
        let parts = files.iter().map(|file| Ok(snapshot.rows(file)?.peekable()));
        let parts = parts.collect::<Result<_>>()?;
        Ok(Rows { parts, by_id })
    }

    fn next(&mut self) -> Result<Option<ByteRecord>> {
        let mut least: Option<(Vec<u8>, usize)> = None;
        for (at, part) in self.parts.iter_mut().enumerate() {
            match part.peek() {
                None => continue,
                Some(Ok(row)) if self.by_id => {
                    let id = row.get(0).unwrap_or_default();
                    if least
                        .as_ref()
                        .is_none_or(|(least, _)| id < least.as_slice())
                    {
                        least = Some((id.to_vec(), at));
                    }
                }
                // The first one, and what cannot be read is told at once.
                Some(_) => {
                    least = Some((Vec::new(), at));
                    break;
                }
            }
        }
        least.and_then(|(_, at)| self.parts[at].next()).transpose()
    }
}

impl<F: FnMut(&str, &str, RowDifference) -> Result<()>> Comparison<'_, F> {
    fn table(&mut self, from: Option<&SnapshotTable>, to: Option<&SnapshotTable>) -> Result<()> {
        self.append_only = to.or(from).is_some_and(SnapshotTable::is_append_only);
        let (from, to) = (by_partition(from), by_partition(to));
        let partitions: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
        for partition in partitions {
            let (before, after) = (from.get(partition), to.get(partition));
            let (before, after) = self.different(before, after);
            let mut before = Rows::open(self.from, &before, !self.append_only)?;
            let mut after = Rows::open(self.to, &after, !self.append_only)?;
            match self.append_only {
                true => self.added(&mut before, &mut after)?,
                false => self.merged(&mut before, &mut after)?,
            }
        }
        Ok(())
    }

    /// The files of a partition that only one of the snapshots names: those that both name have the same rows.
    fn different<'f>(
        &mut self,
        before: Option<&Vec<&'f str>>,
        after: Option<&Vec<&'f str>>,
    ) -> (Vec<&'f str>, Vec<&'f str>) {
        let files = |of: Option<&Vec<&'f str>>| of.cloned().unwrap_or_default();
        let (mut before, mut after) = (files(before), files(after));
        let both: Vec<&str> = after
            .iter()
            .copied()
            .filter(|f| before.contains(f))
            .collect();
        before.retain(|file| !both.contains(file));
        after.retain(|file| !both.contains(file));
        self.found.files_same += both.len() as u64;
        self.found.files_compared += before.len().max(after.len()) as u64;
        (before, after)
    }

    /// An append-only file begins with what it held before.
    fn added(&mut self, before: &mut Rows, after: &mut Rows) -> Result<()> {
        loop {
            match (before.next()?, after.next()?) {
                (_, None) => return Ok(()),
                (Some(old), Some(new)) if is_same(&old, &new) => {}
                (_, Some(new)) => self.tell(&new, RowDifference::Added)?,
            }
        }
    }

    /// Both files are sorted by id.
    fn merged(&mut self, before: &mut Rows, after: &mut Rows) -> Result<()> {
        let (mut old, mut new) = (before.next()?, after.next()?);
        loop {
            match (&old, &new) {
                (None, None) => return Ok(()),
                (Some(row), None) => {
                    self.tell(row, RowDifference::Deleted)?;
                    old = before.next()?;
                }
                (None, Some(row)) => {
                    self.tell(row, RowDifference::Created)?;
                    new = after.next()?;
                }
                (Some(was), Some(is)) => match was.get(0).cmp(&is.get(0)) {
                    std::cmp::Ordering::Less => {
                        self.tell(was, RowDifference::Deleted)?;
                        old = before.next()?;
                    }
                    std::cmp::Ordering::Greater => {
                        self.tell(is, RowDifference::Created)?;
                        new = after.next()?;
                    }
                    std::cmp::Ordering::Equal => {
                        if !is_same(was, is) {
                            self.tell(is, RowDifference::Updated)?;
                        }
                        (old, new) = (before.next()?, after.next()?);
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
