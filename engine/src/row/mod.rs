//! A row: checked, rendered once, and from then on only copied.

mod cells;
mod plan;

pub(crate) use cells::{Cells, RowsIn, created_ticks, id_of, split_head};
pub(crate) use plan::{RowPlan, Scratch};
