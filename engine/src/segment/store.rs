//! The folder of the segments.

use std::collections::HashSet;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Segment, SegmentEntry, SegmentWriter, footer};
use crate::compaction::Granularity;
use crate::error::{Error, IoContext, Result};
use crate::faults;
use crate::files::{self, NewFile};
use crate::journal::Commit;

const WRITE_BUFFER_BYTES: usize = 256 << 10;

pub(crate) struct SegmentStore {
    folder: PathBuf,
}

impl SegmentStore {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        files::create_folder(folder)?;
        Ok(SegmentStore {
            folder: folder.to_owned(),
        })
    }

    /// The segments of a folder that is only looked at.
    pub(crate) fn at(folder: &Path) -> Self {
        SegmentStore {
            folder: folder.to_owned(),
        }
    }

    /// The segment of an entry. Its file is opened when it is first used, so that damage to one
    /// keeps nobody from the others.
    pub(crate) fn segment(&self, entry: SegmentEntry) -> Arc<Segment> {
        let path = self.path(entry.number);
        Arc::new(Segment::new(entry, path))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("segment-{number:010}.arrows"))
    }

    /// The segments of the files that are there, as their own footers tell, where no journal names
    /// them. The time of the last commit is not known.
    pub(crate) fn entries_of_files(&self) -> Result<Vec<SegmentEntry>> {
        let mut entries = Vec::new();
        if !self.folder.is_dir() {
            return Ok(entries);
        }
        for name in files::names_in(&self.folder)? {
            let number = name
                .strip_prefix("segment-")
                .and_then(|n| n.strip_suffix(".arrows"));
            let Some(number) = number.and_then(|n| n.parse().ok()) else {
                continue;
            };
            let path = self.path(number);
            let bytes = fs::read(&path).context("reading", &path)?;
            entries.extend(footer::entry_of(number, &bytes));
        }
        entries.sort_by_key(|entry| entry.first_version);
        Ok(entries)
    }

    /// Writes commits as a segment. When this returns, the file and its name are durable, and it
    /// never changes again; but it counts only once the journal names it.
    pub(crate) fn write(
        &self,
        number: u64,
        commits: &[Arc<Commit>],
        granularity: &dyn Fn(u16) -> Granularity,
    ) -> Result<SegmentEntry> {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
            return Err(Error::invalid("a segment needs a commit"));
        };
        let payload = commits.iter().map(|c| c.payload.len() as u64).sum();
        files::check_room(&self.folder, payload, "writing a segment")?;
        let path = self.path(number);
        let written = NewFile::create(&path).and_then(|file| {
            let out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
            let (mut out, bytes, crc) = SegmentWriter::new(out).write(commits, granularity)?;
            out.flush()?;
            if !faults::makes("a segment is not synced") {
                out.get_ref().sync()?;
            }
            Ok((bytes, crc))
        });
        let (bytes, footer_crc32c) = written.context("writing a segment", &path)?;
        files::sync_folder(&self.folder)?;
        Ok(SegmentEntry {
            number,
            first_version: first.first_version,
            last_version: last.last_version(),
            last_committed: last.committed,
            bytes,
            footer_crc32c,
        })
    }

    /// Removes the file of a segment that the journal does not name (any more).
    pub(crate) fn remove(&self, number: u64) -> Result<()> {
        files::remove_file(&self.path(number))
    }

    /// Removes every file that is none of the listed segments'.
    pub(crate) fn collect(&self, listed: &[SegmentEntry]) -> Result<()> {
        let kept: HashSet<PathBuf> = listed.iter().map(|e| self.path(e.number)).collect();
        for name in files::names_in(&self.folder)? {
            let path = self.folder.join(name);
            if !kept.contains(&path) {
                files::remove_file(&path)?;
            }
        }
        Ok(())
    }
}
