//! Publication of snapshots: data files first, `model.json` last.

mod model_json;
mod model_settings;
mod snapshot;

pub use model_settings::{ModelSettings, PartitionNames};
pub use snapshot::SnapshotReport;
