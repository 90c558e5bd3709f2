//! Taking a snapshot, which needs no lake.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::{Backlog, Selection, TableCut, Waiting, WhenFull};
use crate::block::Extent;
use crate::catalog::PartitionEntry;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::link::{self, LinkEntry};

/// What became of a snapshot that was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Taken {
    /// Nothing had changed since the last.
    Unchanged,
    /// The policy passes it over.
    PassedOver,
    /// It waits.
    Waits {
        /// When it was taken, in Unix seconds.
        unix_s: i64,
        /// Every change up to this version is in it.
        version: u64,
        /// How many older ones were dropped for it.
        dropped: u64,
    },
    /// There is no room, and the policy drops none.
    Full,
}

impl Environment {
    /// Takes a snapshot of a link: what is committed now goes to its lake as it is, whenever that is there. Only for
    /// links that [keep](super::PublishPolicy::keeps_snapshots) their snapshots.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; `InvalidInput` if it keeps none or rests.
    pub fn take_snapshot(&self, link: &str) -> Result<Taken> {
        self.take(link, false)
    }

    /// `always` takes it whichever the policy selects.
    pub(super) fn take(&self, link: &str, always: bool) -> Result<Taken> {
        // A schema that changes meanwhile takes the file away that the snapshot would name.
        loop {
            if let Some(taken) = self.try_take(link, always)? {
                return Ok(taken);
            }
        }
    }

    fn try_take(&self, link: &str, always: bool) -> Result<Option<Taken>> {
        let policy = self.publish_policy(link);
        let _packs = self.hold_packs();
        let state = self.fold()?;
        let entry = link::find(&state, link)?;
        entry.refuse_to_rest(link)?;
        let Selection::Every(every) = policy.selection else {
            return Err(Error::invalid(format!(
                "the link {link} publishes its newest state and keeps no snapshots for its lake"
            )));
        };
        let backlog = state.catalog.backlogs.get(link);
        let backlog = backlog.cloned().unwrap_or_default();
        let tables = cuts(&state, entry)?;
        if !is_new(&backlog, entry, &tables) {
            return Ok(Some(Taken::Unchanged));
        }
        let is_selected = always || backlog.due.is_multiple_of(u64::from(every));
        let waiting = Waiting {
            version: state.catalog.folded_version,
            taken: self.inner.clock.now_ticks(),
            tables,
        };
        let mut after = backlog.clone();
        after.due += 1;
        let taken = match is_selected {
            false => Taken::PassedOver,
            true => self.enter(&state, &mut after, waiting)?,
        };
        if taken == Taken::Full {
            return Ok(Some(taken));
        }
        let is_entered = self.enter_into_catalog(link, &backlog, after)?;
        Ok(is_entered.then_some(taken))
    }

