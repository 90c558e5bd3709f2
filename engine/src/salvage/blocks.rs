//! The blocks: those that pass their checksum go into the new pack.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Loss, Salvage, SalvageReport};
use crate::block::{BlockEntry, Manifest, PackWriter};
use crate::catalog::{Catalog, LayoutEntry, PartitionEntry};
use crate::check::{BlockRules, block_fault, layout_text};
use crate::error::Result;

/// What the blocks go into.
pub(super) struct Salvaged<'a> {
    pub pack: &'a mut PackWriter,
    /// The version of the new environment: every partition counts as changed then, so that links
    /// publish it anew.
    pub version: u64,
    pub report: &'a mut SalvageReport,
}

impl Salvage<'_> {
    pub(super) fn blocks(&self, catalog: &mut Catalog, salvaged: &mut Salvaged<'_>) -> Result<()> {
        let folded = catalog.folded_version;
        // What a link took out of its layouts for a folder that is not written yet is all that there is of it.
        for link in catalog.links.values_mut() {
            let closing = link.incremental.as_mut().and_then(|i| i.closing.as_mut());
            for (name, partitions) in closing.into_iter().flat_map(|c| &mut c.tables) {
                let table = catalog.tables.get(name).zip(link.tables.get(name));
                let layout = table.and_then(|(table, linked)| table.layout(&linked.layout));
                if let Some(layout) = layout {
                    self.partitions(name, layout, partitions, folded, salvaged)?;
                }
            }
        }
        for (name, table) in &mut catalog.tables {
            for layout in &mut table.layouts {
                let mut partitions = std::mem::take(&mut layout.partitions);
                self.partitions(name, layout, &mut partitions, folded, salvaged)?;
                layout.partitions = partitions;
            }
        }
        Ok(())
    }

    fn partitions(
        &self,
        table: &str,
        layout: &LayoutEntry,
        partitions: &mut BTreeMap<String, PartitionEntry>,
        folded: u64,
        salvaged: &mut Salvaged<'_>,
    ) -> Result<()> {
        for (partition, entry) in std::mem::take(partitions) {
            let place = Place {
                table,
                partition: &partition,
                folded,
            };
            if let Some(kept) = self.partition(layout, &place, &entry, salvaged)? {
                partitions.insert(partition, kept);
            }
        }
        Ok(())
    }

    fn partition(
        &self,
        layout: &LayoutEntry,
        place: &Place<'_>,
        entry: &PartitionEntry,
        salvaged: &mut Salvaged<'_>,
    ) -> Result<Option<PartitionEntry>> {
        let manifest = match self.old_packs.manifest(&entry.manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                let extent = &entry.manifest;
                let path = self.old_packs.path(extent.pack);
                self.quarantine.part(&path, extent.offset, extent.length)?;
                let mut loss = place.loss(layout, &error.to_string());
                loss.rows = Some(entry.rows);
                salvaged.report.lost.push(loss);
                return Ok(None);
            }
        };
        let mut kept = Manifest::default();
        for block in &manifest.blocks {
            if let Some(block) = self.block(layout, place, block, salvaged)? {
                kept.blocks.push(block);
            }
        }
        if kept.blocks.is_empty() {
            return Ok(None);
        }
        Ok(Some(PartitionEntry {
            manifest: salvaged.pack.append(&kept.encode())?,
            rows: kept.rows(),
            bytes: kept.bytes(),
            changed_version: salvaged.version,
        }))
    }

    fn block(
        &self,
        layout: &LayoutEntry,
        place: &Place<'_>,
        block: &BlockEntry,
        salvaged: &mut Salvaged<'_>,
    ) -> Result<Option<BlockEntry>> {
        let rules = BlockRules {
            layout,
            partition: place.partition,
            version: place.folded,
        };
        let reason = match self.old_packs.read(&block.extent) {
            Err(error) => error.to_string(),
            Ok(bytes) => match block_fault(block, bytes.as_ref(), &rules) {
                Some(rule) => rule,
                None => {
                    let extent = salvaged.pack.append(bytes.as_ref())?;
                    return Ok(Some(BlockEntry {
                        extent,
                        ..block.clone()
                    }));
                }
            },
        };
        let extent = &block.extent;
        let path = self.old_packs.path(extent.pack);
        self.quarantine.part(&path, extent.offset, extent.length)?;
        let id = |id| Some(Uuid::from_u128(id).to_string());
        salvaged.report.lost.push(Loss {
            first_id: id(block.first),
            last_id: id(block.last),
            rows: Some(u64::from(block.rows)),
            ..place.loss(layout, &reason)
        });
        Ok(None)
    }
}

/// A partition of a table.
struct Place<'a> {
    table: &'a str,
    partition: &'a str,
    folded: u64,
}

impl Place<'_> {
    fn loss(&self, layout: &LayoutEntry, reason: &str) -> Loss {
        Loss {
            what: format!(
                "rows of table {}, {}, partition {}",
                self.table,
                layout_text(&layout.layout),
                self.partition
            ),
            partition: Some(self.partition.to_owned()),
            ..Loss::of(self.table, reason)
        }
    }
}
