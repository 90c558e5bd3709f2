//! What a request to create a file or directory says.

use crate::store::acl::{AclEntry, UMASK_DEFAULT};
use crate::store::inode::{ContentHeaders, CopyState, Inode, NodeKind, Origin, Properties};
use crate::store::namespace::Guard;

const NS_PER_MS: i64 = 1_000_000;

/// When a file vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Not.
    Never,
    /// So long after its creation.
    RelativeToCreation(u64),
    /// So long from now.
    RelativeToNow(u64),
    /// Then, in nanoseconds since 1970.
    AbsoluteUnixNs(i64),
}

impl Expiry {
    pub(crate) fn resolve(self, created_unix_ns: i64, now_unix_ns: i64) -> Option<i64> {
        let after = |from: i64, ms: u64| {
            from.saturating_add(
                i64::try_from(ms)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(NS_PER_MS),
            )
        };
        match self {
            Self::Never => None,
            Self::RelativeToCreation(ms) => Some(after(created_unix_ns, ms)),
            Self::RelativeToNow(ms) => Some(after(now_unix_ns, ms)),
            Self::AbsoluteUnixNs(at) => Some(at),
        }
    }
}

/// A file or directory to create, or to put in the place of one.
#[derive(Debug)]
pub struct CreateRequest {
    /// File or directory.
    pub kind: NodeKind,
    /// Which protocol writes it.
    pub origin: Origin,
    /// Conditions and lease.
    pub guard: Guard,
    /// Headers to store.
    pub headers: ContentHeaders,
    /// Properties.
    pub properties: Properties,
    /// Index tags.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Permissions before the umask.
    pub permissions: Option<u16>,
    /// Umask.
    pub umask: u16,
    /// Access control list instead of permissions.
    pub acl: Option<Vec<AclEntry>>,
    /// Owner other than the superuser.
    pub owner: Option<String>,
    /// Group other than the superuser.
    pub group: Option<String>,
    /// Lease it is created with: id and duration.
    pub lease: Option<(String, Option<u32>)>,
    /// Expiry.
    pub expiry: Option<Expiry>,
    /// A file that stands there keeps its owner and permissions, as Put Blob does.
    pub keeps_access: bool,
    /// A lease on the file that stands there is broken rather than asked for, as DFS create does.
    pub breaks_lease: bool,
    /// How it was copied.
    pub copy: Option<CopyState>,
    /// Access tier.
    pub tier: Option<String>,
    /// What a client that encrypts by itself notes with the file.
    pub encryption_context: Option<String>,
    /// What only some types of blobs have.
    pub blob: BlobState,
}

/// What append blobs and page blobs have beside their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobState {
    /// Whether an append blob is closed for good.
    pub is_sealed: bool,
    /// How many blocks were appended to it.
    pub appended_blocks: u32,
    /// What a client counts a page blob's changes by.
    pub sequence_number: u64,
}

impl BlobState {
    pub(crate) fn of(inode: &Inode) -> Self {
        Self {
            is_sealed: inode.is_sealed,
            appended_blocks: inode.appended_blocks,
            sequence_number: inode.sequence_number,
        }
    }
}

impl CreateRequest {
    /// A plain request.
    #[must_use]
    pub fn new(kind: NodeKind, origin: Origin) -> Self {
        Self {
            kind,
            origin,
            guard: Guard::default(),
            headers: ContentHeaders::default(),
            properties: Properties::new(),
            tags: std::collections::BTreeMap::new(),
            permissions: None,
            umask: UMASK_DEFAULT,
            acl: None,
            owner: None,
            group: None,
            lease: None,
            expiry: None,
            keeps_access: origin != Origin::Dfs,
            breaks_lease: false,
            copy: None,
            tier: None,
            encryption_context: None,
            blob: BlobState::default(),
        }
    }
}
