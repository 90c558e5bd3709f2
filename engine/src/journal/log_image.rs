//! What a log holds, as it stands.

use super::bulk::BulkRead;

/// What a log holds that no segment does, damaged or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogImage {
    /// The frames of commits, numbered.
    pub frames: Vec<(u64, Vec<u8>)>,
    /// What stands in bulk files.
    pub(crate) bulk: BulkRead,
}

impl LogImage {
    /// A log that consists of frames alone.
    pub(crate) fn of_frames(frames: Vec<(u64, Vec<u8>)>) -> Self {
        LogImage {
            frames,
            bulk: BulkRead::default(),
        }
    }
}
