//! Publishing what waits, in its order.

use super::Waiting;
use crate::environment::{Environment, State};
use crate::error::Result;
use crate::lake::Lake;
use crate::link::{self, LinkEntry};
use crate::publish::SnapshotReport;

impl Environment {
    /// Publishes the oldest snapshot of a link that waits; `None` if none does.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot). What failed waits on.
    pub fn publish_waiting(&self, link: &str, lake: &dyn Lake) -> Result<Option<SnapshotReport>> {
        let before = lake.traffic().unwrap_or_default();
        let _publishing = self.inner.lock_publication();
        link::find(&self.state(), link)?;
        let attempts = &self.inner.attempts;
        let mut report = attempts.of(link, || self.attempt_waiting(link, lake))?;
        if let Some(report) = &mut report {
            report.traffic = lake.traffic().map(|traffic| traffic.since(before));
        }
        Ok(report)
    }

    /// Takes what is new, and publishes all that waits; gives the last report with the traffic of all.
    pub(crate) fn publish_backlog(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let before = lake.traffic().unwrap_or_default();
        self.take(link, true)?;
        let mut last = None;
        while let Some(report) = self.publish_waiting(link, lake)? {
            last = Some(report);
        }
        let mut report = match last {
            Some(report) => report,
            None => self.unchanged(link, lake)?,
        };
        report.traffic = lake.traffic().map(|traffic| traffic.since(before));
        Ok(report)
    }

    /// Nothing waits, so nothing is to be published but what somebody removed.
    fn unchanged(&self, link: &str, lake: &dyn Lake) -> Result<SnapshotReport> {
        let _publishing = self.inner.lock_publication();
        let attempts = &self.inner.attempts;
        attempts.of(link, || self.attempt_snapshot(link, lake))
    }

    fn attempt_waiting(&self, link: &str, lake: &dyn Lake) -> Result<Option<SnapshotReport>> {
        self.drop_stale(link)?;
        let first = |state: &State| {
            let backlog = state.catalog.backlogs.get(link);
            backlog.and_then(|backlog| backlog.waiting.first()).cloned()
        };
        let Some(waiting) = first(&self.state()) else {
            return Ok(None);
        };
        self.prepare_lake(link, lake)?;
        link::find(&self.state(), link)?.refuse_to_rest(link)?;
        let _packs = self.hold_packs();
        let state = self.state_at(link, &waiting)?;
        let report = self.publish_state(link, lake, &state, waiting.taken)?;
        self.update_backlog(link, |backlog| {
            backlog.waiting.retain(|there| *there != waiting);
        })?;
        Ok(Some(report))
    }

    /// Lets go of what waits and can or need not be shown any more: the lake shows something newer, or the link has
    /// other tables.
    fn drop_stale(&self, link: &str) -> Result<()> {
        let state = self.state();
        let entry = link::find(&state, link)?;
        let is_stale = |waiting: &Waiting| {
            waiting.version < entry.last_version || !has_the_tables(entry, waiting)
        };
        self.update_backlog(link, |backlog| backlog.waiting.retain(|w| !is_stale(w)))
    }

    /// The state in which a snapshot was taken.
    pub(super) fn state_at(&self, link: &str, waiting: &Waiting) -> Result<State> {
        let mut catalog = self.state().catalog.clone();
        catalog.folded_version = waiting.version;
        let linked = link::find(&self.state(), link)?.tables.clone();
        for (name, cut) in &waiting.tables {
            let table = catalog.tables.get_mut(name).zip(linked.get(name));
            let Some((table, linked)) = table else {
                continue;
            };
            table.schema = cut.schema.clone();
            let mut layouts = table.layouts.iter_mut();
            if let Some(layout) = layouts.find(|entry| entry.layout == linked.layout) {
                *layout = cut.layout.clone();
            }
        }
        State::load(catalog, &self.inner.store, &self.inner.packs)
    }
}

/// Whether a link has the tables, in their layouts, that it had when a snapshot was taken.
fn has_the_tables(link: &LinkEntry, waiting: &Waiting) -> bool {
    let is_there = |(name, table): (&String, &link::LinkTable)| {
        let cut = waiting.tables.get(name);
        cut.is_some_and(|cut| cut.layout.layout == table.layout)
    };
    link.tables.len() == waiting.tables.len() && link.tables.iter().all(is_there)
}
