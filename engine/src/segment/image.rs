//! A segment that is read: mapped when it is first used, each part checked when it is first needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use memmap2::Mmap;

use super::columns::{BATCH_ROWS, Columns};
use super::footer::{Footer, MAGIC, Part, TAIL_BYTES, u32_at};
use super::{SegmentEntry, SegmentWriter, StoredChange};
use crate::checksum::crc32c;
use crate::compaction::Granularity;
use crate::error::{Error, Result};
use crate::journal::Commit;
use crate::map;

/// A sealed segment, or commits of the tail in the same form.
pub(crate) struct Segment {
    entry: SegmentEntry,
    path: PathBuf,
    image: OnceLock<Image>,
}

pub(super) struct Image {
    pub footer: Footer,
    bytes: Buffer,
    map: Option<Arc<Mmap>>,
    batches: Vec<OnceLock<Columns>>,
    order: OnceLock<Buffer>,
    filter: OnceLock<Vec<u8>>,
}

impl Image {
    /// All bytes of the file, unchecked.
    pub(super) fn raw(&self) -> &[u8] {
        &self.bytes
    }

    /// Lets go of the pages of a part: to check it every byte was read, and of most parts only few are needed at a time.
    fn release(&self, part: &Part) {
        if let Some(map) = &self.map {
            map::release(map, part.offset as usize, part.length as usize);
        }
    }
}

/// What owns the bytes of a mapped segment.
struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Segment {
    pub(super) fn new(entry: SegmentEntry, path: PathBuf) -> Self {
        Segment {
            entry,
            path,
            image: OnceLock::new(),
        }
    }

    /// Commits in the form of a segment, in memory only.
    pub(crate) fn of_commits(
        commits: &[Arc<Commit>],
        granularity: &dyn Fn(u16) -> Granularity,
    ) -> Result<Option<Self>> {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
            return Ok(None);
        };
        let path = PathBuf::from("the tail of the journal");
        let (bytes, length, footer_crc32c) = SegmentWriter::new(Vec::new())
            .write(commits, granularity)
            .map_err(|e| Error::io("ordering", &path, e))?;
        let entry = SegmentEntry {
            number: 0,
            first_version: first.first_version,
            last_version: last.last_version(),
            last_committed: last.committed,
            bytes: length,
            footer_crc32c,
        };
        let segment = Segment::new(entry, path);
        let image = segment.check(Buffer::from_vec(bytes), None)?;
        Ok(Some(Segment {
            image: OnceLock::from(image),
            ..segment
        }))
    }

    /// The same segment, of which nothing is in memory yet.
    pub(super) fn unread(&self) -> Self {
        Segment::new(self.entry.clone(), self.path.clone())
    }

    pub(crate) fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn image(&self) -> Result<&Image> {
        if let Some(image) = self.image.get() {
            return Ok(image);
        }
        let map = Arc::new(map::sealed(&self.path).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Error::corrupt(&self.path, "the segment is missing")
            }
            other => other,
        })?);
        let bytes = Buffer::from(Bytes::from_owner(Mapped(map.clone())));
        let image = self.check(bytes, Some(map))?;
        Ok(self.image.get_or_init(|| image))
    }

    fn check(&self, bytes: Buffer, map: Option<Arc<Mmap>>) -> Result<Image> {
        let footer = read_footer(&bytes, &self.entry)
            .map_err(|detail| Error::corrupt(&self.path, detail))?;
        Ok(Image {
            batches: footer.batches.iter().map(|_| OnceLock::new()).collect(),
            order: OnceLock::new(),
            filter: OnceLock::new(),
            footer,
            bytes,
            map,
        })
    }

    /// Lets go of the memory that its mapped pages take.
    pub(crate) fn release(&self) {
        if let Some(map) = self.image.get().and_then(|image| image.map.as_ref()) {
            map::release(map, 0, map.len());
        }
    }

    /// A part of the file, checked.
    fn part(&self, image: &Image, part: &Part, what: &str) -> Result<Buffer> {
        let (start, length) = (part.offset as usize, part.length as usize);
        if start
            .checked_add(length)
            .is_none_or(|end| end > image.bytes.len())
        {
            return Err(Error::corrupt(&self.path, format!("it ends before {what}")));
        }
        let bytes = image.bytes.slice_with_length(start, length);
        if crc32c(&[&bytes]) != part.crc32c {
            let detail = format!("{what} fails its checksum");
            return Err(Error::corrupt(&self.path, detail));
        }
        Ok(bytes)
    }

    /// The order: the number of a row at each place, four bytes each.
    pub(super) fn order<'i>(&self, image: &'i Image) -> Result<&'i [u8]> {
        if let Some(order) = image.order.get() {
            return Ok(order);
        }
        let order = self.part(image, &image.footer.order, "the order")?;
        Ok(image.order.get_or_init(|| order))
    }

    pub(super) fn filter<'i>(&self, image: &'i Image) -> Result<&'i [u8]> {
        if let Some(filter) = image.filter.get() {
            return Ok(filter);
        }
        let filter = self.part(image, &image.footer.filter, "the filter")?;
        let filter = image.filter.get_or_init(|| filter.to_vec());
        image.release(&image.footer.filter);
        Ok(filter)
    }

    pub(super) fn columns<'i>(&self, image: &'i Image, batch: usize) -> Result<&'i Columns> {
        let missing = || Error::corrupt(&self.path, format!("it has no batch {batch}"));
        let cell = image.batches.get(batch).ok_or_else(missing)?;
        if let Some(columns) = cell.get() {
            return Ok(columns);
        }
        let schema = self.part(image, &image.footer.schema, "the schema")?;
        let what = format!("batch {batch}");
        let part = &image.footer.batches[batch];
        let message = self.part(image, part, &what)?;
        let columns = decode(schema, message)
            .filter(|columns| columns.batch.num_rows() == batch_rows(&image.footer, batch))
            .ok_or_else(|| Error::corrupt(&self.path, format!("{what} does not parse")))?;
        image.release(part);
        Ok(cell.get_or_init(|| columns))
    }

    /// A record batch by its number; `None` behind the last.
    pub(crate) fn batch(&self, batch: usize) -> Result<Option<&RecordBatch>> {
        let image = self.image()?;
        if batch >= image.footer.batches.len() {
            return Ok(None);
        }
        Ok(Some(&self.columns(image, batch)?.batch))
    }

    /// The change in a row, by its number.
    pub(crate) fn change(&self, row: u32) -> Result<StoredChange<'_>> {
        let image = self.image()?;
        let damaged = || Error::corrupt(&self.path, format!("row {row} holds no change"));
        if row >= image.footer.rows {
            return Err(damaged());
        }
        let at = row as usize;
        self.columns(image, at / BATCH_ROWS)?
            .change(at % BATCH_ROWS, self.entry.first_version + u64::from(row))
            .ok_or_else(damaged)
    }
}

