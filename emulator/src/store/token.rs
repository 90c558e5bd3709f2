//! Continuation tokens, in the form that the service gives them.
//!
//! What clients get from the service is base64 of a small record: a hash, and a text
//! `/account \x01 time/filesystem \x01 time/path` with the path that the next page begins with. Tokens here are the
//! same, so a session that was recorded with the service goes on here where it went on there. The path is all that
//! is read back: it stays good when the store is opened again, and when the path itself has gone. Tokens are written
//! in the alphabet that needs no escaping in a URL, and read in both.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use crc_fast::CrcAlgorithm;

use crate::store::path::StorePath;

/// The record's first field, and the kinds of the fields that follow: a number and a length with bytes.
const HEAD: u8 = 0x54;
const NUMBER: u8 = 0x16;
const BYTES: u8 = 0x18;
/// 100 ns steps from 1601 to 1970: Windows file times count from there.
pub(crate) const FILETIME_TO_1970: i64 = 116_444_736_000_000_000;

/// The token for a page that begins with `path`.
#[must_use]
pub fn token_of(account: &str, filesystem: &str, created_unix_ns: i64, path: &StorePath) -> String {
    let time = created_unix_ns / 100 + FILETIME_TO_1970;
    let place = format!("/{account}\u{1}{time:016X}/{filesystem}\u{1}{time:016X}/{path}");
    let mut inner = vec![BYTES];
    put_number(&mut inner, place.len() as u64);
    inner.extend_from_slice(place.as_bytes());
    inner.extend_from_slice(&[NUMBER, 0, 0]);
    let hash = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, place.as_bytes());
    let mut record = vec![HEAD, NUMBER];
    put_number(&mut record, hash);
    record.push(BYTES);
    put_number(&mut record, inner.len() as u64);
    record.extend_from_slice(&inner);
    record.push(0);
    URL_SAFE.encode(record)
}

/// The path that a token's page begins with, `None` when it is no token.
#[must_use]
pub fn path_of_token(token: &str) -> Option<String> {
    let record = URL_SAFE
        .decode(token)
        .or_else(|_| STANDARD.decode(token))
        .ok()?;
    let mut rest = record.strip_prefix(&[HEAD, NUMBER])?;
    take_number(&mut rest)?;
    rest = rest.strip_prefix(&[BYTES])?;
    take_number(&mut rest)?;
    rest = rest.strip_prefix(&[BYTES])?;
    let length = usize::try_from(take_number(&mut rest)?).ok()?;
    let place = std::str::from_utf8(rest.get(..length)?).ok()?;
    let mut parts = place.strip_prefix('/')?.splitn(3, '/');
    let (_account, _filesystem) = (parts.next()?, parts.next()?);
    parts.next().map(str::to_owned)
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = input.split_first()?;
        *input = rest;
        number |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_token_names_the_path_that_the_next_page_begins_with() {
        for text in ["a", "dir/file", &"ä/".repeat(60)] {
            let path = StorePath::parse(text).unwrap();
            let token = token_of("devstoreaccount1", "raw", 1_700_000_000_000_000_000, &path);
            assert_eq!(path_of_token(&token), Some(path.to_string()));
        }
    }

    #[test]
    fn a_token_of_the_services_form_is_read() {
        let place = "/contoso\u{1}01D5D7E3DCEC6BE0/raw\u{1}01D608CE014C43E1/dir/sub/file";
        let mut record = vec![0x54, 0x16, 0xE8, 0xB2, 0x01, 0x18];
        record.push(place.len() as u8 + 5);
        record.extend_from_slice(&[0x18, place.len() as u8]);
        record.extend_from_slice(place.as_bytes());
        record.extend_from_slice(&[0x16, 0, 0, 0]);
        let path = path_of_token(&STANDARD.encode(record)).unwrap();
        assert_eq!(path, "dir/sub/file");
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in [
            "",
            "x",
            "VBY=",
            "VBYA",
            "VBYYGBgY",
            &STANDARD.encode("dir/file"),
        ] {
            assert_eq!(path_of_token(text), None, "{text}");
        }
    }
}
