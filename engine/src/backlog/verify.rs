//! Comparing a lake with what was published to it.

use serde::Serialize;

use crate::check::{Depth, Finding, VerifyReport};
use crate::environment::Environment;
use crate::error::Result;
use crate::lake::Lake;
use crate::link;
use crate::publish::{NewFile, is_parquet};

/// What a comparison of a lake with what was published to it found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedReport {
    /// What was looked at and what is wrong.
    #[serde(flatten)]
    pub report: VerifyReport,
    /// Files of the newest snapshot that the lake has shown to be made of the blocks here, without sending them back.
    pub proven_files: u64,
    /// Files of it of which only presence, length and ETag are known, because the blocks here have moved on since, the
    /// lake cannot tell, or they are Parquet.
    pub unproven_files: u64,
}

impl Environment {
    /// Compares the lake of a link with what was published to it: every kept snapshot's files by presence, length and
    /// ETag, the newest one's by their blocks, and with `read_back` by every byte.
    ///
    /// # Errors
    /// `NotFound` if there is no such link. What differs is no error but a finding.
    pub fn verify_published(
        &self,
        link: &str,
        lake: &dyn Lake,
        read_back: bool,
    ) -> Result<PublishedReport> {
        let depth = match read_back {
            true => Depth::Full,
            false => Depth::Quick,
        };
        let mut checked = PublishedReport {
            report: self.verify_link(link, lake, depth)?,
            proven_files: 0,
            unproven_files: 0,
        };
        if !read_back && checked.report.findings.is_empty() {
            self.prove(link, lake, &mut checked)?;
        }
        Ok(checked)
    }

    fn prove(&self, of: &str, lake: &dyn Lake, checked: &mut PublishedReport) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        let _packs = self.hold_packs();
        let state = self.state();
        let link = link::find(&state, of)?;
        for (table, linked) in &link.tables {
            let entry = state.catalog.tables.get(table);
            let layout = entry.and_then(|entry| entry.layout(&linked.layout));
            let packs = &self.inner.packs;
            let files = layout.map(|l| linked.clone().files(packs, &l.partitions, link.files));
            let files = files.transpose()?.unwrap_or_default();
            for (name, published) in &linked.partitions {
                let file = files.get(name).filter(|file| {
                    file.entry.changed_version == published.changed_version && !is_parquet(name)
                });
                let made = match file {
                    None => None,
                    Some(file) => {
                        let path = published.file.clone();
                        let file = NewFile::new(None, table, name, file, path)?;
                        let extents = file.extents(self)?;
                        file.with_parts(self, &extents, |p| lake.is_made_of(&file.path, p))?
                    }
                };
                match made {
                    Some(true) => checked.proven_files += 1,
                    None => checked.unproven_files += 1,
                    Some(false) => checked.report.findings.push(Finding {
                        file: format!("link {of}: {}", published.file),
                        place: "the file".into(),
                        rule: "it is not made of the blocks that it should be".into(),
                        needed_by: vec![format!("table {table} of link {of}")],
                    }),
                }
            }
        }
        Ok(())
    }
}
