//! Checking a shared access signature: an account's, a service's or a user delegation's.

use http::HeaderMap;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::delegation::{DelegationKey, LIFETIME_MAX};
use crate::protocol::auth::needs::Needs;
use crate::protocol::auth::{
    Allowed, Authority, Identity, account_sas, failed, is_signed, permit, refused,
};
use crate::protocol::request::{Face, Request};
use crate::store::Store;
use crate::store::authorize::Principal;
use crate::store::inode::AccessPolicy;

/// The headers of the answer that a signature may set come last.
const ANSWER_FIELDS: [&str; 5] = ["rscc", "rscd", "rsce", "rscl", "rsct"];

/// What a signature is by, and for.
struct Signature<'r> {
    request: &'r Request,
    version: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Account,
    Service,
    Delegation(DelegationKey),
}

/// Checks the signature of a request and whether it grants what the request needs. `bearer` is whose token came with
/// it, for a signature that only one user may use.
pub(super) fn check(
    store: &Store,
    account: &Account,
    request: &Request,
    bearer: Option<&Identity>,
) -> Result<Allowed> {
    let signature = Signature::new(request);
    let policy = signature.policy(store)?;
    signature.check_signed(store, account)?;
    let now = jiff::Timestamp::from_nanosecond(i128::from(store.now_unix_ns()))
        .map_err(|e| StoreError::corrupt("the clock", e.to_string()))?;
    let value = |name: &str| signature.value(name);
    check_time(&value("st"), &value("se"), policy.as_ref(), now)?;
    check_origin(request, &value("sip"), &value("spr"))?;
    let mut permissions = value("sp");
    if let Some(from_policy) = policy.and_then(|policy| policy.permissions) {
        if !permissions.is_empty() {
            return Err(said_twice("sp"));
        }
        permissions = from_policy;
    }
    let needs = Needs::of(request);
    signature.check_scope(&needs)?;
    let creates_only = check_letters(&needs, &permissions)?;
    refuse_scope_writes(request, &value("ses"))?;
    let principal = match &signature.kind {
        Kind::Account | Kind::Service => Principal::Superuser,
        Kind::Delegation(key) => signature.delegated(store, key, bearer, now)?,
    };
    Ok(Allowed {
        authority: Authority::Signature(bearer.cloned()),
        principal,
        creates_only,
    })
}

impl<'r> Signature<'r> {
    fn new(request: &'r Request) -> Self {
        let value = |name: &str| request.query.get(name).unwrap_or("").to_owned();
        let kind = match (value("skoid").is_empty(), value("ss").is_empty()) {
            (false, _) => Kind::Delegation(DelegationKey {
                oid: value("skoid"),
                tenant: value("sktid"),
                start: value("skt"),
                expiry: value("ske"),
                service: value("sks"),
                version: value("skv"),
                delegated_tenant: value("skdutid"),
            }),
            (true, false) => Kind::Account,
            (true, true) => Kind::Service,
        };
        Self {
            request,
            version: value("sv"),
            kind,
        }
    }

    fn value(&self, name: &str) -> String {
        self.request.query.get(name).unwrap_or("").to_owned()
    }

    /// The stored access policy that it names.
    fn policy(&self, store: &Store) -> Result<Option<AccessPolicy>> {
        let id = self.value("si");
        if id.is_empty() {
            return Ok(None);
        }
        if self.kind != Kind::Service {
            return Err(failed("Only a service's signature names an access policy."));
        }
        let record = store.filesystem_record(&self.request.account, &self.request.filesystem)?;
        let policy = record.policies.into_iter().find(|policy| policy.id == id);
        policy
            .map(Some)
            .ok_or_else(|| failed(&format!("The container has no access policy named '{id}'.")))
    }

    fn check_signed(&self, store: &Store, account: &Account) -> Result<()> {
        let text = match &self.kind {
            Kind::Account => {
                account_sas::string_to_sign(&account.name, |name| self.value(name), &self.version)
            }
            _ => self.text(&account.name)?,
        };
        let signature = self.request.query.get_base64("sig").unwrap_or_default();
        let is_good = match &self.kind {
            Kind::Account | Kind::Service => is_signed(&account.keys, &text, &signature),
            Kind::Delegation(key) => {
                let revocations = store.delegation_revocations(&account.name)?;
                let keys = account.keys.iter();
                let keys: Vec<Vec<u8>> = keys
                    .map(|own| key.value(&account.name, own, revocations))
                    .collect();
                is_signed(&keys, &text, &signature)
            }
        };
        match is_good {
            true => Ok(()),
            false => Err(refused(&text)),
        }
    }

