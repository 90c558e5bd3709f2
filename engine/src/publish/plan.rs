//! What a snapshot has to do: which files to write, which to take over, which to remove.

use std::collections::BTreeSet;

use super::MODEL_FILE;
use super::metadata::{self, MetadataFile};
use super::model_json::is_delete_position;
use super::parquet::{Encoded, Encoder};
use super::parts::{DataFile, DataFiles, file_name, is_parquet};
use super::sync::partitions;
use crate::block::Extent;
use crate::checksum::{crc32c, crc32c_of_both};
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::{Environment, State};
use crate::error::{Error, Result};
use crate::lake::{Lake, LakeEntry, Part};
use crate::link::{LinkEntry, LinkTable, Published};

const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";
/// The longest range that blocks are joined to: what the emulator reads and checks at a time.
const RANGE_BYTES_MAX: u64 = 256 << 10;

/// What a snapshot will write, and the link as it is afterwards.
pub(super) struct Plan {
    pub link: LinkEntry,
    pub files: Vec<NewFile>,
    /// Near-real-time files of partitions that are gone, and files of snapshots that are not kept.
    pub removed: Vec<String>,
    /// Snapshot files that go unless a kept snapshot names them.
    pub retired: BTreeSet<String>,
    /// Metadata files that differ from what stands in the lake.
    pub metadata: Vec<MetadataFile>,
    /// Files that somebody else removed or changed.
    pub repaired: Vec<String>,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    /// The tables that leave the link.
    pub without: &'a [String],
    /// When the state was taken.
    pub taken: Ticks,
    /// Whether it is not carried out, so that no Parquet file need be made.
    pub is_forecast: bool,
}

/// A snapshot file that is to be written, and then stands as the near-real-time file as well.
pub(crate) struct NewFile {
    pub path: String,
    pub table: String,
    pub name: String,
    pub file: DataFile,
    /// Of a Parquet file: where it was made.
    encoded: Option<Encoded>,
}

impl Plan {
    /// `None` if the lake shows this state already.
    /// `lake` is `None` where nobody is to look whether it shows what it should.
    pub(super) fn of(
        environment: &Environment,
        state: &State,
        before: &LinkEntry,
        lake: Option<&dyn Lake>,
        Aim {
            without,
            taken: now,
            is_forecast,
        }: Aim<'_>,
    ) -> Result<Option<Self>> {
        let number = (now.div_euclid(TICKS_PER_SECOND)).max(before.last_snapshot_s + 1);
        let mut plan = Plan {
            link: before.clone(),
            files: Vec::new(),
            removed: before.cut_off.clone(),
            retired: BTreeSet::new(),
            metadata: Vec::new(),
            repaired: Vec::new(),
        };
        plan.link.cut_off.clear();
        plan.link.last_snapshot_s = number;
        plan.link.last_version = state.catalog.folded_version;
        plan.link.synced_version = state.catalog.folded_version;
        let mut changed = before.last_snapshot_s == 0 || !without.is_empty();
        for table in without {
            plan.link.tables.remove(table);
            plan.retired.extend(plan.link.history.forget_table(table));
        }
        for (name, mut table) in plan.link.tables.clone() {
            let files = table.files(
                &environment.inner.packs,
                partitions(state, &name, &table)?,
                before.files,
            )?;
            let encoder = environment.encoder(state, &name, (before, &table))?;
            let encoder = (!is_forecast).then_some(&encoder);
            changed |= plan.table(&files, &name, (number, encoder), &mut table, lake)?;
            changed |= table.initial_sync_completed.is_none();
            let schema = &state.table(&name)?.schema;
            changed |= table.schema.as_ref().is_some_and(|shown| shown != schema);
            table.schema = Some(schema.clone());
            table.initial_sync_completed.get_or_insert(now);
            table.last_synced = now;
            plan.link.tables.insert(name, table);
        }
        changed |= plan.metadata(state)?;
        changed |= plan.model_is_gone(before, lake)?;
        Ok(changed.then_some(plan))
    }

    /// Whether `model.json` is not what was published last.
    fn model_is_gone(&mut self, before: &LinkEntry, lake: Option<&dyn Lake>) -> Result<bool> {
        let Some((_, published)) = before.history.kept.last_key_value() else {
            return Ok(false);
        };
        let Some(lake) = lake else {
            return Ok(false);
        };
        let model = lake.read(MODEL_FILE)?;
        let is_gone = model.is_none_or(|model| crc32c(&[&model]) != published.model.crc32c);
        if is_gone {
            self.repaired.push(MODEL_FILE.to_owned());
        }
        Ok(is_gone)
    }

    /// Plans the metadata files that are not in the lake as they should be; `true` if there are any.
    fn metadata(&mut self, state: &State) -> Result<bool> {
        let files = metadata::files(state, &self.link)?;
        let after = metadata::checksums(&files);
        let before = std::mem::replace(&mut self.link.metadata, after);
        let after = &self.link.metadata;
        let gone = before.keys().filter(|path| !after.contains_key(*path));
        self.removed.extend(gone.cloned());
        self.metadata = files
            .into_iter()
            .filter(|file| before.get(&file.path) != after.get(&file.path))
            .collect();
        Ok(before != *after)
    }

