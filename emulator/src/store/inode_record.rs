//! How an inode stands in the namespace. A million of them are in memory at once, and a list reads thousands, so the
//! usual one takes some twenty bytes; what few inodes have stands behind as JSON.
//!
//! ```text
//! record      2 │ attributes │ content
//! part        length·4 │ bytes            here
//!             1 │ extent │ length │ crc   in an extent
//!             2                           the content list of an empty file
//! attributes  2 │ flags │ length │ created │ modified − created │ etag − modified │ mode │ headers │ the rest, JSON
//! ```
//!
//! Numbers are in LEB128, those that may be negative in zigzag. Records of version 1 and attributes that are JSON, which
//! earlier builds wrote, are read as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::acl::AccessControl;
use crate::store::content::Input;
use crate::store::core::TICKS_TO_1970;
use crate::store::inode::{
    ContentHeaders, CopyState, Inode, InodeRecord, NodeKind, Origin, Properties, Stored, is_zero,
};
use crate::store::lease::Lease;

const RECORD_VERSION: u8 = 2;
const RECORD_VERSION_FIRST: u8 = 1;
const ATTRIBUTES_VERSION: u8 = 2;
/// A content list without segments and blocks.
const NO_CONTENT: [u8; 8] = [0; 8];

const PART_HERE: u64 = 0;
const PART_THERE: u64 = 1;
const PART_NO_CONTENT: u64 = 2;

const IS_DIRECTORY: u8 = 1;
const ORIGIN_SHIFT: u8 = 1;
const HAS_PLAIN_ACCESS: u8 = 1 << 3;
const HAS_HEADERS: u8 = 1 << 4;
const HAS_REST: u8 = 1 << 5;

/// What few inodes have.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Rest {
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessControl>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: Properties,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_unix_ns: Option<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<CopyState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier_changed_unix_ns: Option<i64>,
    #[serde(skip_serializing_if = "is_zero")]
    is_sealed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    appended_blocks: u32,
    #[serde(skip_serializing_if = "is_zero")]
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_key_sha256: Option<String>,
}

/// Attributes as they are kept.
///
/// # Errors
/// Those of serde; none is known to happen.
pub(crate) fn encode_attributes(inode: &Inode) -> serde_json::Result<Vec<u8>> {
    let mode = plain_mode(&inode.access);
    let rest = Rest {
        access: mode.is_none().then(|| inode.access.clone()),
        properties: inode.properties.clone(),
        lease: inode.lease.clone(),
        expires_unix_ns: inode.expires_unix_ns,
        tags: inode.tags.clone(),
        copy: inode.copy.clone(),
        tier: inode.tier.clone(),
        encryption_context: inode.encryption_context.clone(),
        tier_changed_unix_ns: inode.tier_changed_unix_ns,
        is_sealed: inode.is_sealed,
        appended_blocks: inode.appended_blocks,
        sequence_number: inode.sequence_number,
        customer_key_sha256: inode.customer_key_sha256.clone(),
    };
    let has_headers = inode.headers != ContentHeaders::default();
    let has_rest = rest != Rest::default();
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let mut out = vec![
        ATTRIBUTES_VERSION,
        flag(inode.kind == NodeKind::Directory, IS_DIRECTORY)
            | origin_number(inode.origin) << ORIGIN_SHIFT
            | flag(mode.is_some(), HAS_PLAIN_ACCESS)
            | flag(has_headers, HAS_HEADERS)
            | flag(has_rest, HAS_REST),
    ];
    put_number(&mut out, inode.length);
    put_signed(&mut out, inode.created_unix_ns);
    put_signed(
        &mut out,
        inode.modified_unix_ns.wrapping_sub(inode.created_unix_ns),
    );
    put_signed(
        &mut out,
        inode.etag.wrapping_sub(ticks(inode.modified_unix_ns)) as i64,
    );
    if let Some(mode) = mode {
        put_number(&mut out, u64::from(mode));
    }
    if has_headers {
        put_headers(&mut out, &inode.headers);
    }
    if has_rest {
        serde_json::to_writer(&mut out, &rest)?;
    }
    Ok(out)
}

/// The mode from which [`AccessControl::from_mode`] makes the same; `None` where there is more to say.
fn plain_mode(access: &AccessControl) -> Option<u16> {
    let [user, group, other] = access.entries.as_slice() else {
        return None;
    };
    let bits = u16::from(user.bits) << 6 | u16::from(group.bits) << 3 | u16::from(other.bits);
    let mode = bits | if access.sticky { 0o1000 } else { 0 };
    (*access == AccessControl::from_mode(mode)).then_some(mode)
}

