//! Structured bodies, `XSM/1.0; properties=crc64`: content in segments, each with its CRC-64.
//!
//! ```text
//! header   version 1 │ whole length u64 │ flags u16 │ segments u16
//! segment  number u16 │ length u64 │ content │ crc64 of the content
//! trailer  crc64 of all content
//! ```
//! Numbers are little-endian; the checksums are there when the lowest flag is set.

use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::request::Request;

/// What the header says that asks for such a body or has one.
pub(crate) const FORM: &str = "XSM/1.0; properties=crc64";
const VERSION: u8 = 1;
const FLAG_CRC64: u16 = 1;
const HEADER_BYTES: usize = 13;
const SEGMENT_HEADER_BYTES: usize = 10;
const CRC64_BYTES: usize = 8;
/// Content of a segment that is written here.
pub(crate) const SEGMENT_BYTES: u64 = 4 << 20;

/// Whether a request has, or wants, a structured body.
pub(crate) fn is_wanted(request: &Request) -> Result<bool> {
    let name = "x-ms-structured-body";
    match request.header(name)? {
        None => Ok(false),
        Some(form)
            if form
                .replace(' ', "")
                .eq_ignore_ascii_case(&FORM.replace(' ', "")) =>
        {
            Ok(true)
        }
        Some(other) => Err(StoreError::invalid_header(name, other)),
    }
}

fn invalid(reason: &str) -> StoreError {
    StoreError::with_message(
        ErrorCode::InvalidInput,
        format!("The structured body is not valid: {reason}."),
    )
}

fn crc64() -> Digest {
    Digest::new(CrcAlgorithm::Crc64Nvme)
}

enum State {
    Header,
    SegmentHeader,
    Content { left: u64 },
    SegmentChecksum,
    Trailer,
    End,
}

/// Reads a structured body as it arrives.
pub(crate) struct Decoder {
    state: State,
    /// Of a header or checksum that has not arrived whole.
    partial: Vec<u8>,
    has_crc64: bool,
    length_announced: u64,
    segments: u16,
    segment: u16,
    segment_crc64: Digest,
    crc64: Digest,
    received: u64,
    content: u64,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Header,
            partial: Vec::new(),
            has_crc64: false,
            length_announced: 0,
            segments: 0,
            segment: 0,
            segment_crc64: crc64(),
            crc64: crc64(),
            received: 0,
            content: 0,
        }
    }

    /// Takes bytes, and hands content on.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        mut content: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.received += bytes.len() as u64;
        loop {
            if let State::Content { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (run, rest) = bytes.split_at(here);
                self.segment_crc64.update(run);
                self.crc64.update(run);
                self.content += run.len() as u64;
                content(run)?;
                bytes = rest;
                match left - run.len() as u64 {
                    0 => self.state = self.after_content(),
                    left => {
                        self.state = State::Content { left };
                        return Ok(());
                    }
                }
                continue;
            }
            let wanted = match self.state {
                State::Header => HEADER_BYTES,
                State::SegmentHeader => SEGMENT_HEADER_BYTES,
                State::SegmentChecksum | State::Trailer => CRC64_BYTES,
                State::Content { .. } => 0,
                State::End if bytes.is_empty() => return Ok(()),
                State::End => return Err(invalid("it goes on behind its end")),
            };
            let here = (wanted - self.partial.len()).min(bytes.len());
            let (run, rest) = bytes.split_at(here);
            self.partial.extend_from_slice(run);
            bytes = rest;
            if self.partial.len() < wanted {
                return Ok(());
            }
            let field = std::mem::take(&mut self.partial);
            self.field(&field)?;
        }
    }

    fn after_content(&self) -> State {
        match self.has_crc64 {
            true => State::SegmentChecksum,
            false => self.after_segment(),
        }
    }

    fn after_segment(&self) -> State {
        match (self.segment < self.segments, self.has_crc64) {
            (true, _) => State::SegmentHeader,
            (false, true) => State::Trailer,
            (false, false) => State::End,
        }
    }

    fn field(&mut self, field: &[u8]) -> Result<()> {
        self.state = match self.state {
            State::Header => {
                if field.first() != Some(&VERSION) {
                    return Err(invalid("its version is not 1"));
                }
                self.length_announced = number(field, 1, 8);
                let flags = number(field, 9, 2) as u16;
                if flags & !FLAG_CRC64 != 0 {
                    return Err(invalid("it has flags that are not known"));
                }
                self.has_crc64 = flags != 0;
                self.segments = number(field, 11, 2) as u16;
                self.after_segment()
            }
            State::SegmentHeader => {
                self.segment += 1;
                if number(field, 0, 2) != u64::from(self.segment) {
                    return Err(invalid("its segments are not in order"));
                }
                self.segment_crc64 = crc64();
                match number(field, 2, 8) {
                    0 => self.after_content(),
                    left => State::Content { left },
                }
            }
            State::SegmentChecksum => {
                checked(self.segment_crc64.finalize(), field)?;
                self.after_segment()
            }
            State::Trailer => {
                checked(self.crc64.finalize(), field)?;
                State::End
            }
            State::Content { .. } | State::End => State::End,
        };
        Ok(())
    }

    /// Checks that it came whole, and gives the content's length.
    pub(crate) fn finish(&self) -> Result<u64> {
        match self.state {
            State::End if self.received == self.length_announced => Ok(self.content),
            State::End => Err(invalid("its length is not the one it announces")),
            _ => Err(invalid("it ends early")),
        }
    }
}

