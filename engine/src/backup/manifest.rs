//! What a backup holds.

use serde::{Deserialize, Serialize};

use crate::catalog::FileEntry;
use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::segment::SegmentEntry;

/// The name of the manifest in a backup; it comes last.
pub(super) const MANIFEST_FILE: &str = "backup.json";
const FORMAT: u32 = 1;

/// The manifest as it is written: its own checksum beside it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    crc32c: u32,
    /// The manifest as text, so that its bytes are what the checksum covers.
    manifest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub format: u32,
    pub environment: String,
    /// Every change up to this version is in the backup, and none after.
    pub version: u64,
    pub unix_s: i64,
    pub catalog: FileEntry,
    pub segments: Vec<SegmentEntry>,
    /// Consumers of the change feed as the journal keeps them, and what it knows of versions.
    pub consumers: Vec<(String, String)>,
    pub files: Vec<SavedFile>,
}

/// A file of the backup, by its path from the environment's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedFile {
    pub path: String,
    pub bytes: u64,
    pub crc32c: u32,
}

impl Manifest {
    pub(super) fn format() -> u32 {
        FORMAT
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let wrong = |e| Error::invalid(format!("the manifest cannot be written: {e}"));
        let manifest = serde_json::to_string(self).map_err(wrong)?;
        let sealed = Sealed {
            crc32c: crc32c(&[manifest.as_bytes()]),
            manifest,
        };
        serde_json::to_vec(&sealed).map_err(wrong)
    }

    /// Reads a manifest back; the error is what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let sealed: Sealed = serde_json::from_slice(bytes)
            .map_err(|e| format!("the manifest does not parse: {e}"))?;
        if crc32c(&[sealed.manifest.as_bytes()]) != sealed.crc32c {
            return Err("the manifest fails its checksum".to_owned());
        }
        let manifest: Manifest = serde_json::from_str(&sealed.manifest)
            .map_err(|e| format!("the manifest does not parse: {e}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "the backup has format {}, and this version of lakestage reads format {FORMAT}",
                manifest.format
            ));
        }
        let is_inside = |file: &SavedFile| {
            let parts: Vec<&str> = file.path.split('/').collect();
            let folders = ["catalog", "packs", "segments"];
            parts.len() == 2 && folders.contains(&parts[0]) && !["", ".", ".."].contains(&parts[1])
        };
        match manifest.files.iter().find(|file| !is_inside(file)) {
            Some(file) => Err(format!(
                "the file {} is none of an environment's",
                file.path
            )),
            None => Ok(manifest),
        }
    }
}
