//! List Paths. Numbers and booleans are strings on the wire.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::protocol::common::{Call, http_date};
use crate::protocol::dfs::filesystem::entries_max;
use crate::protocol::reply::Reply;
use crate::store::inode::etag_text;
use crate::store::list::{ListRequest, Listed};
use crate::store::path::StorePath;
use crate::store::token::FILETIME_TO_1970;

fn filetime(unix_ns: i64) -> String {
    (unix_ns / 100 + FILETIME_TO_1970).to_string()
}

pub(super) fn paths(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    request.needs_namespace()?;
    request.query_flag("upn")?;
    request.required_query("recursive")?;
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
    let paths: Vec<Value> = page.entries.iter().map(entry).collect();
    let reply = Reply::new(200)
        .json(&json!({ "paths": paths }))
        .version(page.filesystem.etag, page.filesystem.modified_unix_ns);
    let created = page.filesystem.created_unix_ns;
    let more = page.next.as_ref().map(|path| call.token(created, path));
    Ok(reply.with_optional("x-ms-continuation", more.as_deref()))
}

fn entry(listed: &Listed) -> Value {
    let inode = &listed.inode;
    let mut entry = Map::new();
    let mut put = |name: &str, value: String| {
        entry.insert(name.to_owned(), Value::String(value));
    };
    put("contentLength", inode.length.to_string());
    put("creationTime", filetime(inode.created_unix_ns));
    put("etag", etag_text(inode.etag).trim_matches('"').to_owned());
    if let Some(expires) = inode.expires_unix_ns {
        put("expiryTime", filetime(expires));
    }
    if let Some(context) = &inode.encryption_context {
        put("EncryptionContext", context.clone());
    }
    put("group", inode.access.group.clone());
    if inode.is_directory() {
        put("isDirectory", "true".to_owned());
    }
    put("lastModified", http_date(inode.modified_unix_ns));
    put("name", listed.path.to_string());
    put("owner", inode.access.owner.clone());
    put("permissions", inode.access.permissions());
    Value::Object(entry)
}