/// Reads attributes; the error says what is wrong.
pub(crate) fn decode_attributes(id: u64, bytes: &[u8]) -> Result<Inode, String> {
    if bytes.first() == Some(&b'{') {
        return serde_json::from_slice(bytes).map_err(|e| e.to_string());
    }
    let cut_off = || "they are cut off".to_owned();
    let mut input = Input(bytes);
    let version = input.u8().ok_or_else(cut_off)?;
    if version != ATTRIBUTES_VERSION {
        return Err(format!("their form {version} is not known"));
    }
    let flags = input.u8().ok_or_else(cut_off)?;
    let length = number(&mut input).ok_or_else(cut_off)?;
    let created_unix_ns = signed(&mut input).ok_or_else(cut_off)?;
    let modified_unix_ns = created_unix_ns.wrapping_add(signed(&mut input).ok_or_else(cut_off)?);
    let etag_offset = signed(&mut input).ok_or_else(cut_off)?;
    let plain_access = match flags & HAS_PLAIN_ACCESS {
        0 => None,
        _ => Some(AccessControl::from_mode(
            number(&mut input).ok_or_else(cut_off)? as u16,
        )),
    };
    let headers = match flags & HAS_HEADERS {
        0 => ContentHeaders::default(),
        _ => headers(&mut input).ok_or_else(cut_off)?,
    };
    let rest: Rest = match flags & HAS_REST {
        0 => Rest::default(),
        _ => serde_json::from_slice(input.0).map_err(|e| e.to_string())?,
    };
    Ok(Inode {
        id,
        kind: match flags & IS_DIRECTORY {
            0 => NodeKind::File,
            _ => NodeKind::Directory,
        },
        origin: origin_of(flags >> ORIGIN_SHIFT),
        length,
        etag: ticks(modified_unix_ns).wrapping_add(etag_offset as u64),
        created_unix_ns,
        modified_unix_ns,
        access: plain_access.or(rest.access).ok_or_else(cut_off)?,
        properties: rest.properties,
        headers,
        lease: rest.lease,
        expires_unix_ns: rest.expires_unix_ns,
        tags: rest.tags,
        copy: rest.copy,
        tier: rest.tier,
        encryption_context: rest.encryption_context,
        tier_changed_unix_ns: rest.tier_changed_unix_ns,
        is_sealed: rest.is_sealed,
        appended_blocks: rest.appended_blocks,
        sequence_number: rest.sequence_number,
        customer_key_sha256: rest.customer_key_sha256,
    })
}

/// ETags count from year 1 in steps of 100 ns, so that they are near the time of the change.
fn ticks(unix_ns: i64) -> u64 {
    ((unix_ns / 100) as u64).wrapping_add(TICKS_TO_1970)
}

fn origin_number(origin: Origin) -> u8 {
    match origin {
        Origin::Dfs => 0,
        Origin::Blob => 1,
        Origin::AppendBlob => 2,
        Origin::PageBlob => 3,
    }
}

