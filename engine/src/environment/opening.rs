//! Creating and opening an environment.
//!
//! ```text
//! <folder>/lock        held while the environment is open
//! <folder>/journal/    sled: the tail of the log, and the pointer to the catalog
//! <folder>/segments/    what left the journal
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
use crate::clock::Ticks;
use crate::error::{Error, IoContext, Result};
use crate::feed::Holders;
use crate::files;
use crate::journal::{
    Commit, Committer, CommitterStart, Durability, Gaps, Journal, LogEnd, SledJournal, Versions,
};
use crate::locks::RowLocks;
use crate::metrics::Counters;
use crate::segment::{Segment, SegmentEntry, SegmentStore};
use crate::staging::{Limits, Sealer, Sealing, Staging};

const LOCK_FILE: &str = "lock";
pub(crate) const JOURNAL_FOLDER: &str = "journal";
pub(crate) const CATALOG_FOLDER: &str = "catalog";
pub(crate) const PACKS_FOLDER: &str = "packs";
pub(crate) const SEGMENTS_FOLDER: &str = "segments";
const FILESYSTEM_NAME_BYTES_MAX: usize = 63;

pub(super) fn create(
    folder: &Path,
    settings: EnvironmentSettings,
    options: OpenOptions,
) -> Result<Environment> {
    check_names(&settings)?;
    files::create_folder(folder)?;
    let lock = lock(folder)?;
    let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&folder.join(JOURNAL_FOLDER))?);
    let store = CatalogStore::open(&folder.join(CATALOG_FOLDER), journal.clone())?;
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
    let store = CatalogStore::open(&folder.join(CATALOG_FOLDER), journal.clone())?;
    assemble(folder, lock, None, options, journal, store)
}

pub(super) fn open_on(
    folder: &Path,
    settings: Option<EnvironmentSettings>,
    options: OpenOptions,
    journal: Arc<dyn Journal>,
) -> Result<Environment> {
    if let Some(settings) = &settings {
        check_names(settings)?;
    }
    files::create_folder(folder)?;
    let lock = lock(folder)?;
    let store = CatalogStore::open(&folder.join(CATALOG_FOLDER), journal.clone())?;
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

/// A filesystem's name has 63 characters at most. Cutting it would let two environments meet in one.
fn check_names(settings: &EnvironmentSettings) -> Result<()> {
    check_name("environment", &settings.name)?;
    check_name("organization", &settings.organization)?;
    let name = settings.filesystem_name();
    if name.len() <= FILESYSTEM_NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the filesystem would be called \"{name}\", which is {} characters long, and {FILESYSTEM_NAME_BYTES_MAX} are allowed; choose a shorter environment or organization name",
        name.len()
    )))
}

/// Keeps other processes out of an environment until the file is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File> {
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
    let packs = Packs::open(&folder.join(PACKS_FOLDER))?;
    let catalog = match (store.load()?, settings) {
        (Some(catalog), _) => catalog,
        (None, Some(settings)) => {
            let mut catalog = Catalog::new(settings);
            store.store(&mut catalog)?;
            catalog
        }
        (None, None) => {
            // Damage at its beginning makes sled's file look as if nothing had ever been written.
            check_end(&journal.end(), 0)?;
            return Err(Error::not_found(
                "environment in the folder",
                &folder.display().to_string(),
            ));
        }
    };
    let live = catalog.live_bytes(&packs)?;
    let manifests = catalog.manifests();
    packs.collect(|id| live.contains_key(&id), |m| manifests.contains(m))?;
    let segment_store = SegmentStore::open(&folder.join(SEGMENTS_FOLDER))?;
    let mut versions = Versions::load(journal.clone())?;
    let mut replay = Replay::of(&catalog, &*journal, &segment_store, versions.gaps())?;
    replay.last_version = versions.leave_out_behind(replay.last_version)?;
    let tail = replay.commits.last().map(Commit::last_version);
    let has_gap_behind_tail = tail.is_some_and(|last| last < replay.last_version);
    let holders = Holders::load(&*journal)?;
    let counters = Arc::<Counters>::default();
    let start = CommitterStart {
        counters: counters.clone(),
        journal: journal.clone(),
        clock: options.clock.clone(),
        durability: options.durability,
        versions: (options.durability == Durability::LostOnPowerCut).then_some(versions),
        next_version: replay.last_version + 1,
        last_committed: replay.last_committed,
    };
    let staging = Arc::new(Staging::new(
        replay.segments,
        replay.commits,
        replay.last_version,
    ));
    let state = State::load(catalog, &store, &packs)?;
    let state = Arc::new(RwLock::new(Arc::new(state)));
    let limits = Limits {
        segment_bytes: options.segment_bytes.max(1),
        tail_bytes_max: options.tail_bytes_max.max(1),
    };
    let sealing = Arc::new(Sealing::new(
        staging.clone(),
        segment_store,
        journal.clone(),
        state.clone(),
        limits,
    ));
    let (sealer, follower) = Sealer::start(sealing.clone())?;
    let inner = Inner {
        committer: Committer::start(start, follower)?,
        _sealer: sealer,
        store,
        packs,
        clock: options.clock,
        pressure: options.back_pressure,
        staging,
        sealing,
        holders: Mutex::new(holders),
        residence: Default::default(),
        unmerged_bytes_max: options.unmerged_bytes_max,
        counters,
        block_bytes: live.values().sum::<u64>().into(),
        on_the_way: Default::default(),
        merge_bytes: options.merge_bytes,
        merge_failure: Mutex::default(),
        locks: Arc::new(RowLocks::default()),
        journal,
        state,
        catalog_lock: Mutex::new(()),
        schema_gate: RwLock::new(()),
        publication_lock: Mutex::new(()),
        leases: Default::default(),
        attempts: Default::default(),
        pack_holds: Default::default(),
        unfinished_version: replay.unfinished_version,
        _lock_file: lock_file,
    };
    let environment = Environment {
        inner: Arc::new(inner),
    };
    if has_gap_behind_tail {
        // A segment holds versions without a gap, and so does what stands in for one.
        environment.inner.sealing.seal_down_to(1)?;
    }
    environment.collect_segments()?;
    Ok(environment)
}