    /// What a service's or a delegation's signature is over: each version has more.
    fn text(&self, account: &str) -> Result<String> {
        let mut fields = ["sp", "st", "se"].map(|name| self.value(name)).to_vec();
        fields.push(self.resource(account)?);
        let since = |version: &str| self.version.as_str() >= version;
        match &self.kind {
            Kind::Delegation(_) => {
                let mut names = vec!["skoid", "sktid", "skt", "ske", "sks", "skv"];
                if since("2020-02-10") {
                    names.extend(["saoid", "suoid", "scid"]);
                }
                if since("2025-07-05") {
                    names.extend(["skdutid", "sduoid"]);
                }
                fields.extend(names.into_iter().map(|name| self.value(name)));
            }
            _ => fields.push(self.value("si")),
        }
        fields.extend(["sip", "spr", "sv"].map(|name| self.value(name)));
        if since("2018-11-09") {
            fields.push(self.value("sr"));
            fields.push(self.point_in_time());
        }
        if since("2020-12-06") {
            fields.push(self.value("ses"));
        }
        if since("2026-04-06") && self.kind != Kind::Service {
            fields.push(self.signed_headers());
            fields.push(self.signed_parameters());
        }
        fields.extend(ANSWER_FIELDS.map(|name| self.value(name)));
        Ok(fields.join("\n"))
    }

    /// The snapshot or the version that the signature is for.
    fn point_in_time(&self) -> String {
        match self.value("sr").as_str() {
            "bs" => self.value("snapshot"),
            "bv" => self.value("versionid"),
            _ => String::new(),
        }
    }

    /// `name:value` and a line feed for each header that the signature fixes.
    fn signed_headers(&self) -> String {
        let value = |name: &str| header(&self.request.headers, name);
        let names = self.value("srh");
        let lines = names.split(',').filter(|name| !name.is_empty());
        lines
            .map(|name| format!("{name}:{}\n", value(name)))
            .collect()
    }

    /// A line feed and `name:value` for each parameter that the signature fixes.
    fn signed_parameters(&self) -> String {
        let value = |name: &str| self.value(&name.to_ascii_lowercase());
        let names = self.value("srq");
        let lines = names.split(',').filter(|name| !name.is_empty());
        lines
            .map(|name| format!("\n{name}:{}", value(name)))
            .collect()
    }

    /// The resource that the signature opens, if it opens what the request names.
    fn resource(&self, account: &str) -> Result<String> {
        let request = self.request;
        let container = format!("/blob/{account}/{}", request.filesystem);
        match self.value("sr").as_str() {
            "c" => Ok(container),
            "d" => {
                let depth: usize = self
                    .value("sdd")
                    .parse()
                    .map_err(|_| failed("sdd is not the depth of a directory."))?;
                let path = request.path_of(&self.directory_asked_for())?;
                let segments = path.segments();
                if request.is_flat || segments.len() < depth {
                    return Err(ErrorCode::AuthorizationFailure.into());
                }
                let below = segments.get(..depth).unwrap_or_default();
                // The root is a directory of depth 0.
                match below.is_empty() {
                    true => Ok(container),
                    false => Ok(format!("{container}/{}", below.join("/"))),
                }
            }
            _ => Ok(format!("{container}/{}", request.store_path()?)),
        }
    }

    /// The path that a request is about; a list is about the directory that it begins with.
    fn directory_asked_for(&self) -> String {
        let request = self.request;
        if Needs::of(request).resource != 'c' {
            return request.path.clone();
        }
        match request.face {
            Face::Dfs => self.value("directory"),
            // What stands behind the last slash need not be the whole of a name.
            Face::Blob => {
                let prefix = self.value("prefix");
                prefix
                    .rsplit_once('/')
                    .map_or("", |(directory, _)| directory)
                    .to_owned()
            }
        }
    }

    fn check_scope(&self, needs: &Needs) -> Result<()> {
        if self.kind != Kind::Account {
            return match needs.is_of_account || needs.is_beyond_signatures {
                true => Err(ErrorCode::AuthorizationFailure.into()),
                false => Ok(()),
            };
        }
        if !self.value("ss").contains('b') {
            return Err(ErrorCode::AuthorizationServiceMismatch.into());
        }
        if needs.is_beyond_signatures {
            return Err(ErrorCode::AuthorizationFailure.into());
        }
        match self.value("srt").contains(needs.resource) {
            true => Ok(()),
            false => Err(ErrorCode::AuthorizationResourceTypeMismatch.into()),
        }
    }

    /// For whom a delegation's signature is: its key's owner has to have the right too.
    fn delegated(
        &self,
        store: &Store,
        key: &DelegationKey,
        bearer: Option<&Identity>,
        now: jiff::Timestamp,
    ) -> Result<Principal> {
        check_key(key, now)?;
        self.check_bearer(key, bearer)?;
        let owner = Identity {
            id: key.oid.clone(),
            tenant: key.tenant.clone(),
            groups: Vec::new(),
        };
        let owned = permit(store, self.request, &owner, true)?;
        let (vouched, asked) = (self.value("saoid"), self.value("suoid"));
        if vouched.is_empty() && asked.is_empty() {
            return Ok(owned);
        }
        if self.request.is_flat || (!vouched.is_empty() && !asked.is_empty()) {
            return Err(ErrorCode::AuthorizationFailure.into());
        }
        // On behalf of others acts only who has a role for it.
        let Principal::Role { is_superuser, .. } = owned else {
            return Err(ErrorCode::AuthorizationPermissionMismatch.into());
        };
        let agent = |id: String| Identity {
            id,
            ..owner.clone()
        };
        let roles = &self.request.gate.options.roles;
        match asked.is_empty() {
            true => Ok(Principal::Role {
                id: vouched,
                groups: Vec::new(),
                is_superuser,
            }),
            false => {
                let asked = roles.with_groups(&agent(asked));
                Ok(Principal::User {
                    id: asked.id,
                    groups: asked.groups,
                })
            }
        }
    }

