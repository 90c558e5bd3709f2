//! The changes of a table since the last compaction, collapsed as a sync cycle collapses them.

use std::collections::{BTreeMap, HashMap};

use super::partition::{DeletePartition, Granularity, Layout, NO_DATE};
use super::rows::Cells;
use crate::clock::Ticks;
use crate::journal::{Commit, Operation, Record, Records};

/// The changes of one table in version order.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    all: Vec<Versioned<'a>>,
}

#[derive(Clone, Copy)]
struct Versioned<'a> {
    record: Record<'a>,
    version: u64,
    committed: Ticks,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub id: u128,
    pub version: u64,
    /// The time of the commit: `SinkModifiedOn`.
    pub modified: Ticks,
    pub what: What<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    Put {
        /// When the row was created, if that was since the last compaction; otherwise the block
        /// knows.
        created: Option<Ticks>,
        cells: Cells<'a>,
    },
    Remove,
}

impl<'a> Changes<'a> {
    /// Sorts the changes of some commits by table.
    pub(crate) fn by_table(
        commits: impl IntoIterator<Item = &'a Commit>,
    ) -> BTreeMap<u16, Changes<'a>> {
        let mut tables: BTreeMap<u16, Changes<'a>> = BTreeMap::new();
        for commit in commits {
            let records = Records::of(&commit.payload);
            for (version, (_, record)) in (commit.first_version..).zip(records) {
                tables.entry(record.table).or_default().all.push(Versioned {
                    record,
                    version,
                    committed: commit.committed,
                });
            }
        }
        tables
    }

    /// The last change of each row in each partition, by id.
    pub(super) fn in_place(&self, granularity: Granularity) -> BTreeMap<String, Vec<Change<'a>>> {
        let mut partitions: BTreeMap<String, Vec<Versioned<'a>>> = BTreeMap::new();
        for change in &self.all {
            partitions
                .entry(granularity.partition(change.record.created))
                .or_default()
                .push(*change);
        }
        partitions
            .into_iter()
            .map(|(partition, changes)| (partition, collapse(changes)))
            .collect()
    }

    /// The last change of each row, in version order, sorted into partitions. A row that came and
    /// went since the last compaction was never in the lake and leaves no trace.
    pub(super) fn append_only(&self, layout: Layout) -> BTreeMap<String, Vec<Change<'a>>> {
        let mut last: HashMap<u128, (Versioned<'a>, bool)> = HashMap::with_capacity(self.all.len());
        for change in &self.all {
            let is_new = matches!(
                change.record.operation,
                Operation::Put { existed: false, .. }
            );
            last.entry(change.record.id)
                .and_modify(|(latest, _)| *latest = *change)
                .or_insert((*change, is_new));
        }
        let mut changes: Vec<_> = last
            .into_values()
            .filter(|(latest, was_new)| {
                !(*was_new && matches!(latest.record.operation, Operation::Delete))
            })
            .map(|(latest, _)| latest)
            .collect();
        changes.sort_unstable_by_key(|c| c.version);
        let mut partitions: BTreeMap<String, Vec<Change<'a>>> = BTreeMap::new();
        for change in changes {
            let partition = match (change.record.operation, layout.deletes) {
                (Operation::Delete, DeletePartition::NoDate) => NO_DATE.to_owned(),
                _ => layout.granularity.partition(change.record.created),
            };
            partitions
                .entry(partition)
                .or_default()
                .push(change.to_change(Some(change.committed)));
        }
        partitions
    }
}

/// Keeps the last change of each row, and remembers when the row was created.
fn collapse(mut changes: Vec<Versioned<'_>>) -> Vec<Change<'_>> {
    changes.sort_unstable_by_key(|c| (c.record.id, c.version));
    let mut collapsed: Vec<Change<'_>> = Vec::with_capacity(changes.len());
    for change in changes {
        let same = collapsed.last().filter(|last| last.id == change.record.id);
        let before = match same.map(|last| last.what) {
            Some(What::Put { created, .. }) => created,
            _ => None,
        };
        let created = match change.record.operation {
            Operation::Put { existed: false, .. } => Some(change.committed),
            _ => before,
        };
        if same.is_some() {
            collapsed.pop();
        }
        collapsed.push(change.to_change(created));
    }
    collapsed
}

impl<'a> Versioned<'a> {
    fn to_change(self, created: Option<Ticks>) -> Change<'a> {
        let what = match self.record.operation {
            Operation::Delete => What::Remove,
            Operation::Put {
                cells,
                version_offset,
                ..
            } => What::Put {
                created,
                cells: Cells {
                    bytes: cells,
                    version_offset,
                    version: self.version,
                },
            },
        };
        Change {
            id: self.record.id,
            version: self.version,
            modified: self.committed,
            what,
        }
    }
}