fn origin_of(bits: u8) -> Origin {
    match bits & 3 {
        0 => Origin::Dfs,
        1 => Origin::Blob,
        2 => Origin::AppendBlob,
        _ => Origin::PageBlob,
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(input: &mut Input<'_>) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = input.u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn signed(input: &mut Input<'_>) -> Option<i64> {
    let value = number(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// One byte that says which are there, then their texts.
fn put_headers(out: &mut Vec<u8>, headers: &ContentHeaders) {
    let fields = [
        &headers.content_type,
        &headers.content_encoding,
        &headers.content_language,
        &headers.content_disposition,
        &headers.cache_control,
        &headers.content_md5,
    ];
    let bits = fields.iter().enumerate();
    out.push(bits.fold(0, |bits, (place, field)| {
        bits | u8::from(field.is_some()) << place
    }));
    for text in fields.into_iter().flatten() {
        put_number(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

fn headers(input: &mut Input<'_>) -> Option<ContentHeaders> {
    let bits = input.u8()?;
    let mut headers = ContentHeaders::default();
    let fields = [
        &mut headers.content_type,
        &mut headers.content_encoding,
        &mut headers.content_language,
        &mut headers.content_disposition,
        &mut headers.cache_control,
        &mut headers.content_md5,
    ];
    for (place, field) in fields.into_iter().enumerate() {
        if bits >> place & 1 == 1 {
            let length = usize::try_from(number(input)?).ok()?;
            *field = Some(std::str::from_utf8(input.take(length)?).ok()?.to_owned());
        }
    }
    Some(headers)
}

impl Stored {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Here(bytes) if *bytes == NO_CONTENT => put_number(out, PART_NO_CONTENT),
            Self::Here(bytes) => {
                put_number(out, (bytes.len() as u64) << 2 | PART_HERE);
                out.extend_from_slice(bytes);
            }
            Self::There {
                extent,
                length,
                crc32c,
            } => {
                put_number(out, PART_THERE);
                put_number(out, *extent);
                put_number(out, u64::from(*length));
                out.extend_from_slice(&crc32c.to_be_bytes());
            }
        }
    }

    fn decode(input: &mut Input<'_>) -> Option<Self> {
        let head = number(input)?;
        match head & 3 {
            PART_HERE => {
                let length = usize::try_from(head >> 2).ok()?;
                Some(Self::Here(input.take(length)?.to_vec()))
            }
            PART_THERE => Some(Self::There {
                extent: number(input)?,
                length: u32::try_from(number(input)?).ok()?,
                crc32c: input.u32()?,
            }),
            PART_NO_CONTENT => Some(Self::Here(NO_CONTENT.to_vec())),
            _ => None,
        }
    }

    fn decode_first_version(input: &mut Input<'_>) -> Option<Self> {
        match input.u8()? {
            0 => {
                let length = input.u32()?;
                Some(Self::Here(input.take(length as usize)?.to_vec()))
            }
            1 => Some(Self::There {
                extent: input.u64()?,
                length: input.u32()?,
                crc32c: input.u32()?,
            }),
            _ => None,
        }
    }
}

impl InodeRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![RECORD_VERSION];
        self.attributes.encode(&mut out);
        self.content.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let part = match input.u8()? {
            RECORD_VERSION => Stored::decode,
            RECORD_VERSION_FIRST => Stored::decode_first_version,
            _ => return None,
        };
        let record = Self {
            attributes: part(&mut input)?,
            content: part(&mut input)?,
        };
        input.0.is_empty().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::store::inode::PropertyValue;

    fn plain() -> Inode {
        let created_unix_ns = 1_790_000_000_123_456_789;
        Inode {
            id: 7,
            kind: NodeKind::File,
            origin: Origin::Dfs,
            length: 0,
            etag: ticks(created_unix_ns) + 3,
            created_unix_ns,
            modified_unix_ns: created_unix_ns,
            access: AccessControl::from_mode(0o1640),
            properties: Properties::new(),
            headers: ContentHeaders::default(),
            lease: None,
            expires_unix_ns: None,
            tags: BTreeMap::new(),
            copy: None,
            tier: None,
            encryption_context: None,
            tier_changed_unix_ns: None,
            is_sealed: false,
            appended_blocks: 0,
            sequence_number: 0,
            customer_key_sha256: None,
        }
    }

    #[test]
    fn attributes_are_decoded_as_they_were_encoded() {
        let mut inodes = vec![plain()];
        for origin in [Origin::Blob, Origin::AppendBlob, Origin::PageBlob] {
            let mut inode = plain();
            inode.origin = origin;
            inode.length = u64::MAX;
            inode.modified_unix_ns = -5;
            inode.etag = 1;
            inode.headers.content_md5 = Some("1B2M2Y8AsgTpgAmY7PhCfg==".to_owned());
            inode.headers.cache_control = Some(String::new());
            inode.access.owner = "somebody".to_owned();
            inode.is_sealed = true;
            inode
                .properties
                .insert("a".to_owned(), PropertyValue(b"\xff\0".to_vec()));
            inodes.push(inode);
        }
        let mut directory = plain();
        directory.kind = NodeKind::Directory;
        directory.tags.insert("k".to_owned(), "v".to_owned());
        directory.customer_key_sha256 = Some("hash".to_owned());
        directory.lease = Some(Lease::granted("id", Some(15), 0));
        inodes.push(directory);
        for inode in inodes {
            let bytes = encode_attributes(&inode).unwrap();
            assert_eq!(decode_attributes(7, &bytes), Ok(inode.clone()));
            let json = serde_json::to_vec(&inode).unwrap();
            assert_eq!(decode_attributes(7, &json), Ok(inode), "as it was once");
            for end in 0..bytes.len() {
                assert!(decode_attributes(7, &bytes[..end]).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn the_record_of_an_empty_file_needs_no_allocation() {
        let record = InodeRecord {
            attributes: Stored::Here(encode_attributes(&plain()).unwrap()),
            content: Stored::Here(NO_CONTENT.to_vec()),
        };
        assert!(record.encode().len() <= 22, "{:?}", record.encode());
    }

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        let record = InodeRecord {
            attributes: Stored::Here(b"{}".to_vec()),
            content: Stored::There {
                extent: 9,
                length: 4_000,
                crc32c: 77,
            },
        };
        assert_eq!(InodeRecord::decode(&record.encode()), Some(record.clone()));
        assert_eq!(InodeRecord::decode(&record.encode()[..5]), None);
        let first = b"\x01\0\0\0\0\x02{}\x01\0\0\0\0\0\0\0\x09\0\0\x0f\xa0\0\0\0\x4d";
        assert_eq!(InodeRecord::decode(first), Some(record));
    }
}
