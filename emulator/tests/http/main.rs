//! The protocols as they are on the wire, over real sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod authorize;
mod blob;
mod both;
mod client;
mod deleted;
mod dfs;
mod faults;
mod flat;
mod listing;
mod model;
mod noise;
mod pages;
mod query;
mod reference;
mod sources;
mod structured;
mod wire;
