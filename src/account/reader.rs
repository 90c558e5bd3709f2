//! Reading a file of the account as it comes.

use std::io::{self, Read};
use std::sync::Arc;

use azure_core::Bytes;
use azure_core::http::response::AsyncResponseBody;
use futures::StreamExt as _;
use tokio::runtime::Runtime;

/// One answer of the account; what comes later belongs to the same content.
pub(super) struct BodyReader {
    pub runtime: Arc<Runtime>,
    pub body: AsyncResponseBody,
    pub chunk: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.body.next()) {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
        }
        let length = into.len().min(self.chunk.len());
        into[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
