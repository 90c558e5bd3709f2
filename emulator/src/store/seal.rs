//! Sealing bytes: AES-256-GCM by a key that is derived for one purpose, and the keys that clients bring.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest as _, Sha256};

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::inode::Inode;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// What sealing adds to bytes: the nonce before them, and the tag behind.
pub(crate) const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// What sealing adds where the nonce is known anyway.
pub(crate) const TAG_BYTES: usize = 16;

/// The length of a derived key, as HKDF asks for it.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A failure of the cryptography itself; none is known to happen.
fn failed(what: &'static str) -> StoreError {
    StoreError::Encryption(format!("{what} failed"))
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| failed("drawing random bytes"))?;
    Ok(bytes)
}

/// A key for `purpose`, from another one.
pub(crate) fn derived(key: &[u8], salt: &[u8], purpose: &[&[u8]]) -> Result<[u8; KEY_BYTES]> {
    let mut out = [0; KEY_BYTES];
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(purpose, Length(KEY_BYTES))
        .and_then(|okm| okm.fill(&mut out))
        .map_err(|_| failed("deriving a key"))?;
    Ok(out)
}

/// Seals and opens by one key.
pub(crate) struct Sealer(LessSafeKey);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Self> {
        UnboundKey::new(&AES_256_GCM, key)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| failed("taking a key"))
    }

    /// Seals in place and adds the tag. A key never sees a nonce twice: the caller sees to that.
    pub(crate) fn seal_at(&self, nonce: u64, bound_to: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        self.0
            .seal_in_place_append_tag(counted(nonce), Aad::from(bound_to), bytes)
            .map_err(|_| failed("sealing"))
    }

    /// Opens what [`Sealer::seal_at`] sealed; `None` when it is not that.
    pub(crate) fn open_at(
        &self,
        nonce: u64,
        bound_to: &[u8],
        mut bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let opened = self
            .0
            .open_in_place(counted(nonce), Aad::from(bound_to), &mut bytes)
            .ok()?
            .len();
        bytes.truncate(opened);
        Some(bytes)
    }

    /// Seals with a random nonce, which stands before the bytes.
    pub(crate) fn seal(&self, bound_to: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let mut out = Vec::with_capacity(bytes.len() + SEAL_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(bytes);
        let (_, inner) = out.split_at_mut(NONCE_BYTES);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(bound_to), inner)
            .map_err(|_| failed("sealing"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens what [`Sealer::seal`] sealed; `None` when it is not that, or not by this key.
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = rest.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(bound_to), &mut bytes)
            .ok()?
            .len();
        bytes.truncate(opened);
        Some(bytes)
    }
}

fn counted(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    let (_, low) = nonce.split_at_mut(NONCE_BYTES - 8);
    low.copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// A key that came with a request. What is written with it can be read with it only; the store keeps no more of it than
/// its hash.
#[derive(Clone)]
pub struct CustomerKey(Arc<Customer>);

struct Customer {
    sealer: Sealer,
    sha256: String,
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerKey({})", self.0.sha256)
    }
}

/// What the pieces of a customer's content are bound to.
const CUSTOMER: &[u8] = b"lakestage customer content";

impl CustomerKey {
    /// The key of 32 bytes; `None` when it has another length.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
        Some(Self(Arc::new(Customer {
            sealer: Sealer::new(key).ok()?,
            sha256: STANDARD.encode(Sha256::digest(key)),
        })))
    }

    /// The SHA-256 of the key, in base64.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    pub(crate) fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.sealer.seal(CUSTOMER, bytes)
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.sealer.open(CUSTOMER, sealed)
    }
}

/// Whether what was written with the key of that hash, or with none, can be used with the key that a request brings.
pub(crate) fn check_hash(written: Option<&str>, key: Option<&CustomerKey>) -> Result<()> {
    match (written, key.map(CustomerKey::sha256)) {
        (None, None) => Ok(()),
        (Some(written), Some(brought)) if written == brought => Ok(()),
        (Some(_), Some(_)) => Err(ErrorCode::BlobCustomerSpecifiedEncryptionMismatch.into()),
        (Some(_), None) => Err(ErrorCode::BlobUsesCustomerSpecifiedEncryption.into()),
        (None, Some(_)) => Err(ErrorCode::BlobDoesNotUseCustomerSpecifiedEncryption.into()),
    }
}

/// [`check_hash`] for a file.
pub(crate) fn check_key(inode: &Inode, key: Option<&CustomerKey>) -> Result<()> {
    check_hash(inode.customer_key_sha256.as_deref(), key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_sealed_opens_by_its_key_place_and_tag_only() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let sealed = sealer.seal(b"here", b"content").unwrap();
        assert_eq!(sealed.len(), b"content".len() + SEAL_BYTES);
        assert_eq!(sealer.open(b"here", &sealed).unwrap(), b"content");
        assert_eq!(sealer.open(b"there", &sealed), None);
        assert_eq!(Sealer::new(&[2; 32]).unwrap().open(b"here", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(b"here", &flipped), None, "bit {bit}");
        }
        assert_eq!(sealer.open(b"here", &sealed[..11]), None);

        let mut counted = b"content".to_vec();
        sealer.seal_at(5, b"x", &mut counted).unwrap();
        assert_eq!(counted.len(), b"content".len() + TAG_BYTES);
        assert_eq!(
            sealer.open_at(5, b"x", counted.clone()).unwrap(),
            b"content"
        );
        assert_eq!(sealer.open_at(6, b"x", counted), None);
    }

    #[test]
    fn a_customers_key_has_32_bytes_and_the_hash_that_clients_send() {
        assert!(CustomerKey::new(&[0; 31]).is_none());
        let key = CustomerKey::new(&[0; 32]).unwrap();
        assert_eq!(key.sha256(), "Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU=");
        assert_eq!(format!("{key:?}"), format!("CustomerKey({})", key.sha256()));
    }
}
