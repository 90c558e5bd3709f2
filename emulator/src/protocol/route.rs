//! Which account, filesystem, path and protocol a request means.

use http::{HeaderMap, Method, header};

use crate::protocol::query::Query;
use crate::protocol::request::{Face, decode};

/// Where a request leads.
pub(super) struct Place {
    pub account: String,
    pub filesystem: String,
    pub path: String,
    pub endpoint: String,
    /// Whether the read-only copy was addressed.
    pub is_secondary: bool,
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// Finds the account in the host's name, or in the path, or in what else the request says.
pub(super) fn place(
    raw_path: &str,
    headers: &HeaderMap,
    is_https: bool,
    is_account: impl Fn(&str) -> bool,
) -> Place {
    let scheme = if is_https { "https" } else { "http" };
    let host = text(headers, header::HOST.as_str());
    let rest = raw_path.trim_start_matches('/');
    if let Some((account, _)) = host
        .split_once('.')
        .filter(|(first, _)| is_account(primary(first)))
    {
        return within(account, rest, format!("{scheme}://{host}"));
    }
    let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
    if is_account(primary(first)) {
        let endpoint = format!("{scheme}://{host}/{first}");
        return within(first, after, endpoint);
    }
    // Some clients drop the account from the target of a rename, and still sign for it.
    match account_beside_path(headers).filter(|account| is_account(account)) {
        Some(account) => {
            let endpoint = format!("{scheme}://{host}/{account}");
            within(&account, rest, endpoint)
        }
        None => within(&decode(first), after, format!("{scheme}://{host}")),
    }
}

/// What the name of an account's read-only copy ends with.
const SECONDARY: &str = "-secondary";

/// An account's name without the mark of its read-only copy.
fn primary(name: &str) -> &str {
    name.strip_suffix(SECONDARY).unwrap_or(name)
}

fn account_beside_path(headers: &HeaderMap) -> Option<String> {
    let signed = text(headers, header::AUTHORIZATION.as_str());
    if let Some((_, rest)) = signed.split_once(' ')
        && let Some((account, _)) = rest.split_once(':')
    {
        return Some(account.to_owned());
    }
    let source = text(headers, "x-ms-rename-source").trim_start_matches('/');
    source
        .split('/')
        .next()
        .filter(|first| !first.is_empty())
        .map(str::to_owned)
}

fn within(account: &str, rest: &str, endpoint: String) -> Place {
    let (filesystem, path) = rest.split_once('/').unwrap_or((rest, ""));
    Place {
        account: primary(account).to_owned(),
        is_secondary: account.ends_with(SECONDARY),
        filesystem: decode(filesystem),
        path: decode(path),
        endpoint,
    }
}

const DFS_PARAMETERS: [&str; 6] = [
    "resource",
    "action",
    "recursive",
    "position",
    "mode",
    "paginated",
];

/// Decides which protocol is meant, since clients of both may come in on one port.
pub(super) fn face(method: &Method, headers: &HeaderMap, query: &Query, port: Face) -> Face {
    let dfs = DFS_PARAMETERS.iter().any(|name| query.has(name))
        || headers.contains_key("x-ms-rename-source")
        || *method == Method::PATCH
        || (*method == Method::POST
            && headers.contains_key("x-ms-lease-action")
            && !query.has("comp"));
    if dfs && !query.has("restype") && !query.has("comp") {
        return Face::Dfs;
    }
    let blob = query.has("restype")
        || query.has("comp")
        || headers.contains_key("x-ms-blob-type")
        || headers.contains_key("x-ms-copy-source");
    if blob {
        return Face::Blob;
    }
    ambiguous(headers, port)
}

/// A bare GET, HEAD or DELETE of a path.
fn ambiguous(headers: &HeaderMap, port: Face) -> Face {
    let accept = text(headers, header::ACCEPT.as_str());
    let agent = text(headers, header::USER_AGENT.as_str());
    let host = text(headers, header::HOST.as_str());
    if accept.contains("application/xml") || agent.contains("storage-blob") {
        return Face::Blob;
    }
    if accept.contains("application/json") || agent.contains("storage-files-datalake") {
        return Face::Dfs;
    }
    if host.contains(".dfs.") {
        return Face::Dfs;
    }
    if host.contains(".blob.") {
        return Face::Blob;
    }
    port
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn known(name: &str) -> bool {
        name == "devstoreaccount1"
    }

    #[test]
    fn the_account_stands_in_the_path_or_in_the_host() {
        let path = place(
            "/devstoreaccount1/fs/a%20b/c",
            &headers(&[("host", "127.0.0.1:1")]),
            false,
            known,
        );
        assert_eq!(
            (&*path.account, &*path.filesystem, &*path.path),
            ("devstoreaccount1", "fs", "a b/c")
        );
        let host = headers(&[("host", "devstoreaccount1.dfs.localhost:1")]);
        let place = place("/fs/a", &host, true, known);
        assert_eq!(
            (&*place.account, &*place.filesystem, &*place.path),
            ("devstoreaccount1", "fs", "a")
        );
    }

    #[test]
    fn a_rename_may_leave_the_account_out() {
        let source = headers(&[
            ("host", "h"),
            ("x-ms-rename-source", "/devstoreaccount1/fs/old"),
        ]);
        let place = place("/fs/new", &source, false, known);
        assert_eq!(
            (&*place.account, &*place.filesystem, &*place.path),
            ("devstoreaccount1", "fs", "new")
        );
    }

    #[test]
    fn one_port_takes_both_protocols() {
        let face = |method: Method, pairs: &[(&'static str, &str)], query: &str, port| {
            face(&method, &headers(pairs), &Query::parse(query), port)
        };
        assert_eq!(
            face(Method::PUT, &[], "resource=file", Face::Blob),
            Face::Dfs
        );
        assert_eq!(
            face(Method::GET, &[], "restype=container&comp=list", Face::Dfs),
            Face::Blob
        );
        assert_eq!(
            face(
                Method::PUT,
                &[("x-ms-blob-type", "BlockBlob")],
                "",
                Face::Dfs
            ),
            Face::Blob
        );
        assert_eq!(
            face(Method::GET, &[("accept", "application/xml")], "", Face::Dfs),
            Face::Blob
        );
        assert_eq!(
            face(
                Method::DELETE,
                &[("accept", "application/json")],
                "",
                Face::Blob
            ),
            Face::Dfs
        );
        assert_eq!(
            face(Method::HEAD, &[("accept", "*/*")], "", Face::Dfs),
            Face::Dfs
        );
        assert_eq!(
            face(Method::HEAD, &[("accept", "*/*")], "", Face::Blob),
            Face::Blob
        );
    }
}
