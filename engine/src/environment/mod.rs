//! An environment: tables, their rows, and everything that keeps them.

mod compact;
mod lookup;
mod opening;
mod options;
mod quota;
mod schema_change;
mod state;
mod status;
mod transaction;
mod unmerged;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use lookup::CurrentRow;
pub(crate) use lookup::with_version;
pub(crate) use opening::{CATALOG_FOLDER, JOURNAL_FOLDER, PACKS_FOLDER, SEGMENTS_FOLDER, lock};
pub(crate) use options::MERGE_BYTES;
pub use options::OpenOptions;
pub(crate) use quota::Reserved;
pub use quota::{Quota, QuotaStatus};
pub(crate) use state::{State, Table};
pub use status::{EnvironmentStatus, TableStatus};
pub use transaction::{Transaction, Write};

use crate::block::Packs;
use crate::catalog::{Catalog, CatalogStore, EnvironmentSettings, LayoutEntry, TableEntry};
use crate::clock::Clock;
use crate::compaction::{Granularity, Layout};
use crate::error::{Error, Result};
use crate::feed::Holders;
use crate::journal::{BackPressure, Committer, Journal};
use crate::link::Attempts;
use crate::locks::RowLocks;
use crate::metrics::Counters;
use crate::publish::Leases;
use crate::schema::TableSchema;
use crate::staging::{Residence, Sealer, Sealing, Staging};

/// An open environment. Clones are handles of the same one; it is closed when the last is dropped.
///
/// One process has it open at a time. All its methods may be called from any thread.
#[derive(Clone)]
pub struct Environment {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    // First, so that it ends before what it writes to.
    committer: Committer,
    _sealer: Sealer,
    pub(crate) store: CatalogStore,
    pub(crate) packs: Packs,
    pub(crate) clock: Arc<dyn Clock>,
    pressure: BackPressure,
    pub(crate) staging: Arc<Staging>,
    pub(crate) sealing: Arc<Sealing>,
    holders: Mutex<Holders>,
    residence: Residence,
    unmerged_bytes_max: u64,
    pub(crate) counters: Arc<Counters>,
    block_bytes: quota::BlockBytes,
    on_the_way: Arc<quota::OnTheWay>,
    merge_bytes: u64,
    /// Held while a commit merges, and by those that wait for it.
    merge_failure: Mutex<Option<unmerged::Failure>>,
    locks: Arc<RowLocks>,
    pub(crate) journal: Arc<dyn Journal>,
    state: Arc<RwLock<Arc<State>>>,
    /// Held by whoever changes the catalog.
    catalog_lock: Mutex<()>,
    /// Held by whoever sends a commit, and alone by whoever changes a schema.
    schema_gate: RwLock<()>,
    /// Held by whoever publishes.
    publication_lock: Mutex<()>,
    /// The snapshots that readers of this process hold.
    pub(crate) leases: Leases,
    /// How publishing goes.
    pub(crate) attempts: Attempts,
    /// How many are reading packs by their file names, so that none may be removed.
    pack_holds: AtomicUsize,
    /// The first version of a commit that was broken off before this opening.
    unfinished_version: Option<u64>,
    /// Keeps other processes out for as long as it is open.
    _lock_file: File,
}

/// How a table is added.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableOptions {
    /// How the base layout is partitioned: the one that links share unless they ask for another.
    pub granularity: Granularity,
}

impl Environment {
    /// Creates an environment in a folder that does not hold one yet.
    ///
    /// # Errors
    /// `AlreadyExists` if the folder holds an environment; `InvalidInput` if a name does not fit
    /// into the name of a filesystem.
    pub fn create(folder: &Path, settings: EnvironmentSettings) -> Result<Self> {
        Self::create_with(folder, settings, OpenOptions::default())
    }

    /// [`create`](Self::create) with options, or with a clock of the caller's.
    pub fn create_with(
        folder: &Path,
        settings: EnvironmentSettings,
        options: impl Into<OpenOptions>,
    ) -> Result<Self> {
        opening::create(folder, settings, options.into())
    }

    /// Opens an environment and brings it to where it was: every commit that returned is there.
    ///
    /// # Errors
    /// `NotFound` if the folder holds none, `Conflict` if another process has it open, `Corrupt` if
    /// what is stored is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, OpenOptions::default())
    }

    /// [`open`](Self::open) with options, or with a clock of the caller's.
    pub fn open_with(folder: &Path, options: impl Into<OpenOptions>) -> Result<Self> {
        opening::open(folder, options.into())
    }

    /// Opens or creates an environment on a journal of the caller's.
    pub fn open_on(
        folder: &Path,
        settings: EnvironmentSettings,
        options: impl Into<OpenOptions>,
        journal: Arc<dyn Journal>,
    ) -> Result<Self> {
        opening::open_on(folder, Some(settings), options.into(), journal)
    }

    /// What the environment is called and how it writes.
    pub fn settings(&self) -> EnvironmentSettings {
        self.state().catalog.settings.clone()
    }

    /// The names of the tables, sorted.
    pub fn table_names(&self) -> Vec<String> {
        self.state().tables.keys().cloned().collect()
    }

    /// A table's schema.
    pub fn schema(&self, table: &str) -> Result<Arc<TableSchema>> {
        Ok(self.state().table(table)?.plan.schema().clone())
    }

    /// Adds a table.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one of that name.
    pub fn create_table(&self, schema: TableSchema, options: TableOptions) -> Result<()> {
        let _guard = self.inner.lock_catalog();
        let mut catalog = self.state().catalog.clone();
        let name = schema.name().to_owned();
        if catalog.tables.contains_key(&name) {
            return Err(Error::AlreadyExists {
                what: "table",
                name,
            });
        }
        let file = format!("table-{name}-{:08}.json", catalog.next_file);
        catalog.next_file += 1;
        let entry = TableEntry {
            id: catalog.next_table,
            schema: self.inner.store.write(file, schema.json().as_bytes())?,
            created: self.inner.clock.now_ticks(),
            layouts: vec![LayoutEntry::empty(
                Layout::in_place(options.granularity),
                &schema,
            )],
        };
        catalog.next_table = catalog
            .next_table
            .checked_add(1)
            .ok_or_else(|| Error::invalid("an environment holds 65,535 tables at most"))?;
        catalog.tables.insert(name, entry);
        self.inner.replace_catalog(catalog).map(drop)
    }

    /// Starts a transaction.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.inner.state()
    }
}

impl Inner {
    pub(crate) fn state(&self) -> Arc<State> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn lock_catalog(&self) -> MutexGuard<'_, ()> {
        self.catalog_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_publication(&self) -> MutexGuard<'_, ()> {
        self.publication_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all writing if something could not be written: what the disk holds then is in doubt.
    fn noting<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && error.is_failed_write()
        {
            self.journal.poison(&error.to_string());
        }
        done
    }

    /// Stores a new catalog durably, then lets everyone see it. The caller holds the catalog lock.
    pub(crate) fn replace_catalog(&self, mut catalog: Catalog) -> Result<Arc<State>> {
        self.store.store(&mut catalog)?;
        let state = State::load(catalog, &self.store, &self.packs).inspect_err(|error| {
            // The catalog on the disk is newer than what this process knows.
            self.journal.poison(&error.to_string());
        })?;
        let state = Arc::new(state);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state.clone();
        Ok(state)
    }
}
