//! The links: their settings are kept, they rest, and what they published is published anew.

use super::Salvage;
use crate::backlog::Backlog;
use crate::catalog::{Catalog, CatalogStore, read_file};
use crate::error::Result;
use crate::link::Activity;

impl Salvage<'_> {
    pub(super) fn links(
        &self,
        catalog: &mut Catalog,
        store: &CatalogStore,
        version: u64,
    ) -> Result<()> {
        // What waits is in what the lake shows next.
        catalog.backlogs.values_mut().for_each(Backlog::clear);
        let folder = self.source.catalog_folder();
        for link in catalog.links.values_mut() {
            if link.activity == Activity::Active {
                link.activity = Activity::Paused;
            }
            if let Some(pending) = link.pending.take() {
                // Its number stays used, so that no file name comes back with other content.
                link.last_snapshot_s = link.last_snapshot_s.max(pending.link.last_snapshot_s);
            }
            let mut gone = Vec::new();
            for (number, kept) in &link.history.kept {
                match read_file(&folder, &kept.model) {
                    Ok(bytes) => drop(store.write(kept.model.file.clone(), &bytes)?),
                    Err(_) => gone.push(*number),
                }
            }
            for number in gone {
                link.history.kept.remove(&number);
                link.history.pins.retain(|_, pin| pin.snapshot_s != number);
            }
            link.last_version = link.last_version.min(version);
            link.synced_version = link.synced_version.min(version);
        }
        Ok(())
    }
}
