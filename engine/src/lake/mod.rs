//! What the engine needs of a lake, in the terms of a storage account's block blobs, so that a local
//! folder, the emulator and an account are published to by one algorithm.

mod folder;

pub use folder::FolderLake;

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use crate::error::Result;

/// A part of a file that is being written.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Some bytes.
    Bytes(&'a [u8]),
    /// A range of an immutable, synced local file. A lake that can share it copies no bytes.
    Range {
        /// A name for the file that is unique within the lake.
        name: &'a str,
        /// The file.
        file: &'a Path,
        /// Where the range starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
        /// The CRC-32C of the range.
        crc32c: u32,
    },
}

/// A file or folder of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeEntry {
    /// The path from the filesystem's root, with `/` and without one in front.
    pub path: String,
    /// Whether it is a folder.
    pub is_directory: bool,
    /// Bytes of a file.
    pub length: u64,
    /// Changes whenever the content does.
    pub etag: String,
}

/// What publishing to a lake cost on the wire, in bytes of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// Bytes that the lake copied from files that it had.
    pub taken_over_bytes: u64,
    /// Bytes that a publication which was broken off had sent already.
    pub found_bytes: u64,
}

impl Traffic {
    /// What has come since.
    #[must_use]
    pub fn since(self, before: Traffic) -> Traffic {
        Traffic {
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            taken_over_bytes: self
                .taken_over_bytes
                .saturating_sub(before.taken_over_bytes),
            found_bytes: self.found_bytes.saturating_sub(before.found_bytes),
        }
    }
}

/// What a file would cost on the wire, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that would be sent.
    pub sent_bytes: u64,
    /// Bytes that the lake would copy from files that it has.
    pub taken_over_bytes: u64,
}

/// One filesystem of a lake. Paths use `/` and have none in front.
///
/// Whatever a method did is durable when it returns `Ok`.
pub trait Lake: Send + Sync {
    /// How a person would name this lake in a message.
    fn describe(&self) -> String;

    /// Creates the filesystem; `false` if it exists already.
    fn create(&self) -> Result<bool>;

    /// Creates a folder with its parents; it is fine if it exists.
    fn create_directory(&self, path: &str) -> Result<()>;

    /// Writes a file with its parents. Readers see the old content or the new, never a part; a
    /// reader that has the old one open reads it to its end.
    fn write(&self, path: &str, parts: &[Part<'_>], content_type: &str) -> Result<LakeEntry>;

    /// Replaces the file that names all others, in one step. A lake that several can write to replaces it only as this
    /// writer left it.
    fn publish(&self, path: &str, bytes: &[u8], content_type: &str) -> Result<LakeEntry> {
        self.write(path, &[Part::Bytes(bytes)], content_type)
    }

    /// Whether files that a publication left behind when it was broken off spare the next one work, so that they are
    /// removed after it and not before.
    fn takes_over(&self) -> bool {
        false
    }

    /// What a file of these parts would cost on the wire; `None` for a lake on this machine. Unless `exact` is given,
    /// nothing is read for it, and parts that are not known by their place count as to be sent.
    fn cost(&self, _parts: &[Part<'_>], _exact: bool) -> Result<Option<Cost>> {
        Ok(None)
    }

    /// Whether a file is made of these parts, as far as the lake can tell without handing out its content; `None` where
    /// it cannot.
    fn is_made_of(&self, _path: &str, _parts: &[Part<'_>]) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Until when the way to the lake is closed, in Unix seconds; `None` while it is open.
    fn closed_until(&self) -> Option<i64> {
        None
    }

    /// What went over the wire since the lake was made; `None` for a lake on this machine.
    fn traffic(&self) -> Option<Traffic> {
        None
    }

    /// Makes `to` a file with the content of `from`, replacing it whole. A lake that can share
    /// content copies no bytes.
    fn copy(&self, from: &str, to: &str) -> Result<()>;

    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file; it is fine if it is gone already.
    fn delete(&self, path: &str) -> Result<()>;

    /// Removes a folder with everything below it; it is fine if it is gone already.
    fn delete_directory(&self, path: &str) -> Result<()>;

    /// Removes the filesystem with everything in it; it is fine if it is gone already.
    fn destroy(&self) -> Result<()>;

    /// Everything below a folder, files and folders, sorted by path. `""` is the root.
    fn list(&self, path: &str) -> Result<Vec<LakeEntry>>;

    /// The content of a file; `None` if there is no such file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Opens a file as it is now, and so it stays for the reader; `None` if there is no such file.
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + Send>>>;

    /// What a path is; `None` if there is nothing.
    fn stat(&self, path: &str) -> Result<Option<LakeEntry>>;
}
