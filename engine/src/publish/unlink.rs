//! Changing a link: tables come and go, it rests, it ends.

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::link::{self, Activity, LinkEntry, LinkTableOptions};
use crate::publish::SnapshotReport;

impl Environment {
    /// Adds tables to a link. The next snapshot is their initial sync.
    ///
    /// # Errors
    /// As [`create_link`](Self::create_link); `AlreadyExists` if the link has a table already, whose settings are fixed
    /// for as long as it has it.
    pub fn add_link_tables(
        &self,
        link: &str,
        lake: &dyn Lake,
        tables: &[LinkTableOptions],
    ) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        self.settle(link, lake)?;
        let state = self.state();
        let entry = link::find(&state, link)?;
        entry.refuse_unlinking(link)?;
        let owner = entry.incremental.as_ref().map(|i| i.owner);
        let added = link::link_tables(&state, &entry.model, tables, owner)?;
        for name in added.keys() {
            if entry.tables.contains_key(name) {
                return Err(Error::AlreadyExists {
                    what: "table in the link",
                    name: name.clone(),
                });
            }
        }
        for (name, table) in &added {
            if owner.is_none() {
                lake.create_directory(name)?;
            }
            self.ensure_layout(name, table.layout)?;
        }
        self.update_link(link, |entry| entry.tables.extend(added))
    }

    /// Takes tables out of a link: a snapshot without them is published, and then their folders are removed with all
    /// that is in them. Older snapshots that name their files can no longer be read.
    ///
    /// # Errors
    /// `NotFound` if the link does not have a table; `InvalidInput` if none would be left, or a pin keeps a snapshot
    /// that has one of them; `Conflict` if a reader of this process holds such a snapshot.
    pub fn remove_link_tables(
        &self,
        link: &str,
        lake: &dyn Lake,
        tables: &[String],
    ) -> Result<SnapshotReport> {
        let _publishing = self.inner.lock_publication();
        self.settle(link, lake)?;
        let state = self.state();
        let entry = link::find(&state, link)?;
        entry.refuse_to_rest(link)?;
        let leaves = |name: &String| tables.contains(name);
        if let Some(unknown) = tables.iter().find(|name| !entry.tables.contains_key(*name)) {
            return Err(Error::not_found("table in the link", unknown));
        }
        if entry.tables.keys().all(leaves) {
            return Err(Error::invalid(format!(
                "no table would be left in the link {link}; `lakestage link unlink {link}` removes the link"
            )));
        }
        if entry.incremental.is_some() {
            // Its folders stay as they are; the next one comes without the tables.
            let unchanged = SnapshotReport::unchanged(entry);
            self.update_link(link, |entry| entry.tables.retain(|name, _| !leaves(name)))?;
            self.drop_unused_layouts()?;
            return Ok(unchanged);
        }
        self.refuse_needed(link, entry, tables)?;
        let attempts = &self.inner.attempts;
        let report = attempts.of(link, || self.publish(link, lake, tables))?;
        self.drop_unused_layouts()?;
        Ok(report)
    }

    /// Lets a link rest: nothing is published until it is resumed. Changes wait.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; `InvalidInput` if it is being removed.
    pub fn pause_link(&self, link: &str) -> Result<()> {
        self.set_activity(link, Activity::Paused)
    }

    /// Lets a paused link publish again.
    ///
    /// # Errors
    /// As [`pause_link`](Self::pause_link).
    pub fn resume_link(&self, link: &str) -> Result<()> {
        self.set_activity(link, Activity::Active)
    }

    /// Removes a link. Its filesystem stays as it is unless `delete_data` says otherwise, and must be emptied or
    /// removed before the environment is linked to that lake again.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; what the lake answered otherwise. A removal that failed halfway can only
    /// be tried again.
    pub fn unlink(&self, link: &str, lake: &dyn Lake, delete_data: bool) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        let state = self.state();
        let entry = link::find(&state, link)?;
        if !delete_data {
            entry.refuse_unlinking(link)?;
            // What a snapshot that was cut off left is not to stay in a lake that nobody tends any more.
            self.settle(link, lake)?;
            for file in &link::find(&self.state(), link)?.cut_off {
                lake.delete(file)?;
            }
        } else {
            // From here on the lake may be there by half, and must not be published to.
            self.update_link(link, |entry| entry.activity = Activity::Unlinking)?;
            lake.destroy()?;
        }
        self.forget_link(link)?;
        self.drop_unused_layouts()
    }

    /// Takes a link out of the catalog, and what waits for its lake with it.
    fn forget_link(&self, link: &str) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        catalog.links.remove(link);
        catalog.backlogs.remove(link);
        self.inner.replace_catalog(catalog).map(drop)
    }

    fn set_activity(&self, link: &str, activity: Activity) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        link::find(&self.state(), link)?.refuse_unlinking(link)?;
        self.update_link(link, |entry| entry.activity = activity)
    }

    /// Refuses to remove tables from snapshots that somebody asked to keep.
    fn refuse_needed(&self, link: &str, entry: &LinkEntry, tables: &[String]) -> Result<()> {
        for (number, kept) in &entry.history.kept {
            let has_one = kept.files.iter().any(|file| {
                let folder = file.split('/').next().unwrap_or_default();
                tables.iter().any(|table| table == folder)
            });
            if !has_one {
                continue;
            }
            let mut pins = entry.history.pins.iter();
            if let Some((pin, _)) = pins.find(|(_, pin)| pin.snapshot_s == *number) {
                return Err(Error::invalid(format!(
                    "the pin {pin} keeps snapshot {number}, which has the table; `lakestage snapshot unpin {pin}` lets it go"
                )));
            }
            if self.inner.leases.is_held(link, *number) {
                return Err(Error::Conflict(format!(
                    "snapshot {number} is being read and has the table; try again when the reader is done"
                )));
            }
        }
        Ok(())
    }

    /// Forgets the layouts that no link shows any more; the base layout stays.
    fn drop_unused_layouts(&self) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        let links = catalog.links.values();
        let used: Vec<_> = links
            .flat_map(|link| {
                link.tables
                    .iter()
                    .map(|(name, table)| (name.clone(), table.layout))
            })
            .collect();
        let mut dropped = false;
        for (name, table) in &mut catalog.tables {
            let mut place = 0;
            table.layouts.retain(|entry| {
                place += 1;
                let is_used = used
                    .iter()
                    .any(|(table, layout)| table == name && *layout == entry.layout);
                let stays = place == 1 || is_used;
                dropped |= !stays;
                stays
            });
        }
        match dropped {
            true => self.inner.replace_catalog(catalog).map(drop),
            false => Ok(()),
        }
    }
}
