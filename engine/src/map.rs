//! Mapping a sealed file into memory: the only unsafe code of the engine.

use std::fs::{self, File};
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::{IoContext, Result};

/// Maps a sealed file.
///
/// The caller promises that the file is sealed: written whole, synced, and never again changed or
/// truncated. Removing it is fine; the mapping keeps its bytes.
#[allow(unsafe_code)]
pub(crate) fn sealed(path: &Path) -> Result<Mmap> {
    let file = File::open(path).context("opening", path)?;
    // SAFETY: a mapping is undefined only if the file changes beneath it. Packs and segments are
    // opened for reading only after they were written whole and synced, no code of this crate opens
    // one for writing again, and the data folder's lock keeps other lakestage processes out.
    unsafe { Mmap::map(&file) }.context("mapping", path)
}

/// Lets go of pages of a mapped sealed file; they come back when they are read again.
#[allow(unsafe_code)]
pub(crate) fn release(map: &Mmap, offset: usize, length: usize) {
    // SAFETY: dropping pages is unchecked because it may lose what was written to them. This mapping
    // is shared, read-only and of a file that does not change, so every page comes back as it was.
    let released = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
    if let Err(error) = released {
        tracing::debug!(%error, "mapped pages were not released");
    }
}

/// Bytes of mapped files that are in this process's memory now, where the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    // The third number counts the pages that are shared with the page cache.
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(2)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
