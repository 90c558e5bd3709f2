//! Backups: an environment as it was at one version, in a folder or in one file.
//!
//! Everything but the journal is immutable files, so a backup seals the journal's tail and takes
//! what the catalog and the journal name at that moment, while others go on writing. A manifest with
//! the length and the checksum of every file is written last: without it there is no backup.

mod file;
mod manifest;
mod restore;
mod write;

pub use restore::{RestoreReport, backup_environment, restore};
pub use write::BackupReport;