fn batch_rows(footer: &Footer, batch: usize) -> usize {
    (footer.rows as usize - (batch * BATCH_ROWS).min(footer.rows as usize)).min(BATCH_ROWS)
}

fn decode(mut schema: Buffer, mut message: Buffer) -> Option<Columns> {
    let mut decoder = StreamDecoder::new();
    // The schema alone makes no batch.
    if decoder.decode(&mut schema).ok()?.is_some() {
        return None;
    }
    Columns::of(decoder.decode(&mut message).ok()??)
}

fn read_footer(bytes: &[u8], entry: &SegmentEntry) -> Result<Footer, &'static str> {
    let (rest, tail) = bytes
        .split_at_checked(bytes.len().saturating_sub(TAIL_BYTES))
        .ok_or("it is too short for a segment")?;
    if tail.len() < TAIL_BYTES || &tail[8..] != MAGIC {
        return Err("it does not end as a segment does");
    }
    let length = u32_at(tail, 0).unwrap_or_default() as usize;
    let crc = u32_at(tail, 4).unwrap_or_default();
    let footer = rest
        .len()
        .checked_sub(length)
        .map(|start| &rest[start..])
        .ok_or("it is shorter than its footer says")?;
    if crc != entry.footer_crc32c || crc32c(&[footer]) != crc {
        return Err("its footer fails its checksum");
    }
    let footer = Footer::decode(footer).ok_or("its footer does not parse")?;
    if footer.first_version != entry.first_version || u64::from(footer.rows) != entry.rows() {
        return Err("it is another segment than the journal names");
    }
    Ok(footer)
}
