//! Handing a table on as a Delta table: its rows first, then what changed, commit by commit.
//!
//! ```text
//! <folder>/_delta_log/<version>.json   what each commit added, removed and changed
//! <folder>/part-<version>-<n>…         rows, sorted by id within a file
//! <folder>/_change_data/cdc-<version>… what a commit changed: inserts, updates before and after, deletes
//! ```
//!
//! How far a table is stands in the table itself: the action `txn` names the environment and the version whose rows it
//! shows. It is part of the commit, so an export that was broken off is there whole or not at all.

mod columns;
mod data_file;
mod error;
mod export;
mod log;
mod merge;
mod mirror;
mod staged;

pub use error::DeltaError;
pub use export::{DeltaExport, DeltaReport, DeltaStep, FILE_BYTES};
pub use mirror::{MirrorReport, mirror};

/// Where the files of changes stand.
const CHANGE_DATA_FOLDER: &str = "_change_data";
