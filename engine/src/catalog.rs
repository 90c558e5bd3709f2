//! What the environment consists of at one moment: tables, partitions, links.
//!
//! Each change writes a new catalog file and then points the journal's metadata at it, so that a
//! crash leaves the old catalog or the new. A file that the catalog does not name is garbage.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::backlog::Backlog;
use crate::block::{Extent, Packs};
use crate::checksum::crc32c;
use crate::clock::Ticks;
use crate::compaction::Layout;
use crate::environment::Quota;
use crate::error::{Error, IoContext, Result};
use crate::feed::Retention;
use crate::files;
use crate::journal::Journal;
use crate::link::LinkEntry;
use crate::publish::Incremental;
use crate::schema::TableSchema;
use crate::value::DateTimeFormat;

const FORMAT: u32 = 1;
/// Under this key the journal keeps which file is the catalog.
pub(crate) const CATALOG_KEY: &str = "catalog";

/// What an environment is called and how it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSettings {
    /// The environment's name, the first part of the filesystem's name.
    pub name: String,
    /// The organization's unique name, the second part.
    pub organization: String,
    /// How date-times other than `createdon` are written.
    #[serde(default)]
    pub date_time_format: DateTimeFormat,
    /// What each row of a CSV file ends with.
    #[serde(default)]
    pub line_end: LineEnd,
}

impl EnvironmentSettings {
    /// The settings that an environment has unless it is told otherwise.
    pub fn new(name: &str, organization: &str) -> Self {
        EnvironmentSettings {
            name: name.to_owned(),
            organization: organization.to_owned(),
            date_time_format: DateTimeFormat::default(),
            line_end: LineEnd::default(),
        }
    }

    /// What the filesystem of a linked lake is called.
    pub(crate) fn filesystem_name(&self) -> String {
        format!("dataverse-{}-{}", self.name, self.organization)
    }
}

/// What each row of a CSV file ends with. No public source tells which the service writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LineEnd {
    /// A line feed.
    #[default]
    Lf,
    /// A carriage return and a line feed.
    CrLf,
}

impl LineEnd {
    pub(crate) fn bytes(self) -> &'static [u8] {
        match self {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
        }
    }
}

/// Everything about an environment but its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Catalog {
    pub format: u32,
    /// Told apart from an environment of the same name that was here before: a lake may still hold its packs.
    pub id: Uuid,
    pub settings: EnvironmentSettings,
    pub tables: BTreeMap<String, TableEntry>,
    pub links: BTreeMap<String, LinkEntry>,
    /// By link: the snapshots that wait for its lake. Apart from the links, because they come while one is published.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub backlogs: BTreeMap<String, Backlog>,
    /// How long changes are kept for readers of the change feed.
    #[serde(default)]
    pub retention: Retention,
    /// How much the environment may hold.
    #[serde(default)]
    pub quota: Quota,
    /// Every change up to this version stands in blocks.
    pub folded_version: u64,
    /// The time of the last commit in blocks.
    pub last_committed: Ticks,
    pub next_table: u16,
    pub next_pack: u64,
    pub next_file: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableEntry {
    pub id: u16,
    pub schema: FileEntry,
    /// When it was added.
    #[serde(default)]
    pub created: Ticks,
    /// The first layout is the base: in-place, and always there.
    pub layouts: Vec<LayoutEntry>,
}

impl TableEntry {
    pub(crate) fn layout(&self, layout: &Layout) -> Option<&LayoutEntry> {
        self.layouts.iter().find(|entry| entry.layout == *layout)
    }
}

/// A table in one layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayoutEntry {
    pub layout: Layout,
    /// How many attributes the table has.
    pub columns: usize,
    /// Where `versionnumber` stands among them.
    pub version_position: Option<usize>,
    /// Where `IsDelete` stands in append-only rows: behind the columns that were there first.
    pub is_delete_position: usize,
    pub partitions: BTreeMap<String, PartitionEntry>,
}

