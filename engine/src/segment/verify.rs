//! Looking at a segment for damage: its footer, or every byte and every rule.

use std::fs;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;

use super::columns::BATCH_ROWS;
use super::filter;
use super::footer::{Footer, Part, Run, TAIL_BYTES, u32_at};
use super::image::Image;
use super::{Segment, StoredChange};
use crate::clock::Ticks;

/// Between the last batch and the order stands the end of the Arrow stream.
const STREAM_END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// What is wrong with a segment, and where in it.
pub(crate) struct SegmentFault {
    pub place: String,
    pub rule: String,
}

type Faults = Vec<SegmentFault>;

fn fault(faults: &mut Faults, place: impl Into<String>, rule: impl Into<String>) {
    faults.push(SegmentFault {
        place: place.into(),
        rule: rule.into(),
    });
}

impl Segment {
    /// What is wrong with it. `partition` tells the number of a row's partition, where the table
    /// is known.
    pub(crate) fn faults(
        &self,
        every_byte: bool,
        partition: &dyn Fn(u16, Option<Ticks>) -> Option<i32>,
    ) -> Faults {
        let mut faults = Vec::new();
        let bytes = fs::metadata(self.path()).map(|m| m.len());
        if let Ok(bytes) = bytes
            && bytes != self.entry().bytes
        {
            let rule = format!(
                "the file has {bytes} bytes, and the journal says {}",
                self.entry().bytes
            );
            fault(&mut faults, "the file", rule);
        }
        let image = match self.image() {
            Ok(image) => image,
            Err(error) => {
                fault(&mut faults, "the footer", error.to_string());
                return faults;
            }
        };
        if every_byte {
            self.places(image, &mut faults);
            self.rows(image, &mut faults);
            self.runs_in_order(image, partition, &mut faults);
        }
        faults
    }

    /// Nothing stands between the parts but the end of the stream.
    fn places(&self, image: &Image, faults: &mut Faults) {
        let footer = &image.footer;
        let mut end = 0;
        let mut follow = |what: &str, part: &Part, faults: &mut Faults| {
            if part.offset != end {
                let rule = format!("it begins at byte {}, and should at {end}", part.offset);
                fault(faults, what, rule);
            }
            end = part.offset.saturating_add(part.length);
        };
        follow("the schema", &footer.schema, faults);
        for (number, batch) in footer.batches.iter().enumerate() {
            follow(&format!("batch {number}"), batch, faults);
        }
        let stream_end = Part {
            offset: end_of(footer),
            length: STREAM_END.len() as u64,
            crc32c: 0,
        };
        follow("the end of the stream", &stream_end, faults);
        follow("the order", &footer.order, faults);
        follow("the filter", &footer.filter, faults);
        let tail = (footer.encode().len() + TAIL_BYTES) as u64;
        if end.saturating_add(tail) != self.entry().bytes {
            fault(faults, "the footer", "it does not follow the filter");
        }
        let start = stream_end.offset as usize;
        if image
            .raw()
            .get(start..start.saturating_add(STREAM_END.len()))
            != Some(&STREAM_END[..])
        {
            let rule = "it is not as it was written";
            fault(faults, "the end of the stream", rule);
        }
    }

    /// Every batch passes its checksum, and every row holds a change with the version of its place.
    fn rows(&self, image: &Image, faults: &mut Faults) {
        let first = self.entry().first_version;
        for number in 0..image.footer.batches.len() {
            let place = format!("batch {number}");
            let columns = match self.columns(image, number) {
                Ok(columns) => columns,
                Err(error) => {
                    fault(faults, place, error.to_string());
                    continue;
                }
            };
            let versions = columns.batch.column(0).as_primitive_opt::<UInt64Type>();
            let start = first + (number * BATCH_ROWS) as u64;
            let right = versions
                .is_some_and(|v| v.values().iter().copied().eq(start..start + v.len() as u64));
            if !right {
                fault(faults, &place, "its versions do not follow each other");
            }
            for row in 0..columns.batch.num_rows() {
                if columns.change(row, 0).is_none() {
                    fault(faults, &place, format!("its row {row} holds no change"));
                }
            }
        }
    }

    /// The order names every row once, sorted, within its run's fences; the filter knows every id.
    fn runs_in_order(
        &self,
        image: &Image,
        partition: &dyn Fn(u16, Option<Ticks>) -> Option<i32>,
        faults: &mut Faults,
    ) {
        let (order, filter) = match (self.order(image), self.filter(image)) {
            (Ok(order), Ok(filter)) => (order, filter),
            (order, filter) => {
                for (place, error) in [("the order", order.err()), ("the filter", filter.err())] {
                    if let Some(error) = error {
                        fault(faults, place, error.to_string());
                    }
                }
                return;
            }
        };
        let rows = image.footer.rows;
        let mut seen = vec![false; rows as usize];
        let mut next = 0;
        for run in &image.footer.runs {
            let place = format!("the run of table {} at {}", run.table, run.start);
            if run.start != next || run.end < run.start || run.end > rows {
                fault(faults, &place, "it does not follow the run before it");
                return;
            }
            next = run.end;
            if let Some(rule) = self.run_fault(run, order, filter, partition, &mut seen) {
                fault(faults, place, rule);
            }
        }
        if next != rows || order.len() != rows as usize * 4 {
            fault(faults, "the order", "it does not name every row");
        }
    }

    fn run_fault(
        &self,
        run: &Run,
        order: &[u8],
        filter: &[u8],
        partition: &dyn Fn(u16, Option<Ticks>) -> Option<i32>,
        seen: &mut [bool],
    ) -> Option<String> {
        let mut before: Option<(u128, u32)> = None;
        for place in run.start..run.end {
            let row = u32_at(order, place as usize * 4)?;
            let was_seen = seen
                .get_mut(row as usize)
                .map(|s| std::mem::replace(s, true));
            if was_seen != Some(false) {
                return Some(format!("row {row} is not a row, or named twice"));
            }
            // A batch that is damaged was named already.
            let StoredChange { record, .. } = self.change(row).ok()?;
            let id = record.id;
            let key = partition(run.table, record.created);
            if record.table != run.table || key.is_some_and(|key| key != run.partition) {
                return Some(format!("row {row} is of another table or partition"));
            }
            if before.is_some_and(|before| before >= (id, row)) {
                return Some(format!("row {row} is out of order"));
            }
            if id < run.least || id > run.greatest {
                return Some(format!("row {row} is outside the fences"));
            }
            if !filter::may_contain(filter, run.table, id) {
                return Some(format!("the filter denies row {row}"));
            }
            before = Some((id, row));
        }
        None
    }
}

fn end_of(footer: &Footer) -> u64 {
    let last = footer.batches.last().unwrap_or(&footer.schema);
    last.offset.saturating_add(last.length)
}
