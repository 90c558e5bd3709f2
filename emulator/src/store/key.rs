//! The keys of the namespace tree: one tree, so that one batch can change anything together.
//!
//! The first byte is the kind; numbers are big-endian and of fixed width, so that byte order is the order wanted.

/// High-water marks: next id, last ETag.
pub(crate) const META: &[u8] = b"M";

const FILESYSTEM: u8 = b'F';
const ENTRY: u8 = b'D';
const INODE: u8 = b'I';
const EXTENT: u8 = b'X';
const SHARED: u8 = b'K';
const UNCOMMITTED: u8 = b'U';
const STAGED: u8 = b'S';
const GARBAGE_EXTENT: u8 = b'G';
const RECLAIM: u8 = b'R';
const SERVICE: u8 = b'A';
const DELETED: u8 = b'Z';
const DELETED_FILESYSTEM: u8 = b'Y';
const EXPIRY: u8 = b'E';
const DELEGATION: u8 = b'V';

fn with_id(kind: u8, id: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    key.push(kind);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// The id that follows the kind byte, 0 for a key too short to have one.
pub(crate) fn id_of(key: &[u8]) -> u64 {
    key.get(1..9)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// All filesystems of an account; what follows is the name.
pub(crate) fn filesystems(account: &str) -> Vec<u8> {
    let mut key = vec![FILESYSTEM];
    key.extend_from_slice(account.as_bytes());
    key.push(0);
    key
}

pub(crate) fn filesystem(account: &str, name: &str) -> Vec<u8> {
    let mut key = filesystems(account);
    key.extend_from_slice(name.as_bytes());
    key
}

/// All entries of a directory; what follows is the name.
pub(crate) fn entries(directory: u64) -> Vec<u8> {
    with_id(ENTRY, directory)
}

pub(crate) fn entry(directory: u64, name: &str) -> Vec<u8> {
    let mut key = entries(directory);
    key.extend_from_slice(name.as_bytes());
    key
}

pub(crate) fn inode(id: u64) -> Vec<u8> {
    with_id(INODE, id)
}

/// How often an extent is referenced.
pub(crate) fn extent(id: u64) -> Vec<u8> {
    with_id(EXTENT, id)
}

/// Which extent a caller's shared file is.
pub(crate) fn shared(name: &str) -> Vec<u8> {
    let mut key = vec![SHARED];
    key.extend_from_slice(name.as_bytes());
    key
}

/// Appends to a file that no flush has taken yet; what follows is position and order of arrival.
pub(crate) fn uncommitted_of(inode: u64) -> Vec<u8> {
    with_id(UNCOMMITTED, inode)
}

pub(crate) fn uncommitted(inode: u64, position: u64, arrival: u64) -> Vec<u8> {
    let mut key = uncommitted_of(inode);
    key.extend_from_slice(&position.to_be_bytes());
    key.extend_from_slice(&arrival.to_be_bytes());
    key
}

/// Position and order of arrival of an uncommitted append.
pub(crate) fn uncommitted_parts(key: &[u8]) -> (u64, u64) {
    let number = |range: std::ops::Range<usize>| {
        key.get(range)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes)
    };
    (number(9..17), number(17..25))
}

/// Blocks staged anywhere in a filesystem; what follows is `path \0 block id`. They belong to the name, not to an
/// inode, because a block may be staged before its blob exists.
pub(crate) fn staged_in(filesystem: u64) -> Vec<u8> {
    with_id(STAGED, filesystem)
}

pub(crate) fn staged_of(filesystem: u64, path: &str) -> Vec<u8> {
    let mut key = staged_in(filesystem);
    key.extend_from_slice(path.as_bytes());
    key.push(0);
    key
}

pub(crate) fn staged(filesystem: u64, path: &str, block_id: &[u8]) -> Vec<u8> {
    let mut key = staged_of(filesystem, path);
    key.extend_from_slice(block_id);
    key
}

pub(crate) fn garbage_extents() -> [u8; 1] {
    [GARBAGE_EXTENT]
}

pub(crate) fn garbage_extent(id: u64) -> Vec<u8> {
    with_id(GARBAGE_EXTENT, id)
}

/// What was unlinked and is still to be taken apart.
pub(crate) fn reclaims() -> [u8; 1] {
    [RECLAIM]
}

pub(crate) fn reclaim(inode: u64) -> Vec<u8> {
    with_id(RECLAIM, inode)
}

/// Settings of an account's Blob service.
pub(crate) fn service(account: &str) -> Vec<u8> {
    let mut key = vec![SERVICE];
    key.extend_from_slice(account.as_bytes());
    key
}

/// How often an account's user delegation keys were revoked.
pub(crate) fn delegation(account: &str) -> Vec<u8> {
    let mut key = vec![DELEGATION];
    key.extend_from_slice(account.as_bytes());
    key
}

/// Everything that was deleted and can be restored.
pub(crate) fn deleted() -> [u8; 1] {
    [DELETED]
}

/// What was deleted in a filesystem and can be restored; what follows is the number of the deletion.
pub(crate) fn deleted_in(filesystem: u64) -> Vec<u8> {
    with_id(DELETED, filesystem)
}

pub(crate) fn deleted_path(filesystem: u64, deletion: u64) -> Vec<u8> {
    let mut key = deleted_in(filesystem);
    key.extend_from_slice(&deletion.to_be_bytes());
    key
}

/// Every filesystem that was deleted and can be restored.
pub(crate) fn all_deleted_filesystems() -> [u8; 1] {
    [DELETED_FILESYSTEM]
}

/// Filesystems of an account that were deleted and can be restored.
pub(crate) fn deleted_filesystems(account: &str) -> Vec<u8> {
    let mut key = vec![DELETED_FILESYSTEM];
    key.extend_from_slice(account.as_bytes());
    key.push(0);
    key
}

pub(crate) fn deleted_filesystem(account: &str, name: &str, deletion: u64) -> Vec<u8> {
    let mut key = deleted_filesystems(account);
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(&deletion.to_be_bytes());
    key
}

/// Every file that vanishes, in the order of their times.
pub(crate) fn expiries() -> [u8; 1] {
    [EXPIRY]
}

/// A file that vanishes then. What was before 1970 is over by any clock.
pub(crate) fn expiry(expires_unix_ns: i64, inode: u64) -> Vec<u8> {
    let mut key = with_id(EXPIRY, u64::try_from(expires_unix_ns).unwrap_or(0));
    key.extend_from_slice(&inode.to_be_bytes());
    key
}

/// When, and which inode.
pub(crate) fn expiry_parts(key: &[u8]) -> (i64, u64) {
    let inode = key.get(9..).and_then(|bytes| bytes.try_into().ok());
    (
        i64::try_from(id_of(key)).unwrap_or(i64::MAX),
        inode.map_or(0, u64::from_be_bytes),
    )
}
