//! The command line: what it takes, and where it is carried out.

mod access;
mod account;
mod arrow_changes;
mod backup;
mod bench;
mod changes;
mod command;
mod console;
mod control;
mod demo;
mod dump;
mod environment;
mod faults;
mod fs;
mod ingest;
mod link;
mod metrics;
mod output;
mod progress;
mod publish;
mod quota;
mod retention;
mod run;
mod salvage;
mod serve;
mod snapshot;
mod status;
mod table;
mod token;
mod trickle;
mod verify;

pub(crate) use run::run;
