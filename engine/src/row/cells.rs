//! Finding rows in a block and cells in a row, without copying either.

use std::ops::Range;

use uuid::Uuid;

use crate::clock::Ticks;
use crate::schema::DateTimeBehavior;
use crate::value::{Value, parse_ticks};

/// The length of a GUID as text; every row of a block starts with one, bare.
const ID_TEXT_LENGTH: usize = 36;

/// The byte ranges of a row's cells, quotes included.
pub(crate) struct Cells<'a> {
    row: &'a [u8],
    next: Option<usize>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(row: &'a [u8]) -> Self {
        Cells { row, next: Some(0) }
    }
}

impl Iterator for Cells<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next?;
        let end = cell_end(self.row, start);
        self.next = (end < self.row.len()).then_some(end + 1);
        Some(start..end)
    }
}

/// Where the cell that starts at `start` ends: at a comma outside quotes, or at the row's end.
fn cell_end(row: &[u8], start: usize) -> usize {
    let mut at = start;
    if row.get(at) == Some(&b'"') {
        at += 1;
        loop {
            match memchr::memchr(b'"', &row[at..]) {
                None => return row.len(),
                Some(n) if row.get(at + n + 1) == Some(&b'"') => at += n + 2,
                Some(n) => {
                    at += n + 1;
                    break;
                }
            }
        }
    }
    memchr::memchr(b',', &row[at..]).map_or(row.len(), |n| at + n)
}

/// The rows of a block, one after the other, without their line ends, whichever those are: outside
/// quotes no cell has a carriage return.
pub(crate) struct RowsIn<'a> {
    block: &'a [u8],
}

impl<'a> RowsIn<'a> {
    pub(crate) fn block(block: &'a [u8]) -> Self {
        RowsIn { block }
    }
}

impl<'a> Iterator for RowsIn<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.block.is_empty() {
            return None;
        }
        let end = row_end(self.block);
        let row = &self.block[..end];
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        self.block = self.block.get(end + 1..).unwrap_or_default();
        Some(row)
    }
}

/// Where the first row ends: at a line feed outside quotes. Quotes inside a text are doubled, so
/// that counting them is enough.
fn row_end(block: &[u8]) -> usize {
    let mut quoted = false;
    for at in memchr::memchr2_iter(b'"', b'\n', block) {
        if block[at] == b'"' {
            quoted = !quoted;
        } else if !quoted {
            return at;
        }
    }
    block.len()
}

/// The id that a row of a block starts with.
pub(crate) fn id_of(row: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(row.get(..ID_TEXT_LENGTH)?).ok()?;
    Uuid::try_parse(text).ok().map(|id| id.as_u128())
}

/// Cuts a row of a block after `SinkCreatedOn` and after `SinkModifiedOn`: the text of
/// `SinkCreatedOn` with its quotes, and the cells of the attributes.
pub(crate) fn split_head(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let created = row.get(ID_TEXT_LENGTH + 1..)?;
    let comma = memchr::memchr(b',', created)?;
    let modified = &created[comma + 1..];
    let second = memchr::memchr(b',', modified)?;
    Some((&created[..comma], &modified[second + 1..]))
}

/// Reads the cell of `createdon` back.
pub(crate) fn created_ticks(cell: &[u8]) -> Option<Ticks> {
    let text = std::str::from_utf8(cell).ok()?.trim_matches('"');
    if text.is_empty() {
        return None;
    }
    parse_ticks(Value::Text(text), DateTimeBehavior::UserLocal).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cells(row: &str) -> Vec<&str> {
        Cells::of(row.as_bytes()).map(|r| &row[r]).collect()
    }

    #[test]
    fn cells_end_at_commas_outside_quotes() {
        assert_eq!(
            cells("a,,\"b,\"\"c\"\n\",1"),
            ["a", "", "\"b,\"\"c\"\n\"", "1"]
        );
        assert_eq!(cells("a,"), ["a", ""]);
        assert_eq!(cells(""), [""]);
    }

    #[test]
    fn rows_end_at_line_feeds_outside_quotes() {
        let block = b"a,\"x\ny\"\nb,\"\"\"\n\"\"\"\n";
        let rows: Vec<_> = RowsIn::block(block).collect();
        assert_eq!(rows, [&b"a,\"x\ny\""[..], b"b,\"\"\"\n\"\"\""]);
        let block = b"a,\"x\r\ny\"\r\nb,\r\n";
        let rows: Vec<_> = RowsIn::block(block).collect();
        assert_eq!(rows, [&b"a,\"x\r\ny\""[..], b"b,"]);
    }

    #[test]
    fn the_head_is_cut_behind_the_sink_columns() {
        let row = b"8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b,\"1/2/2021 1:00:00 AM\",\"2/2/2021 1:00:00 AM\",1,\"a,b\"";
        let (created, rest) = split_head(row).unwrap();
        assert_eq!(created, b"\"1/2/2021 1:00:00 AM\"");
        assert_eq!(rest, b"1,\"a,b\"");
    }
}
