//! Checksums of bodies: compared with what the client sent, and answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use md5::{Digest as _, Md5};

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::common::{BODY_MAX_BYTES, Call};
use crate::protocol::customer_key;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::structured::{self, FORM};
use crate::store::body::Body;

/// Which checksums an operation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Those that the client sent, as DFS does.
    Sent,
    /// The CRC-64, unless the client sent an MD5, as blocks do.
    Crc64,
    /// Both, as Put Blob does.
    Both,
}

struct Checksum<D> {
    sent: Option<String>,
    digest: D,
}

/// Checksums of a body that is being read.
pub(crate) struct Checksums {
    md5: Option<Checksum<Md5>>,
    crc64: Option<Checksum<Digest>>,
}

/// The checksums of a body, as headers have them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub md5: Option<String>,
    pub crc64: Option<String>,
    /// The body came in segments; clients insist on hearing so.
    pub structured: bool,
}

impl Sums {
    /// Adds them to an answer.
    pub(crate) fn answer(&self, reply: Reply) -> Reply {
        reply
            .with_optional("content-md5", self.md5.as_deref())
            .with_optional("x-ms-content-crc64", self.crc64.as_deref())
            .with_optional("x-ms-structured-body", self.structured.then_some(FORM))
    }
}

impl Checksums {
    /// Those of a source, answered as those of a block are: the CRC-64, unless an MD5 is expected.
    pub(crate) fn expecting(md5: Option<&str>, crc64: Option<&str>) -> Self {
        Self {
            md5: md5.map(|sent| Checksum {
                sent: Some(sent.to_owned()),
                digest: Md5::new(),
            }),
            crc64: (crc64.is_some() || md5.is_none()).then(|| Checksum {
                sent: crc64.map(str::to_owned),
                digest: Digest::new(CrcAlgorithm::Crc64Nvme),
            }),
        }
    }

    /// Reads `Content-MD5` and `x-ms-content-crc64`.
    fn of(request: &Request, answered: Answered) -> Result<Self> {
        let md5 = request.header("content-md5")?.map(str::to_owned);
        if let Some(text) = &md5
            && STANDARD.decode(text).map_or(0, |bytes| bytes.len()) != 16
        {
            return Err(ErrorCode::InvalidMd5.into());
        }
        let crc64 = request.header("x-ms-content-crc64")?.map(str::to_owned);
        let wants_md5 = md5.is_some() || answered == Answered::Both;
        let wants_crc64 = match answered {
            Answered::Sent => crc64.is_some(),
            Answered::Crc64 => crc64.is_some() || md5.is_none(),
            Answered::Both => true,
        };
        Ok(Self {
            md5: wants_md5.then(|| Checksum {
                sent: md5,
                digest: Md5::new(),
            }),
            crc64: wants_crc64.then(|| Checksum {
                sent: crc64,
                digest: Digest::new(CrcAlgorithm::Crc64Nvme),
            }),
        })
    }

    pub(crate) fn see(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.digest.update(bytes);
        }
        if let Some(crc64) = &mut self.crc64 {
            crc64.digest.update(bytes);
        }
    }

    /// Compares with what was sent.
    pub(crate) fn check(self) -> Result<Sums> {
        let mut sums = Sums::default();
        if let Some(Checksum { sent, digest }) = self.md5 {
            let computed = STANDARD.encode(digest.finalize());
            if let Some(sent) = sent.filter(|sent| *sent != computed) {
                return Err(StoreError::code(ErrorCode::Md5Mismatch)
                    .element("UserSpecifiedMd5", &sent)
                    .element("ServerCalculatedMd5", &computed));
            }
            sums.md5 = Some(computed);
        }
        if let Some(Checksum { sent, digest }) = self.crc64 {
            let computed = crc64_text(digest.finalize());
            if let Some(sent) = sent.filter(|sent| *sent != computed) {
                return Err(StoreError::code(ErrorCode::Crc64Mismatch)
                    .element("UserSpecifiedCrc", &sent)
                    .element("ServerCalculatedCrc", &computed));
            }
            sums.crc64 = Some(computed);
        }
        Ok(sums)
    }
}

/// CRC-64/NVME as the service writes it: base64 of the bytes from the least significant on.
fn crc64_text(crc64: u64) -> String {
    STANDARD.encode(crc64.to_le_bytes())
}

/// The CRC-64 of bytes at hand.
pub(crate) fn crc64_of(bytes: &[u8]) -> String {
    crc64_text(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes))
}

impl Call<'_> {
    /// Stores the body, checks it against the checksums that came with it, and gives those to answer.
    pub(crate) fn store_body(&mut self, answered: Answered) -> Result<(Body, Sums)> {
        let mut sums = Checksums::of(self.request, answered)?;
        let length = self.request.content_length();
        let structured = structured::is_wanted(self.request)?;
        let writer = self.store.body_writer(customer_key::of(self.request)?);
        let see = |bytes: &[u8]| sums.see(bytes);
        let body = match structured {
            false => self.body.store(writer, length, BODY_MAX_BYTES, see)?,
            true => self.body.store_structured(writer, BODY_MAX_BYTES, see)?,
        };
        let name = "x-ms-structured-content-length";
        if let (true, Some(announced)) = (structured, self.request.header(name)?)
            && announced.parse() != Ok(body.length)
        {
            return Err(StoreError::invalid_header(name, announced));
        }
        let sums = sums.check()?;
        Ok((body, Sums { structured, ..sums }))
    }
}

#[cfg(test)]
mod tests {
    use super::crc64_of;

    #[test]
    fn the_crc64_is_the_one_that_clients_compute() {
        assert_eq!(crc64_of(b"Hello Azure!"), "DtjZpL9/o8c=");
        assert_eq!(crc64_of(b""), "AAAAAAAAAAA=");
    }
}