impl LayoutEntry {
    pub(crate) fn empty(layout: Layout, schema: &TableSchema) -> Self {
        LayoutEntry {
            layout,
            columns: schema.attributes().len(),
            version_position: schema.version_number(),
            is_delete_position: schema.attributes().len(),
            partitions: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartitionEntry {
    pub manifest: Extent,
    pub rows: u64,
    pub bytes: u64,
    /// The cut at which its content changed last. Moving its blocks does not change it.
    pub changed_version: u64,
}

/// A file of the catalog folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub file: String,
    pub crc32c: u32,
}

impl Catalog {
    pub(crate) fn new(settings: EnvironmentSettings) -> Self {
        Catalog {
            format: FORMAT,
            id: Uuid::new_v4(),
            settings,
            tables: BTreeMap::new(),
            links: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            retention: Retention::default(),
            quota: Quota::default(),
            folded_version: 0,
            last_committed: 0,
            next_table: 0,
            next_pack: 1,
            next_file: 1,
        }
    }

    /// The layouts of all tables.
    pub(crate) fn layouts(&self) -> impl Iterator<Item = &LayoutEntry> {
        self.tables.values().flat_map(|t| &t.layouts)
    }

    /// The partitions of all layouts, those that links took away and have not published yet, and those that wait.
    fn partitions(&self) -> impl Iterator<Item = &PartitionEntry> {
        let taken = self.links.values().filter_map(|l| l.incremental.as_ref());
        let taken = taken.flat_map(Incremental::partitions);
        self.layouts()
            .flat_map(|l| l.partitions.values())
            .chain(taken)
            .chain(self.backlogs.values().flat_map(Backlog::partitions))
    }

    /// Bytes in use of each pack.
    pub(crate) fn live_bytes(&self, packs: &Packs) -> Result<HashMap<u64, u64>> {
        let mut live: HashMap<u64, u64> = HashMap::new();
        for partition in self.partitions() {
            *live.entry(partition.manifest.pack).or_default() += partition.manifest.length;
            for block in &packs.manifest(&partition.manifest)?.blocks {
                *live.entry(block.extent.pack).or_default() += block.extent.length;
            }
        }
        Ok(live)
    }

    /// The manifests in use.
    pub(crate) fn manifests(&self) -> HashSet<Extent> {
        self.partitions().map(|p| p.manifest).collect()
    }
}

/// Which file the journal's pointer names.
pub(crate) fn catalog_entry(folder: &Path, pointer: &[u8]) -> Result<FileEntry> {
    serde_json::from_slice(pointer)
        .map_err(|e| Error::corrupt(folder, format!("the pointer to the catalog: {e}")))
}

/// The catalog in the bytes of its file.
pub(crate) fn parse_catalog(path: &Path, bytes: &[u8]) -> Result<Catalog> {
    let catalog: Catalog =
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt(path, e.to_string()))?;
    if catalog.format != FORMAT {
        return Err(Error::invalid(format!(
            "{} has format {}, and this version of lakestage reads format {FORMAT}",
            path.display(),
            catalog.format
        )));
    }
    Ok(catalog)
}

/// Reads a file of the catalog folder, and checks it.
pub(crate) fn read_file(folder: &Path, entry: &FileEntry) -> Result<Vec<u8>> {
    let path = folder.join(&entry.file);
    let bytes = match fs::read(&path) {
        // What names it is older than it should be, or somebody removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::corrupt(&path, "the file is named and is missing"));
        }
        read => read.context("reading", &path)?,
    };
    if crc32c(&[&bytes]) != entry.crc32c {
        return Err(Error::corrupt(&path, "the file fails its checksum"));
    }
    Ok(bytes)
}

/// The catalog folder.
pub(crate) struct CatalogStore {
    folder: PathBuf,
    journal: Arc<dyn Journal>,
}

impl CatalogStore {
    pub(crate) fn open(folder: &Path, journal: Arc<dyn Journal>) -> Result<Self> {
        files::create_folder(folder)?;
        Ok(CatalogStore {
            folder: folder.to_owned(),
            journal,
        })
    }

    /// The current catalog, if there is one yet.
    pub(crate) fn load(&self) -> Result<Option<Catalog>> {
        let Some(pointer) = self.journal.meta(CATALOG_KEY)? else {
            return Ok(None);
        };
        let entry = catalog_entry(&self.folder, &pointer)?;
        let bytes = self.read(&entry)?;
        parse_catalog(&self.folder.join(&entry.file), &bytes).map(Some)
    }

    /// Makes `catalog` the current one, durably, and removes what only the one before it named.
    pub(crate) fn store(&self, catalog: &mut Catalog) -> Result<()> {
        let file = format!("catalog-{:08}.json", catalog.next_file);
        catalog.next_file += 1;
        let bytes = serde_json::to_vec(catalog)
            .map_err(|e| Error::invalid(format!("the catalog cannot be written: {e}")))?;
        let entry = self.write(file, &bytes)?;
        let pointer = serde_json::to_vec(&entry)
            .map_err(|e| Error::invalid(format!("the catalog cannot be written: {e}")))?;
        self.journal.set_meta(CATALOG_KEY, Some(&pointer))?;
        // The new catalog counts already, whatever becomes of the old one's files.
        if let Err(error) = self.collect(catalog, &entry.file) {
            tracing::warn!(%error, "an old catalog stays until the next one");
        }
        Ok(())
    }

    /// Writes a file for the next catalog to name.
    pub(crate) fn write(&self, file: String, bytes: &[u8]) -> Result<FileEntry> {
        self.journal.check()?;
        self.journal.check_room()?;
        if let Err(error) = files::write_file(&self.folder.join(&file), bytes) {
            if error.is_failed_write() {
                self.journal.poison(&error.to_string());
            }
            return Err(error);
        }
        Ok(FileEntry {
            file,
            crc32c: crc32c(&[bytes]),
        })
    }

    /// Reads a file that a catalog names, and checks it.
    pub(crate) fn read(&self, entry: &FileEntry) -> Result<Vec<u8>> {
        read_file(&self.folder, entry)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn collect(&self, catalog: &Catalog, current: &str) -> Result<()> {
        let schemas = catalog.tables.values().map(|t| t.schema.file.as_str());
        let models = catalog.links.values().flat_map(LinkEntry::model_files);
        let waiting = catalog.backlogs.values().flat_map(Backlog::schema_files);
        let named: HashSet<&str> = schemas.chain(models).chain(waiting).collect();
        for name in files::names_in(&self.folder)? {
            if name != current && !named.contains(name.as_str()) {
                files::remove_file(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}
