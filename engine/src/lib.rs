//! The engine of lakestage: change-tracked rows go into a crash-safe log and come out as versioned
//! CSV snapshots with a `model.json`, as Azure Synapse Link for Dataverse writes them.
//!
//! ```no_run
//! use std::path::Path;
//! use lakestage_engine::{
//!     Environment, EnvironmentSettings, FolderLake, LinkTableOptions, NewLink, TableOptions,
//!     TableSchema, Value, Write,
//! };
//!
//! # fn main() -> lakestage_engine::Result<()> {
//! let settings = EnvironmentSettings::new("contoso", "org1");
//! let environment = Environment::create(Path::new("data"), settings)?;
//! let schema = TableSchema::from_json(
//!     r#"{"name": "task", "primaryKey": "taskid", "columns": [
//!         {"name": "taskid", "type": "uniqueidentifier"},
//!         {"name": "createdon", "type": "datetime"},
//!         {"name": "subject", "type": "string", "maxLength": 200}]}"#,
//! )?;
//! let (id, subject) = (schema.require("taskid")?, schema.require("subject")?);
//! environment.create_table(schema, TableOptions::default())?;
//!
//! let mut transaction = environment.transaction();
//! let row = [
//!     (id, Value::Text("8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b")),
//!     (subject, Value::Text("Call back")),
//! ];
//! transaction.write(Write::Create, "task", &row)?;
//! let receipt = transaction.commit()?; // survives a power cut from here on
//!
//! let lake = FolderLake::new(Path::new("lake"), &environment.filesystem_name());
//! let tables = vec![LinkTableOptions::of("task")];
//! let endpoint = "https://contoso.dfs.core.windows.net:443";
//! environment.create_link(&lake, &NewLink::new("local", "folder:lake", endpoint, tables))?;
//! let snapshot = environment.snapshot("local", &lake)?;
//! assert_eq!(snapshot.version, receipt.last_version);
//! # Ok(())
//! # }
//! ```

mod backlog;
mod backup;
mod block;
mod catalog;
mod check;
mod checksum;
mod clock;
mod compaction;
mod environment;
mod error;
#[doc(hidden)]
pub mod faults;
mod feed;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod hostile;
mod ingest;
mod journal;
mod lake;
mod link;
mod locks;
mod map;
mod metrics;
mod publish;
mod row;
mod salvage;
mod schema;
mod segment;
mod staging;
mod sync;
mod value;

pub use backlog::{
    BACKLOG_SNAPSHOTS, BacklogStatus, Forecast, ForecastDepth, ForecastFile, ForecastSnapshot,
    PublishPolicy, PublishedReport, Selection, Taken, WhenFull,
};
pub use backup::{BackupReport, RestoreReport, backup_environment, restore};
pub use catalog::{EnvironmentSettings, LineEnd};
pub use check::{Depth, DumpPart, Finding, LakeOf, VerifyReport, dump_folder, verify_folder};
pub use clock::{Clock, ManualClock, SystemClock, TICKS_PER_SECOND, Ticks};
pub use compaction::{DeletePartition, Granularity, Layout, Mode};
pub use environment::{
    CurrentRow, Environment, EnvironmentStatus, OpenOptions, Quota, QuotaStatus, TableOptions,
    TableStatus, Transaction, Write,
};
pub use error::{Error, ErrorKind, Result, RowError, SnapshotName};
pub use feed::{
    ChangeBatch, ChangeOperation, ChangeToken, Changes, ConsumerStatus, NewConsumer, Retention,
    RowChange, change_columns,
};
pub use ingest::{Ingest, IngestFormat, IngestOptions, IngestProgress, IngestReport};
pub use journal::{
    BackPressure, Commit, CommitTicket, Durability, Journal, LogEnd, MemoryJournal, Receipt,
    SledJournal,
};
pub use lake::{Cost, FolderLake, Lake, LakeEntry, Part, Traffic};
pub use link::{
    Activity, IncrementalStatus, LinkStatus, LinkTableOptions, LinkTableStatus, NewLink,
};
pub use metrics::{COMMIT_LATENCY_BOUNDS_S, EnvironmentMetrics};
pub use publish::{
    FileFormat, FileOptions, MODEL_FILE, ModelSettings, PartitionNames, RowDifference,
    SNAPSHOTS_KEPT, SnapshotAt, SnapshotColumn, SnapshotInfo, SnapshotPin, SnapshotReader,
    SnapshotReport, SnapshotRows, SnapshotTable, SyncReport, TableDifference, TrickleDue,
    TrickleFeed, TrickleOptions, TrickleStep, difference,
};
pub use salvage::{Loss, SalvageReport, salvage};
pub use schema::{
    Attribute, AttributeType, ChoiceKind, DateTimeBehavior, LookupKind, OptionValue, SchemaChange,
    TableSchema,
};
pub use segment::SegmentEntry;
pub use value::{DateTimeFormat, Value, unscaled_decimal, write_us_time};
