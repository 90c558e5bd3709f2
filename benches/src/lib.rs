//! What the benches share: rounds in turn, medians, and the lines that say whether a promise holds.
//!
//! The command measures in the same way, so it stands with the command.

pub use lakestage::bench::{Dice, Goal, Line, by_turns, median, quotient, ratio_line, rest};
