//! The list of blocks that make a partition, with what is needed to find a row in it.
//!
//! ```text
//! u32 format, 1 | u32 blocks | u64 bytes of filters
//! per block: u64 pack | u64 offset | u64 length | u32 crc32c | u32 rows | u128 first id | u128 last id | u32 end of its filter
//! the filters, one after the other
//! ```
//! All integers are little-endian.

use super::filter;
use super::pack::Extent;

const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 68;

/// A block within a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub extent: Extent,
    pub rows: u32,
    /// The fences: the least and the greatest id. In an append-only partition they bound nothing.
    pub first: u128,
    pub last: u128,
    /// The filter over its ids; empty where there is none.
    pub filter: Vec<u8>,
}

impl BlockEntry {
    pub(crate) fn new(extent: Extent, ids: &[u128], filtered: bool) -> Self {
        BlockEntry {
            extent,
            rows: ids.len() as u32,
            first: ids.first().copied().unwrap_or_default(),
            last: ids.last().copied().unwrap_or_default(),
            filter: if filtered {
                filter::build(ids)
            } else {
                Vec::new()
            },
        }
    }

    /// Whether the fences and the filter let the id through.
    pub(crate) fn may_contain(&self, id: u128) -> bool {
        self.first <= id && id <= self.last && filter::may_contain(&self.filter, id)
    }
}

/// The blocks of a partition, in the order in which they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub blocks: Vec<BlockEntry>,
}

impl Manifest {
    pub(crate) fn rows(&self) -> u64 {
        self.blocks.iter().map(|b| u64::from(b.rows)).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|b| b.extent.length).sum()
    }

    /// The one block of an in-place partition that may hold the id.
    pub(crate) fn find(&self, id: u128) -> Option<&BlockEntry> {
        let after = self.blocks.partition_point(|b| b.first <= id);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        block.may_contain(id).then_some(block)
    }

    /// The first id of the block that an id falls into, where it stands between the block's rows;
    /// otherwise the id itself.
    pub(crate) fn start_of_block(&self, id: u128) -> u128 {
        let after = self.blocks.partition_point(|b| b.first <= id);
        let block = after.checked_sub(1).map(|at| &self.blocks[at]);
        block.filter(|b| id <= b.last).map_or(id, |b| b.first)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let filters: usize = self.blocks.iter().map(|b| b.filter.len()).sum();
        let length = HEADER_BYTES + self.blocks.len() * ENTRY_BYTES + filters;
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        out.extend_from_slice(&(filters as u64).to_le_bytes());
        let mut end = 0u32;
        for block in &self.blocks {
            end += block.filter.len() as u32;
            out.extend_from_slice(&block.extent.pack.to_le_bytes());
            out.extend_from_slice(&block.extent.offset.to_le_bytes());
            out.extend_from_slice(&block.extent.length.to_le_bytes());
            out.extend_from_slice(&block.extent.crc32c.to_le_bytes());
            out.extend_from_slice(&block.rows.to_le_bytes());
            out.extend_from_slice(&block.first.to_le_bytes());
            out.extend_from_slice(&block.last.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
        }
        for block in &self.blocks {
            out.extend_from_slice(&block.filter);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Manifest> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let u128_at = |at: usize| {
            Some(u128::from_le_bytes(
                bytes.get(at..at + 16)?.try_into().ok()?,
            ))
        };
        if u32_at(0)? != FORMAT {
            return None;
        }
        let count = u32_at(4)? as usize;
        let filters = bytes.get(HEADER_BYTES + count.checked_mul(ENTRY_BYTES)?..)?;
        if filters.len() as u64 != u64_at(8)? {
            return None;
        }
        let mut blocks = Vec::with_capacity(count);
        let mut start = 0;
        for at in (0..count).map(|n| HEADER_BYTES + n * ENTRY_BYTES) {
            let end = u32_at(at + 64)? as usize;
            blocks.push(BlockEntry {
                extent: Extent {
                    pack: u64_at(at)?,
                    offset: u64_at(at + 8)?,
                    length: u64_at(at + 16)?,
                    crc32c: u32_at(at + 24)?,
                },
                rows: u32_at(at + 28)?,
                first: u128_at(at + 32)?,
                last: u128_at(at + 48)?,
                filter: filters.get(start..end)?.to_vec(),
            });
            start = end;
        }
        Some(Manifest { blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let block = |pack, ids: &[u128]| {
            let extent = Extent {
                pack,
                offset: 8,
                length: 100,
                crc32c: 5,
            };
            BlockEntry::new(extent, ids, true)
        };
        Manifest {
            blocks: vec![
                block(1, &[10, 20, 30]),
                block(2, &[40, 50]),
                block(1, &[60]),
            ],
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let manifest = manifest();
        assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest.clone()));
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn it_finds_the_block_of_an_id() {
        let manifest = manifest();
        let pack_of = |id| manifest.find(id).map(|b| b.extent.pack);
        assert_eq!(pack_of(20), Some(1));
        assert_eq!(pack_of(50), Some(2));
        assert_eq!((pack_of(5), pack_of(35), pack_of(70)), (None, None, None));
    }
}
