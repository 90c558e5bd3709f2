//! List Blobs of an account without a hierarchical namespace: names by their bytes, whatever delimiter.

use crate::error::Result;
use crate::protocol::blob::list;
use crate::protocol::common::{Call, http_date};
use crate::protocol::reply::Reply;
use crate::store::flat::{FlatEntry, FlatListRequest};

pub(super) fn blobs(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let query = |name: &str| request.query.get(name).unwrap_or("").to_owned();
    let start = match request.query.get("startfrom") {
        None | Some("") => None,
        Some(name) => Some(request.path_of(name)?),
    };
    let page = call.store.list_flat(
        &request.account,
        &request.filesystem,
        &FlatListRequest {
            prefix: query("prefix"),
            delimiter: query("delimiter"),
            from: call.continuation("marker")?.or(start),
            snapshots: list::includes(request, "snapshots"),
            deleted: list::includes(request, "deleted"),
            entries_max: list::entries_max(request)?,
        },
    )?;
    let mut xml = list::begin(request);
    let now = call.store.now_unix_ns();
    for entry in &page.entries {
        match entry {
            FlatEntry::Prefix(prefix) => {
                xml.open("BlobPrefix");
                list::name(&mut xml, prefix);
                xml.close("BlobPrefix");
            }
            FlatEntry::Blob {
                name,
                snapshot,
                inode,
                deleted,
            } => {
                xml.open("Blob");
                list::name(&mut xml, name);
                if deleted.is_some() {
                    xml.text("Deleted", "true");
                }
                if let Some(time) = snapshot {
                    xml.text("Snapshot", time);
                }
                xml.open("Properties");
                list::properties(&mut xml, inode, true, now);
                if let Some((deleted_unix_ns, days_left)) = deleted {
                    xml.text("DeletedTime", &http_date(*deleted_unix_ns))
                        .text("RemainingRetentionDays", &days_left.to_string());
                }
                xml.close("Properties");
                if list::includes(request, "metadata") {
                    list::metadata(&mut xml, &inode.properties, false);
                }
                list::tags(&mut xml, request, inode);
                list::end_of_blob(&mut xml, request);
                xml.close("Blob");
            }
        }
    }
    let created = page.filesystem.created_unix_ns;
    let next = page.next.as_ref().map(|path| call.token(created, path));
    xml.close("Blobs")
        .text("NextMarker", next.as_deref().unwrap_or(""))
        .close("EnumerationResults");
    Ok(Reply::new(200).xml(&xml.finish()))
}
