//! List Paths. Numbers and booleans are strings on the wire.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::error::Result;
use crate::protocol::common::{Call, http_date};
use crate::protocol::dfs::filesystem::entries_max;
use crate::protocol::reply::Reply;
use crate::store::flat::{FlatEntry, FlatListRequest};
use crate::store::inode::{Inode, etag_text};
use crate::store::list::{ListRequest, Listed};
use crate::store::path::StorePath;
use crate::store::token::FILETIME_TO_1970;

/// About what an entry takes in an answer.
const ENTRY_BYTES_USUAL: usize = 300;

fn filetime(unix_ns: i64) -> i64 {
    unix_ns / 100 + FILETIME_TO_1970
}

pub(super) fn paths(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.query_flag("upn")?;
    request.required_query("recursive")?;
    if request.is_flat {
        return flat_paths(call);
    }
    let directory = StorePath::parse(request.query.get("directory").unwrap_or(""))?;
    let begin = match request
        .query
        .get("beginfrom")
        .filter(|begin| !begin.is_empty())
    {
        Some(begin) => Some(StorePath::parse(&format!("{directory}/{begin}"))?),
        None => None,
    };
    let from = call.continuation("continuation")?.or(begin);
    let list = ListRequest {
        directory,
        recursive: request.query_flag("recursive")?,
        from,
        entries_max: entries_max(call)?,
        lists_files: true,
        ..ListRequest::default()
    };
    let page = call.store.list_as(
        &request.principal,
        &request.account,
        &request.filesystem,
        &list,
    )?;
    let mut body = Vec::with_capacity(page.entries.len() * ENTRY_BYTES_USUAL);
    body.extend_from_slice(b"{\"paths\":[");
    for (place, listed) in page.entries.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        put_entry(&mut body, listed);
    }
    body.extend_from_slice(b"]}");
    let reply = Reply::new(200)
        .json_text(body)
        .version(page.filesystem.etag, page.filesystem.modified_unix_ns);
    let created = page.filesystem.created_unix_ns;
    let more = page.next.as_ref().map(|path| call.token(created, path));
    Ok(reply.with_optional("x-ms-continuation", more.as_deref()))
}

/// List Paths of an account without a hierarchical namespace: what names have before a slash is a directory.
fn flat_paths(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let directory = request
        .query
        .get("directory")
        .unwrap_or("")
        .trim_matches('/');
    let prefix = match directory {
        "" => String::new(),
        directory => format!("{directory}/"),
    };
    let begin = match request.query.get("beginfrom") {
        None | Some("") => None,
        Some(begin) => Some(StorePath::flat(&format!("{prefix}{begin}"))?),
    };
    let recursive = request.query_flag("recursive")?;
    let list = FlatListRequest {
        prefix,
        delimiter: if recursive { "" } else { "/" }.to_owned(),
        from: call.continuation("continuation")?.or(begin),
        entries_max: entries_max(call)?,
        ..FlatListRequest::default()
    };
    let (account, filesystem) = (&request.account, &request.filesystem);
    let page = call.store.list_flat(account, filesystem, &list)?;
    let node = |name: &str| {
        call.store
            .node(account, filesystem, &StorePath::flat(name)?)
    };
    if page.entries.is_empty() && list.from.is_none() && !directory.is_empty() {
        node(directory)?;
    }
    let mut paths = Vec::new();
    for listed in page.entries {
        match listed {
            FlatEntry::Blob { name, inode, .. } => paths.push(flat_entry(&name, &inode)),
            FlatEntry::Prefix(prefix) => {
                let name = prefix.trim_end_matches('/');
                // A directory that a blob of its name stands for is told by that blob.
                if !node(name).is_ok_and(|node| is_marker(&node.inode)) {
                    paths.push(json!({ "isDirectory": "true", "name": name }));
                }
            }
        }
    }
    let reply = Reply::new(200)
        .json(&json!({ "paths": paths }))
        .version(page.filesystem.etag, page.filesystem.modified_unix_ns);
    let created = page.filesystem.created_unix_ns;
    let more = page.next.as_ref().map(|path| call.token(created, path));
    Ok(reply.with_optional("x-ms-continuation", more.as_deref()))
}

/// Whether a blob stands for a directory.
fn is_marker(inode: &Inode) -> bool {
    let mark = inode.properties.get("hdi_isfolder");
    inode.length == 0 && mark.is_some_and(|mark| mark.0.eq_ignore_ascii_case(b"true"))
}

/// There is no owner and there are no permissions in such an account.
fn flat_entry(name: &str, inode: &Inode) -> Value {
    let mut entry = json!({
        "contentLength": inode.length.to_string(),
        "creationTime": filetime(inode.created_unix_ns).to_string(),
        "etag": etag_text(inode.etag).trim_matches('"'),
        "lastModified": http_date(inode.modified_unix_ns),
        "name": name,
    });
    if is_marker(inode) {
        entry["isDirectory"] = json!("true");
    }
    entry
}

/// Writes an entry as it stands in the answer: a list of many pages is mostly this.
fn put_entry(out: &mut Vec<u8>, listed: &Listed) {
    let inode = &listed.inode;
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        r#"{{"contentLength":"{}","creationTime":"{}","etag":"0x{:X}""#,
        inode.length,
        filetime(inode.created_unix_ns),
        inode.etag
    );
    if let Some(expires) = inode.expires_unix_ns {
        let _ = write!(out, r#","expiryTime":"{}""#, filetime(expires));
    }
    if let Some(context) = &inode.encryption_context {
        put_text(out, "EncryptionContext", context);
    }
    put_text(out, "group", &inode.access.group);
    if inode.is_directory() {
        out.extend_from_slice(br#","isDirectory":"true""#);
    }
    let modified = http_date(inode.modified_unix_ns);
    let _ = write!(out, r#","lastModified":"{modified}""#);
    put_text(out, "name", &listed.path.to_string());
    put_text(out, "owner", &inode.access.owner);
    let permissions = inode.access.permissions();
    let _ = write!(out, r#","permissions":"{permissions}"}}"#);
}

fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    let _ = write!(out, r#","{name}":"#);
    let _ = serde_json::to_writer(out, text);
}
