//! Finding rows of a segment by table and id.

use std::ops::Range;

use super::footer::{Run, u32_at};
use super::image::Image;
use super::{Segment, StoredChange, filter};
use crate::error::{Error, Result};

/// The rows of one table and partition of the base layout, sorted by id and version.
#[derive(Clone)]
pub(crate) struct SegmentRun<'a> {
    pub segment: &'a Segment,
    pub partition: i32,
    places: Range<u32>,
    image: &'a Image,
    order: &'a [u8],
}

impl Segment {
    /// Whether it may hold a change of an id; next to always right where it says yes.
    pub(crate) fn may_hold(&self, table: u16, id: u128) -> Result<bool> {
        let image = self.image()?;
        let mut runs = runs_of(&image.footer.runs, table).iter();
        let is_within = runs.any(|run| run.least <= id && id <= run.greatest);
        Ok(is_within && filter::may_contain(self.filter(image)?, table, id))
    }

    /// The newest change of an id.
    pub(crate) fn find(&self, table: u16, id: u128) -> Result<Option<StoredChange<'_>>> {
        let image = self.image()?;
        let runs = runs_of(&image.footer.runs, table).iter();
        let mut newest: Option<u32> = None;
        for run in runs.filter(|run| run.least <= id && id <= run.greatest) {
            let run = self.run(image, run)?;
            // A row that was deleted and came back may stand in two partitions.
            newest = newest.max(run.last_of(id)?);
        }
        newest.map(|row| self.change(row)).transpose()
    }

    /// The runs of a table, by partition.
    pub(crate) fn runs(&self, table: u16) -> Result<Vec<SegmentRun<'_>>> {
        let image = self.image()?;
        runs_of(&image.footer.runs, table)
            .iter()
            .map(|run| self.run(image, run))
            .collect()
    }

    /// Calls back with the table and the id of every change.
    pub(super) fn each_key(&self, mut key: impl FnMut(u16, u128)) -> Result<()> {
        let image = self.image()?;
        for batch in 0..image.footer.batches.len() {
            let columns = self.columns(image, batch)?;
            (0..columns.batch.num_rows()).for_each(|row| key(columns.table(row), columns.id(row)));
        }
        Ok(())
    }

    /// The numbers of the tables that have rows in it, sorted.
    pub(crate) fn tables(&self) -> Result<Vec<u16>> {
        let mut tables: Vec<u16> = self.image()?.footer.runs.iter().map(|r| r.table).collect();
        tables.dedup();
        Ok(tables)
    }

    fn run<'a>(&'a self, image: &'a Image, run: &Run) -> Result<SegmentRun<'a>> {
        Ok(SegmentRun {
            segment: self,
            partition: run.partition,
            places: run.start..run.end,
            image,
            order: self.order(image)?,
        })
    }
}

fn runs_of(runs: &[Run], table: u16) -> &[Run] {
    let start = runs.partition_point(|run| run.table < table);
    let end = runs.partition_point(|run| run.table <= table);
    &runs[start..end]
}

impl<'a> SegmentRun<'a> {
    /// How many rows it has.
    pub(crate) fn len(&self) -> u32 {
        self.places.end - self.places.start
    }

    /// The number of the row at a place of the run.
    pub(crate) fn row(&self, place: u32) -> Result<u32> {
        let at = (self.places.start + place) as usize * 4;
        u32_at(self.order, at)
            .filter(|row| *row < self.image.footer.rows)
            .ok_or_else(|| Error::corrupt(self.segment.path(), "the order does not parse"))
    }

    /// The id of the row at a place of the run.
    pub(crate) fn id(&self, place: u32) -> Result<u128> {
        use super::columns::BATCH_ROWS;
        let row = self.row(place)? as usize;
        let columns = self.segment.columns(self.image, row / BATCH_ROWS)?;
        Ok(columns.id(row % BATCH_ROWS))
    }

    /// The first place whose id is not below the given one.
    pub(crate) fn place_of(&self, id: u128) -> Result<u32> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle)? < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The number of the last row with an id.
    fn last_of(&self, id: u128) -> Result<Option<u32>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle)? <= id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1) {
            Some(place) if self.id(place)? == id => self.row(place).map(Some),
            _ => Ok(None),
        }
    }
}
