//! A link: which tables of an environment stand in which lake, and how.

mod attempts;
mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use attempts::{Attempt, Attempts};
pub use status::{IncrementalStatus, LinkStatus, LinkTableStatus};

use crate::catalog::{Catalog, CatalogStore, FileEntry};
use crate::clock::Ticks;
use crate::compaction::{DeletePartition, Granularity, Layout, Mode};
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::publish::{
    Checksums, CurrentFiles, Cuts, FileOptions, History, Incremental, Kept, ModelSettings, Pin,
    SNAPSHOTS_KEPT,
};

/// A link as a person asks for it.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// A name of the caller's choice.
    pub name: String,
    /// The lake's address; the engine keeps it for the caller and does not read it.
    pub lake: String,
    /// What locations in `model.json` start with, such as
    /// `https://contoso.dfs.core.windows.net:443`.
    pub endpoint: String,
    /// How `model.json` says what no source settles.
    pub model: ModelSettings,
    /// How many snapshots are kept; `None` keeps all.
    pub snapshots_kept: Option<u32>,
    /// What its files are, and when a partition continues in a further one.
    pub files: FileOptions,
    /// Seconds between two folders of a link that writes what changed into folders of their own, instead of snapshots.
    pub incremental_every_s: Option<u32>,
    /// The tables.
    pub tables: Vec<LinkTableOptions>,
}

impl NewLink {
    /// A link with the settings that it has unless it is told otherwise.
    pub fn new(name: &str, lake: &str, endpoint: &str, tables: Vec<LinkTableOptions>) -> Self {
        NewLink {
            name: name.to_owned(),
            lake: lake.to_owned(),
            endpoint: endpoint.to_owned(),
            model: ModelSettings::default(),
            snapshots_kept: Some(SNAPSHOTS_KEPT),
            files: FileOptions::default(),
            incremental_every_s: None,
            tables,
        }
    }
}

impl LinkTableOptions {
    /// A table with the options that follow from it.
    pub fn of(table: &str) -> Self {
        LinkTableOptions {
            table: table.to_owned(),
            ..LinkTableOptions::default()
        }
    }
}

/// How one table is linked. What is not said follows the table: in-place where it has `createdon`,
/// else append-only.
#[derive(Debug, Clone, Default)]
pub struct LinkTableOptions {
    /// The table's name.
    pub table: String,
    /// In-place or append-only.
    pub mode: Option<Mode>,
    /// How finely it is partitioned.
    pub granularity: Option<Granularity>,
    /// Where deletes go in append-only mode.
    pub deletes: DeletePartition,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkEntry {
    pub lake: String,
    pub endpoint: String,
    pub filesystem: String,
    #[serde(default)]
    pub activity: Activity,
    #[serde(default)]
    pub model: ModelSettings,
    #[serde(default)]
    pub files: FileOptions,
    pub tables: BTreeMap<String, LinkTable>,
    /// The number in the names of the last snapshot's files: Unix seconds, always rising.
    pub last_snapshot_s: i64,
    /// The cut of the last snapshot.
    pub last_version: u64,
    /// The cut of the near-real-time files.
    #[serde(default)]
    pub synced_version: u64,
    /// What a link that writes folders remembers.
    #[serde(default)]
    pub incremental: Option<Incremental>,
    /// The metadata files as they stand in the lake.
    #[serde(default)]
    pub metadata: Checksums,
    /// The snapshots that are there.
    #[serde(default)]
    pub history: History,
    /// Files of a snapshot that was broken off, in a lake that takes over what stands in them. The next one removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_off: Vec<String>,
    /// A snapshot that was begun; whether it became visible is decided by the lake's `model.json`.
    pub pending: Option<Box<Pending>>,
}

/// Whether a link publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Activity {
    /// It does.
    #[default]
    Active,
    /// It does not until it is resumed.
    Paused,
    /// Its removal with all its data was begun and can only be brought to its end.
    Unlinking,
}

impl LinkEntry {
    /// Refuses to publish for a link that does not.
    pub(crate) fn refuse_to_rest(&self, name: &str) -> Result<()> {
        match self.activity {
            Activity::Active => Ok(()),
            Activity::Paused => Err(Error::invalid(format!(
                "the link {name} is paused; `lakestage link resume {name}` lets it publish again"
            ))),
            Activity::Unlinking => Err(Error::invalid(format!(
                "the link {name} is being removed; `lakestage link unlink {name} --delete-data` brings it to its end"
            ))),
        }
    }

    /// Refuses to change a link that is being removed.
    pub(crate) fn refuse_unlinking(&self, name: &str) -> Result<()> {
        match self.activity {
            Activity::Unlinking => self.refuse_to_rest(name),
            _ => Ok(()),
        }
    }