    /// A signature for one user is good only beside that user's token.
    fn check_bearer(&self, key: &DelegationKey, bearer: Option<&Identity>) -> Result<()> {
        let user = self.value("sduoid");
        if user.is_empty() && key.delegated_tenant.is_empty() {
            return Ok(());
        }
        let Some(bearer) = bearer else {
            return Err(failed(
                "The signature is for one user, whose bearer token has to come with it.",
            ));
        };
        let is_user = user.is_empty() || bearer.id.eq_ignore_ascii_case(&user);
        let is_tenant = key.delegated_tenant.is_empty() || bearer.tenant == key.delegated_tenant;
        match is_user && is_tenant {
            true => Ok(()),
            false => Err(failed(
                "The bearer token is not of the user that the signature is for.",
            )),
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// Refuses a delegation key that is not for this service, or not now.
fn check_key(key: &DelegationKey, now: jiff::Timestamp) -> Result<()> {
    if key.service != "b" {
        return Err(ErrorCode::AuthorizationServiceMismatch.into());
    }
    let lifetime = instant(&key.start)
        .zip(instant(&key.expiry))
        .map(|(start, expiry)| expiry.duration_since(start));
    match key.is_good_at(now) {
        Some(true) if lifetime.is_some_and(|lifetime| lifetime <= LIFETIME_MAX) => Ok(()),
        Some(_) => Err(failed(&format!(
            "The user delegation key is valid from {} until {}.",
            key.start, key.expiry
        ))),
        None => Err(failed("The times of the user delegation key are none.")),
    }
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

/// The refusal of what stands in a signature and in the access policy that it names.
fn said_twice(name: &str) -> StoreError {
    StoreError::code(ErrorCode::InvalidQueryParameterValue)
        .element("QueryParameterName", name)
        .element("Reason", "It stands in the stored access policy too.")
}

fn check_time(
    start: &str,
    expiry: &str,
    policy: Option<&AccessPolicy>,
    now: jiff::Timestamp,
) -> Result<()> {
    let one_of = |name: &str, own: &str, stored: Option<&String>| match (own, stored) {
        ("", stored) => Ok(stored.cloned().unwrap_or_default()),
        (own, None) => Ok(own.to_owned()),
        (_, Some(_)) => Err(said_twice(name)),
    };
    let start = one_of("st", start, policy.and_then(|policy| policy.start.as_ref()))?;
    let expiry = one_of(
        "se",
        expiry,
        policy.and_then(|policy| policy.expiry.as_ref()),
    )?;

    if !start.is_empty()
        && instant(&start).ok_or_else(|| failed("The start time is not a time."))? > now
    {
        return Err(failed(&format!(
            "The signature is not valid before {start}."
        )));
    }
    match instant(&expiry) {
        Some(expires) if expires > now => Ok(()),
        Some(_) => Err(failed(&format!("The signature was valid until {expiry}."))),
        None => Err(failed("The signature has no expiry time.")),
    }
}

fn check_origin(request: &Request, addresses: &str, protocol: &str) -> Result<()> {
    if protocol == "https" && !request.is_https {
        return Err(ErrorCode::AuthorizationProtocolMismatch.into());
    }
    if addresses.is_empty() {
        return Ok(());
    }
    let client = request.client_ip.to_canonical();
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let range = first
        .parse::<std::net::IpAddr>()
        .ok()
        .zip(last.parse().ok());
    match range {
        Some((first, last)) if (first..=last).contains(&client) => Ok(()),
        _ => Err(StoreError::with_message(
            ErrorCode::AuthorizationSourceIPMismatch,
            format!(
                "This request is not authorized to perform this operation using this source IP {}.",
                request.client_ip
            ),
        )),
    }
}

/// Checks that one letter of each that are needed is there, and says whether only creating is allowed.
fn check_letters(needs: &Needs, permissions: &str) -> Result<bool> {
    let grants = |letters: &&str| letters.chars().any(|letter| permissions.contains(letter));
    if !needs.letters.iter().all(grants) {
        return Err(ErrorCode::AuthorizationPermissionMismatch.into());
    }
    let creates = needs.letters.first() == Some(&"cw");
    Ok(creates && !permissions.contains('w'))
}

/// A signature with an encryption scope has what is written encrypted with it, which is not done here.
fn refuse_scope_writes(request: &Request, scope: &str) -> Result<()> {
    let reads = [http::Method::GET, http::Method::HEAD].contains(&request.method);
    match scope.is_empty() || reads {
        true => Ok(()),
        false => Err(StoreError::code(ErrorCode::UnsupportedQueryParameter)
            .element("QueryParameterName", "ses")),
    }
}
