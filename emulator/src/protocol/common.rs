//! What both protocols read from requests and write into answers alike.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::body::RequestBody;
use crate::protocol::customer_key;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::store::Store;
use crate::store::condition::Conditions;
use crate::store::inode::{ContentHeaders, Inode, Origin, Properties, PropertyValue, etag_text};
use crate::store::lease::{LeaseAction, LeaseState, lease_state};
use crate::store::namespace::Guard;
use crate::store::path::StorePath;
use crate::store::tag_filter::TagFilter;
use crate::store::token::{path_of_token, token_of};

const NS_PER_S: i64 = 1_000_000_000;
/// Metadata that a path may have.
const PROPERTIES_MAX_BYTES: usize = 8 * 1_024;
/// The largest body of one request.
pub(crate) const BODY_MAX_BYTES: u64 = 5_000 << 20;
const LEASE_DURATION_MIN_S: u32 = 15;
const LEASE_DURATION_MAX_S: u32 = 60;

/// A request with what it needs to be carried out.
pub(crate) struct Call<'a> {
    pub store: &'a Store,
    pub request: &'a Request,
    pub body: &'a mut RequestBody,
}

/// Nanoseconds since 1970 as HTTP writes a time.
pub(crate) fn http_date(unix_ns: i64) -> String {
    let since = Duration::from_secs(u64::try_from(unix_ns / NS_PER_S).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

fn unix_s(request: &Request, name: &str) -> Result<Option<i64>> {
    let Some(text) = request.header(name)? else {
        return Ok(None);
    };
    let time =
        httpdate::parse_http_date(text).map_err(|_| StoreError::invalid_header(name, text))?;
    let since = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Ok(i64::try_from(since).ok())
}

/// Conditions on tags have the same prefix on either side of a copy but one.
fn if_tags_header(prefix: &str) -> String {
    match prefix {
        "" => "x-ms-if-tags".to_owned(),
        prefix => format!("{prefix}if-tags"),
    }
}

/// Conditions, from headers that start with `prefix`.
pub(crate) fn conditions(request: &Request, prefix: &str) -> Result<Conditions> {
    let text = |name: &str| -> Result<Option<String>> {
        Ok(request
            .header(&format!("{prefix}{name}"))?
            .map(str::to_owned))
    };
    let name = if_tags_header(prefix);
    let if_tags = match request.header(&name)? {
        None => None,
        Some(text) => {
            Some(TagFilter::parse(text).ok_or_else(|| StoreError::invalid_header(&name, text))?)
        }
    };
    Ok(Conditions {
        if_tags,
        if_match: text("if-match")?,
        if_none_match: text("if-none-match")?,
        if_modified_since_unix_s: unix_s(request, &format!("{prefix}if-modified-since"))?,
        if_unmodified_since_unix_s: unix_s(request, &format!("{prefix}if-unmodified-since"))?,
    })
}

/// Conditions and lease of what the URL names.
pub(crate) fn guard(request: &Request) -> Result<Guard> {
    Ok(Guard {
        conditions: conditions(request, "")?,
        lease_id: request.header("x-ms-lease-id")?.map(str::to_owned),
        principal: request.principal.clone(),
        creates_only: request.creates_only,
        customer_key: customer_key::of(request)?,
    })
}

/// Headers to store with a file: `x-ms-content-type` on DFS, `x-ms-blob-content-type` on Blob.
pub(crate) fn content_headers(request: &Request, prefix: &str) -> Result<ContentHeaders> {
    let text = |name: &str| -> Result<Option<String>> {
        Ok(request
            .header(&format!("{prefix}{name}"))?
            .map(str::to_owned))
    };
    Ok(ContentHeaders {
        content_type: text("content-type")?,
        content_encoding: text("content-encoding")?,
        content_language: text("content-language")?,
        content_disposition: text("content-disposition")?,
        cache_control: text("cache-control")?,
        content_md5: text("content-md5")?,
    })
}

fn check_size(properties: &Properties) -> Result<()> {
    let bytes: usize = properties
        .iter()
        .map(|(name, value)| name.len() + value.0.len())
        .sum();
    match bytes > PROPERTIES_MAX_BYTES {
        true => Err(ErrorCode::MetadataTooLarge.into()),
        false => Ok(()),
    }
}

/// Names of properties are those of identifiers.
fn check_property_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(ErrorCode::InvalidPropertyName.into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidMetadata.into()),
    }
}

/// `x-ms-properties: name=base64,…`.
pub(crate) fn dfs_properties(request: &Request) -> Result<Option<Properties>> {
    let Some(value) = request.headers.get("x-ms-properties") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let wrong = || StoreError::invalid_header("x-ms-properties", &text);
    let mut properties = Properties::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        check_property_name(name)?;
        let value = STANDARD.decode(value).map_err(|_| wrong())?;
        properties.insert(name.to_owned(), PropertyValue(value));
    }
    check_size(&properties)?;
    Ok(Some(properties))
}

