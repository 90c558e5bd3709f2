//! What all operations share: the database, the extents, the locks and the group of syncs.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::clock::Clock;
use crate::error::{Result, StoreError};
use crate::store::content::{
    CONTENT_INLINE_MAX_BYTES, Content, INLINE_TOTAL_MAX_BYTES, Piece, Segment,
};
use crate::store::encryption::Keys;
use crate::store::extent::{Extents, Floating, OpenExtent, crc32c};
use crate::store::extent_writer::ExtentWriter;
use crate::store::inode::{Inode, InodeRecord, Stored};
use crate::store::inode_record::decode_attributes;
use crate::store::table::{Changes, Table};
use crate::store::{GROUP_SYNC_INTERVAL_MS, StoreOptions, SyncMode, garbage, key};

/// Content lists kept decoded, counted in segments.
const CACHE_SEGMENTS_MAX: usize = 500_000;
/// 100 ns steps from year 1 to 1970: ETags look like the service's, which count from there.
pub(crate) const TICKS_TO_1970: u64 = 621_355_968_000_000_000;
const GARBAGE_INTERVAL_MS: u64 = 500;
/// How often deletions are looked through for those whose days are over.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) accounts: Vec<Account>,
    pub(crate) extents: Arc<Extents>,
    pub(crate) sync_mode: SyncMode,
    /// Whether there is a disk to be durable on.
    pub(crate) on_disk: bool,
    clock: Arc<dyn Clock>,
    table: Table,
    /// Guards the namespace; holds the id up to which numbers are reserved.
    pub(crate) lock: RwLock<u64>,
    last_etag: AtomicU64,
    durability: Mutex<Durability>,
    durable_changed: Condvar,
    poison: Mutex<Option<String>>,
    cache: Mutex<ContentCache>,
    stopping: AtomicBool,
    wake: Mutex<bool>,
    woken: Condvar,
}

/// Which batches were applied, which the operating system has, and which are on the disk.
#[derive(Debug, Default)]
struct Durability {
    applied: u64,
    written: u64,
    durable: u64,
    busy: bool,
}

/// What an acknowledged batch survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Safety {
    /// A crash of the process.
    Written,
    /// A power cut.
    Durable,
}

impl Durability {
    fn reached(&self, safety: Safety) -> u64 {
        match safety {
            Safety::Written => self.written,
            Safety::Durable => self.durable,
        }
    }
}

#[derive(Debug, Default)]
struct ContentCache {
    contents: HashMap<u64, Arc<Content>>,
    order: VecDeque<u64>,
    segments: usize,
}

/// Reads one consistent state of the namespace.
pub(crate) trait View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
}

/// The namespace, held still for reading.
pub(crate) struct Reading<'a> {
    core: &'a Core,
    _guard: RwLockReadGuard<'a, u64>,
}

