//! Rust clients on a served lake.

mod azdls;
mod blobs;
mod lake;