    fn table(
        &mut self,
        files: &DataFiles,
        name: &str,
        (number, encoder): (i64, Option<&Encoder<'_>>),
        table: &mut LinkTable,
        lake: Option<&dyn Lake>,
    ) -> Result<bool> {
        let published = table.partitions.len();
        table
            .partitions
            .retain(|partition, _| files.contains_key(partition));
        let mut changed = table.partitions.len() < published;
        self.removed.extend(table.drop_gone(name, files));
        for (partition, file) in files {
            let published = table.partitions.get(partition);
            let published = published.filter(|p| p.changed_version == file.entry.changed_version);
            if let Some(published) = published {
                let current = current_path(name, partition);
                let damaged = lake.map(|lake| published.damaged(&current, lake));
                match damaged.transpose()?.flatten() {
                    None => continue,
                    Some(damaged) => self.repaired.push(damaged),
                }
            }
            let path = format!("{name}/Snapshot/{}", file_name(partition, Some(number)));
            let new = NewFile::new(encoder, name, partition, file, path)?;
            let entry = &new.file.entry;
            table.partitions.insert(
                partition.clone(),
                Published {
                    file: new.path.clone(),
                    changed_version: entry.changed_version,
                    rows: entry.rows,
                    bytes: entry.bytes,
                    etag: None,
                    crc32c: new.file.crc32c,
                },
            );
            table.last_version = table.last_version.max(entry.changed_version);
            self.files.push(new);
            changed = true;
        }
        Ok(changed)
    }
}

/// What publishing a state would write; `None` if the lake shows it already.
pub(crate) fn planned_files(
    environment: &Environment,
    state: &State,
    before: &LinkEntry,
    lake: Option<&dyn Lake>,
    taken: Ticks,
) -> Result<Option<PlannedFiles>> {
    let aim = Aim {
        without: &[],
        taken,
        is_forecast: true,
    };
    let plan = Plan::of(environment, state, before, lake, aim)?;
    Ok(plan.map(|plan| PlannedFiles {
        files: plan.files,
        link: plan.link,
    }))
}

/// The data files that a publication would write, and the link as it would be.
pub(crate) struct PlannedFiles {
    pub files: Vec<NewFile>,
    pub link: LinkEntry,
}

/// The near-real-time file of a partition.
pub(crate) fn current_path(table: &str, partition: &str) -> String {
    format!("{table}/{}", file_name(partition, None))
}

impl Published {
    /// The path of the file that is not as it was published, if there is one. The snapshot file is known by its length
    /// and its ETag; the near-real-time file by its length, since a lake may give a copy another ETag.
    fn damaged(&self, current: &str, lake: &dyn Lake) -> Result<Option<String>> {
        let fits = |found: &Option<LakeEntry>| {
            let found = found.as_ref();
            found.is_some_and(|entry| entry.length == self.bytes && !entry.is_directory)
        };
        let snapshot = lake.stat(&self.file)?;
        let same = match (&snapshot, &self.etag) {
            (Some(entry), Some(etag)) => entry.etag == *etag,
            // After a crash the ETag of a file that was just written is not known.
            _ => true,
        };
        if !fits(&snapshot) || !same {
            return Ok(Some(self.file.clone()));
        }
        Ok((!fits(&lake.stat(current)?)).then(|| current.to_owned()))
    }
}

impl LinkEntry {
    /// Notes how the lake names the content of a file that was just written.
    pub(super) fn note_etag(&mut self, file: &NewFile, etag: String) {
        let table = self.tables.get_mut(&file.table);
        if let Some(published) = table.and_then(|t| t.partitions.get_mut(&file.name)) {
            published.etag = Some(etag);
        }
    }
}

impl NewFile {
    /// Makes the file if it is a Parquet file, so that its length is known; without an `encoder` it is only planned,
    /// and said to be as long as the CSV file.
    pub(crate) fn new(
        encoder: Option<&Encoder<'_>>,
        table: &str,
        name: &str,
        file: &DataFile,
        path: String,
    ) -> Result<Self> {
        let mut file = file.clone();
        let encoder = encoder.filter(|_| is_parquet(name));
        let encoded = encoder.map(|encoder| encoder.encode(name, &file));
        let encoded = encoded.transpose()?;
        if let Some(encoded) = &encoded {
            file.entry.bytes = encoded.bytes;
            file.crc32c = Some(encoded.crc32c);
        }
        Ok(NewFile {
            path,
            table: table.to_owned(),
            name: name.to_owned(),
            file,
            encoded,
        })
    }

    /// Writes the snapshot file, and makes it the near-real-time file as well.
    pub(super) fn write(&self, environment: &Environment, lake: &dyn Lake) -> Result<LakeEntry> {
        let written = self.write_alone(environment, lake)?;
        lake.copy(&self.path, &current_path(&self.table, &self.name))?;
        Ok(written)
    }