impl View for Reading<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.core.get(key)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(crate) fn open(options: StoreOptions) -> Result<Self> {
        let on_disk = options.folder.is_some();
        let sync_mode = if on_disk { options.sync } else { SyncMode::Off };
        let (table, keys) = match &options.folder {
            Some(folder) => {
                let namespace = folder.join("namespace");
                let is_new = !namespace.exists();
                let keys = Keys::open(folder, options.secret.as_ref(), is_new)?.map(Arc::new);
                (Table::open(&namespace, keys.as_ref())?, keys)
            }
            None => (Table::in_memory(), None),
        };
        let meta = table.get(key::META)?;
        let number = |from: usize| {
            let bytes = meta
                .as_ref()
                .and_then(|meta| meta.get(from..from + 8)?.try_into().ok());
            bytes.map_or(1, u64::from_be_bytes)
        };
        let (reserved, last_etag) = (number(0), number(8));
        let extents = match &options.folder {
            Some(folder) => {
                let sync = sync_mode != SyncMode::Off;
                Extents::open(folder.join("extents"), keys, sync, reserved)?
            }
            None => Extents::in_memory(reserved),
        };
        let core = Self {
            accounts: options.accounts,
            extents,
            sync_mode,
            on_disk,
            clock: options.clock,
            table,
            lock: RwLock::new(reserved),
            last_etag: AtomicU64::new(last_etag),
            durability: Mutex::default(),
            durable_changed: Condvar::new(),
            poison: Mutex::default(),
            cache: Mutex::default(),
            stopping: AtomicBool::new(false),
            wake: Mutex::new(false),
            woken: Condvar::new(),
        };
        core.extents.remove_orphans(|id| {
            Ok(core.get(&key::extent(id))?.is_some()
                || core.get(&key::garbage_extent(id))?.is_some())
        })?;
        Ok(core)
    }

    pub(crate) fn now_unix_ns(&self) -> i64 {
        self.clock.now_unix_ns()
    }

    /// An ETag above every earlier one, even when the clock stands or goes back.
    pub(crate) fn next_etag(&self) -> u64 {
        let ticks = u64::try_from(self.now_unix_ns()).unwrap_or(0) / 100 + TICKS_TO_1970;
        let last = self
            .last_etag
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
                Some(ticks.max(last + 1))
            });
        ticks.max(last.unwrap_or(0) + 1)
    }

    pub(crate) fn last_etag(&self) -> u64 {
        self.last_etag.load(Ordering::Acquire)
    }

    pub(crate) fn tree(&self) -> &Table {
        &self.table
    }

    pub(crate) fn apply(&self, changes: Changes) -> Result<()> {
        self.table.apply(changes)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.table.get(key)?.map(|value| value.to_vec()))
    }

    /// Holds the namespace still for reading.
    pub(crate) fn read(&self) -> Reading<'_> {
        Reading {
            core: self,
            _guard: self.lock.read().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        match &*lock(&self.poison) {
            Some(reason) => Err(StoreError::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// After a failed write or sync nobody knows what the disk has: a second sync may report success for data that
    /// was dropped. So nothing more is accepted.
    pub(crate) fn poison(&self, error: &StoreError) {
        lock(&self.poison).get_or_insert_with(|| error.to_string());
    }

    /// Counts a batch as applied and gives its number.
    pub(crate) fn applied(&self) -> u64 {
        let mut durability = lock(&self.durability);
        durability.applied += 1;
        durability.applied
    }

    /// Waits as the sync mode asks, or for the disk when `force`. Whatever the mode, a crash of the process takes
    /// nothing that was acknowledged; a store in memory ends with the process.
    pub(crate) fn acknowledge(&self, batch: u64, force: bool) -> Result<()> {
        match (self.on_disk, force || self.sync_mode == SyncMode::Always) {
            (false, _) => Ok(()),
            (true, true) => self.wait(batch, Safety::Durable),
            (true, false) => self.wait(batch, Safety::Written),
        }
    }

    /// One caller works for all whose batches are applied by then; the others wait for it.
    fn wait(&self, batch: u64, safety: Safety) -> Result<()> {
        let mut durability = lock(&self.durability);
        loop {
            self.check_poison()?;
            if durability.reached(safety) >= batch {
                return Ok(());
            }
            if durability.busy {
                durability = self
                    .durable_changed
                    .wait(durability)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            durability.busy = true;
            let target = durability.applied;
            drop(durability);
            let done = self.table.flush().and_then(|()| match safety {
                Safety::Written => Ok(()),
                Safety::Durable => self.table.sync(),
            });
            if let Err(error) = &done {
                self.poison(error);
            }
            durability = lock(&self.durability);
            durability.busy = false;
            if done.is_ok() {
                durability.written = durability.written.max(target);
                if safety == Safety::Durable {
                    durability.durable = durability.durable.max(target);
                }
            }
            self.durable_changed.notify_all();
            done?;
        }
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        if !self.on_disk {
            return Ok(());
        }
        let applied = lock(&self.durability).applied;
        self.wait(applied, Safety::Durable)
    }

    pub(crate) fn close(&self) -> Result<()> {
        self.sync_all()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_up();
    }

    /// There is something to take apart.
    pub(crate) fn wake_up(&self) {
        *lock(&self.wake) = true;
        self.woken.notify_all();
    }

    fn wait_for_work(&self, timeout_ms: u64) {
        let guard = lock(&self.wake);
        let timeout = Duration::from_millis(timeout_ms);
        let waited = self
            .woken
            .wait_timeout_while(guard, timeout, |woken| !*woken && !self.is_stopping());
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    pub(crate) fn decode_record(&self, id: u64, bytes: &[u8]) -> Result<InodeRecord> {
        InodeRecord::decode(bytes)
            .ok_or_else(|| StoreError::corrupt(format!("inode {id}"), "its record is not readable"))
    }

    pub(crate) fn decode_inode(&self, id: u64, record: &InodeRecord) -> Result<Inode> {
        let loaded;
        let bytes = match &record.attributes {
            Stored::Here(bytes) => bytes,
            there => {
                loaded = self.load(there)?;
                &loaded
            }
        };
        decode_attributes(id, bytes).map_err(|reason| {
            StoreError::corrupt(
                format!("inode {id}"),
                format!("its attributes are not readable: {reason}"),
            )
        })
    }

    fn load(&self, stored: &Stored) -> Result<Vec<u8>> {
        match stored {
            Stored::Here(bytes) => Ok(bytes.clone()),
            Stored::There {
                extent,
                length,
                crc32c,
            } => {
                let piece = Piece::whole(*extent, 0, *length, *crc32c);
                self.extents
                    .read_piece(&mut OpenExtent::default(), &piece)
                    .map(Vec::from)
            }
        }
    }

    /// The content list, from memory when it was read before: what is in an extent never changes.
    pub(crate) fn content(&self, stored: &Stored) -> Result<Arc<Content>> {
        let unreadable = || StoreError::corrupt("a content list", "it is not readable");
        let Some(extent) = stored.extent() else {
            return Content::decode(&self.load(stored)?)
                .map(Arc::new)
                .ok_or_else(unreadable);
        };
        if let Some(content) = lock(&self.cache).contents.get(&extent) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(Content::decode(&self.load(stored)?).ok_or_else(unreadable)?);
        lock(&self.cache).insert(extent, &content);
        Ok(content)
    }

    /// Stores a content list where it fits. Call it without the namespace's lock: it may write a file.
    pub(crate) fn store_content(
        &self,
        mut content: Content,
        sync: bool,
    ) -> Result<(Stored, Floating)> {
        content.tidy();
        let mut floating = Floating::none(&self.extents);
        if content.inline_length() > INLINE_TOTAL_MAX_BYTES {
            floating.join(self.move_inline(&mut content, sync)?);
        }
        let (stored, list) = self.store_bytes(content.encode(), CONTENT_INLINE_MAX_BYTES, sync)?;
        floating.join(list);
        Ok((stored, floating))
    }

    /// Stores `bytes` here up to `here_max_bytes`, else in an extent.
    pub(crate) fn store_bytes(
        &self,
        bytes: Vec<u8>,
        here_max_bytes: usize,
        sync: bool,
    ) -> Result<(Stored, Floating)> {
        if bytes.len() <= here_max_bytes {
            return Ok((Stored::Here(bytes), Floating::none(&self.extents)));
        }
        let (piece, floating) = self.extents.write(&bytes, sync)?;
        let stored = Stored::There {
            extent: piece.extent,
            length: piece.stored_length,
            crc32c: piece.crc32c,
        };
        Ok((stored, floating))
    }

    /// Moves what small appends gathered inline into one extent.
    fn move_inline(&self, content: &mut Content, sync: bool) -> Result<Floating> {
        let mut writer = ExtentWriter::create(&self.extents)?;
        let mut offsets = Vec::new();
        for segment in &content.segments {
            if let Segment::Inline(run) = segment {
                offsets.push(writer.take(&mut run.clone())?);
            }
        }
        let (extent, floating) = writer.finish(sync)?;
        let mut offsets = offsets.into_iter();
        for segment in &mut content.segments {
            if let Segment::Inline(run) = segment
                && let Some(offset) = offsets.next()
            {
                let piece = Piece::whole(extent, offset, run.len() as u32, crc32c(run));
                *segment = Segment::Piece(piece);
            }
        }
        Ok(floating)
    }
}

impl ContentCache {
    fn insert(&mut self, extent: u64, content: &Arc<Content>) {
        if self.contents.insert(extent, Arc::clone(content)).is_none() {
            self.order.push_back(extent);
            self.segments += content.segments.len();
        }
        while self.segments > CACHE_SEGMENTS_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(content) = self.contents.remove(&oldest) {
                self.segments -= content.segments.len();
            }
        }
    }
}

/// Starts the thread that takes deleted trees apart and, where the mode asks for it, the one that syncs.
pub(crate) fn start_threads(core: &Arc<Core>) -> Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|e| StoreError::io("start a thread for", std::path::Path::new("the store"), e))
    };
    let collector = Arc::clone(core);
    let mut threads = vec![spawn(
        "lake-garbage",
        Box::new(move || collect_until_stopped(&collector)),
    )?];
    if core.on_disk && core.sync_mode == SyncMode::Group {
        let syncer = Arc::clone(core);
        threads.push(spawn(
            "lake-sync",
            Box::new(move || sync_until_stopped(&syncer)),
        )?);
    }
    Ok(threads)
}

fn collect_until_stopped(core: &Arc<Core>) {
    let mut looked: Option<Instant> = None;
    while !core.is_stopping() {
        if looked.is_none_or(|at| at.elapsed() >= RETENTION_INTERVAL) {
            looked = Some(Instant::now());
            if let Err(error) = core.end_retention() {
                tracing::error!(%error, "what can be restored no more could not be given up");
            }
        }
        if let Err(error) = garbage::collect(core, || core.is_stopping()) {
            tracing::error!(%error, "what was deleted could not be taken apart; the next open tries again");
        }
        core.wait_for_work(GARBAGE_INTERVAL_MS);
    }
}

fn sync_until_stopped(core: &Arc<Core>) {
    while !core.is_stopping() {
        thread::sleep(Duration::from_millis(GROUP_SYNC_INTERVAL_MS));
        if let Err(error) = core.sync_all() {
            tracing::error!(%error, "changes could not be made durable; nothing more is accepted");
            return;
        }
    }
}
