//! Measuring on the machine at hand, for `lakestage bench` and for the benches of the project.

mod load;
mod machine;
mod ratio;
mod snapshot;

pub use load::{Load, YEARS};
pub use machine::{Machine, raw, rest};
pub use ratio::{Dice, Goal, Line, by_turns, median, quotient, ratio_line};
pub use snapshot::{SnapshotBench, SnapshotFigures};