fn number(field: &[u8], from: usize, length: usize) -> u64 {
    let bytes = field.get(from..from + length).unwrap_or_default();
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn checked(computed: u64, sent: &[u8]) -> Result<()> {
    match computed.to_le_bytes() == sent {
        true => Ok(()),
        false => Err(ErrorCode::Crc64Mismatch.into()),
    }
}

/// Writes a structured body piece by piece.
pub(crate) struct Encoder {
    content: u64,
    segment: u16,
    crc64: Digest,
}

fn segments_of(content: u64) -> u64 {
    content.div_ceil(SEGMENT_BYTES)
}

/// Bytes of a structured body with that much content.
pub(crate) fn encoded_length(content: u64) -> u64 {
    let around = (SEGMENT_HEADER_BYTES + CRC64_BYTES) as u64;
    (HEADER_BYTES + CRC64_BYTES) as u64 + segments_of(content) * around + content
}

impl Encoder {
    /// `content` has at most 65,535 segments of 4 MiB.
    pub(crate) fn new(content: u64) -> Result<Self> {
        match u16::try_from(segments_of(content)) {
            Ok(_) => Ok(Self {
                content,
                segment: 0,
                crc64: crc64(),
            }),
            Err(_) => Err(ErrorCode::OutOfRangeInput.into()),
        }
    }

    pub(crate) fn header(&self) -> Vec<u8> {
        let mut header = vec![VERSION];
        header.extend_from_slice(&encoded_length(self.content).to_le_bytes());
        header.extend_from_slice(&FLAG_CRC64.to_le_bytes());
        header.extend_from_slice(&(segments_of(self.content) as u16).to_le_bytes());
        header
    }

    /// The next segment, of at most [`SEGMENT_BYTES`].
    pub(crate) fn segment(&mut self, content: &[u8]) -> Vec<u8> {
        self.segment += 1;
        self.crc64.update(content);
        let mut segment = Vec::with_capacity(SEGMENT_HEADER_BYTES + content.len() + CRC64_BYTES);
        segment.extend_from_slice(&self.segment.to_le_bytes());
        segment.extend_from_slice(&(content.len() as u64).to_le_bytes());
        segment.extend_from_slice(content);
        let crc64 = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, content);
        segment.extend_from_slice(&crc64.to_le_bytes());
        segment
    }

    pub(crate) fn trailer(self) -> Vec<u8> {
        self.crc64.finalize().to_le_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn encoded(content: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(content.len() as u64).unwrap();
        let mut body = encoder.header();
        for segment in content.chunks(SEGMENT_BYTES as usize) {
            body.extend(encoder.segment(segment));
        }
        body.extend(encoder.trailer());
        assert_eq!(body.len() as u64, encoded_length(content.len() as u64));
        body
    }

    fn decoded(body: &[u8], step: usize) -> Result<Vec<u8>> {
        let mut decoder = Decoder::new();
        let mut content = Vec::new();
        for chunk in body.chunks(step) {
            decoder.push(chunk, |run| {
                content.extend_from_slice(run);
                Ok(())
            })?;
        }
        assert_eq!(decoder.finish()?, content.len() as u64);
        Ok(content)
    }

    #[test]
    fn structured_bodies_are_read_as_they_are_written_however_they_arrive() {
        for content in [
            &b""[..],
            b"Hello Azure!",
            &vec![7; SEGMENT_BYTES as usize + 5],
        ] {
            let body = encoded(content);
            for step in [1, 7, 4_096, body.len()] {
                if step > 1 || body.len() < 100 {
                    assert_eq!(decoded(&body, step).unwrap(), content);
                }
            }
        }
    }

    #[test]
    fn a_structured_body_with_any_byte_changed_or_missing_is_refused() {
        let body = encoded(b"Hello Azure!");
        for at in 0..body.len() {
            let mut damaged = body.clone();
            damaged[at] ^= 2;
            assert!(decoded(&damaged, 9).is_err(), "byte {at}");
            assert!(decoded(&body[..at], 9).is_err(), "cut at {at}");
        }
    }
}
