//! An emulator of Azure Data Lake Storage Gen2: a hierarchical namespace behind the DFS and the Blob protocol.
//!
//! [`Store`] is the lake itself; [`FileSystem`] is a filesystem of it for programs that have the store in their own
//! process. [`Emulator`] is both for a test suite:
//!
//! ```
//! let emulator = lakestage_emulator::Emulator::start()?;
//! let connection_string = emulator.connection_string();
//! assert!(connection_string.contains("BlobEndpoint=http://127.0.0.1:"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod account;
mod assembly;
pub mod clock;
mod embedded;
pub mod error;
pub mod faults;
#[doc(hidden)]
pub mod fuzz;
mod local;
mod protocol;
mod serve;
mod server;
pub mod store;
mod tls;

pub use account::{Account, DEFAULT_ACCOUNT_KEY, DEFAULT_ACCOUNT_NAME};
pub use embedded::{Emulator, StartError};
pub use error::{ErrorCode, ErrorKind, Result, StoreError};
pub use ipnet::IpNet;
pub use local::{FileSystem, Part, PathInfo, WriteOptions};
pub use protocol::auth::{
    AccessOptions, AccountSas, Assignment, BadRoles, NetworkRules, OAuth, Role, Roles,
    TENANT_DEFAULT, Token, account_sas, bearer_token,
};
pub use server::{BLOB_PORT, DFS_PORT, Server, ServerOptions};
pub use store::content::ContentReader;
pub use store::{CustomerKey, Secret, Store, StoreOptions, SyncMode, change_secret};
pub use tls::Tls;
