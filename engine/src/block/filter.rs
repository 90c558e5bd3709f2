//! A small filter per block that says whether an id may be in it: about nine bits a row.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// The filter of distinct ids as bytes. It is empty, and then lets everything through, where the
/// construction does not succeed, which for distinct keys is next to never.
pub(super) fn build(ids: &[u128]) -> Vec<u8> {
    let keys: Vec<u64> = ids.iter().map(|id| key(*id)).collect();
    let Ok(filter) = BinaryFuse8::try_from(&keys) else {
        return Vec::new();
    };
    let mut bytes = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend_from_slice(filter.dma_fingerprints());
    bytes
}

/// Whether the id may be among those that the filter was built from.
pub(super) fn may_contain(filter: &[u8], id: u128) -> bool {
    match filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN) {
        Some((descriptor, fingerprints)) if !fingerprints.is_empty() => {
            BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key(id))
        }
        _ => true,
    }
}

fn key(id: u128) -> u64 {
    // An odd multiplier keeps ids apart that differ in one half only.
    ((id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_denies_what_is_there_and_mostly_denies_what_is_not() {
        for count in [1u128, 2, 3, 10, 700] {
            let ids: Vec<u128> = (0..count).map(|n| (n << 70) | (n * 7)).collect();
            let filter = build(&ids);
            assert!(ids.iter().all(|id| may_contain(&filter, *id)));
            let wrong = (0..10_000u128)
                .filter(|n| may_contain(&filter, u128::MAX - n))
                .count();
            assert!(wrong < 200 || filter.is_empty(), "{count}: {wrong}");
        }
    }
}
