//! The sentences of SEMANTICS.md, each with a test; the engine in this process, the command as a process.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod command;
mod csv;
mod journal;
mod lake;
mod model;
mod promises;
mod rows;
mod snapshots;
mod world;
