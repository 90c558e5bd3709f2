//! Inodes: everything about a file or directory but its name.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::store::acl::AccessControl;
use crate::store::condition::Version;
use crate::store::lease::Lease;

/// Attributes up to this size stand in the inode's own record.
pub(crate) const ATTRIBUTES_INLINE_MAX_BYTES: usize = 1_800;

/// Names and values a client attached: metadata on the Blob side, properties on the DFS side.
///
/// Values are bytes, because one side sends them as base64 of whatever encoding it likes.
pub type Properties = BTreeMap<String, PropertyValue>;

/// A property's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyValue(pub Vec<u8>);

impl Serialize for PropertyValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for PropertyValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(PropertyValue)
            .map_err(serde::de::Error::custom)
    }
}

/// File or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// Has content.
    File,
    /// Has entries.
    Directory,
}

/// Which protocol wrote a file last; one may not append to what the other wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Create, append and flush.
    Dfs,
    /// Put Blob or Put Block List.
    Blob,
    /// An append blob.
    AppendBlob,
    /// A page blob.
    PageBlob,
}

impl Origin {
    /// The type that the Blob protocol tells.
    #[must_use]
    pub fn blob_type(self) -> &'static str {
        match self {
            Self::Dfs | Self::Blob => "BlockBlob",
            Self::AppendBlob => "AppendBlob",
            Self::PageBlob => "PageBlob",
        }
    }
}

/// The headers a client stores with a file and gets back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContentHeaders {
    /// `Content-Type`; what is not set is `application/octet-stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-MD5` in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_md5: Option<String>,
}

/// The last copy onto a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyState {
    /// Made up when the copy ran.
    pub id: String,
    /// The URL given.
    pub source: String,
    /// Bytes.
    pub length: u64,
    /// When it was done.
    pub completed_unix_ns: i64,
}

pub(crate) fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// Attributes of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// Number, the same through renames.
    pub id: u64,
    /// File or directory.
    pub kind: NodeKind,
    /// Which protocol wrote it.
    pub origin: Origin,
    /// Committed bytes.
    pub length: u64,
    /// Unique over the whole store, and growing.
    pub etag: u64,
    /// Created.
    pub created_unix_ns: i64,
    /// Last modified.
    pub modified_unix_ns: i64,
    /// Permissions.
    pub access: AccessControl,
    /// Properties or metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: Properties,
    /// Stored headers.
    #[serde(default)]
    pub headers: ContentHeaders,
    /// Lease, if one was ever granted and not released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When it vanishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ns: Option<i64>,
    /// Index tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How it was copied here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyState>,
    /// Access tier that a client set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What a client that encrypts by itself notes with the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_context: Option<String>,
    /// When the tier was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier_changed_unix_ns: Option<i64>,
    /// Whether an append blob is closed for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_sealed: bool,
    /// How many blocks were appended to an append blob.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub appended_blocks: u32,
    /// What a client counts a page blob's changes by.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence_number: u64,
    /// The hash of the customer's key that sealed the content, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_key_sha256: Option<String>,
}

impl Inode {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// What conditions compare with.
    #[must_use]
    pub fn version(&self) -> Version<'_> {
        Version {
            etag: self.etag,
            modified_unix_ns: self.modified_unix_ns,
            tags: Some(&self.tags),
        }
    }
}

/// The quoted ETag of a header.
#[must_use]
pub fn etag_text(etag: u64) -> String {
    format!("\"0x{etag:X}\"")
}

/// Where a part of a record is: in the record, or in an extent because it is large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Here(Vec<u8>),
    There {
        extent: u64,
        length: u32,
        crc32c: u32,
    },
}

impl Stored {
    pub(crate) fn extent(&self) -> Option<u64> {
        match self {
            Self::Here(_) => None,
            Self::There { extent, .. } => Some(*extent),
        }
    }
}

/// An inode as the namespace keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InodeRecord {
    pub(crate) attributes: Stored,
    pub(crate) content: Stored,
}

/// A filesystem (a container on the Blob side).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Its number; a filesystem created anew under the same name has another.
    pub id: u64,
    /// The root directory's inode.
    pub root: u64,
    /// As of an inode.
    pub etag: u64,
    /// Created.
    pub created_unix_ns: i64,
    /// Properties last changed.
    pub modified_unix_ns: i64,
    /// Properties or metadata.
    #[serde(default)]
    pub properties: Properties,
    /// `blob`, `container`, or private. Kept and answered; every request must be signed all the same.
    #[serde(default)]
    pub public_access: Option<String>,
    /// Stored access policies, as they came in.
    #[serde(default)]
    pub policies: Vec<AccessPolicy>,
    /// Lease on the container.
    #[serde(default)]
    pub lease: Option<Lease>,
}

impl Filesystem {
    /// What conditions compare with.
    #[must_use]
    pub fn version(&self) -> Version<'_> {
        Version {
            etag: self.etag,
            modified_unix_ns: self.modified_unix_ns,
            tags: None,
        }
    }
}

/// A stored access policy, which a SAS can name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// Its name.
    pub id: String,
    /// From when.
    pub start: Option<String>,
    /// Until when.
    pub expiry: Option<String>,
    /// What for.
    pub permissions: Option<String>,
}
