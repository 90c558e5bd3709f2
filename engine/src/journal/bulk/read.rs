//! What stands in bulk files: batches, and what is wrong.

use super::batch::{self, ALIGNMENT_BYTES, AtPlace, HEADER_BYTES};
use super::{FileId, Kind, STRIP};
use crate::journal::Commit;

/// A batch that is not sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BulkBatch {
    /// The kind and the number of its file, and where in it.
    pub kind: Kind,
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
    /// The last one that it claims to have, where it is known.
    pub last_version: Option<u64>,
}

impl BulkFault {
    /// Whether it is about nothing that counts where sled has everything up to a version: what waits in
    /// the strip comes behind that.
    pub fn is_past(&self, in_sled: u64) -> bool {
        let is_in_strip = self.file.starts_with(STRIP.prefix);
        is_in_strip && self.last_version.is_some_and(|last| last <= in_sled)
    }
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
    /// Adds what another kind of files holds.
    pub fn add(&mut self, other: BulkRead) {
        self.batches.extend(other.batches);
        self.batches.sort_by_key(|batch| batch.first_version);
        self.faults.extend(other.faults);
        self.noted_version = self.noted_version.max(other.noted_version);
    }

    /// Adds what a file holds behind a version.
    pub(super) fn file(
        &mut self,
        file: (Kind, usize),
        content: &[u8],
        id: &FileId,
        elsewhere: u64,
    ) {
        let (kind, number) = file;
        let mut at = ALIGNMENT_BYTES;
        while at < content.len() {
            let header = match batch::header(&content[at..], id) {
                AtPlace::Batch(header) if header.last_version > elsewhere => header,
                AtPlace::Damaged(version) if version > elsewhere => {
                    let rule = "the header of a batch of commits fails its checksum";
                    self.fault(kind.name(number), at, rule.to_owned(), (None, version));
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
                kind,
                file: number,
                offset: at as u64,
                end: end as u64,
                first_version: header.first_version,
                last_version: header.last_version,
                commits,
                is_whole: fault.is_none(),
            });
            if let Some(rule) = fault {
                let versions = (Some(header.first_version), header.last_version);
                self.fault(kind.name(number), at, rule, versions);
            }
            at = end.next_multiple_of(ALIGNMENT_BYTES);
        }
    }

    fn fault(&mut self, file: String, at: usize, rule: String, versions: (Option<u64>, u64)) {
        self.faults.push(BulkFault {
            file,
            offset: at as u64,
            rule,
            first_version: versions.0,
            last_version: Some(versions.1),
        });
    }
}
