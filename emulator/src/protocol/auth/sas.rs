//! Checking a shared access signature.

use http::Method;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::{account_sas, is_signed, refused};
use crate::protocol::request::Request;
use crate::store::Store;
use crate::store::inode::AccessPolicy;

/// What a service signature is signed with, in order; later versions have more.
const SERVICE_TAIL: [&str; 5] = ["rscc", "rscd", "rsce", "rscl", "rsct"];

pub(super) fn check(store: &Store, account: &Account, request: &Request) -> Result<()> {
    let value = |name: &str| request.query.get(name).unwrap_or("").to_owned();
    let version = value("sv");
    if !value("skoid").is_empty() {
        return Err(StoreError::with_message(
            ErrorCode::AuthenticationFailed,
            "The emulator gives out no user delegation keys, so it takes no signatures by one.",
        ));
    }
    let is_account = !value("ss").is_empty();
    let policy = policy(store, request, &value("si"))?;
    let texts = match is_account {
        true => vec![account_sas::string_to_sign(&account.name, value, &version)],
        false => service_texts(request, &account.name, &version)?,
    };
    let signature = request.query.get_base64("sig").unwrap_or_default();
    if !texts
        .iter()
        .any(|text| is_signed(account, text, &signature))
    {
        return Err(refused(texts.first().map_or("", String::as_str)));
    }
    let now = jiff::Timestamp::from_nanosecond(i128::from(store.now_unix_ns()))
        .map_err(|e| StoreError::corrupt("the clock", e.to_string()))?;
    check_time(&value("st"), &value("se"), policy.as_ref(), now)?;
    check_origin(request, &value("sip"), &value("spr"))?;
    let mut permissions = value("sp");
    if let Some(from_policy) = policy.and_then(|policy| policy.permissions) {
        permissions.push_str(&from_policy);
    }
    if is_account {
        check_account_scope(request, &value("ss"), &value("srt"))?;
    }
    check_permission(request, &permissions, is_account)
}

/// The stored access policy that the signature names.
fn policy(store: &Store, request: &Request, id: &str) -> Result<Option<AccessPolicy>> {
    if id.is_empty() {
        return Ok(None);
    }
    let record = store.filesystem_record(&request.account, &request.filesystem)?;
    let policy = record.policies.into_iter().find(|policy| policy.id == id);
    policy.map(Some).ok_or_else(|| {
        StoreError::code(ErrorCode::AuthenticationFailed).element(
            "AuthenticationErrorDetail",
            &format!("The container has no access policy named '{id}'."),
        )
    })
}

fn service_texts(request: &Request, account: &str, version: &str) -> Result<Vec<String>> {
    let value = |name: &str| request.query.get(name).unwrap_or("").to_owned();
    let kind = value("sr");
    let path = request.store_path()?;
    let container = format!("/blob/{account}/{}", request.filesystem);
    let resource = match kind.as_str() {
        "c" => container,
        "d" => {
            let depth: usize = value("sdd").parse().unwrap_or(0);
            let below: Vec<&str> = path
                .segments()
                .iter()
                .take(depth)
                .map(String::as_str)
                .collect();
            if below.len() < depth {
                return Err(ErrorCode::AuthorizationFailure.into());
            }
            format!("{container}/{}", below.join("/"))
        }
        _ => format!("{container}/{path}"),
    };
    let mut fields: Vec<String> = ["sp", "st", "se"].map(value).to_vec();
    fields.push(resource);
    fields.extend(["si", "sip", "spr", "sv"].map(value));
    if version >= "2018-11-09" {
        fields.push(kind);
        fields.push(value("snapshot"));
    }
    if version >= "2020-12-06" {
        fields.push(value("ses"));
    }
    fields.extend(SERVICE_TAIL.map(value));
    Ok(vec![fields.join("\n")])
}

pub(in crate::protocol) fn instant(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // Minutes without seconds, and days, are times too.
    let longer = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        17 => format!("{}:00Z", text.strip_suffix('Z')?),
        _ => return None,
    };
    longer.parse().ok()
}

