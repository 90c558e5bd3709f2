//! Whether an id of a table may be in a segment: 18 bits a row, wrong once in 65,536.
//!
//! A load asks every segment about every new row, so a wrong answer, which costs a search, must be
//! rarer than for blocks.

use xorf::{
    BinaryFuse8, BinaryFuse8Ref, BinaryFuse16, BinaryFuse16Ref, DmaSerializable, Filter, FilterRef,
};

/// The filter as bytes; empty, and then letting everything through, where it cannot be built.
pub(super) fn build(rows: impl Iterator<Item = (u16, u128)>) -> Vec<u8> {
    let mut keys: Vec<u64> = rows.map(|(table, id)| key(table, id)).collect();
    keys.sort_unstable();
    keys.dedup();
    let Ok(filter) = BinaryFuse16::try_from(&keys) else {
        return Vec::new();
    };
    let mut bytes = vec![0; BinaryFuse16::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend_from_slice(filter.dma_fingerprints());
    bytes
}

pub(super) fn may_contain(filter: &[u8], table: u16, id: u128) -> bool {
    match filter.split_at_checked(BinaryFuse16::DESCRIPTOR_LEN) {
        Some((descriptor, fingerprints)) if !fingerprints.is_empty() => {
            BinaryFuse16Ref::from_dma(descriptor, fingerprints).contains(&key(table, id))
        }
        _ => true,
    }
}

/// A filter of 9 bits a key, as bytes; empty, and then letting everything through, where it cannot
/// be built.
pub(super) fn build_small(mut keys: Vec<u64>) -> Vec<u8> {
    keys.sort_unstable();
    keys.dedup();
    let Ok(filter) = BinaryFuse8::try_from(keys) else {
        return Vec::new();
    };
    let mut bytes = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend_from_slice(filter.dma_fingerprints());
    bytes
}

pub(super) fn may_contain_small(filter: &[u8], table: u16, id: u128) -> bool {
    match filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN) {
        Some((descriptor, fingerprints)) if !fingerprints.is_empty() => {
            BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key(table, id))
        }
        _ => true,
    }
}

/// What a filter knows of a row.
pub(super) fn key(table: u16, id: u128) -> u64 {
    // Odd multipliers keep apart what differs in one part only.
    let high = ((id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    high ^ id as u64 ^ u64::from(table).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_denies_what_is_there_and_next_to_always_what_is_not() {
        for count in [1u128, 2, 3, 10, 700] {
            let rows = || (0..count).map(|n| ((n % 3) as u16, (n << 70) | (n * 7)));
            let filter = build(rows());
            assert!(rows().all(|(table, id)| may_contain(&filter, table, id)));
            let wrong = (0..10_000u128)
                .filter(|n| may_contain(&filter, 1, u128::MAX - n))
                .count();
            assert!(wrong < 10 || filter.is_empty(), "{count}: {wrong}");
            let small = build_small(rows().map(|(table, id)| key(table, id)).collect());
            assert!(rows().all(|(table, id)| may_contain_small(&small, table, id)));
            let wrong = (0..10_000u128)
                .filter(|n| may_contain_small(&small, 1, u128::MAX - n))
                .count();
            assert!(wrong < 200 || small.is_empty(), "{count}: {wrong}");
        }
    }
}
