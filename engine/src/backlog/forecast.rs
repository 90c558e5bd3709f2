//! What a publication would do, before it does it.

use std::collections::HashSet;

use serde::Serialize;

use crate::block::Extent;
use crate::clock::TICKS_PER_SECOND;
use crate::environment::{Environment, State};
use crate::error::Result;
use crate::lake::{Cost, Lake};
use crate::link;
use crate::publish::planned_files;

/// How closely a forecast looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForecastDepth {
    /// What stands in blocks by now; nothing is merged, read or asked. Content that stands in a new place counts as to
    /// be sent.
    Blocks,
    /// Everything that is committed; nothing is asked, and content is not read. It is merged into blocks.
    Here,
    /// The lake is asked whether it shows what it should, and content that is not known by its place is read.
    Lake,
}

/// What publishing a link would send now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The snapshots that would become visible, in their order.
    pub snapshots: Vec<ForecastSnapshot>,
    /// Bytes that would be sent; `None` where the lake is on this machine.
    pub sent_bytes: Option<u64>,
    /// Bytes that the lake would copy from what it has.
    pub taken_over_bytes: u64,
}

/// A snapshot that would become visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastSnapshot {
    /// When it was taken, in Unix seconds.
    pub unix_s: i64,
    /// Every change up to this version is in it.
    pub version: u64,
    /// The data files that it would write.
    pub files: Vec<ForecastFile>,
}

/// A data file that would be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastFile {
    /// Its path.
    pub path: String,
    /// Its length; of a Parquet file that of its CSV file, since it is not made yet.
    pub bytes: u64,
    /// Bytes of it that would be sent; `None` where the lake is on this machine.
    pub sent_bytes: Option<u64>,
}

impl Environment {
    /// What publishing a link would do now: what waits, and then what is new. Nothing is published and nothing taken.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; what the lake or the disk answered otherwise.
    pub fn forecast(&self, link: &str, lake: &dyn Lake, depth: ForecastDepth) -> Result<Forecast> {
        let look = depth == ForecastDepth::Lake;
        let _packs = self.hold_packs();
        let now = match depth {
            ForecastDepth::Blocks => self.state(),
            ForecastDepth::Here | ForecastDepth::Lake => self.fold()?,
        };
        let entry = link::find(&now, link)?;
        if entry.incremental.is_some() {
            return Ok(Forecast::default());
        }
        let mut shown = entry.clone();
        let mut seen = HashSet::new();
        let mut forecast = Forecast::default();
        let backlog = now.catalog.backlogs.get(link);
        let waiting = backlog.map(|b| b.waiting.clone()).unwrap_or_default();
        for waiting in waiting.iter().filter(|w| w.version >= entry.last_version) {
            let state = self.state_at(link, waiting)?;
            self.add(
                &state,
                waiting.taken,
                (&mut shown, lake, look),
                &mut seen,
                &mut forecast,
            )?;
        }
        let taken = self.inner.clock.now_ticks();
        self.add(
            &now,
            taken,
            (&mut shown, lake, look),
            &mut seen,
            &mut forecast,
        )?;
        Ok(forecast)
    }

    fn add(
        &self,
        state: &State,
        taken: i64,
        (shown, lake, look): (&mut link::LinkEntry, &dyn Lake, bool),
        seen: &mut HashSet<Extent>,
        forecast: &mut Forecast,
    ) -> Result<()> {
        // What is only planned so far cannot be there.
        let looked_at = (look && forecast.snapshots.is_empty()).then_some(lake);
        let Some(planned) = planned_files(self, state, shown, looked_at, taken)? else {
            return Ok(());
        };
        let mut files = Vec::with_capacity(planned.files.len());
        for file in &planned.files {
            let cost = self.cost(file, lake, look, seen)?;
            if let Some(cost) = cost {
                *forecast.sent_bytes.get_or_insert(0) += cost.sent_bytes;
                forecast.taken_over_bytes += cost.taken_over_bytes;
            }
            files.push(ForecastFile {
                path: file.path.clone(),
                bytes: file.file.entry.bytes,
                sent_bytes: cost.map(|cost| cost.sent_bytes),
            });
        }
        forecast.snapshots.push(ForecastSnapshot {
            unix_s: taken.div_euclid(TICKS_PER_SECOND),
            version: state.catalog.folded_version,
            files,
        });
        *shown = planned.link;
        Ok(())
    }

    /// What a file costs after those before it; blocks that those bring are copied from them.
    fn cost(
        &self,
        file: &crate::publish::NewFile,
        lake: &dyn Lake,
        look: bool,
        seen: &mut HashSet<Extent>,
    ) -> Result<Option<Cost>> {
        if file.is_parquet() {
            // It is made anew, and shares nothing.
            let cost = lake.cost(&[], false)?;
            return Ok(cost.map(|cost| Cost {
                sent_bytes: file.file.entry.bytes,
                ..cost
            }));
        }
        let mut extents = file.extents(self)?;
        let all: u64 = extents.iter().map(|extent| extent.length).sum();
        extents.retain(|extent| seen.insert(*extent));
        let new: u64 = extents.iter().map(|extent| extent.length).sum();
        let cost = file.with_parts(self, &extents, |parts| lake.cost(parts, look))?;
        Ok(cost.map(|cost| Cost {
            taken_over_bytes: cost.taken_over_bytes + (all - new),
            ..cost
        }))
    }
}
