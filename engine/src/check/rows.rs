//! The rows of a block.

use crate::block::BlockEntry;
use crate::catalog::LayoutEntry;
use crate::compaction::Mode;
use crate::row::{Cells, RowsIn, id_of, split_head};
use crate::schema::SYSTEM_COLUMNS;

/// What the rows of a block must obey.
pub(crate) struct BlockRules<'a> {
    pub layout: &'a LayoutEntry,
    pub partition: &'a str,
    /// The version up to which changes stand in blocks.
    pub version: u64,
}

/// The first rule that the rows of a block break.
pub(crate) fn block_fault(
    block: &BlockEntry,
    bytes: &[u8],
    rules: &BlockRules<'_>,
) -> Option<String> {
    let in_place = rules.layout.layout.mode == Mode::InPlace;
    let mut rows = 0u32;
    let mut first = None;
    let mut before: Option<u128> = None;
    for row in RowsIn::block(bytes) {
        let Some(id) = id_of(row) else {
            return Some(format!("row {rows} does not begin with an id"));
        };
        if in_place && before.is_some_and(|before| before >= id) {
            return Some(format!("row {rows} is out of order"));
        }
        if in_place && !block.may_contain(id) {
            return Some(format!("the fences or the filter deny row {rows}"));
        }
        if let Some(rule) = row_fault(row, rules) {
            return Some(format!("row {rows} {rule}"));
        }
        first.get_or_insert(id);
        before = Some(id);
        rows += 1;
    }
    if rows != block.rows {
        return Some(format!(
            "it holds {rows} rows, and its manifest says {}",
            block.rows
        ));
    }
    if first != Some(block.first) || before != Some(block.last) {
        return Some("its first or last id is not the one that its manifest says".to_owned());
    }
    None
}

/// What is wrong with a row. Rows from before a column was added are shorter.
fn row_fault(row: &[u8], rules: &BlockRules<'_>) -> Option<String> {
    let Some((_, cells)) = split_head(row) else {
        return Some("has no sink times".to_owned());
    };
    let in_place = rules.layout.layout.mode == Mode::InPlace;
    let columns = rules.layout.columns + usize::from(!in_place);
    let ranges: Vec<_> = Cells::of(cells).collect();
    if ranges.len() > columns {
        let (found, most) = (
            ranges.len() + SYSTEM_COLUMNS.len(),
            columns + SYSTEM_COLUMNS.len(),
        );
        return Some(format!(
            "of partition {} has {found} cells, and {most} are the most",
            rules.partition
        ));
    }
    let version_at = rules.layout.version_position?;
    let behind = !in_place && version_at >= rules.layout.is_delete_position;
    let range = ranges.get(version_at + usize::from(behind))?.clone();
    let text = std::str::from_utf8(&cells[range]).unwrap_or_default();
    match text.parse::<u64>() {
        Ok(version) if version <= rules.version => None,
        // A row from before the table had the column.
        Err(_) if text.is_empty() => None,
        _ => Some(format!(
            "has the version \"{text}\", which was not given yet"
        )),
    }
}
