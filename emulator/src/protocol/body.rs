//! A request's body, read as it arrives.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::Receiver;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::structured::Decoder;
use crate::store::BodyWriter;
use crate::store::body::Body;

/// What is read of a body that nobody wants, so that the client gets to see the answer.
const DRAINED_BYTES_MAX: u64 = 64 << 20;

/// A body that comes through a channel, or is there already.
pub(crate) struct RequestBody {
    chunks: Chunks,
    current: Bytes,
}

enum Chunks {
    Coming(Receiver<io::Result<Bytes>>),
    Here(std::vec::IntoIter<io::Result<Bytes>>),
}

impl RequestBody {
    pub(crate) fn new(chunks: Receiver<io::Result<Bytes>>) -> Self {
        Self {
            chunks: Chunks::Coming(chunks),
            current: Bytes::new(),
        }
    }

    pub(crate) fn gathered(chunks: Vec<io::Result<Bytes>>) -> Self {
        Self {
            chunks: Chunks::Here(chunks.into_iter()),
            current: Bytes::new(),
        }
    }

    pub(crate) fn empty() -> Self {
        Self::gathered(Vec::new())
    }

    /// All of it, where it may be `bytes_max` long.
    pub(crate) fn read_all(&mut self, bytes_max: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(StoreError::Source)?;
        match bytes.len() as u64 > bytes_max {
            true => Err(ErrorCode::RequestBodyTooLarge.into()),
            false => Ok(bytes),
        }
    }

    /// Stores it by `writer`, and lets `see` have a look at the bytes as they pass.
    pub(crate) fn store(
        &mut self,
        mut writer: BodyWriter,
        length_expected: Option<u64>,
        bytes_max: u64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Body> {
        let mut length = 0_u64;
        while let Some(chunk) = self.next_chunk().map_err(StoreError::Source)? {
            length += chunk.len() as u64;
            if length > bytes_max {
                return Err(ErrorCode::RequestBodyTooLarge.into());
            }
            see(&chunk);
            writer.push(&chunk)?;
        }
        match length_expected {
            Some(expected) if expected != length => Err(StoreError::with_message(
                ErrorCode::InvalidInput,
                format!("The body has {length} bytes and Content-Length says {expected}."),
            )),
            _ => writer.finish(),
        }
    }

    /// As [`RequestBody::store`], of a body in segments; what is stored, and seen, is its content.
    pub(crate) fn store_structured(
        &mut self,
        mut writer: BodyWriter,
        bytes_max: u64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Body> {
        let mut decoder = Decoder::new();
        let mut length = 0_u64;
        while let Some(chunk) = self.next_chunk().map_err(StoreError::Source)? {
            length += chunk.len() as u64;
            if length > bytes_max {
                return Err(ErrorCode::RequestBodyTooLarge.into());
            }
            decoder.push(&chunk, |run| {
                see(run);
                writer.push(run)
            })?;
        }
        decoder.finish()?;
        writer.finish()
    }

    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.current.has_remaining() {
            return Ok(Some(std::mem::take(&mut self.current)));
        }
        let chunk = match &mut self.chunks {
            Chunks::Coming(chunks) => chunks.blocking_recv(),
            Chunks::Here(chunks) => chunks.next(),
        };
        chunk.transpose()
    }

    /// Reads on after a refusal, within reason.
    pub(crate) fn drain(&mut self) {
        let mut left = DRAINED_BYTES_MAX;
        while let Ok(Some(chunk)) = self.next_chunk() {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    }
}

impl Read for RequestBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.current.has_remaining() {
            match self.next_chunk()? {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        if let Some(target) = buffer.get_mut(..length) {
            self.current.copy_to_slice(target);
        }
        Ok(length)
    }
}