fn check_time(
    start: &str,
    expiry: &str,
    policy: Option<&AccessPolicy>,
    now: jiff::Timestamp,
) -> Result<()> {
    let wrong = |detail: &str| {
        StoreError::code(ErrorCode::AuthenticationFailed)
            .element("AuthenticationErrorDetail", detail)
    };
    let from_policy = |own: &str, stored: Option<&String>| match own.is_empty() {
        true => stored.cloned().unwrap_or_default(),
        false => own.to_owned(),
    };
    let start = from_policy(start, policy.and_then(|policy| policy.start.as_ref()));
    let expiry = from_policy(expiry, policy.and_then(|policy| policy.expiry.as_ref()));

    if !start.is_empty()
        && instant(&start).ok_or_else(|| wrong("The start time is not a time."))? > now
    {
        return Err(wrong(&format!(
            "The signature is not valid before {start}."
        )));
    }
    match instant(&expiry) {
        Some(expires) if expires > now => Ok(()),
        Some(_) => Err(wrong(&format!("The signature was valid until {expiry}."))),
        None => Err(wrong("The signature has no expiry time.")),
    }
}

fn check_origin(request: &Request, addresses: &str, protocol: &str) -> Result<()> {
    if protocol == "https" {
        return Err(ErrorCode::AuthorizationProtocolMismatch.into());
    }
    if addresses.is_empty() {
        return Ok(());
    }
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let range = first
        .parse::<std::net::IpAddr>()
        .ok()
        .zip(last.parse().ok());
    match range {
        Some((first, last)) if (first..=last).contains(&request.client_ip) => Ok(()),
        _ => Err(StoreError::with_message(
            ErrorCode::AuthorizationFailure,
            format!(
                "The signature is not valid for requests from {}.",
                request.client_ip
            ),
        )),
    }
}

fn check_account_scope(request: &Request, services: &str, types: &str) -> Result<()> {
    if !services.contains('b') {
        return Err(ErrorCode::AuthorizationServiceMismatch.into());
    }
    let kind = match (request.filesystem.is_empty(), request.path.is_empty()) {
        (true, _) => 's',
        // Listing what is in a container is about the container.
        (false, true) => 'c',
        (false, false) => 'o',
    };
    match types.contains(kind) {
        true => Ok(()),
        false => Err(ErrorCode::AuthorizationResourceTypeMismatch.into()),
    }
}

/// The letters of which a request needs one.
fn needed(request: &Request, is_account: bool) -> &'static str {
    let query = &request.query;
    let lists = query.is("comp", "list") || query.is("resource", "account");
    let lists_paths = query.is("resource", "filesystem") && request.method == Method::GET;
    match request.method {
        Method::GET | Method::HEAD if lists || lists_paths => "l",
        Method::GET | Method::HEAD if query.is("action", "getaccesscontrol") => "er",
        Method::GET | Method::HEAD if query.is("comp", "tags") => "tr",
        Method::GET | Method::HEAD => "r",
        Method::POST if query.is("comp", "query") => "r",
        Method::DELETE => "d",
        Method::PATCH if query.is("action", "append") => "aw",
        Method::PATCH if query.is("action", "setaccesscontrol") => "opw",
        Method::PATCH if query.is("action", "setaccesscontrolrecursive") => "opw",
        Method::PUT if request.headers.contains_key("x-ms-rename-source") => "mw",
        Method::PUT if query.is("comp", "tags") => "tw",
        Method::PUT if query.is("comp", "appendblock") => "aw",
        Method::PUT if query.is("comp", "lease") && is_account => "wd",
        Method::PUT
            if !query.has("comp") || query.is("comp", "block") || query.is("comp", "blocklist") =>
        {
            "cw"
        }
        _ => "w",
    }
}

fn check_permission(request: &Request, permissions: &str, is_account: bool) -> Result<()> {
    let needed = needed(request, is_account);
    match needed.chars().any(|letter| permissions.contains(letter)) {
        true => Ok(()),
        false => Err(ErrorCode::AuthorizationPermissionMismatch.into()),
    }
}
