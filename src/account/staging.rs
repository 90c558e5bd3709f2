//! What was sent of a file that is not whole yet.
//!
//! A line is on the disk as soon as the account has acknowledged a block, so what was sent once is not sent again,
//! whatever interrupts the work.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file;
use super::known::{KnownPart, digest_name};

const SUFFIX: &str = "staging";

/// The name of a block: of its content, or of what it is copied from.
pub(super) type BlockId = [u8; 32];

/// What was sent of a file, block by block.
pub(super) type Sent = HashMap<BlockId, Vec<KnownPart>>;

#[derive(Serialize, Deserialize)]
struct Head {
    path: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: BlockId,
    parts: Vec<KnownPart>,
}

/// The record of one file.
pub(super) struct Staging {
    record: PathBuf,
    out: File,
    /// The blocks that were sent before.
    pub sent: Sent,
}

impl Staging {
    /// Begins the record of a file, or goes on with it.
    pub(super) fn open(folder: &Path, path: &str) -> io::Result<Self> {
        let record = folder.join(format!("{}.{SUFFIX}", digest_name(path)));
        let sent = match read(&record)? {
            Some((_, sent)) => sent,
            None => {
                let mut out = File::create(&record)?;
                writeln!(
                    out,
                    "{}",
                    serde_json::to_string(&Head {
                        path: path.to_owned()
                    })?
                )?;
                out.sync_all()?;
                File::open(folder)?.sync_all()?;
                HashMap::new()
            }
        };
        let mut out = OpenOptions::new().append(true).open(&record)?;
        // A line that a crash cut off ends here, so that it does not take the next one with it.
        out.write_all(b"\n")?;
        Ok(Staging { record, out, sent })
    }

    /// Notes a block that the account has acknowledged, durably.
    pub(super) fn note(&mut self, id: BlockId, parts: Vec<KnownPart>) -> io::Result<()> {
        let line = serde_json::to_string(&Line { id, parts })?;
        writeln!(self.out, "{line}")?;
        self.out.sync_data()
    }

    /// The file is whole: the record goes.
    pub(super) fn end(self) -> io::Result<()> {
        fs::remove_file(&self.record)
    }
}

/// The files that are not whole, with the blocks that were sent of each.
pub(super) fn unfinished(folder: &Path) -> io::Result<Vec<(String, Sent)>> {
    let mut unfinished = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == SUFFIX) {
            unfinished.extend(read(&path)?);
        }
    }
    unfinished.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(unfinished)
}

/// Removes the record of a file of which nothing is left to use.
pub(super) fn forget(folder: &Path, path: &str) -> io::Result<()> {
    file::remove(&folder.join(format!("{}.{SUFFIX}", digest_name(path))))
}

fn read(record: &Path) -> io::Result<Option<(String, Sent)>> {
    let text = match fs::read_to_string(record) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let mut lines = text.lines();
    let head = lines
        .next()
        .and_then(|l| serde_json::from_str::<Head>(l).ok());
    let Some(head) = head else {
        return Ok(None);
    };
    let sent = lines
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .map(|line| (line.id, line.parts))
        .collect();
    Ok(Some((head.path, sent)))
}
