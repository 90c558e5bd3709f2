//! The files themselves, without any protocol: a namespace of inodes apart from the extents that hold bytes.
//!
//! The namespace is one sled tree, and every operation is one batch in it; a rename of a directory rewrites one entry
//! however much is below. Extents are immutable files, complete and synced before a batch refers to them.

pub mod acl;
mod append_blob;
pub mod authorize;
pub mod block;
pub(crate) mod body;
pub mod condition;
pub mod content;
pub(crate) mod core;
pub(crate) mod create;
pub(crate) mod create_request;
mod delete;
pub mod deleted;
pub mod encryption;
mod expiry;
pub mod extent;
mod extent_writer;
mod filesystem;
pub mod flat;
mod flush;
mod garbage;
pub mod inode;
mod inode_record;
pub(crate) mod key;
pub mod lease;
pub mod list;
pub(crate) mod namespace;
pub(crate) mod page;
mod paint;
pub mod path;
pub mod rename;
pub mod seal;
pub mod service;
pub mod sled_file;
mod table;
pub mod tag_filter;
pub mod token;
mod transaction;
mod update;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use authorize::Principal;
pub use block::{BLOCKS_MAX, BlockChoice, BlockInfo, BlockList};
pub use create_request::{BlobState, CreateRequest, Expiry};
pub use delete::Deleted;
pub use encryption::{Secret, change_secret};
pub use filesystem::FilesystemInfo;
pub(crate) use flush::merge_headers;
pub use flush::{FlushRequest, LeaseWithWrite};
pub use namespace::{Guard, Node};
pub use rename::RenameRequest;
pub use seal::CustomerKey;
pub use update::{AclOutcome, AclUpdate};

pub(crate) use self::body::BodyWriter;
pub(crate) use self::core::Core;

use crate::account::Account;
use crate::clock::{Clock, system_clock};
use crate::error::{Result, StoreError};

/// When a change is on the disk relative to its acknowledgement. In every mode the operating system has it by then, so
/// that a crash of the process takes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Before it: nothing acknowledged is lost, whatever happens to the machine.
    #[default]
    Always,
    /// At most [`GROUP_SYNC_INTERVAL_MS`] and a sync after it: a power cut may take the last moments.
    Group,
    /// When the operating system likes: a power cut may take minutes and leave the folder unusable.
    Off,
}

/// How long a change waits for the disk at most in [`SyncMode::Group`].
pub const GROUP_SYNC_INTERVAL_MS: u64 = 100;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where it is kept. `None` keeps it in memory, and nothing of it anywhere else.
    pub folder: Option<PathBuf>,
    /// Accounts it answers for.
    pub accounts: Vec<Account>,
    /// When changes are on the disk.
    pub sync: SyncMode,
    /// By what it is encrypted on the disk; only a new store can begin with it, and it is not opened without.
    pub secret: Option<Secret>,
    /// Its time.
    pub clock: Arc<dyn Clock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            folder: None,
            accounts: vec![Account::well_known()],
            sync: SyncMode::default(),
            secret: None,
            clock: system_clock(),
        }
    }
}

/// An opened store. Clones share it; the last one to go closes it.
#[derive(Clone, Debug)]
pub struct Store {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
}

impl Store {
    /// Opens the store in `options.folder`, or creates it there.
    ///
    /// Extents that nothing references are removed, and deletions that were under way go on in the background.
    ///
    /// # Errors
    /// `InUse` while another process has it, `Corrupt` when the namespace cannot be read, `Encryption` when the secret
    /// is wrong, missing, or for a store that is not encrypted, `Io`.
    pub fn open(options: StoreOptions) -> Result<Self> {
        let core = Arc::new(Core::open(options)?);
        let threads = core::start_threads(&core)?;
        Ok(Self {
            handle: Arc::new(Handle { core, threads }),
        })
    }

    /// The accounts it answers for.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.handle.core.accounts
    }

    /// The account of that name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts().iter().find(|account| account.name == name)
    }

    /// The store's clock.
    #[must_use]
    pub fn now_unix_ns(&self) -> i64 {
        self.handle.core.now_unix_ns()
    }

    /// Makes everything acknowledged so far durable, whatever the sync mode.
    ///
    /// # Errors
    /// `Namespace` or `Io`; the store is poisoned then.
    pub fn sync(&self) -> Result<()> {
        self.handle.core.sync_all()
    }

    /// Takes apart what was deleted, until nothing is left; what readers still hold stays.
    ///
    /// It happens in the background by itself; this is for those who want to see the space back now.
    ///
    /// # Errors
    /// As any write.
    pub fn collect_garbage(&self) -> Result<()> {
        garbage::collect(&self.handle.core, || false)
    }

    /// Whether an operation may wait for a disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.core().on_disk
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Takes bytes as they come, sealed by a customer's key if there is one; durable on `finish` as the sync mode says.
    pub(crate) fn body_writer(&self, key: Option<CustomerKey>) -> BodyWriter {
        let core = self.core();
        BodyWriter::new(&core.extents, core.extents.sync).sealed_by(key)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread of the store panicked");
            }
        }
        if let Err(error) = self.core.close() {
            match error {
                StoreError::Poisoned(_) => {}
                error => tracing::error!(%error, "the store was closed without its last sync"),
            }
        }
    }
}
