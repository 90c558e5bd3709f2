//! The sentences of SEMANTICS.md, each with a test; the engine in this process, the command as a process.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod backlog;
mod changes;
mod command;
mod csv;
mod delta;
mod failing_formats;
mod failing_lake;
mod incremental;
mod journal;
mod kept_snapshots;
mod lake;
mod links;
mod metadata;
mod metrics;
mod model;
mod operating;
mod parquet;
mod parts;
mod promises;
mod publishing;
mod quota;
mod readme;
mod rows;
mod site;
mod snapshots;
mod tools;
mod trickle;
mod uplink;
mod world;