/// What the journal knows: segments, the commits behind them, and where the next one continues.
struct Replay {
    segments: Vec<Arc<Segment>>,
    commits: Vec<Commit>,
    last_version: u64,
    last_committed: Ticks,
    unfinished_version: Option<u64>,
}

impl Replay {
    fn of(
        catalog: &Catalog,
        journal: &dyn Journal,
        store: &SegmentStore,
        gaps: &Gaps,
    ) -> Result<Self> {
        let entries = journal.segments()?;
        store.collect(&entries)?;
        let sealed = entries.last().map_or(0, |e| e.last_version);
        let mut commits = journal.commits()?;
        commits.retain(|c| c.last_version() > sealed);
        check_sequence(&entries, &commits, gaps)?;
        let last = commits.last();
        let last_version = last
            .map_or(0, Commit::last_version)
            .max(sealed)
            .max(catalog.folded_version);
        let unfinished_version = check_end(&journal.end(), last_version)?;
        Ok(Replay {
            last_version,
            unfinished_version,
            last_committed: last
                .map_or(i64::MIN, |c| c.committed)
                .max(entries.last().map_or(i64::MIN, |e| e.last_committed))
                .max(catalog.last_committed),
            segments: entries.into_iter().map(|e| store.segment(e)).collect(),
            commits,
        })
    }
}

/// Whether the log ends where it was acknowledged to, or behind. Gives the commit behind it that was
/// broken off.
fn check_end(end: &LogEnd, last_version: u64) -> Result<Option<u64>> {
    let lost = |what: String| {
        Err(Error::corrupt(
            &Path::new(JOURNAL_FOLDER).join("db"),
            format!(
                "{what}: the end of the log is damaged; `lakestage verify` looks for more, and `lakestage salvage` keeps what is whole"
            ),
        ))
    };
    if end.acknowledged_version > last_version {
        return lost(format!(
            "the changes {} to {} were acknowledged and are not there",
            last_version + 1,
            end.acknowledged_version
        ));
    }
    if end.is_metadata_lost {
        return lost("the last changes of the metadata were acknowledged and are not there".into());
    }
    let unfinished = end.unfinished(last_version);
    if let Some(version) = unfinished {
        tracing::warn!(
            version,
            "a commit was broken off before it was acknowledged, and was dropped"
        );
    }
    Ok(unfinished)
}

/// Versions have no gaps but those that were left out: where one is missing, something that was
/// acknowledged is.
fn check_sequence(segments: &[SegmentEntry], commits: &[Commit], gaps: &Gaps) -> Result<()> {
    let segments = segments.iter().map(|e| (e.first_version, e.last_version));
    let commits = commits.iter().map(|c| (c.first_version, c.last_version()));
    let mut expected = None;
    for (first, last) in segments.chain(commits) {
        if expected.is_some_and(|expected| expected != first) {
            return Err(Error::corrupt(
                JOURNAL_FOLDER.as_ref(),
                format!("the changes before version {first} are missing"),
            ));
        }
        expected = Some(gaps.next(last));
    }
    Ok(())
}