/// `x-ms-meta-<name>` headers.
pub(crate) fn metadata(request: &Request) -> Result<Properties> {
    let mut properties = Properties::new();
    for (name, value) in &request.headers {
        let Some(name) = name.as_str().strip_prefix("x-ms-meta-") else {
            continue;
        };
        check_property_name(name)?;
        properties.insert(name.to_owned(), PropertyValue(value.as_bytes().to_vec()));
    }
    check_size(&properties)?;
    Ok(properties)
}

/// Properties as `x-ms-properties` shows them.
pub(crate) fn properties_text(properties: &Properties) -> String {
    let pairs = properties
        .iter()
        .map(|(name, value)| format!("{name}={}", STANDARD.encode(&value.0)));
    pairs.collect::<Vec<_>>().join(",")
}

impl Reply {
    /// `ETag` and `Last-Modified`.
    pub(crate) fn version(self, etag: u64, modified_unix_ns: i64) -> Self {
        self.with("etag", etag_text(etag))
            .with("last-modified", http_date(modified_unix_ns))
    }

    pub(crate) fn version_of(self, inode: &Inode) -> Self {
        self.version(inode.etag, inode.modified_unix_ns)
    }

    /// Everything that is told about a path, in the words of both protocols: clients of one may ask at the other.
    pub(crate) fn attributes(mut self, inode: &Inode, is_flat: bool, now_unix_ns: i64) -> Self {
        let headers = &inode.headers;
        let kind = if inode.is_directory() {
            "directory"
        } else {
            "file"
        };
        self.set(
            "content-type",
            headers
                .content_type
                .as_deref()
                .unwrap_or("application/octet-stream"),
        );
        for (name, value) in [
            ("content-encoding", &headers.content_encoding),
            ("content-language", &headers.content_language),
            ("content-disposition", &headers.content_disposition),
            ("cache-control", &headers.cache_control),
            ("content-md5", &headers.content_md5),
        ] {
            if let Some(value) = value {
                self.set(name, value);
            }
        }
        self = self
            .version_of(inode)
            .with("accept-ranges", "bytes")
            .with("x-ms-blob-type", inode.origin.blob_type())
            .with("x-ms-creation-time", http_date(inode.created_unix_ns))
            .with("x-ms-server-encrypted", "true")
            .with("x-ms-access-tier", inode.tier.as_deref().unwrap_or("Hot"));
        if !is_flat {
            self.set("x-ms-resource-type", kind);
            self.set("x-ms-owner", &inode.access.owner);
            self.set("x-ms-group", &inode.access.group);
            self.set("x-ms-permissions", inode.access.permissions());
        }
        if inode.tier.is_none() {
            self.set("x-ms-access-tier-inferred", "true");
        }
        if let Some(changed) = inode.tier_changed_unix_ns {
            self.set("x-ms-access-tier-change-time", http_date(changed));
        }
        if inode.is_sealed {
            self.set("x-ms-blob-sealed", "true");
        }
        if inode.origin == Origin::PageBlob {
            let number = inode.sequence_number.to_string();
            self.set("x-ms-blob-sequence-number", number);
        }
        if inode.origin == Origin::AppendBlob {
            let blocks = inode.appended_blocks.to_string();
            self.set("x-ms-blob-committed-block-count", blocks);
        }
        if !inode.properties.is_empty() {
            self.set("x-ms-properties", properties_text(&inode.properties));
        }
        for (name, value) in &inode.properties {
            self.set(&format!("x-ms-meta-{name}"), &value.0);
        }
        if inode.is_directory() {
            self.set("x-ms-meta-hdi_isfolder", "true");
        }
        if !inode.tags.is_empty() {
            self.set("x-ms-tag-count", inode.tags.len().to_string());
        }
        if let Some(hash) = &inode.customer_key_sha256 {
            self.set("x-ms-encryption-key-sha256", hash);
        }
        if let Some(context) = &inode.encryption_context {
            self.set("x-ms-encryption-context", context);
        }
        if let Some(expires) = inode.expires_unix_ns {
            self.set("x-ms-expiry-time", http_date(expires));
        }
        if let Some(copy) = &inode.copy {
            self.set("x-ms-copy-id", &copy.id);
            self.set("x-ms-copy-source", &copy.source);
            self.set("x-ms-copy-status", "success");
            self.set("x-ms-copy-progress", format!("{0}/{0}", copy.length));
            self.set(
                "x-ms-copy-completion-time",
                http_date(copy.completed_unix_ns),
            );
        }
        self.lease_state(inode.lease.as_ref(), now_unix_ns)
    }

