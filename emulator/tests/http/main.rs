//! The protocols as they are on the wire, over real sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod anonymous;
mod authorize;
mod bearer;
mod blob;
mod both;
mod client;
mod customer_keys;
mod delegation;
mod deleted;
mod dfs;
mod faults;
mod flat;
mod hostile;
mod listing;
mod model;
mod noise;
mod pages;
mod query;
mod reference;
mod roles;
mod secure;
mod shared_key;
mod signatures;
mod signing;
mod soak;
mod sources;
mod structured;
mod table;
mod wire;
