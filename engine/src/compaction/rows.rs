//! Writing one row of a block.

use uuid::Uuid;

use crate::clock::{TICKS_PER_SECOND, Ticks};
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

/// The sink times that were written last, as text: neighbouring rows mostly have one of a few.
#[derive(Default)]
pub(super) struct SinkTimes {
    /// The second and its text, at a place that the second tells.
    known: [Option<(i64, Vec<u8>)>; KNOWN_SECONDS],
}

const KNOWN_SECONDS: usize = 16;

impl SinkTimes {
    /// Appends a sink time with its comma.
    pub(super) fn write(&mut self, ticks: Ticks, out: &mut Vec<u8>) {
        let second = ticks.div_euclid(TICKS_PER_SECOND);
        let known = &mut self.known[second.rem_euclid(KNOWN_SECONDS as i64) as usize];
        match known {
            Some((of, text)) if *of == second => out.extend_from_slice(text),
            _ => {
                let start = out.len();
                write_sink_time(ticks, out);
                *known = Some((second, out[start..].to_vec()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_known_is_written_the_same() {
        let mut times = SinkTimes::default();
        let seconds = (0..200).map(|n| n * 7 % 40 - 20);
        for ticks in seconds.map(|second| second * TICKS_PER_SECOND + 5) {
            let (mut plain, mut known) = (Vec::new(), Vec::new());
            write_sink_time(ticks, &mut plain);
            times.write(ticks, &mut known);
            assert_eq!(plain, known);
        }
    }
}