    /// Whether a deletion can be undone, and by which number.
    pub(crate) fn deletion(self, deletion: Option<u64>) -> Self {
        match deletion {
            None => self.with("x-ms-delete-type-permanent", "true"),
            Some(number) => self
                .with("x-ms-delete-type-permanent", "false")
                .with("x-ms-deletion-id", number.to_string()),
        }
    }

    /// `x-ms-lease-*`.
    pub(crate) fn lease_state(
        mut self,
        lease: Option<&crate::store::lease::Lease>,
        now_unix_ns: i64,
    ) -> Self {
        let state = lease_state(lease, now_unix_ns);
        self.set("x-ms-lease-state", state.name());
        self.set(
            "x-ms-lease-status",
            if state.is_locked() {
                "locked"
            } else {
                "unlocked"
            },
        );
        if let (LeaseState::Leased, Some(lease)) = (state, lease) {
            let duration = if lease.duration_s.is_some() {
                "fixed"
            } else {
                "infinite"
            };
            self.set("x-ms-lease-duration", duration);
        }
        self
    }
}

/// The lease operation that the headers ask for.
pub(crate) fn lease_action(request: &Request) -> Result<LeaseAction> {
    let action = request.required_header("x-ms-lease-action")?;
    let id = || {
        request
            .required_header("x-ms-lease-id")
            .and_then(|id| checked_id("x-ms-lease-id", id))
    };
    match action.to_ascii_lowercase().as_str() {
        "acquire" => {
            let proposed = request.header("x-ms-proposed-lease-id")?;
            let id = match proposed {
                Some(id) => checked_id("x-ms-proposed-lease-id", id)?,
                None => uuid::Uuid::new_v4().to_string(),
            };
            request.required_header("x-ms-lease-duration")?;
            Ok(LeaseAction::Acquire {
                id,
                duration_s: lease_duration(request)?,
            })
        }
        "renew" => Ok(LeaseAction::Renew { id: id()? }),
        "change" => {
            let proposed = request.required_header("x-ms-proposed-lease-id")?;
            let proposed = checked_id("x-ms-proposed-lease-id", proposed)?;
            Ok(LeaseAction::Change {
                id: id()?,
                proposed,
            })
        }
        "release" => Ok(LeaseAction::Release { id: id()? }),
        "break" => {
            let name = "x-ms-lease-break-period";
            let period = request.header(name)?;
            let wrong = |text: &str| StoreError::invalid_header(name, text);
            let period_s = match period {
                None => None,
                Some(text) => match text.parse::<u32>() {
                    Ok(period) if period <= LEASE_DURATION_MAX_S => Some(period),
                    _ => return Err(wrong(text)),
                },
            };
            Ok(LeaseAction::Break { period_s })
        }
        _ => Err(StoreError::invalid_header("x-ms-lease-action", action)),
    }
}

/// `x-ms-lease-duration`: 15 to 60 seconds, or −1 for ever.
pub(crate) fn lease_duration(request: &Request) -> Result<Option<u32>> {
    let name = "x-ms-lease-duration";
    let Some(text) = request.header(name)? else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(seconds) => match u32::try_from(seconds) {
            Ok(seconds) if (LEASE_DURATION_MIN_S..=LEASE_DURATION_MAX_S).contains(&seconds) => {
                Ok(Some(seconds))
            }
            _ => Err(StoreError::invalid_header(name, text)),
        },
        Err(_) => Err(StoreError::invalid_header(name, text)),
    }
}

/// Lease ids are GUIDs.
pub(crate) fn checked_id(name: &str, id: &str) -> Result<String> {
    match uuid::Uuid::parse_str(id) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(StoreError::invalid_header(name, id)),
    }
}

/// The status of a lease operation.
pub(crate) fn lease_status(action: &LeaseAction) -> u16 {
    match action {
        LeaseAction::Acquire { .. } => 201,
        LeaseAction::Break { .. } => 202,
        _ => 200,
    }
}

impl Call<'_> {
    /// The path that a continuation token in the query names.
    pub(crate) fn continuation(&self, name: &str) -> Result<Option<StorePath>> {
        match self.request.query.get(name) {
            None | Some("") => Ok(None),
            Some(token) => path_of_token(token)
                .and_then(|path| self.request.path_of(&path).ok())
                .map(Some)
                .ok_or_else(|| {
                    StoreError::invalid_query(name, token, "It is not one that was given out.")
                }),
        }
    }

    /// The token for a page that begins with `path`.
    pub(crate) fn token(&self, created_unix_ns: i64, path: &StorePath) -> String {
        let request = self.request;
        token_of(&request.account, &request.filesystem, created_unix_ns, path)
    }

    /// Refuses a body where there must be none.
    pub(crate) fn no_body(&mut self) -> Result<()> {
        match self.request.content_length() {
            None | Some(0) => Ok(()),
            Some(_) => Err(ErrorCode::ContentLengthMustBeZero.into()),
        }
    }
}
