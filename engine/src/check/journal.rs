//! The journal: every frame, and versions without a gap from the first segment to the last commit.

use super::Check;
use crate::catalog::Catalog;
use crate::environment::JOURNAL_FOLDER;
use crate::journal::{Commit, QUARANTINE, Records};

const FILE: &str = "journal/db";

impl Check<'_> {
    pub(super) fn journal(&mut self, catalog: Option<&Catalog>) {
        self.report.files += 1;
        let journal = &self.source.journal;
        for error in &journal.errors {
            let needed_by = vec!["everything that is in no segment or block yet".to_owned()];
            self.finding(FILE, "the log", error.to_string(), needed_by);
        }
        if self
            .source
            .folder
            .join(JOURNAL_FOLDER)
            .join(QUARANTINE)
            .is_dir()
        {
            tracing::info!(
                "the journal has set aside a snapshot of sled's; its log holds everything"
            );
        }
        for name in &journal.damaged_snapshots {
            let file = format!("{JOURNAL_FOLDER}/{name}");
            let rule = "sled cannot read its snapshot; opening sets it aside and reads the log, which holds everything";
            self.finding(file, "the file", rule, vec!["a short opening".to_owned()]);
        }
        let read = journal.read();
        self.report.unfinished_version = journal.unfinished(&read);
        for fault in &read.faults {
            let needed_by =
                vec!["the changes of that commit, and the opening of the environment".to_owned()];
            let file = format!("{JOURNAL_FOLDER}/{}", fault.file);
            self.finding(file, &fault.place, &fault.rule, needed_by);
        }
        for commit in &read.commits {
            self.commit(commit);
        }
        self.sequence(&read.commits, catalog);
        self.lost_end(&read.commits, catalog);
    }

    /// sled takes damage in what was written last for a write that a power cut broke off, and gives
    /// what was before. Others know up to where everything was acknowledged.
    fn lost_end(&mut self, commits: &[Commit], catalog: Option<&Catalog>) {
        let journal = &self.source.journal;
        let sealed = journal.segments.last().map(|e| e.last_version);
        let last = commits.last().map(Commit::last_version).max(sealed);
        let folded = catalog.map(|catalog| catalog.folded_version);
        let last = last.max(folded).unwrap_or_default();
        let end = &journal.end;
        let opening = || "the opening of the environment".to_owned();
        if let Some(fault) = &end.fault {
            let needed_by = vec!["knowing that the end of the log is there".to_owned()];
            self.finding("journal/acknowledged", "the file", fault, needed_by);
        }
        if end.acknowledged_version > last {
            let (lost, to) = (last + 1, end.acknowledged_version);
            let rule = format!("the changes {lost} to {to} were acknowledged and are not there");
            let needed_by = vec![format!("the changes from version {lost} on"), opening()];
            self.finding(FILE, "the end of the log", rule, needed_by);
        }
        if end.is_metadata_lost {
            let rule = "the last changes of the metadata were acknowledged and are not there";
            let needed_by = vec!["the places of consumers".to_owned(), opening()];
            self.finding(FILE, "the end of the log", rule, needed_by);
        }
    }

    fn commit(&mut self, commit: &Commit) {
        let rows = Records::of(&commit.payload).count() as u64;
        self.report.rows += rows;
        if rows != u64::from(commit.rows) {
            let place = format!("the commit at version {}", commit.first_version);
            let rule = format!("it holds {rows} changes, and says {}", commit.rows);
            self.finding(FILE, place, rule, vec!["those changes".to_owned()]);
        }
    }

    /// Where a version is missing, something that was acknowledged is.
    fn sequence(&mut self, commits: &[Commit], catalog: Option<&Catalog>) {
        let segments = &self.source.journal.segments;
        let sealed = segments.last().map_or(0, |entry| entry.last_version);
        let segments = segments.iter().map(|e| (e.first_version, e.last_version));
        let commits = commits.iter().map(|c| (c.first_version, c.last_version()));
        let commits = commits.filter(|(_, last)| *last > sealed);
        let staged: Vec<(u64, u64)> = segments.chain(commits).collect();
        let gaps = self.source.journal.gaps();
        let mut expected = staged.first().map(|(first, _)| *first);
        // What is in no block must be staged.
        if let (Some(first), Some(catalog)) = (expected, catalog)
            && first > gaps.next(catalog.folded_version)
        {
            expected = Some(gaps.next(catalog.folded_version));
        }
        for (first, last) in staged {
            if let Some(expected) = expected
                && expected != first
            {
                let rule = match expected < first {
                    true => format!("the changes {expected} to {} are missing", first - 1),
                    false => format!("the changes {first} to {} are there twice", expected - 1),
                };
                let needed_by = vec!["the opening of the environment".to_owned()];
                self.finding(FILE, "the sequence of versions", rule, needed_by);
            }
            expected = Some(gaps.next(last));
        }
    }
}
