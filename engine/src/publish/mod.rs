//! Publication of snapshots: data files first, `model.json` last. What was published can be read, compared and kept.

mod difference;
mod history;
mod incremental;
mod lease;
mod metadata;
mod model_json;
mod model_settings;
mod parquet;
mod parts;
mod plan;
mod reader;
mod snapshot;
mod sync;
mod trickle;
mod unlink;

pub use difference::{RowDifference, TableDifference, difference};
pub(crate) use history::{History, Kept, Pin};
pub use history::{SNAPSHOTS_KEPT, SnapshotAt, SnapshotInfo, SnapshotPin};
pub(crate) use incremental::Incremental;
pub(crate) use lease::Leases;
pub(crate) use metadata::Checksums;
pub use model_settings::{ModelSettings, PartitionNames};
pub(crate) use parts::{Cuts, DataFile, is_parquet, partition_of};
pub use parts::{FileFormat, FileOptions};
pub(crate) use plan::{NewFile, current_path, planned_files};
pub use reader::{SnapshotColumn, SnapshotReader, SnapshotRows, SnapshotTable};
pub use snapshot::{MODEL_FILE, SnapshotReport};
pub(crate) use sync::CurrentFiles;
pub use sync::SyncReport;
pub use trickle::{TrickleDue, TrickleFeed, TrickleOptions, TrickleStep};
