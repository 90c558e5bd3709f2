//! CRC-32C, the checksum of frames, blocks and manifests.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C (Castagnoli) of the parts, one after the other.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}

/// The CRC-32C of two pieces together, of which only the checksums are known, and the second's length in bytes. A
/// snapshot joins many thousand blocks, so powers are multiplied, which takes less than a microsecond; the matrices of
/// the crate take thirty.
pub(crate) fn crc32c_of_both(first: u32, second: u32, second_bytes: u64) -> u32 {
    let mut shift = ONE;
    let mut bits = second_bytes;
    // The power for a byte, which is eight bits.
    let mut power = 3;
    while bits > 0 {
        if bits & 1 == 1 {
            shift = product(POWERS[power % POWERS.len()], shift);
        }
        bits >>= 1;
        power += 1;
    }
    product(shift, first) ^ second
}

/// The polynomial, with the highest power in the lowest bit, as all polynomials here.
const CASTAGNOLI: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;
/// x to the power of 1, 2, 4, 8… modulo the polynomial; they come again after 31.
const POWERS: [u32; 31] = powers();

const fn powers() -> [u32; 31] {
    let mut powers = [1 << 30; 31];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = product(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
}

/// The product of two polynomials modulo the one of the checksum.
const fn product(of: u32, mut by: u32) -> u32 {
    let mut sum = 0;
    let mut bit = ONE;
    while bit > 0 {
        if of & bit != 0 {
            sum ^= by;
        }
        by = if by & 1 == 1 {
            by >> 1 ^ CASTAGNOLI
        } else {
            by >> 1
        };
        bit >>= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pieces_have_the_checksum_of_both() {
        let bytes: Vec<u8> = (0..100_000u32)
            .map(|n| (n.wrapping_mul(n) >> 5) as u8)
            .collect();
        for cut in [0, 1, 7, 64, 4_097, 99_999, 100_000] {
            let (first, second) = bytes.split_at(cut);
            let both = crc32c_of_both(crc32c(&[first]), crc32c(&[second]), second.len() as u64);
            assert_eq!(both, crc32c(&[&bytes]), "{cut}");
        }
    }

    #[test]
    fn it_is_castagnoli() {
        assert_eq!(super::crc32c(&[b"1234", b"56789"]), 0xe306_9283);
    }
}