    /// The files of the catalog folder that the link needs.
    pub(crate) fn model_files(&self) -> impl Iterator<Item = &str> {
        let pending = self.pending.iter().map(|pending| &pending.link.history);
        let histories = pending.chain([&self.history]);
        histories.flat_map(History::model_files)
    }

    /// The snapshots that are there and stay there, whatever becomes of one that was cut off.
    pub(crate) fn readable(&self) -> impl DoubleEndedIterator<Item = (i64, &Kept)> {
        let stays = |number: &i64| match &self.pending {
            Some(pending) => pending.link.history.kept.contains_key(number),
            None => true,
        };
        let kept = self.history.kept.iter();
        kept.filter(move |(number, _)| stays(number))
            .map(|(number, kept)| (*number, kept))
    }

    /// Changes the pins, also those that a snapshot which was cut off would bring with it.
    pub(crate) fn change_pins(&mut self, change: impl Fn(&mut BTreeMap<String, Pin>)) {
        change(&mut self.history.pins);
        if let Some(pending) = &mut self.pending {
            change(&mut pending.link.history.pins);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkTable {
    pub layout: Layout,
    /// When the first snapshot with this table became visible.
    pub initial_sync_completed: Option<Ticks>,
    /// The cut at which the table changed last, as published.
    pub last_version: u64,
    /// The schema that `model.json` shows; not known before the first snapshot.
    #[serde(default)]
    pub schema: Option<FileEntry>,
    /// When the table was looked at last for a snapshot.
    #[serde(default)]
    pub last_synced: Ticks,
    /// How partitions were cut into files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cuts: Cuts,
    /// The near-real-time files as they stand in the lake.
    #[serde(default)]
    pub current: CurrentFiles,
    /// By the name of the file: the partition's, and the part's where it is cut.
    pub partitions: BTreeMap<String, Published>,
}

/// A partition as `model.json` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    pub file: String,
    pub changed_version: u64,
    pub rows: u64,
    pub bytes: u64,
    /// What the lake answered when it was written; not known after some crashes.
    #[serde(default)]
    pub etag: Option<String>,
    /// Of a Parquet file: the CRC-32C of its content. That of a CSV file follows from its blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pending {
    /// The CRC-32C of the `model.json` that makes it visible.
    pub model_crc32c: u32,
    /// The link as it is once it is visible.
    pub link: LinkEntry,
    /// The files that are only there for it.
    pub files: Vec<String>,
    /// The files that go once it is visible: near-real-time files of partitions that are gone, and
    /// snapshot files that no kept snapshot names.
    #[serde(default)]
    pub removed: Vec<String>,
    /// The folders that go once it is visible, because their tables left the link.
    #[serde(default)]
    pub removed_folders: Vec<String>,
}

impl Environment {
    /// The name of the filesystem that this environment is linked to:
    /// `dataverse-<environment>-<organization>`.
    pub fn filesystem_name(&self) -> String {
        self.state().catalog.settings.filesystem_name()
    }

    /// Links tables to a lake: creates the filesystem and a folder a table.
    ///
    /// # Errors
    /// `InvalidInput` if change tracking is off for a table, if the filesystem holds files, or if
    /// options exclude each other; `NotFound` for an unknown table; `AlreadyExists` if the link's
    /// name is taken.
    pub fn create_link(&self, lake: &dyn Lake, new: &NewLink) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        let state = self.state();
        check_name(&new.name)?;
        if state.catalog.links.contains_key(&new.name) {
            return Err(Error::AlreadyExists {
                what: "link",
                name: new.name.clone(),
            });
        }
        let incremental = Incremental::of(self, new)?;
        let owner = incremental.as_ref().map(|incremental| incremental.owner);
        let tables = link_tables(&state, &new.model, &new.tables, owner)?;
        if tables.is_empty() {
            return Err(Error::invalid("a link needs at least one table"));
        }
        if new.snapshots_kept == Some(0) {
            return Err(Error::invalid(
                "a link keeps at least one snapshot, the one that model.json names",
            ));
        }
        new.files.check()?;
        let filesystem = self.filesystem_name();
        refuse_shared(&state.catalog, new, &filesystem)?;
        // The folders of a link that writes folders come with their rows.
        let folders = tables.keys().filter(|_| incremental.is_none());
        prepare(lake, folders)?;
        for (name, table) in &tables {
            self.ensure_layout(name, table.layout)?;
        }
        let entry = LinkEntry {
            lake: new.lake.clone(),
            endpoint: new.endpoint.trim_end_matches('/').to_owned(),
            filesystem,
            activity: Activity::default(),
            model: new.model,
            files: new.files,
            tables,
            last_snapshot_s: 0,
            last_version: 0,
            synced_version: 0,
            incremental,
            metadata: Checksums::new(),
            history: History::keeping(new.snapshots_kept),
            cut_off: Vec::new(),
            pending: None,
        };
        self.update_links(|_, links| {
            links.insert(new.name.clone(), entry);
            Ok(())
        })
    }

    pub(crate) fn update_links(
        &self,
        change: impl FnOnce(&CatalogStore, &mut BTreeMap<String, LinkEntry>) -> Result<()>,
    ) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        change(&self.inner.store, &mut catalog.links)?;
        self.inner.replace_catalog(catalog).map(drop)
    }
}

