//! Looking for damage, without changing anything.
//!
//! The quick look follows the links: the journal's frames, the catalog, the footers of segments,
//! manifests and packs, sizes, versions without a gap, and what stands in the lakes. The full look
//! reads every byte, checks the rules that rows and their order obey, and compares the CSV files of
//! the lakes with the blocks that they are made of.

mod blocks;
mod catalog;
mod dump;
mod journal;
mod lake;
mod rows;
mod segments;
mod source;

use std::path::Path;

use serde::Serialize;

pub(crate) use blocks::layout_text;
pub use dump::{DumpPart, dump_folder};
pub(crate) use rows::{BlockRules, block_fault};
pub(crate) use source::Source;

use crate::catalog::Catalog;
use crate::environment::Environment;
use crate::error::Result;
use crate::lake::Lake;
use crate::link;

/// How closely it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Depth {
    /// Footers, links, sizes and versions.
    Quick,
    /// Every byte.
    Full,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file, from the environment's folder on, or a link's name and a path in its lake.
    pub file: String,
    /// Where in it.
    pub place: String,
    /// The rule that is broken.
    pub rule: String,
    /// What cannot be read, or cannot be trusted, because of it.
    pub needed_by: Vec<String>,
}

/// What a look found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// How closely it was looked.
    pub depth: Depth,
    /// Files that were looked at, in the folder and in the lakes.
    pub files: u64,
    /// Rows and changes that were looked at one by one.
    pub rows: u64,
    /// The version of a commit that was broken off before it was acknowledged. That is no damage;
    /// opening drops it.
    pub unfinished_version: Option<u64>,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
}

/// Opens the lake of a link, given its address and the filesystem.
pub type LakeOf<'a> = dyn Fn(&str, &str) -> Result<Box<dyn Lake>> + 'a;

/// Looks for damage in an environment's folder that nobody has open. Nothing in it changes.
///
/// # Errors
/// `NotFound` if the folder holds no environment, `Conflict` if another process has it open. Damage
/// is no error but a finding.
pub fn verify_folder(folder: &Path, depth: Depth, lakes: &LakeOf<'_>) -> Result<VerifyReport> {
    let source = Source::closed(folder)?;
    let mut check = Check::new(&source, depth);
    let catalog = check.catalog();
    check.everything(catalog.as_ref(), lakes);
    Ok(check.report)
}

impl Environment {
    /// Looks for damage while the environment is used. Commits go on; publishing waits.
    ///
    /// # Errors
    /// Damage is no error but a finding; what fails is only what makes looking impossible.
    pub fn verify(&self, depth: Depth, lakes: &LakeOf<'_>) -> Result<VerifyReport> {
        let inner = &self.inner;
        let _publishing = inner.lock_publication();
        let _packs = self.hold_packs();
        let reader = inner.lock_holders().open_reader(0);
        let guard = inner.lock_catalog();
        let source = Source::open(self);
        let mut check = Check::new(&source, depth);
        let catalog = check.catalog();
        drop(guard);
        check.everything(catalog.as_ref(), lakes);
        inner.lock_holders().close_reader(reader);
        Ok(check.report)
    }
}

impl Environment {
    /// Looks for damage in the lake of one link.
    pub(crate) fn verify_link(
        &self,
        link: &str,
        lake: &dyn Lake,
        depth: Depth,
    ) -> Result<VerifyReport> {
        let _publishing = self.inner.lock_publication();
        let _packs = self.hold_packs();
        let state = self.state();
        let entry = link::find(&state, link)?;
        let source = Source::open(self);
        let mut check = Check::new(&source, depth);
        check.link(&state.catalog, link, entry, lake);
        Ok(check.report)
    }
}

/// A look that is under way.
struct Check<'s> {
    source: &'s Source,
    report: VerifyReport,
}

impl<'s> Check<'s> {
    fn new(source: &'s Source, depth: Depth) -> Self {
        Check {
            source,
            report: VerifyReport {
                depth,
                files: 0,
                rows: 0,
                unfinished_version: None,
                findings: Vec::new(),
            },
        }
    }

    fn is_full(&self) -> bool {
        self.report.depth == Depth::Full
    }

    fn everything(&mut self, catalog: Option<&Catalog>, lakes: &LakeOf<'_>) {
        self.journal(catalog);
        self.segments(catalog);
        if let Some(catalog) = catalog {
            self.blocks(catalog);
            self.lakes(catalog, lakes);
        }
    }

    fn finding(
        &mut self,
        file: impl Into<String>,
        place: impl Into<String>,
        rule: impl Into<String>,
        needed_by: Vec<String>,
    ) {
        self.report.findings.push(Finding {
            file: file.into(),
            place: place.into(),
            rule: rule.into(),
            needed_by,
        });
    }
}
