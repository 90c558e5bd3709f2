//! The sealed segments that the journal names.

use super::Check;
use crate::catalog::Catalog;
use crate::clock::Ticks;
use crate::environment::SEGMENTS_FOLDER;
use crate::segment::SegmentStore;

impl Check<'_> {
    pub(super) fn segments(&mut self, catalog: Option<&Catalog>) {
        let source = self.source;
        let store = SegmentStore::at(&source.folder.join(SEGMENTS_FOLDER));
        let granularity = |table: u16| {
            let mut tables = catalog?.tables.values();
            let entry = tables.find(|entry| entry.id == table)?;
            Some(entry.layouts.first()?.layout.granularity)
        };
        let partition =
            |table: u16, created: Option<Ticks>| granularity(table).map(|g| g.key(created));
        let folded = catalog.map_or(0, |catalog| catalog.folded_version);
        for entry in &source.journal.segments {
            let segment = store.segment(entry.clone());
            self.report.files += 1;
            if self.is_full() {
                self.report.rows += entry.rows();
            }
            let (first, last) = (entry.first_version, entry.last_version);
            let faults = segment.faults(self.is_full(), &partition);
            segment.release();
            for fault in faults {
                let mut needed_by = vec![format!("reading the changes {first} to {last}")];
                if last > folded {
                    needed_by.push("the rows that they changed, and the next snapshot".to_owned());
                }
                let file = source.shown(segment.path());
                self.finding(file, fault.place, fault.rule, needed_by);
            }
        }
    }
}
