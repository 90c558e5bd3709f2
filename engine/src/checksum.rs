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

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_castagnoli() {
        assert_eq!(super::crc32c(&[b"1234", b"56789"]), 0xe306_9283);
    }
}
