//! Sealed segments: what left the journal, in immutable files.
//!
//! A segment holds consecutive commits. Its file begins as an Arrow IPC stream, so that any Arrow
//! reader takes it as it is; what finds a row in it follows, and a footer with checksums ends it.
//!
//! ```text
//! Arrow IPC stream   schema, record batches of 4,096 rows in version order, end of stream. The bytes of a batch's cells
//!                    stand in the order of the order: a merge wants rows whose ids are neighbours
//! order              u32 a row: the rows sorted by table, partition of the base layout, id, version
//! filter             tells whether an id of a table may be in the segment
//! footer             where all of that stands, and a CRC-32C of each part (footer.rs)
//! tail               u32 length of the footer | u32 CRC-32C of the footer | 8 bytes of magic
//! ```
//! Every part is checked when it is first used. The journal names the segments there are; a file it
//! does not name is garbage.

mod columns;
mod filter;
mod footer;
mod group;
mod image;
mod search;
mod store;
mod verify;
mod writer;

use serde::{Deserialize, Serialize};

pub(crate) use columns::{BATCH_ROWS, StoredChange, schema};
pub(crate) use group::SegmentGroup;
pub(crate) use image::Segment;
pub(crate) use search::SegmentRun;
pub(crate) use store::SegmentStore;
pub(crate) use writer::SegmentWriter;

use crate::clock::Ticks;

/// Reads a footer that no checksum covers, for a test that no bytes make it panic.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode_footer(bytes: &[u8]) -> bool {
    footer::Footer::decode(bytes).is_some()
}

/// A segment's file with the checksum of its footer put right, for the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn with_footer_checksum(bytes: &[u8]) -> Vec<u8> {
    footer::with_checksum(bytes)
}

/// A segment as the journal names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentEntry {
    /// Names its file; rises.
    pub number: u64,
    /// The version of its first change. A segment begins where the one before it ends.
    pub first_version: u64,
    /// The version of its last change.
    pub last_version: u64,
    /// The time of its last commit.
    pub last_committed: Ticks,
    /// Bytes of its file.
    pub bytes: u64,
    /// The CRC-32C of its footer, which holds the checksums of everything else.
    pub footer_crc32c: u32,
}

impl SegmentEntry {
    /// How many changes it holds.
    pub fn rows(&self) -> u64 {
        self.last_version - self.first_version + 1
    }
}
