//! How a file gets to an account: what is sent, and what the account takes over from files that it has.

use super::known::{Content, Known, KnownPart};

/// Bytes of a block that is sent where the way is fast, unless one part alone has more.
const SENT_BLOCK_BYTES_MAX: u64 = 8 << 20;
const SENT_BLOCK_BYTES_MIN: u64 = 256 << 10;
/// An interruption costs no more than the blocks that are on their way, so on a slow way they are smaller.
const SENT_BLOCK_S: u64 = 8;
/// Bytes of a block that the account copies. It allows 100 MiB of every version of the protocol.
pub(super) const COPIED_BLOCK_BYTES: u64 = 64 << 20;
/// The shortest range that is sent instead of copied where a file would get too many blocks.
const GAP_BYTES_MIN: u64 = 16 << 10;
/// Blocks that a file may have.
pub(super) const MAX_BLOCKS: usize = 50_000;

/// One block of the file that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub way: Way,
    /// The parts it consists of: from the first, up to the second.
    pub parts: (usize, usize),
    pub length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Send,
    /// The account copies a range of a file that has this ETag.
    Copy {
        path: String,
        etag: String,
        at: u64,
    },
}

/// Bytes of a block that is sent where the way never takes more than so many bytes a second.
pub(super) fn sent_block_bytes(slowest_bytes_s: Option<u64>) -> u64 {
    slowest_bytes_s.map_or(SENT_BLOCK_BYTES_MAX, |bytes_s| {
        let bytes = bytes_s.saturating_mul(SENT_BLOCK_S);
        bytes.clamp(SENT_BLOCK_BYTES_MIN, SENT_BLOCK_BYTES_MAX)
    })
}

/// Plans a file of these parts, in order.
pub(super) fn plan(known: &Known, parts: &[Content], block_bytes: u64) -> Vec<Chunk> {
    let mut chunks = chunks(known, parts, block_bytes);
    let mut gap_bytes = GAP_BYTES_MIN;
    // Too many small changes for the account's limit: what is short between two of them is sent along.
    while chunks.len() > MAX_BLOCKS && gap_bytes <= COPIED_BLOCK_BYTES {
        chunks = bridged(chunks, gap_bytes, block_bytes);
        gap_bytes *= 2;
    }
    match chunks.len() <= MAX_BLOCKS {
        true => chunks,
        false => sent_whole(parts, block_bytes),
    }
}

/// Sends what would be copied and is no longer than a gap, together with what is sent before and behind it.
fn bridged(chunks: Vec<Chunk>, gap_bytes: u64, block_bytes: u64) -> Vec<Chunk> {
    let mut bridged: Vec<Chunk> = Vec::new();
    for mut chunk in chunks {
        if chunk.length <= gap_bytes {
            chunk.way = Way::Send;
        }
        match bridged.last_mut() {
            Some(last)
                if chunk.way == Way::Send && last.takes(&Way::Send, chunk.length, block_bytes) =>
            {
                last.parts.1 = chunk.parts.1;
                last.length += chunk.length;
            }
            _ => bridged.push(chunk),
        }
    }
    bridged
}

fn chunks(known: &Known, parts: &[Content], block_bytes: u64) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let last = chunks.last_mut();
        let after = last.as_ref().and_then(|chunk| chunk.end());
        match known.find(part, after) {
            None => match last {
                Some(chunk) if chunk.takes(&Way::Send, part.length, block_bytes) => chunk.add(part),
                _ => chunks.push(Chunk::new(Way::Send, n, part)),
            },
            Some(found) => {
                let follows = after == Some((found.file.path.as_str(), found.at));
                match last {
                    Some(chunk) if follows && chunk.length + part.length <= COPIED_BLOCK_BYTES => {
                        chunk.add(part);
                    }
                    _ => {
                        let way = Way::Copy {
                            path: found.file.path.clone(),
                            etag: found.file.etag.clone(),
                            at: found.at,
                        };
                        chunks.push(Chunk::new(way, n, part));
                    }
                }
            }
        }
    }
    chunks
}

/// Plans a file of which the account copies nothing.
pub(super) fn sent_whole(parts: &[Content], block_bytes: u64) -> Vec<Chunk> {
    let total: u64 = parts.iter().map(|part| part.length).sum();
    let block_bytes = block_bytes.max(total.div_ceil(MAX_BLOCKS as u64 / 2));
    let mut chunks: Vec<Chunk> = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        match chunks.last_mut() {
            Some(chunk) if chunk.takes(&Way::Send, part.length, block_bytes) => chunk.add(part),
            _ => chunks.push(Chunk::new(Way::Send, n, part)),
        }
    }
    chunks
}

/// Ranges of a known file, for a copy of the whole of it.
pub(super) fn copies(path: &str, etag: &str, parts: &[KnownPart]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut at = 0;
    for (n, part) in parts.iter().enumerate() {
        let length = part.content.length;
        match chunks.last_mut() {
            Some(chunk) if chunk.length + length <= COPIED_BLOCK_BYTES => chunk.add(&part.content),
            _ => {
                let way = Way::Copy {
                    path: path.to_owned(),
                    etag: etag.to_owned(),
                    at,
                };
                chunks.push(Chunk::new(way, n, &part.content));
            }
        }
        at += length;
    }
    chunks
}