pub(crate) fn find<'s>(state: &'s State, name: &str) -> Result<&'s LinkEntry> {
    state.catalog.links.get(name).ok_or_else(|| {
        let names: Vec<&str> = state.catalog.links.keys().map(String::as_str).collect();
        Error::NotFound {
            what: "link",
            name: name.to_owned(),
            hint: match names.is_empty() {
                true => "; create one with `lakestage link new`".into(),
                false => format!("; the links are {}", names.join(", ")),
            },
        }
    })
}

fn check_name(name: &str) -> Result<()> {
    let fine = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the link name \"{name}\" may only have letters, digits, - and _, 1 to 64 of them"
    )))
}

/// Tables with their options, checked.
pub(crate) fn link_tables(
    state: &State,
    model: &ModelSettings,
    options: &[LinkTableOptions],
    owner: Option<u32>,
) -> Result<BTreeMap<String, LinkTable>> {
    let mut tables = BTreeMap::new();
    for options in options {
        let name = &options.table;
        let table = link_table(state, options, owner)?;
        model.check(state.table(name)?.plan.schema())?;
        if tables.insert(name.clone(), table).is_some() {
            return Err(Error::invalid(format!("table {name} is named twice")));
        }
    }
    Ok(tables)
}

/// `owner` is that of a link that writes folders.
fn link_table(state: &State, options: &LinkTableOptions, owner: Option<u32>) -> Result<LinkTable> {
    let name = &options.table;
    let schema = state.table(name)?.plan.schema();
    if !schema.change_tracking() {
        return Err(Error::invalid(format!(
            "table {name} cannot be linked: change tracking is off for it. Set \"changeTracking\": true in its schema, as you would switch on \"Track changes\" in Dataverse"
        )));
    }
    let has_date = schema.created_on().is_some();
    let mode = options.mode.unwrap_or(if has_date {
        Mode::InPlace
    } else {
        Mode::AppendOnly
    });
    let layout = match mode {
        _ if let Some(owner) = owner => {
            if options.mode.is_some()
                || options.granularity.is_some()
                || options.deletes != DeletePartition::NoDate
            {
                return Err(Error::invalid(format!(
                    "table {name}: in a link that writes folders every table is append-only and by year with its deletes in 1.csv, so it takes no options"
                )));
            }
            Layout::incremental(owner)
        }
        Mode::InPlace if !has_date => {
            return Err(Error::invalid(format!(
                "table {name} has no createdon, so it can only be append-only"
            )));
        }
        Mode::InPlace => {
            let base = state.catalog.tables[name].layouts[0].layout.granularity;
            Layout::in_place(options.granularity.unwrap_or(base))
        }
        Mode::AppendOnly if options.granularity.is_some_and(|g| g != Granularity::Year) => {
            return Err(Error::invalid(format!(
                "table {name}: an append-only table is always partitioned by year"
            )));
        }
        Mode::AppendOnly => Layout::append_only(options.deletes),
    };
    Ok(LinkTable {
        layout,
        initial_sync_completed: None,
        last_version: 0,
        schema: None,
        last_synced: 0,
        cuts: Cuts::new(),
        current: CurrentFiles::new(),
        partitions: BTreeMap::new(),
    })
}

/// One filesystem holds one `model.json`, so it takes one link.
fn refuse_shared(catalog: &Catalog, new: &NewLink, filesystem: &str) -> Result<()> {
    let other = catalog
        .links
        .iter()
        .find(|(_, link)| link.lake == new.lake && link.filesystem == filesystem);
    match other {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid(format!(
            "the link \"{name}\" has this environment in {} already",
            new.lake
        ))),
    }
}

fn prepare<'n>(lake: &dyn Lake, tables: impl Iterator<Item = &'n String>) -> Result<()> {
    if !lake.create()? {
        let foreign = lake.list("")?.into_iter().find(|e| !e.is_directory);
        if let Some(file) = foreign {
            return Err(Error::invalid(format!(
                "{} holds files already, such as {}; empty it or delete it first",
                lake.describe(),
                file.path
            )));
        }
    }
    for table in tables {
        lake.create_directory(table)?;
    }
    Ok(())
}
