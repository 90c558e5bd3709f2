//! Mapping a sealed file into memory: the only unsafe code of the engine.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{IoContext, Result};

/// Maps a sealed file.
///
/// The caller promises that the file is sealed: written whole, synced, and never again changed or
/// truncated. Removing it is fine; the mapping keeps its bytes.
#[allow(unsafe_code)]
pub(super) fn sealed(path: &Path) -> Result<Mmap> {
    let file = File::open(path).context("opening", path)?;
    // SAFETY: a mapping is undefined only if the file changes beneath it. Packs are opened for
    // reading only after they were written whole and synced, no code of this crate opens one for
    // writing again, and the data folder's lock keeps other lakestage processes out.
    unsafe { Mmap::map(&file) }.context("mapping", path)
}