impl Chunk {
    fn new(way: Way, part: usize, content: &Content) -> Self {
        Chunk {
            way,
            parts: (part, part + 1),
            length: content.length,
        }
    }

    fn takes(&self, way: &Way, length: u64, block_bytes: u64) -> bool {
        self.way == *way && self.length + length <= block_bytes
    }

    fn add(&mut self, content: &Content) {
        self.parts.1 += 1;
        self.length += content.length;
    }

    /// Where the range that it copies ends.
    fn end(&self) -> Option<(&str, u64)> {
        match &self.way {
            Way::Send => None,
            Way::Copy { path, at, .. } => Some((path, at + self.length)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::account::known::KnownFile;

    fn content(number: u64) -> Content {
        let mut sha256 = [0; 32];
        sha256[..8].copy_from_slice(&number.to_le_bytes());
        Content {
            sha256,
            crc64: number,
            length: 256 << 10,
        }
    }

    /// What is known is `0..blocks` in one file.
    fn known(blocks: u64) -> Known {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::open(folder.path()).unwrap();
        let parts = (0..blocks).map(|n| KnownPart {
            content: content(n),
            origin: None,
        });
        let file = KnownFile {
            path: "t1.csv".into(),
            etag: "e".into(),
            parts: parts.collect(),
            is_leftover: false,
        };
        known.note(file).unwrap();
        known
    }

    #[test]
    fn only_what_changed_is_sent_and_neighbours_are_copied_at_once() {
        let known = known(1000);
        let mut parts: Vec<Content> = (0..1000).map(content).collect();
        parts[500] = content(5000);
        let chunks = plan(&known, &parts, SENT_BLOCK_BYTES_MAX);
        let sent: Vec<_> = chunks.iter().filter(|c| c.way == Way::Send).collect();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].parts, sent[0].length), ((500, 501), 256 << 10));
        // 500 and 499 blocks of a quarter of a MiB, in copies of at most 64 MiB.
        assert_eq!(chunks.len(), 1 + 2 + 2);
        let total: u64 = chunks.iter().map(|c| c.length).sum();
        assert_eq!(total, 1000 * (256 << 10));
    }

    #[test]
    fn a_new_file_goes_in_large_blocks() {
        let known = known(0);
        let parts: Vec<Content> = (0..100).map(content).collect();
        let chunks = plan(&known, &parts, SENT_BLOCK_BYTES_MAX);
        assert_eq!(chunks.len(), 4);
        assert!(chunks.iter().all(|c| c.length <= SENT_BLOCK_BYTES_MAX));
    }

    #[test]
    fn a_slow_way_gets_small_blocks() {
        assert_eq!(sent_block_bytes(None), 8 << 20);
        assert_eq!(sent_block_bytes(Some(128 << 10)), 1 << 20);
        assert_eq!(sent_block_bytes(Some(1)), 256 << 10);
        assert_eq!(sent_block_bytes(Some(u64::MAX)), 8 << 20);
        let parts: Vec<Content> = (0..100).map(content).collect();
        let chunks = plan(&known(0), &parts, sent_block_bytes(Some(128 << 10)));
        assert_eq!(chunks.len(), 25);
    }

    #[test]
    fn where_blocks_are_too_many_only_short_gaps_are_sent_along() {
        let known = known(130_000);
        // Every third block up to 120,000 has changed, and behind that none.
        let parts: Vec<Content> = (0..130_000)
            .map(|n| {
                content(if n % 3 == 0 && n < 120_000 {
                    n + 1_000_000
                } else {
                    n
                })
            })
            .collect();
        let chunks = plan(&known, &parts, SENT_BLOCK_BYTES_MAX);
        assert!(chunks.len() <= MAX_BLOCKS, "{}", chunks.len());
        let total: u64 = chunks.iter().map(|c| c.length).sum();
        assert_eq!(total, 130_000 * (256 << 10));
        let mut next = 0;
        for chunk in &chunks {
            assert_eq!(chunk.parts.0, next);
            next = chunk.parts.1;
            assert!(chunk.length <= COPIED_BLOCK_BYTES);
        }
        let copied = chunks.iter().filter(|c| c.way != Way::Send);
        let copied: u64 = copied.map(|c| c.length).sum();
        assert!(copied >= 9_999 * (256 << 10), "{copied}");
    }

    #[test]
    fn no_file_gets_more_blocks_than_an_account_takes() {
        let known = known(120_000);
        let parts: Vec<Content> = (0..120_000)
            .map(|n| content(if n % 2 == 0 { n } else { n + 1_000_000 }))
            .collect();
        let chunks = plan(&known, &parts, SENT_BLOCK_BYTES_MAX);
        assert!(chunks.len() <= MAX_BLOCKS, "{}", chunks.len());
        assert!(chunks.iter().all(|c| c.way == Way::Send));
    }
}
