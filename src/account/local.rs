//! The parts of a file that is to be sent.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use azure_core::Bytes;
use crc_fast::CrcAlgorithm::Crc32Iscsi;
use lakestage_engine::Part;

use super::failure::{Failure, Result};
use super::known::Origin;

/// A part that outlives the call which names it, so that it can be sent beside others.
#[derive(Debug, Clone)]
pub(super) enum LocalPart {
    Bytes(Bytes),
    Range {
        origin: Origin,
        file: PathBuf,
        crc32c: u32,
    },
}

impl From<&Part<'_>> for LocalPart {
    fn from(part: &Part<'_>) -> Self {
        match *part {
            Part::Bytes(bytes) => LocalPart::Bytes(Bytes::copy_from_slice(bytes)),
            Part::Range {
                name,
                file,
                offset,
                length,
                crc32c,
            } => LocalPart::Range {
                origin: Origin {
                    name: name.to_owned(),
                    offset,
                    length,
                },
                file: file.to_owned(),
                crc32c,
            },
        }
    }
}

impl LocalPart {
    pub(super) fn origin(&self) -> Option<Origin> {
        match self {
            LocalPart::Bytes(_) => None,
            LocalPart::Range { origin, .. } => Some(origin.clone()),
        }
    }

    /// Bytes of it.
    pub(super) fn length(&self) -> u64 {
        match self {
            LocalPart::Bytes(bytes) => bytes.len() as u64,
            LocalPart::Range { origin, .. } => origin.length,
        }
    }

    /// The bytes, if they are what was written once.
    pub(super) fn read(&self) -> Result<Bytes> {
        match self {
            LocalPart::Bytes(bytes) => Ok(bytes.clone()),
            LocalPart::Range {
                origin,
                file,
                crc32c,
            } => {
                let length = usize::try_from(origin.length)
                    .map_err(|_| Failure::Answer("a part is larger than the memory".into()))?;
                let mut bytes = vec![0; length];
                File::open(file)?.read_exact_at(&mut bytes, origin.offset)?;
                if crc_fast::checksum(Crc32Iscsi, &bytes) != u64::from(*crc32c) {
                    return Err(Failure::Damaged {
                        file: file.clone(),
                        offset: origin.offset,
                        length: origin.length,
                    });
                }
                Ok(bytes.into())
            }
        }
    }

    /// The bytes of parts that stand one behind the other, read where it keeps nobody waiting.
    pub(super) async fn read_all(parts: Vec<LocalPart>) -> Result<Bytes> {
        let reading = tokio::task::spawn_blocking(move || {
            if let [only] = &parts[..] {
                return only.read();
            }
            let mut all = Vec::new();
            for part in &parts {
                all.extend_from_slice(&part.read()?);
            }
            Ok(Bytes::from(all))
        });
        reading
            .await
            .map_err(|error| Failure::Answer(format!("reading was broken off: {error}")))?
    }
}
