//! What a request is about.

use std::sync::Arc;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::{Authority, Gate};
use crate::protocol::query::Query;
use crate::protocol::route;
use crate::store::authorize::Principal;
use crate::store::path::StorePath;

/// Spoken when a request does not say.
const VERSION_DEFAULT: &str = "2023-11-03";
/// The oldest version that is understood.
const VERSION_FIRST: &str = "2017-11-09";

/// Which protocol a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Dfs,
    Blob,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What is asked for; `X-HTTP-Method-Override` is followed.
    pub method: Method,
    /// What was sent, which is what was signed.
    pub sent_method: Method,
    /// As it came, still encoded.
    pub raw_path: String,
    /// As it came, for records.
    pub raw_query: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub face: Face,
    pub account: String,
    /// Empty for the account itself.
    pub filesystem: String,
    /// Decoded, within the filesystem.
    pub path: String,
    pub version: String,
    /// Of this answer.
    pub request_id: String,
    /// The client's own.
    pub client_request_id: Option<String>,
    /// Where the server was reached, for URLs in answers: `http://127.0.0.1:10000/devstoreaccount1`.
    pub endpoint: String,
    /// Whether the account has no hierarchical namespace.
    pub is_flat: bool,
    /// Whether the account's read-only copy was addressed.
    pub is_secondary: bool,
    /// Who is asking, for access control.
    pub principal: Principal,
    /// What gives them the right.
    pub authority: Authority,
    /// Whether what it creates may not replace anything.
    pub creates_only: bool,
    /// Whether it stands for the source of a move.
    pub moves_source: bool,
    /// From where.
    pub client_ip: std::net::IpAddr,
    /// Entries that a page of a list has at most, where a fault says so.
    pub page_entries_max: Option<usize>,
    /// Paths that a recursive change of access control lists takes at most, where a fault says so.
    pub acl_records_max: Option<u64>,
    /// Whether it came over TLS.
    pub is_https: bool,
    /// What it has to pass.
    pub gate: Arc<Gate>,
}

/// What does not depend on the accounts there are.
pub(crate) struct Arrival {
    pub method: Method,
    pub raw_path: String,
    pub raw_query: String,
    pub headers: HeaderMap,
    /// What the port it came in on is for.
    pub port_face: Face,
    pub client_ip: std::net::IpAddr,
    pub is_https: bool,
    pub gate: Arc<Gate>,
}

impl Request {
    /// Reads where a request leads. It cannot fail, so that every error can be answered in the right form.
    pub(crate) fn new(arrival: Arrival, is_account: impl Fn(&str) -> bool) -> Self {
        let Arrival {
            method: sent_method,
            raw_path,
            raw_query,
            headers,
            port_face,
            client_ip,
            is_https,
            gate,
        } = arrival;
        let query = Query::parse(&raw_query);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let method = text("x-http-method-override")
            .and_then(|verb| Method::from_bytes(verb.as_bytes()).ok())
            .unwrap_or_else(|| sent_method.clone());
        let place = route::place(&raw_path, &headers, is_https, is_account);
        let face = route::face(&method, &headers, &query, port_face);
        let version = text("x-ms-version")
            .or_else(|| query.get("sv"))
            .unwrap_or(VERSION_DEFAULT)
            .to_owned();
        let client_request_id = text("x-ms-client-request-id").map(str::to_owned);
        Self {
            method,
            sent_method,
            raw_path,
            raw_query,
            face,
            account: place.account,
            filesystem: place.filesystem,
            path: place.path,
            version,
            request_id: uuid::Uuid::new_v4().to_string(),
            client_request_id,
            endpoint: place.endpoint,
            query,
            headers,
            is_flat: false,
            is_secondary: place.is_secondary,
            principal: Principal::Superuser,
            authority: Authority::default(),
            creates_only: false,
            moves_source: false,
            client_ip,
            page_entries_max: None,
            acl_records_max: None,
            is_https,
            gate,
        }
    }