    /// Writes the file and nothing else.
    pub(super) fn write_alone(
        &self,
        environment: &Environment,
        lake: &dyn Lake,
    ) -> Result<LakeEntry> {
        if let Some(encoded) = &self.encoded {
            return self.write_encoded(environment, encoded, lake);
        }
        let blocks = self.extents(environment)?.into_iter();
        // Where a range begins that is made of several depends on its neighbours, so a lake would not know it again.
        let extents: Vec<Extent> = match lake.takes_over() {
            true => blocks.collect(),
            false => joined(blocks),
        };
        let write = |parts: &[Part<'_>]| lake.write(&self.path, parts, CSV);
        let written = self.with_parts(environment, &extents, write)?;
        self.checked(written)
    }

    fn write_encoded(
        &self,
        environment: &Environment,
        encoded: &Encoded,
        lake: &dyn Lake,
    ) -> Result<LakeEntry> {
        // By its content, since near-real-time files have one path for ever.
        let id = environment.state().catalog.id.simple();
        let sum = encoded.crc32c;
        let name = format!("{id}/{sum:08x}-{}-{}", encoded.bytes, self.path);
        let mut offset = 0;
        let mut parts = Vec::new();
        for (length, crc32c) in &encoded.ranges {
            parts.push(Part::Range {
                name: &name,
                file: &encoded.path,
                offset,
                length: *length,
                crc32c: *crc32c,
            });
            offset += length;
        }
        self.checked(lake.write(&self.path, &parts, PARQUET)?)
    }

    fn checked(&self, written: LakeEntry) -> Result<LakeEntry> {
        if written.length != self.file.entry.bytes {
            return Err(Error::Lake(format!(
                "{} has {} bytes after it was written, and should have {}",
                self.path, written.length, self.file.entry.bytes
            )));
        }
        Ok(written)
    }

    /// Whether it is a Parquet file, which is not made of the blocks' bytes.
    pub(crate) fn is_parquet(&self) -> bool {
        is_parquet(&self.name)
    }

    /// The blocks that make it.
    pub(crate) fn extents(&self, environment: &Environment) -> Result<Vec<Extent>> {
        let packs = &environment.inner.packs;
        let manifest = packs.manifest(&self.file.entry.manifest)?;
        let blocks = self.file.of(&manifest.blocks).iter();
        Ok(blocks.map(|block| block.extent).collect())
    }

    /// Hands extents over as a lake takes them.
    pub(crate) fn with_parts<T>(
        &self,
        environment: &Environment,
        extents: &[Extent],
        work: impl FnOnce(&[Part<'_>]) -> T,
    ) -> T {
        let packs = &environment.inner.packs;
        let files: Vec<_> = extents
            .iter()
            .map(|extent| (pack_name(environment, extent.pack), packs.path(extent.pack)))
            .collect();
        let parts: Vec<Part<'_>> = extents
            .iter()
            .zip(&files)
            .map(|(extent, (name, file))| Part::Range {
                name,
                file,
                offset: extent.offset,
                length: extent.length,
                crc32c: extent.crc32c,
            })
            .collect();
        work(&parts)
    }
}

/// Blocks that stand one behind the other are one range for the lake, up to a size: it keeps and reads fewer pieces.
fn joined(blocks: impl Iterator<Item = Extent>) -> Vec<Extent> {
    let mut ranges: Vec<Extent> = Vec::new();
    for block in blocks {
        match ranges.last_mut() {
            Some(last)
                if last.pack == block.pack
                    && last.offset + last.length == block.offset
                    && last.length + block.length <= RANGE_BYTES_MAX =>
            {
                last.crc32c = crc32c_of_both(last.crc32c, block.crc32c, block.length);
                last.length += block.length;
            }
            _ => ranges.push(block),
        }
    }
    ranges
}

impl Environment {
    /// What makes the Parquet files of a linked table.
    pub(super) fn encoder(
        &self,
        state: &State,
        name: &str,
        (link, table): (&LinkEntry, &LinkTable),
    ) -> Result<Encoder<'_>> {
        Ok(Encoder::of(
            &self.inner.packs,
            state.table(name)?.plan.schema(),
            is_delete_position(state, name, table),
            link.model.decimal_precision,
        ))
    }
}

/// A name for a pack that no other environment's pack has.
fn pack_name(environment: &Environment, pack: u64) -> String {
    format!("{}/{pack}", environment.state().catalog.id.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_follow_each_other_are_one_range_with_the_checksum_of_all() {
        let bytes: Vec<u8> = (0..700_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let block = |pack, start: usize, end: usize| Extent {
            pack,
            offset: start as u64,
            length: (end - start) as u64,
            crc32c: crc32c(&[&bytes[start..end]]),
        };
        let blocks = [
            block(1, 0, 100_000),
            block(1, 100_000, 200_000),
            block(1, 200_000, 300_000),
            block(2, 300_000, 300_010),
            block(1, 300_010, 600_000),
            block(1, 600_001, 700_000),
        ];
        let ranges = joined(blocks.into_iter());
        let expected = [
            block(1, 0, 200_000),
            block(1, 200_000, 300_000),
            block(2, 300_000, 300_010),
            block(1, 300_010, 600_000),
            block(1, 600_001, 700_000),
        ];
        assert_eq!(ranges, expected);
    }
}
