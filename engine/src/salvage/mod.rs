//! Keeping what is whole of a damaged environment, in a new folder.
//!
//! Good blocks are copied as they are; the changes of good segments and commits that stand in no
//! block yet are merged into them, as a compaction does. What is damaged is set aside beside the new
//! environment, and every loss is told. The damaged folder does not change.

mod blocks;
mod changes;
mod links;
mod report;

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

pub use report::{Loss, SalvageReport};

use crate::block::{PackWriter, Packs};
use crate::catalog::{Catalog, CatalogStore, parse_catalog};
use crate::check::Source;
use crate::environment::{CATALOG_FOLDER, JOURNAL_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER, lock};
use crate::error::{Error, IoContext, Result};
use crate::files;
use crate::journal::{Journal, SledJournal};
use blocks::Salvaged;
use report::Quarantine;

/// What the keys of consumers in the journal begin with.
const CONSUMERS: &str = "consumer/";
/// Where the journal is damaged nobody knows which versions were given last; so many are left out.
const VERSIONS_LEFT_OUT: u64 = 1_000_000;

/// Writes what is whole of the environment in `folder`, which nobody may have open, to the new
/// folder `to`.
///
/// The new environment has an identity of its own, and its links are paused. Changes are merged into
/// blocks, so that readers of the change feed start again from a snapshot.
///
/// # Errors
/// `AlreadyExists` if `to` holds anything; `NotFound` if `folder` holds no environment; `Corrupt` if
/// there is no catalog any more, without which nobody knows what the rows are of.
pub fn salvage(folder: &Path, to: &Path) -> Result<SalvageReport> {
    if to.exists() && !(to.is_dir() && files::names_in(to)?.is_empty()) {
        return Err(Error::AlreadyExists {
            what: "file or folder",
            name: to.display().to_string(),
        });
    }
    let source = Source::closed(folder)?;
    let mut report = SalvageReport::default();
    let catalog = find_catalog(&source, &mut report)?;
    files::create_folder(to)?;
    let _lock = lock(to)?;
    for part in [CATALOG_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER] {
        files::create_folder(&to.join(part))?;
    }
    let salvage = Salvage {
        source: &source,
        to,
        quarantine: Quarantine::at(to),
        packs: Packs::open(&to.join(PACKS_FOLDER))?,
        old_packs: Packs::at(&folder.join(PACKS_FOLDER)),
    };
    salvage.run(catalog, report)
}

struct Salvage<'s> {
    source: &'s Source,
    to: &'s Path,
    quarantine: Quarantine,
    packs: Packs,
    old_packs: Packs,
}

impl Salvage<'_> {
    fn run(&self, mut catalog: Catalog, mut report: SalvageReport) -> Result<SalvageReport> {
        let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&self.to.join(JOURNAL_FOLDER))?);
        let store = CatalogStore::open(&self.to.join(CATALOG_FOLDER), journal)?;
        self.schemas(&mut catalog, &store, &mut report)?;
        let changes = self.changes(&catalog, &mut report)?;
        let version = changes.last_version.max(catalog.folded_version)
            + if report.journal_is_damaged {
                VERSIONS_LEFT_OUT
            } else {
                0
            };
        let mut pack = PackWriter::new(&self.packs, catalog.next_pack);
        catalog.next_pack += 1;
        let mut salvaged = Salvaged {
            pack: &mut pack,
            version,
            report: &mut report,
        };
        self.blocks(&mut catalog, &mut salvaged)?;
        PackWriter::seal_all(&self.packs, std::iter::once(pack))?;
        self.merge(&mut catalog, &changes, version)?;
        self.links(&mut catalog, &store, version)?;
        self.consumers(&mut report);
        catalog.id = Uuid::new_v4();
        catalog.last_committed = catalog.last_committed.max(changes.last_committed);
        catalog.folded_version = version;
        report.environment = catalog.settings.name.clone();
        report.version = version;
        report.count(&catalog);
        // Last: with it the folder holds an environment.
        store.store(&mut catalog)?;
        Ok(report)
    }

    /// Tells which consumers of the change feed begin anew: what they had not read stands in blocks,
    /// which have no changes any more, and tokens of the old environment are refused.
    fn consumers(&self, report: &mut SalvageReport) {
        let journal = &self.source.journal;
        for (key, value) in &journal.metas {
            let Some(name) = key.strip_prefix(CONSUMERS) else {
                continue;
            };
            let consumer: serde_json::Value = serde_json::from_slice(value).unwrap_or_default();
            let table = consumer["table"].as_str().map(str::to_owned);
            let version = consumer["version"].as_u64();
            let place = version.map_or_else(String::new, |v| format!(", which had read up to {v}"));
            report.lost.push(Loss {
                what: format!("consumer {name} of the change feed{place}"),
                reason: "changes are not kept; it reads again from a snapshot".to_owned(),
                table,
                ..Loss::default()
            });
        }
        if !journal.errors.is_empty() {
            report.lost.push(Loss {
                what: "consumers of the change feed, if there were any".to_owned(),
                reason: "the journal names them, and it cannot be read".to_owned(),
                ..Loss::default()
            });
        }
    }

    /// Takes the schemas over; a table whose schema is gone is gone.
    fn schemas(
        &self,
        catalog: &mut Catalog,
        store: &CatalogStore,
        report: &mut SalvageReport,
    ) -> Result<()> {
        let folder = self.source.catalog_folder();
        let mut lost = Vec::new();
        for (name, table) in &catalog.tables {
            let schema = crate::catalog::read_file(&folder, &table.schema);
            match schema {
                Ok(bytes) => drop(store.write(table.schema.file.clone(), &bytes)?),
                Err(error) => {
                    let path = folder.join(&table.schema.file);
                    self.quarantine.file(&path)?;
                    let mut loss = Loss::of(name, &error.to_string());
                    loss.rows = Some(table.layouts[0].partitions.values().map(|p| p.rows).sum());
                    report.lost.push(loss);
                    lost.push(name.clone());
                }
            }
        }
        for name in lost {
            catalog.tables.remove(&name);
            for link in catalog.links.values_mut() {
                link.tables.remove(&name);
            }
        }
        Ok(())
    }
}

/// The catalog that the journal names, or the newest that parses where it is not whole.
fn find_catalog(source: &Source, report: &mut SalvageReport) -> Result<Catalog> {
    let failure = match source.catalog() {
        Ok(catalog) => return Ok(catalog),
        Err(error) => error,
    };
    let folder = source.catalog_folder();
    let mut names = if folder.is_dir() {
        files::names_in(&folder)?
    } else {
        Vec::new()
    };
    names.retain(|name| name.starts_with("catalog-") && name.ends_with(".json"));
    for name in names.iter().rev() {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).context("reading", &path)?;
        if let Ok(catalog) = parse_catalog(&path, &bytes) {
            report.lost.push(Loss {
                what: format!("the certainty that the catalog is whole; {name} was used"),
                reason: failure.to_string(),
                ..Loss::default()
            });
            return Ok(catalog);
        }
    }
    Err(Error::corrupt(
        &folder,
        format!(
            "there is no catalog that can be read, so nobody knows what the rows are of; restore a backup ({failure})"
        ),
    ))
}