    /// Refuses versions that are none.
    pub(crate) fn check_version(&self) -> Result<()> {
        let is_date = self.version.parse::<jiff::civil::Date>().is_ok() && self.version.len() == 10;
        if is_date && self.version.as_str() >= VERSION_FIRST {
            return Ok(());
        }
        Err(StoreError::invalid_header("x-ms-version", &self.version))
    }

    /// A header's text. What is not text counts as wrong.
    pub(crate) fn header(&self, name: &str) -> Result<Option<&str>> {
        match self.headers.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Ok("") => Ok(None),
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(StoreError::invalid_header(
                    name,
                    &String::from_utf8_lossy(value.as_bytes()),
                )),
            },
        }
    }

    /// A header that is a number.
    pub(crate) fn header_number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.header(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(StoreError::invalid_header(name, text)),
        }
    }

    /// A header that must be there.
    pub(crate) fn required_header(&self, name: &str) -> Result<&str> {
        self.header(name)?
            .ok_or_else(|| StoreError::missing_header(name))
    }

    /// A parameter that must be there.
    pub(crate) fn required_query(&self, name: &str) -> Result<&str> {
        self.query.get(name).ok_or_else(|| {
            StoreError::code(ErrorCode::MissingRequiredQueryParameter)
                .element("QueryParameterName", name)
        })
    }

    /// A number in the query.
    pub(crate) fn query_number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.query.get(name) else {
            return Ok(None);
        };
        let number = text
            .parse()
            .map_err(|_| StoreError::invalid_query(name, text, "It is not a number."))?;
        Ok(Some(number))
    }

    /// `true` or `false` in the query.
    pub(crate) fn query_flag(&self, name: &str) -> Result<bool> {
        match self.query.get(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(StoreError::invalid_query(
                name,
                text,
                "It must be true or false.",
            )),
        }
    }

    /// The path within the filesystem.
    pub(crate) fn store_path(&self) -> Result<StorePath> {
        self.path_of(&self.path)
    }

    /// A path as the account has them.
    pub(crate) fn path_of(&self, text: &str) -> Result<StorePath> {
        path_in(self.is_flat, text)
    }

    /// The path within the filesystem, or the snapshot of it that the query names.
    pub(crate) fn path_or_snapshot(&self) -> Result<StorePath> {
        let path = self.store_path()?;
        match self.query.get("snapshot") {
            Some(time) => self.snapshot_of(&path, time),
            None => Ok(path),
        }
    }

    /// The snapshot of a path.
    pub(crate) fn snapshot_of(&self, path: &StorePath, time: &str) -> Result<StorePath> {
        snapshot_in(self.is_flat, path, time)
    }

    /// Refuses what takes directories or access control lists, in an account without them.
    pub(crate) fn needs_namespace(&self) -> Result<()> {
        match self.is_flat {
            true => Err(ErrorCode::HierarchicalNamespaceNotEnabled.into()),
            false => Ok(()),
        }
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.headers
            .get(http::header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }
}

/// A path as an account has them that is flat or not.
pub(crate) fn path_in(is_flat: bool, text: &str) -> Result<StorePath> {
    match is_flat {
        true => StorePath::flat(text),
        false => StorePath::parse(text),
    }
}

/// The snapshot of a path in an account that is flat or not.
pub(crate) fn snapshot_in(is_flat: bool, path: &StorePath, time: &str) -> Result<StorePath> {
    let is_time = time.parse::<jiff::Timestamp>().is_ok() && !time.contains('\0');
    match (is_flat, is_time) {
        (true, true) => Ok(path.snapshot(time)),
        (true, false) => Err(StoreError::invalid_query(
            "snapshot",
            time,
            "It is not a time.",
        )),
        (false, _) => Err(ErrorCode::FeatureNotYetSupportedForHierarchicalNamespaceAccounts.into()),
    }
}

/// Decodes a percent-encoded path.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
