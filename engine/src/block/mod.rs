//! Immutable blocks of CSV bytes, many to a pack file, and the lists of them that make a partition.

mod filter;
mod manifest;
mod pack;
mod pack_writer;
mod writer;

pub(crate) use manifest::{BlockEntry, Manifest};
pub(crate) use pack::{Extent, Packs};
pub(crate) use pack_writer::PackWriter;
pub(crate) use writer::{BLOCK_BYTES_MIN, BlockWriter};
