//! Publication of snapshots: data files first, `model.json` last.

mod model_json;
mod snapshot;

pub use snapshot::SnapshotReport;
