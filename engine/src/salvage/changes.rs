//! The changes that stand in no block yet: of segments, as far as their batches are whole, and of
//! the journal's commits.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::{Loss, Salvage, SalvageReport};
use crate::catalog::Catalog;
use crate::clock::Ticks;
use crate::compaction::{Compaction, Granularity, Target, Unmerged};
use crate::environment::{JOURNAL_FOLDER, MERGE_BYTES, SEGMENTS_FOLDER};
use crate::error::Result;
use crate::journal::Commit;
use crate::segment::{BATCH_ROWS, Segment, SegmentStore};
use crate::staging::Residence;

/// Changes in the form in which they are merged, oldest first.
pub(super) struct Changes {
    segments: Vec<Arc<Segment>>,
    pub last_version: u64,
    pub last_committed: Ticks,
}

impl Salvage<'_> {
    pub(super) fn changes(&self, catalog: &Catalog, report: &mut SalvageReport) -> Result<Changes> {
        let journal = &self.source.journal;
        let folded = catalog.folded_version;
        let granularity = |table| granularity(catalog, table);
        let store = SegmentStore::at(&self.source.folder.join(SEGMENTS_FOLDER));
        let mut changes = Changes {
            segments: Vec::new(),
            last_version: folded,
            last_committed: catalog.last_committed,
        };
        let mut expected = folded + 1;
        let mut entries = journal.segments.clone();
        if entries.is_empty() && !journal.errors.is_empty() {
            // Without a journal the files tell themselves what they are.
            entries = store.entries_of_files()?;
        }
        for entry in &entries {
            changes.last_version = changes.last_version.max(entry.last_version);
            changes.last_committed = changes.last_committed.max(entry.last_committed);
            if entry.last_version <= folded {
                continue;
            }
            if entry.first_version > expected {
                let (first, last) = (expected, entry.first_version - 1);
                report.lost.push(Loss::of_versions(
                    first,
                    Some(last),
                    "no segment holds them",
                ));
            }
            expected = entry.last_version + 1;
            let segment = store.segment(entry.clone());
            if segment.faults(true, &|_, _| None).is_empty() {
                changes.segments.push(segment);
            } else {
                self.quarantine.file(segment.path())?;
                let whole = whole_batches(&segment, folded, report);
                for commits in whole {
                    changes
                        .segments
                        .extend(Segment::of_commits(&commits, &granularity)?.map(Arc::new));
                }
            }
        }
        self.commits(&mut changes, expected, &granularity, report)?;
        Ok(changes)
    }

    /// The commits of the journal behind the last segment.
    fn commits(
        &self,
        changes: &mut Changes,
        mut expected: u64,
        granularity: &dyn Fn(u16) -> Granularity,
        report: &mut SalvageReport,
    ) -> Result<()> {
        let journal = &self.source.journal;
        let read = journal.read();
        let told = report.lost.len();
        let mut reasons: Vec<String> = journal.errors.iter().map(ToString::to_string).collect();
        reasons.extend(
            read.faults
                .iter()
                .map(|f| format!("{}, {}: {}", f.file, f.place, f.rule)),
        );
        for commit in read.commits {
            let (first, last) = (commit.first_version, commit.last_version());
            if last < expected {
                continue;
            }
            if first > expected {
                let loss = Loss::of_versions(expected, Some(first - 1), &reasons.join("; "));
                report.lost.push(loss);
            }
            expected = last + 1;
            changes.last_version = changes.last_version.max(last);
            changes.last_committed = changes.last_committed.max(commit.committed);
            let commits = [Arc::new(commit)];
            changes
                .segments
                .extend(Segment::of_commits(&commits, granularity)?.map(Arc::new));
        }
        let end = &journal.end;
        let behind = Some(end.acknowledged_version).filter(|version| *version >= expected);
        if let Some(lost) = behind {
            reasons.push(format!(
                "the changes {expected} to {lost} were acknowledged and are not there"
            ));
        }
        if end.is_metadata_lost {
            reasons.push("the last changes of the metadata are not there".into());
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let is_told = report.lost.len() > told && behind.is_none() && journal.errors.is_empty();
        if !is_told {
            report
                .lost
                .push(Loss::of_versions(expected, None, &reasons.join("; ")));
        }
        report.journal_is_damaged = true;
        let folder = self.source.folder.join(JOURNAL_FOLDER);
        self.quarantine.file(&folder.join("db"))?;
        let names: BTreeSet<_> = read.faults.iter().map(|f| f.file.as_str()).collect();
        let mut others = names.into_iter().filter(|name| *name != "db");
        others.try_for_each(|name| self.quarantine.file(&folder.join(name)))
    }

    /// Merges the changes into the blocks that were kept.
    pub(super) fn merge(
        &self,
        catalog: &mut Catalog,
        changes: &Changes,
        version: u64,
    ) -> Result<()> {
        let residence = Residence::default();
        let unmerged = Unmerged {
            segments: changes.segments.iter().map(|segment| &**segment).collect(),
            above: catalog.folded_version,
            residence: &residence,
            range_bytes: MERGE_BYTES,
        };
        let line_end = catalog.settings.line_end.bytes();
        let next = &mut catalog.next_pack;
        let mut compaction = Compaction::begin(&self.packs, next, line_end, HashSet::new());
        let targets = Target::all(catalog.tables.values_mut());
        compaction.merge(&unmerged, targets, version)?;
        compaction.seal()
    }
}

fn granularity(catalog: &Catalog, table: u16) -> Granularity {
    let mut tables = catalog.tables.values();
    let base = tables
        .find(|t| t.id == table)
        .and_then(|t| t.layouts.first());
    base.map_or_else(Granularity::default, |base| base.layout.granularity)
}

/// The changes of a damaged segment as commits, a list for each stretch without a gap. A commit here
/// is what was committed at one time within one batch.
fn whole_batches(
    segment: &Segment,
    folded: u64,
    report: &mut SalvageReport,
) -> Vec<Vec<Arc<Commit>>> {
    let entry = segment.entry();
    let mut stretches: Vec<Vec<Arc<Commit>>> = Vec::new();
    let mut is_open = false;
    for number in 0..(entry.rows() as usize).div_ceil(BATCH_ROWS) {
        let first = entry.first_version + (number * BATCH_ROWS) as u64;
        let last = entry.last_version.min(first + BATCH_ROWS as u64 - 1);
        match batch_commits(segment, number, first, last) {
            Ok(commits) => {
                match stretches.last_mut().filter(|_| is_open) {
                    Some(open) => open.extend(commits),
                    None => stretches.push(commits),
                }
                is_open = true;
            }
            Err(error) => {
                is_open = false;
                if last > folded {
                    report.lose_versions(first.max(folded + 1), last, &error.to_string());
                }
            }
        }
    }
    stretches
}

fn batch_commits(
    segment: &Segment,
    number: usize,
    first: u64,
    last: u64,
) -> Result<Vec<Arc<Commit>>> {
    let mut commits: Vec<Commit> = Vec::new();
    for version in first..=last {
        let row = (number * BATCH_ROWS) as u32 + (version - first) as u32;
        let change = segment.change(row)?;
        match commits.last_mut() {
            Some(commit) if commit.committed == change.committed => {
                change.record.encode(&mut commit.payload);
                commit.rows += 1;
            }
            _ => {
                let mut payload = Vec::new();
                change.record.encode(&mut payload);
                commits.push(Commit {
                    first_version: version,
                    rows: 1,
                    committed: change.committed,
                    payload,
                });
            }
        }
    }
    Ok(commits.into_iter().map(Arc::new).collect())
}