    /// `false` if a schema changed meanwhile.
    fn enter_into_catalog(&self, link: &str, before: &Backlog, after: Backlog) -> Result<bool> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        if !catalog.links.contains_key(link) {
            return Err(Error::not_found("link", link));
        }
        let is_new = |waiting: &Waiting| !before.waiting.contains(waiting);
        let new = after.waiting.iter().filter(|waiting| is_new(waiting));
        for (name, cut) in new.flat_map(|waiting| &waiting.tables) {
            let table = catalog.tables.get(name);
            if table.is_none_or(|table| table.schema != cut.schema) {
                return Ok(false);
            }
        }
        let there = catalog.backlogs.entry(link.to_owned()).or_default();
        // One that was published meanwhile is gone.
        let waiting = after.waiting.into_iter();
        let waiting = waiting.filter(|w| is_new(w) || there.waiting.contains(w));
        there.waiting = waiting.collect();
        (there.due, there.dropped) = (after.due, after.dropped);
        self.inner.replace_catalog(catalog)?;
        Ok(true)
    }

    fn enter(&self, state: &State, backlog: &mut Backlog, waiting: Waiting) -> Result<Taken> {
        let (version, unix_s) = (waiting.version, seconds(waiting.taken));
        let mut dropped = 0;
        backlog.waiting.push(waiting);
        while self.is_too_much(state, backlog)? {
            if backlog.policy.when_full == WhenFull::TakeNoMore || backlog.waiting.len() == 1 {
                backlog.waiting.pop();
                return Ok(Taken::Full);
            }
            backlog.waiting.remove(0);
            dropped += 1;
        }
        backlog.dropped += dropped;
        Ok(Taken::Waits {
            unix_s,
            version,
            dropped,
        })
    }

    fn is_too_much(&self, state: &State, backlog: &Backlog) -> Result<bool> {
        if backlog.waiting.len() > backlog.policy.snapshots_max as usize {
            return Ok(true);
        }
        match backlog.policy.bytes_max {
            None => Ok(false),
            Some(bytes_max) => Ok(self.kept_bytes(state, backlog)? > bytes_max),
        }
    }

    /// Bytes of blocks that are kept for the backlog and for nothing else.
    fn kept_bytes(&self, state: &State, backlog: &Backlog) -> Result<u64> {
        let layouts = state.catalog.layouts();
        let current = self.extents(layouts.flat_map(|layout| layout.partitions.values()))?;
        let kept = self.extents(backlog.partitions())?;
        let only = kept.difference(&current);
        Ok(only.map(|extent| extent.length).sum())
    }

    fn extents<'p>(
        &self,
        partitions: impl Iterator<Item = &'p PartitionEntry>,
    ) -> Result<HashSet<Extent>> {
        let manifests: HashSet<Extent> = partitions.map(|p| p.manifest).collect();
        let mut extents = HashSet::new();
        for manifest in manifests {
            let blocks = self.inner.packs.manifest(&manifest)?;
            extents.extend(blocks.blocks.iter().map(|block| block.extent));
            extents.insert(manifest);
        }
        Ok(extents)
    }
}

fn seconds(ticks: Ticks) -> i64 {
    ticks.div_euclid(TICKS_PER_SECOND)
}

/// The tables of a link as they stand in blocks.
fn cuts(state: &State, link: &LinkEntry) -> Result<BTreeMap<String, TableCut>> {
    let cut = |(name, linked): (&String, &link::LinkTable)| {
        let entry = state.catalog.tables.get(name);
        let layout = entry.and_then(|table| table.layout(&linked.layout));
        let cut = entry.zip(layout).map(|(table, layout)| TableCut {
            schema: table.schema.clone(),
            layout: layout.clone(),
        });
        let gone = || Error::invalid(format!("table {name} is gone, but the link still has it"));
        cut.map(|cut| (name.clone(), cut)).ok_or_else(gone)
    };
    link.tables.iter().map(cut).collect()
}

/// Whether a snapshot would show something that the last one that waits, or the last that was published, does not.
fn is_new(backlog: &Backlog, link: &LinkEntry, tables: &BTreeMap<String, TableCut>) -> bool {
    let versions = |layout: &TableCut| -> BTreeMap<String, u64> {
        let partitions = layout.layout.partitions.iter();
        partitions
            .map(|(name, partition)| (name.clone(), partition.changed_version))
            .collect()
    };
    if let Some(last) = backlog.waiting.last() {
        let is_same = |(name, cut): (&String, &TableCut)| {
            let before = last.tables.get(name);
            before.is_some_and(|b| b.schema == cut.schema && versions(b) == versions(cut))
        };
        return last.tables.len() != tables.len() || !tables.iter().all(is_same);
    }
    let is_same = |(name, cut): (&String, &TableCut)| {
        let Some(linked) = link.tables.get(name) else {
            return false;
        };
        let published = linked.partitions.iter();
        let published: BTreeMap<String, u64> = published
            .map(|(name, partition)| (name.clone(), partition.changed_version))
            .collect();
        let is_shown = linked.initial_sync_completed.is_some();
        is_shown && linked.schema.as_ref() == Some(&cut.schema) && published == versions(cut)
    };
    link.last_snapshot_s == 0 || !tables.iter().all(is_same)
}
