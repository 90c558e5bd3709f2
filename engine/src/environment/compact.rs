//! Bringing the blocks up to date with the journal.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Environment, State};
use crate::catalog::{Catalog, LayoutEntry};
use crate::compaction::{BaseRows, Compaction, Layout, Target, Unmerged, build};
use crate::error::Result;
use crate::segment::Segment;

/// A compaction orders what is left of the tail in memory; more than this it seals first.
const ORDERED_BYTES_MAX: usize = 24 << 20;
/// A pack of which less than this part is in use is emptied.
const SPARSE_PERCENT: u64 = 25;

impl Environment {
    /// Merges everything committed so far into blocks. Cheap when there is nothing.
    pub fn compact(&self) -> Result<()> {
        self.fold().map(drop)
    }

    /// Merges everything committed, and gives the state in which exactly the commits up to
    /// `catalog.folded_version` stand in blocks.
    pub(crate) fn fold(&self) -> Result<Arc<State>> {
        self.inner.noting(self.merge_everything())
    }

    fn merge_everything(&self) -> Result<Arc<State>> {
        let inner = &self.inner;
        let _guard = inner.lock_catalog();
        let start = Instant::now();
        inner.sealing.seal_down_to(ORDERED_BYTES_MAX)?;
        let cut = inner.staging.cut();
        let state = inner.state();
        let above = state.catalog.folded_version;
        let Some((version, committed)) = cut.last().filter(|(version, _)| *version > above) else {
            return Ok(state);
        };
        let granularity = |table| state.base_granularity(table);
        let mut commits = cut.commits;
        commits.retain(|c| c.last_version() > above);
        let tail = Segment::of_commits(&commits, &granularity)?;
        let sealed = cut.segments.iter().map(|segment| &**segment);
        let unmerged = Unmerged {
            segments: sealed
                .filter(|segment| segment.entry().last_version > above)
                .chain(&tail)
                .collect(),
            above,
            residence: &inner.residence,
            range_bytes: inner.merge_bytes,
        };
        let mut catalog = state.catalog.clone();
        catalog.folded_version = version;
        catalog.last_committed = committed;
        let mut compaction = self.start(&mut catalog)?;
        let ordered = start.elapsed();
        let targets = Target::all(catalog.tables.values_mut());
        compaction.merge(&unmerged, targets, version)?;
        let merged = start.elapsed();
        let state = self.finish(compaction, catalog)?;
        tracing::debug!(?ordered, ?merged, synced = ?start.elapsed(), "changes stand in blocks");
        self.collect_segments()?;
        Ok(state)
    }

    /// Makes sure that a table stands in the given layout, building it if it does not.
    pub(crate) fn ensure_layout(&self, table: &str, layout: Layout) -> Result<()> {
        self.inner.noting(self.build_layout(table, layout))
    }

    fn build_layout(&self, table: &str, layout: Layout) -> Result<()> {
        if self.has_layout(table, &layout) {
            return Ok(());
        }
        // The new layout is built from blocks alone, so what is not in blocks yet must follow it.
        self.fold()?;
        let _guard = self.inner.lock_catalog();
        if self.has_layout(table, &layout) {
            return Ok(());
        }
        let state = self.state();
        let schema = state.table(table)?.plan.schema().clone();
        let mut catalog = state.catalog.clone();
        let mut compaction = self.start(&mut catalog)?;
        let version = catalog.folded_version;
        let now = self.inner.clock.now_ticks().max(catalog.last_committed);
        if let Some(entry) = catalog.tables.get_mut(table) {
            let source = BaseRows {
                base: &entry.layouts[0].clone(),
                created_on: schema.created_on(),
                version,
                now,
            };
            let built = build(
                &mut compaction,
                &source,
                &LayoutEntry::empty(layout, &schema),
            )?;
            entry.layouts.push(built);
        }
        self.finish(compaction, catalog).map(drop)
    }

    fn has_layout(&self, table: &str, layout: &Layout) -> bool {
        let state = self.state();
        let entry = state.catalog.tables.get(table);
        entry.is_some_and(|t| t.layout(layout).is_some())
    }

    fn start(&self, catalog: &mut Catalog) -> Result<Compaction<'_>> {
        // After a failed write of the catalog the next pack may be named already.
        self.inner.journal.check()?;
        let packs = &self.inner.packs;
        let sparse = self.sparse_packs(catalog)?;
        let line_end = catalog.settings.line_end.bytes();
        let next = &mut catalog.next_pack;
        Ok(Compaction::begin(packs, next, line_end, sparse))
    }

    fn sparse_packs(&self, catalog: &Catalog) -> Result<HashSet<u64>> {
        let packs = &self.inner.packs;
        let mut sparse = HashSet::new();
        for (id, live) in catalog.live_bytes(packs)? {
            let whole = fs::metadata(packs.path(id)).map_or(0, |m| m.len());
            if live * 100 < whole * SPARSE_PERCENT {
                sparse.insert(id);
            }
        }
        Ok(sparse)
    }

    /// Seals the pack, makes the catalog current, and removes the packs that nobody uses any more.
    fn finish(&self, compaction: Compaction<'_>, catalog: Catalog) -> Result<Arc<State>> {
        let inner = &self.inner;
        tracing::debug!(bytes = compaction.bytes(), "compacted");
        compaction.seal()?;
        let state = inner.replace_catalog(catalog)?;
        self.count_block_bytes()?;
        self.collect_packs()?;
        Ok(state)
    }

    /// Keeps every pack that is there now, and those that come, until the hold is dropped.
    pub(crate) fn hold_packs(&self) -> PackHold<'_> {
        self.inner.pack_holds.fetch_add(1, Ordering::SeqCst);
        PackHold(self)
    }

    /// Removes the packs that nothing refers to. The caller holds the catalog lock.
    fn collect_packs(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.pack_holds.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        // Where writing a catalog failed, the disk may hold it all the same, and it names other packs.
        inner.journal.check()?;
        let catalog = &inner.state().catalog;
        let live = catalog.live_bytes(&inner.packs)?;
        let manifests = catalog.manifests();
        inner
            .packs
            .collect(|id| live.contains_key(&id), |m| manifests.contains(m))
    }
}

/// While it lives no pack is removed.
pub(crate) struct PackHold<'e>(&'e Environment);

impl Drop for PackHold<'_> {
    fn drop(&mut self) {
        let before = self.0.inner.pack_holds.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            let _guard = self.0.inner.lock_catalog();
            if let Err(error) = self.0.collect_packs() {
                tracing::warn!(%error, "unused packs could not be removed; the next compaction tries again");
            }
        }
    }
}
