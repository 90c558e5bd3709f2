//! An emulator of Azure Data Lake Storage Gen2: a hierarchical namespace behind the DFS and the Blob protocol.
//!
//! [`Store`] is the lake itself; [`FileSystem`] is a filesystem of it for programs that have the store in their own
//! process.

pub mod account;
pub mod clock;
pub mod error;
mod local;
mod protocol;
mod serve;
mod server;
pub mod store;

pub use account::{Account, DEFAULT_ACCOUNT_KEY, DEFAULT_ACCOUNT_NAME};
pub use error::{ErrorCode, ErrorKind, Result, StoreError};
pub use local::{FileSystem, Part, PathInfo, WriteOptions};
pub use protocol::auth::{AccountSas, account_sas};
pub use server::{BLOB_PORT, DFS_PORT, Server, ServerOptions};
pub use store::content::ContentReader;
pub use store::{Store, StoreOptions, SyncMode};
