//! The `lakestage` command.

fn main() {}
