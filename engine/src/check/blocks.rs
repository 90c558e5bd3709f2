//! Packs: the manifest of each partition, and the blocks that it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::Check;
use super::rows::{BlockRules, block_fault};
use crate::block::{BlockEntry, Manifest, Packs};
use crate::catalog::{Catalog, LayoutEntry, PartitionEntry};
use crate::compaction::{Layout, Mode};
use crate::environment::PACKS_FOLDER;

impl Check<'_> {
    pub(super) fn blocks(&mut self, catalog: &Catalog) {
        let packs = Packs::at(&self.source.folder.join(PACKS_FOLDER));
        let mut seen: BTreeSet<u64> = BTreeSet::new();
        for (name, table) in &catalog.tables {
            for layout in &table.layouts {
                for (partition, entry) in &layout.partitions {
                    let place = Place {
                        packs: &packs,
                        layout,
                        partition,
                        needed_by: needed_by(catalog, name, layout, partition),
                        version: catalog.folded_version,
                    };
                    seen.insert(entry.manifest.pack);
                    self.partition(&place, entry, &mut seen);
                }
            }
        }
        self.taken(catalog, &packs, &mut seen);
        self.waiting(catalog, &packs, &mut seen);
        self.report.files += seen.len() as u64;
    }

    /// What links took out of their layouts for folders that are not written yet.
    fn taken(&mut self, catalog: &Catalog, packs: &Packs, seen: &mut BTreeSet<u64>) {
        for (link, entry) in &catalog.links {
            let closing = entry.incremental.as_ref().and_then(|i| i.closing.as_ref());
            for (name, partitions) in closing.into_iter().flat_map(|c| &c.tables) {
                let table = catalog.tables.get(name).zip(entry.tables.get(name));
                let layout = table.and_then(|(table, linked)| table.layout(&linked.layout));
                for (partition, entry) in partitions {
                    let Some(layout) = layout else { continue };
                    let place = Place {
                        packs,
                        layout,
                        partition,
                        needed_by: vec![format!("the next folder of link {link}")],
                        version: catalog.folded_version,
                    };
                    seen.insert(entry.manifest.pack);
                    self.partition(&place, entry, seen);
                }
            }
        }
    }

    /// Snapshots that wait for their lake.
    fn waiting(&mut self, catalog: &Catalog, packs: &Packs, seen: &mut BTreeSet<u64>) {
        for (link, backlog) in &catalog.backlogs {
            for waiting in &backlog.waiting {
                let needed_by = format!(
                    "the snapshot of version {} that waits for link {link}",
                    waiting.version
                );
                for cut in waiting.tables.values() {
                    for (partition, entry) in &cut.layout.partitions {
                        let place = Place {
                            packs,
                            layout: &cut.layout,
                            partition,
                            needed_by: vec![needed_by.clone()],
                            version: waiting.version,
                        };
                        seen.insert(entry.manifest.pack);
                        self.partition(&place, entry, seen);
                    }
                }
            }
        }
    }

    fn partition(&mut self, place: &Place<'_>, entry: &PartitionEntry, seen: &mut BTreeSet<u64>) {
        let file = self.source.shown(&place.packs.path(entry.manifest.pack));
        let manifest = match place.packs.manifest(&entry.manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                let at = format!("the manifest at byte {}", entry.manifest.offset);
                self.finding(file, at, error.to_string(), place.needed_by.clone());
                return;
            }
        };
        let counted = [
            ("rows", manifest.rows(), entry.rows),
            ("bytes", manifest.bytes(), entry.bytes),
        ];
        for (what, held, said) in counted {
            if held != said {
                let rule = format!("it lists {held} {what}, and the catalog says {said}");
                let at = format!("the manifest at byte {}", entry.manifest.offset);
                self.finding(&file, at, rule, place.needed_by.clone());
            }
        }
        if place.layout.layout.mode == Mode::InPlace {
            self.fences(&manifest, &file, place);
        }
        for block in &manifest.blocks {
            seen.insert(block.extent.pack);
            self.block(block, place);
        }
    }

    /// Blocks of an in-place partition follow each other by id.
    fn fences(&mut self, manifest: &Manifest, file: &str, place: &Place<'_>) {
        for (number, pair) in manifest.blocks.windows(2).enumerate() {
            if pair[0].last >= pair[1].first {
                let rule = format!("block {number} reaches into the one behind it");
                self.finding(file, "the manifest", rule, place.needed_by.clone());
            }
        }
    }

    fn block(&mut self, block: &BlockEntry, place: &Place<'_>) {
        let extent = &block.extent;
        let path = place.packs.path(extent.pack);
        let at = format!("the block at byte {}", extent.offset);
        let rule = match self.is_full() {
            false => {
                let end = extent.offset.saturating_add(extent.length);
                match fs::metadata(&path) {
                    Ok(file) if file.len() >= end => return,
                    Ok(_) => format!("the file ends before byte {end}"),
                    Err(error) => format!("the file cannot be read: {error}"),
                }
            }
            true => {
                self.report.rows += u64::from(block.rows);
                let rules = BlockRules {
                    layout: place.layout,
                    partition: place.partition,
                    version: place.version,
                };
                let read = place.packs.read(extent);
                match read.map(|bytes| block_fault(block, bytes.as_ref(), &rules)) {
                    Ok(None) => return,
                    Ok(Some(rule)) => rule,
                    Err(error) => error.to_string(),
                }
            }
        };
        let file = self.source.shown(&path);
        self.finding(file, at, rule, place.needed_by.clone());
    }
}

/// A partition of a layout of a table.
struct Place<'a> {
    packs: &'a Packs,
    layout: &'a LayoutEntry,
    partition: &'a str,
    needed_by: Vec<String>,
    version: u64,
}

fn needed_by(catalog: &Catalog, table: &str, layout: &LayoutEntry, partition: &str) -> Vec<String> {
    let shown = layout_text(&layout.layout);
    let mut needed_by = vec![format!("table {table}, {shown}, partition {partition}")];
    let links: BTreeMap<_, _> = catalog.links.iter().collect();
    for (name, link) in links {
        if link
            .tables
            .get(table)
            .is_some_and(|t| t.layout == layout.layout)
        {
            needed_by.push(format!("the next snapshot of link {name}"));
        }
    }
    needed_by
}

/// A layout as it is told.
pub(crate) fn layout_text(layout: &Layout) -> String {
    let mode = match layout.mode {
        Mode::InPlace => "in-place",
        Mode::AppendOnly => "append-only",
    };
    format!("{mode} by {}", layout.granularity.name())
}
