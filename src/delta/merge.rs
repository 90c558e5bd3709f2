//! Bringing rows into the files of a table.
//!
//! Only files are read whose bounds leave room for one of the ids, and of these the ids alone; only those that hold one
//! are written anew. New rows go into files of their own, and small files are put together once there are many.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{
    and, concat_batches, filter_record_batch, sort_to_indices, take_record_batch,
};

use super::DeltaError;
use super::columns::Row;
use super::data_file::{DataFile, read, read_keys};
use super::staged::Staged;

/// What rows become, by id; `None` is deleted.
pub(super) type Changed = BTreeMap<String, Option<Row>>;

/// So many small files are put together.
const SMALL_FILES_MAX: usize = 8;
/// A file with less than this part of a whole one is small.
const SMALL_PART: u64 = 4;

/// Where changed ids stand in a file: the place of the row, and the id.
type Hits<'c> = Vec<(u32, &'c String)>;

impl Staged<'_> {
    /// Lets rows become what they are to be. An id that is in no file and is deleted needs nothing.
    ///
    /// Where a commit only inserts, readers find its changes in the new files themselves; with `more_to_come` it may
    /// yet do more.
    pub(super) fn merge(
        &mut self,
        changed: &Changed,
        more_to_come: bool,
    ) -> Result<(), DeltaError> {
        let (Some((first, _)), Some((last, _))) =
            (changed.first_key_value(), changed.last_key_value())
        else {
            return Ok(());
        };
        let candidates: Vec<DataFile> = self
            .files
            .values()
            .filter(|file| file.overlaps(first, last) && holds_room(file, changed))
            .cloned()
            .collect();
        let mut found = BTreeSet::new();
        for file in candidates {
            let keys = read_keys(self.folder, &file, self.columns)?;
            let mut hits: Hits<'_> = Vec::new();
            for (at, key) in keys.iter().enumerate() {
                if let Some((key, _)) = changed.get_key_value(key) {
                    hits.push((at as u32, key));
                    found.insert(key);
                }
            }
            if !hits.is_empty() {
                self.rewrite(&file, hits, changed)?;
            }
        }
        let inserted = changed.iter().filter_map(|(key, row)| {
            let row = row.as_ref()?;
            (!found.contains(key)).then_some(row)
        });
        let batch = self.columns.batch(inserted)?;
        if batch.num_rows() > 0 {
            self.counts.inserted += batch.num_rows() as u64;
            self.add(&batch)?;
            self.end_file()?;
            if more_to_come || self.tells_changes() {
                self.tell(&[("insert", batch)])?;
            }
        }
        Ok(())
    }

    /// Writes a file anew, without the rows that changed and with what they became.
    fn rewrite(
        &mut self,
        file: &DataFile,
        hits: Hits<'_>,
        changed: &Changed,
    ) -> Result<(), DeltaError> {
        let old = read(self.folder, file, self.columns)?;
        let (updates, deletes): (Hits<'_>, Hits<'_>) = hits
            .into_iter()
            .partition(|(_, key)| changed.get(*key).is_some_and(Option::is_some));
        let new = updates
            .iter()
            .filter_map(|(_, key)| changed.get(*key)?.as_ref());
        let new = self.columns.batch(new)?;
        let before = take_record_batch(&old, &places(&updates))?;
        let differ = differing(&before, &new)?;
        let (before, new) = (
            filter_record_batch(&before, &differ)?,
            filter_record_batch(&new, &differ)?,
        );
        let gone = take_record_batch(&old, &places(&deletes))?;
        if new.num_rows() + gone.num_rows() == 0 {
            return Ok(());
        }
        let mut stays = vec![true; old.num_rows()];
        let updated = updates.iter().zip(differ.values().iter());
        let updated = updated.filter(|(_, differs)| *differs).map(|(hit, _)| hit);
        for (at, _) in updated.chain(&deletes) {
            if let Some(stays) = stays.get_mut(*at as usize) {
                *stays = false;
            }
        }
        let kept = filter_record_batch(&old, &BooleanArray::from(stays))?;
        let whole = self.sorted(&[kept, new.clone()])?;
        self.files.remove(&file.path);
        self.add(&whole)?;
        self.end_file()?;
        self.counts.updated += new.num_rows() as u64;
        self.counts.deleted += gone.num_rows() as u64;
        self.tell(&[
            ("update_preimage", before),
            ("update_postimage", new),
            ("delete", gone),
        ])
    }

    /// Rows of several files in the order of ids.
    fn sorted(&self, batches: &[RecordBatch]) -> Result<RecordBatch, DeltaError> {
        let all = concat_batches(&self.columns.schema, batches)?;
        let order = sort_to_indices(all.column(self.columns.key), None, None)?;
        Ok(take_record_batch(&all, &order)?)
    }

    /// Puts small files together if there are many; tells whether.
    pub(super) fn put_together(&mut self, file_bytes: u64) -> Result<bool, DeltaError> {
        let is_small = |file: &&DataFile| file.bytes < file_bytes / SMALL_PART;
        let small: Vec<DataFile> = self.files.values().filter(is_small).cloned().collect();
        if small.len() < SMALL_FILES_MAX {
            return Ok(false);
        }
        let mut batches = Vec::new();
        let mut bytes = 0;
        for file in small {
            batches.push(read(self.folder, &file, self.columns)?);
            bytes += file.bytes;
            self.files.remove(&file.path);
            if bytes >= file_bytes {
                let whole = self.sorted(&std::mem::take(&mut batches))?;
                self.add(&whole)?;
                self.end_file()?;
                bytes = 0;
            }
        }
        let whole = self.sorted(&batches)?;
        self.add(&whole)?;
        self.end_file()?;
        Ok(true)
    }

    /// The ids in the table that are not among these, which are sorted.
    pub(super) fn missing_from(&self, ids: &[u128]) -> Result<Changed, DeltaError> {
        let mut missing = Changed::new();
        for file in self.files.values() {
            for key in read_keys(self.folder, file, self.columns)? {
                let id = uuid::Uuid::try_parse(&key).map(|id| id.as_u128());
                if !id.is_ok_and(|id| ids.binary_search(&id).is_ok()) {
                    missing.insert(key, None);
                }
            }
        }
        Ok(missing)
    }
}

/// Whether one of the ids lies within the bounds of a file.
fn holds_room(file: &DataFile, changed: &Changed) -> bool {
    let Some(known) = &file.known else {
        return true;
    };
    let mut within = changed.range(known.first.clone()..=known.last.clone());
    within.next().is_some()
}

fn places(hits: &Hits<'_>) -> UInt32Array {
    hits.iter().map(|(at, _)| *at).collect::<Vec<_>>().into()
}

/// Which rows are not the same in both.
fn differing(before: &RecordBatch, after: &RecordBatch) -> Result<BooleanArray, DeltaError> {
    let mut same = BooleanArray::from(vec![true; before.num_rows()]);
    for (old, new) in before.columns().iter().zip(after.columns()) {
        same = and(&same, &not_distinct(old, new)?)?;
    }
    Ok(same.iter().map(|same| Some(same != Some(true))).collect())
}
