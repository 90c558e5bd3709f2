//! What stands in bulk files: batches, and what is wrong.

use super::batch::{self, ALIGNMENT_BYTES, AtPlace, HEADER_BYTES};
use super::{FileId, name};
use crate::journal::Commit;

/// A batch that is not sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BulkBatch {
    /// The number of its file, and where in it.
    pub file: usize,
    pub offset: u64,
    pub end: u64,
    pub first_version: u64,
    pub last_version: u64,
    /// Those that are whole.
    pub commits: Vec<Commit>,
    pub is_whole: bool,
}

/// What is wrong with a bulk file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BulkFault {
    /// The name of the file.
    pub file: String,
    pub offset: u64,
    pub rule: String,
    /// The first version of the batch, where it is known.
    pub first_version: Option<u64>,
}

/// Everything that bulk files hold and no segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BulkRead {
    /// Oldest first.
    pub batches: Vec<BulkBatch>,
    pub faults: Vec<BulkFault>,
    /// Commits up to this version were durable when it was last noted.
    pub noted_version: u64,
}

impl BulkRead {
    /// Adds what a file holds behind a version.
    pub(super) fn file(&mut self, number: usize, content: &[u8], id: &FileId, sealed: u64) {
        let mut at = ALIGNMENT_BYTES;
        while at < content.len() {
            let header = match batch::header(&content[at..], id) {
                AtPlace::Batch(header) if header.last_version > sealed => header,
                AtPlace::Damaged(version) if version > sealed => {
                    let rule = "the header of a batch of commits fails its checksum";
                    self.fault(number, at, rule.to_owned(), None);
                    at += ALIGNMENT_BYTES;
                    continue;
                }
                _ => {
                    at += ALIGNMENT_BYTES;
                    continue;
                }
            };
            let (commits, fault) = batch::commits(&header, &content[at + HEADER_BYTES..]);
            let end = at + HEADER_BYTES + header.bytes as usize;
            self.batches.push(BulkBatch {
                file: number,
                offset: at as u64,
                end: end as u64,
                first_version: header.first_version,
                last_version: header.last_version,
                commits,
                is_whole: fault.is_none(),
            });
            if let Some(rule) = fault {
                self.fault(number, at, rule, Some(header.first_version));
            }
            at = end.next_multiple_of(ALIGNMENT_BYTES);
        }
    }

    fn fault(&mut self, number: usize, at: usize, rule: String, first_version: Option<u64>) {
        self.faults.push(BulkFault {
            file: name(number),
            offset: at as u64,
            rule,
            first_version,
        });
    }
}
