//! Writing one row of a block.

use uuid::Uuid;

use crate::clock::Ticks;
use crate::value::write_us_time;

/// The cells of a row as the journal holds them, and the version that belongs among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    pub bytes: &'a [u8],
    pub version_offset: Option<u32>,
    pub version: u64,
}

impl Cells<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Some(offset) = self.version_offset else {
            out.extend_from_slice(self.bytes);
            return;
        };
        let (before, after) = self.bytes.split_at(offset as usize);
        out.extend_from_slice(before);
        out.extend_from_slice(itoa::Buffer::new().format(self.version).as_bytes());
        out.extend_from_slice(after);
    }
}

/// Appends `Id` with its comma.
pub(super) fn write_id(id: u128, out: &mut Vec<u8>) {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::from_u128(id).hyphenated().encode_lower(&mut buffer);
    out.extend_from_slice(text.as_bytes());
    out.push(b',');
}

/// Appends a sink time with its comma.
pub(super) fn write_sink_time(ticks: Ticks, out: &mut Vec<u8>) {
    out.push(b'"');
    write_us_time(ticks, out);
    out.extend_from_slice(b"\",");
}
