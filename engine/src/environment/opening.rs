//! Creating and opening an environment.
//!
//! ```text
//! <folder>/lock        held while the environment is open
//! <folder>/journal/    sled: the tail of the log, and the pointer to the catalog
//! <folder>/catalog/    the catalog and the schemas it names
//! <folder>/packs/      blocks and manifests
//! ```

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use rustix::fs::{FlockOperation, flock};

use super::{Environment, Inner, OpenOptions, State};
use crate::block::Packs;
use crate::catalog::{Catalog, CatalogStore, EnvironmentSettings};
use crate::error::{Error, IoContext, Result};
use crate::files;
use crate::journal::{Commit, Committer, CommitterStart, Follower, Journal, SledJournal};
use crate::locks::RowLocks;
use crate::tail::Tail;

const LOCK_FILE: &str = "lock";
const JOURNAL_FOLDER: &str = "journal";

pub(super) fn create(
    folder: &Path,
    settings: EnvironmentSettings,
    options: OpenOptions,
) -> Result<Environment> {
    check_name("environment", &settings.name)?;
    check_name("organization", &settings.organization)?;
    files::create_folder(folder)?;
    let lock = lock(folder)?;
    let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&folder.join(JOURNAL_FOLDER))?);
    let store = CatalogStore::open(&folder.join("catalog"), journal.clone())?;
    if store.load()?.is_some() {
        return Err(Error::AlreadyExists {
            what: "environment in the folder",
            name: folder.display().to_string(),
        });
    }
    assemble(folder, lock, Some(settings), options, journal, store)
}

pub(super) fn open(folder: &Path, options: OpenOptions) -> Result<Environment> {
    if !folder.join(JOURNAL_FOLDER).is_dir() {
        return Err(Error::not_found(
            "environment in the folder",
            &folder.display().to_string(),
        ));
    }
    let lock = lock(folder)?;
    let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&folder.join(JOURNAL_FOLDER))?);
    let store = CatalogStore::open(&folder.join("catalog"), journal.clone())?;
    assemble(folder, lock, None, options, journal, store)
}

pub(super) fn open_on(
    folder: &Path,
    settings: Option<EnvironmentSettings>,
    options: OpenOptions,
    journal: Arc<dyn Journal>,
) -> Result<Environment> {
    files::create_folder(folder)?;
    let lock = lock(folder)?;
    let store = CatalogStore::open(&folder.join("catalog"), journal.clone())?;
    assemble(folder, lock, settings, options, journal, store)
}

/// Both names become parts of a filesystem's name, which allows little.
fn check_name(what: &str, name: &str) -> Result<()> {
    let fine = !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the {what} name \"{name}\" cannot be part of a filesystem's name: lower-case letters and digits only, 1 to 40 of them"
    )))
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .context("opening", &path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Conflict(format!(
            "{}: another process has this environment open",
            folder.display()
        ))),
        Err(other) => Err(Error::io("locking", &path, other.into())),
    }
}

fn assemble(
    folder: &Path,
    lock_file: File,
    settings: Option<EnvironmentSettings>,
    options: OpenOptions,
    journal: Arc<dyn Journal>,
    store: CatalogStore,
) -> Result<Environment> {
    let packs = Packs::open(&folder.join("packs"))?;
    let catalog = match (store.load()?, settings) {
        (Some(catalog), _) => catalog,
        (None, Some(settings)) => {
            let mut catalog = Catalog::new(settings);
            store.store(&mut catalog)?;
            catalog
        }
        (None, None) => {
            return Err(Error::not_found(
                "environment in the folder",
                &folder.display().to_string(),
            ));
        }
    };
    let live = catalog.live_bytes(&packs)?;
    let manifests = catalog.manifests();
    packs.collect(|id| live.contains_key(&id), |m| manifests.contains(m))?;
    let (commits, next_version, last_committed) = replay(&catalog, &*journal)?;
    let tail = Arc::new(Tail::default());
    tail.push(commits);
    let start = CommitterStart {
        journal: journal.clone(),
        clock: options.clock.clone(),
        durability: options.durability,
        next_version,
        last_committed,
    };
    let committed = tail.clone();
    let state = State::load(catalog, &store, &packs)?;
    let inner = Inner {
        committer: Committer::start(start, TailFollower(committed))?,
        store,
        packs,
        clock: options.clock,
        pressure: options.back_pressure,
        tail,
        locks: Arc::new(RowLocks::default()),
        journal,
        state: RwLock::new(Arc::new(state)),
        catalog_lock: Mutex::new(()),
        publication_lock: Mutex::new(()),
        pack_holds: Default::default(),
        _lock_file: lock_file,
    };
    Ok(Environment {
        inner: Arc::new(inner),
    })
}

/// The commits that are not in blocks yet, and where the next one continues.
fn replay(catalog: &Catalog, journal: &dyn Journal) -> Result<(Vec<Commit>, u64, i64)> {
    journal.trim(catalog.folded_version)?;
    let commits = journal.commits()?;
    let last = commits.last();
    let next_version = last
        .map_or(0, Commit::last_version)
        .max(catalog.folded_version)
        + 1;
    let last_committed = last
        .map_or(i64::MIN, |c| c.committed)
        .max(catalog.last_committed);
    Ok((commits, next_version, last_committed))
}

struct TailFollower(Arc<Tail>);

impl Follower for TailFollower {
    fn make_room(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn durable(&mut self, commits: Vec<Commit>) {
        self.0.push(commits);
    }
}
