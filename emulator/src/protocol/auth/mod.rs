//! Who may ask, and for what.
//!
//! [`authorize`] goes from the outside in: where a request comes from ([`network`]); what it carries, which is a shared
//! key, a shared access signature, a bearer token or nothing; what it needs ([`needs`]); and whether that is granted by
//! the letters of a signature, by a role ([`roles`]) or, path by path in the store, by access control lists.

mod account_sas;
mod anonymous;
pub(crate) mod delegation;
mod identity;
pub(crate) mod issuer;
mod needs;
mod network;
mod roles;
mod sas;
mod shared_key;
mod source;
mod token;

pub(super) use sas::instant;
pub(super) use source::source_principal;

pub use account_sas::{AccountSas, account_sas};
pub use network::NetworkRules;
pub use roles::{Assignment, BadRoles, Role, Roles};
pub use token::{OAuth, TENANT_DEFAULT, Token, bearer_token};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::needs::Needs;
use crate::protocol::request::Request;
use crate::store::Store;
use crate::store::authorize::Principal;

/// Who may come in besides holders of a key, and from where.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// What a bearer token must be.
    pub oauth: OAuth,
    /// The tenant that tokens are for.
    pub tenant: String,
    /// Which roles somebody has.
    pub roles: Roles,
    /// From where requests may come.
    pub network: NetworkRules,
    /// Whether plain HTTP is refused with 400 `AccountRequiresHttps`.
    pub https_only: bool,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            oauth: OAuth::default(),
            tenant: TENANT_DEFAULT.to_owned(),
            roles: Roles::default(),
            network: NetworkRules::default(),
            https_only: false,
        }
    }
}

/// What every request has to pass.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub options: AccessOptions,
    /// Whether a signed request may say for whom it is.
    pub takes_identities: bool,
    /// How far behind the read-only copies are.
    pub secondary_lag_s: u32,
}

/// Somebody, as a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Object id.
    pub id: String,
    pub tenant: String,
    /// Object ids of the groups.
    pub groups: Vec<String>,
}

/// What gives a request its right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Nothing: it is anybody's.
    #[default]
    Nothing,
    /// The account's key.
    Key,
    /// A shared access signature, and the bearer of the token that came with it.
    Signature(Option<Identity>),
    /// Whom the token, or the development header, names.
    User(Identity),
}

/// What a request was found to be.
struct Allowed {
    authority: Authority,
    principal: Principal,
    creates_only: bool,
}

impl Allowed {
    fn by(authority: Authority, principal: Principal) -> Self {
        Self {
            authority,
            principal,
            creates_only: false,
        }
    }
}

/// Finds out by what right a request is made, refuses it if it has none, and notes for whom it is.
pub(crate) fn authorize(store: &Store, request: &mut Request) -> Result<()> {
    let options = &request.gate.options;
    options.network.check(request.client_ip)?;
    if issuer::is_asked(request) {
        return Ok(());
    }
    if options.https_only && !request.is_https {
        return Err(ErrorCode::AccountRequiresHttps.into());
    }
    let allowed = allowed(store, request).map_err(|error| challenge(error, request))?;
    request.authority = allowed.authority;
    request.principal = allowed.principal;
    request.creates_only = allowed.creates_only;
    Ok(())
}

fn allowed(store: &Store, request: &Request) -> Result<Allowed> {
    let account = account(store, request)?;
    let mut allowed = by_credentials(store, account, request)?;
    if let Some(identity) = identity::named(request)? {
        // Whoever is somebody already does not become somebody else.
        let is_signed = matches!(allowed.authority, Authority::Key | Authority::Signature(_));
        if !is_signed || allowed.principal != Principal::Superuser {
            return Err(identity::refused(
                "Only the account itself acts for others.",
            ));
        }
        allowed.principal = permit(store, request, &identity, false)?;
        if allowed.authority == Authority::Key {
            allowed.authority = Authority::User(identity);
        }
    }
    Ok(allowed)
}

fn by_credentials(store: &Store, account: &Account, request: &Request) -> Result<Allowed> {
    let is_signed = request.query.has("sig");
    match request.header("authorization")? {
        Some(given) if token::is_bearer(given) => {
            let identity = token::identity(account, request, given, store.now_unix_ns())?;
            if is_signed {
                return sas::check(store, account, request, Some(&identity));
            }
            let principal = permit(store, request, &identity, true)?;
            Ok(Allowed::by(Authority::User(identity), principal))
        }
        Some(given) => {
            shared_key::check(account, request, given, store.now_unix_ns())?;
            Ok(Allowed::by(Authority::Key, Principal::Superuser))
        }
        None if is_signed => sas::check(store, account, request, None),
        None => {
            anonymous::check(store, request)?;
            Ok(Allowed::by(Authority::Nothing, Principal::Superuser))
        }
    }
}

pub(super) fn account<'s>(store: &'s Store, request: &Request) -> Result<&'s Account> {
    store.account(&request.account).ok_or_else(|| {
        StoreError::with_message(
            ErrorCode::ResourceNotFound,
            format!(
                "There is no account named '{}' here; the accounts are {}.",
                request.account,
                names(store.accounts())
            ),
        )
    })
}

/// Decides about somebody: a role that grants all the request needs ends it; without one, paths go by their access
/// control lists, which the store reads, and everything else is refused.
///
/// Whoever goes by lists learns no names of filesystems, if `hides`.
pub(super) fn permit(
    store: &Store,
    request: &Request,
    identity: &Identity,
    hides: bool,
) -> Result<Principal> {
    let needs = Needs::of(request);
    let roles = &request.gate.options.roles;
    let identity = &roles.with_groups(identity);
    let place = (request.account.as_str(), request.filesystem.as_str());
    if let Some(granted) = roles.grant(identity, place, &needs.actions) {
        return Ok(Principal::Role {
            id: identity.id.clone(),
            groups: identity.groups.clone(),
            is_superuser: granted.is_superuser,
        });
    }
    if !needs.is_path || request.is_flat {
        return Err(no_role(identity, &needs));
    }
    if hides && let Err(error) = store.filesystem_record(&request.account, &request.filesystem) {
        return Err(match error.is(ErrorCode::FilesystemNotFound) {
            true => no_role(identity, &needs),
            false => error,
        });
    }
    Ok(Principal::User {
        id: identity.id.clone(),
        groups: identity.groups.clone(),
    })
}

fn no_role(identity: &Identity, needs: &Needs) -> StoreError {
    let actions: Vec<&str> = needs.actions.iter().map(|action| action.name()).collect();
    StoreError::code(ErrorCode::AuthorizationPermissionMismatch).element(
        "AuthenticationErrorDetail",
        &format!(
            "'{}' has no role here that grants {}.",
            identity.id,
            actions.join(" and ")
        ),
    )
}

/// Tells with a 401 where a token is to be had, as the service does.
fn challenge(error: StoreError, request: &Request) -> StoreError {
    if error.service_code().status() != 401 {
        return error;
    }
    let tenant = &request.gate.options.tenant;
    error.header(
        "www-authenticate",
        &format!(
            "Bearer authorization_uri=https://login.microsoftonline.com/{tenant}/oauth2/authorize resource_id=https://storage.azure.com"
        ),
    )
}

pub(super) fn names(accounts: &[Account]) -> String {
    accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The HMAC-SHA256 of a text.
fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        Err(_) => Vec::new(),
    }
}

/// The HMAC-SHA256 of a text, in base64.
fn sign(key: &[u8], text: &str) -> String {
    STANDARD.encode(mac(key, text))
}

/// Whether one of the keys signs the text so. It takes the same time wherever the two differ.
fn is_signed<K: AsRef<[u8]>>(keys: &[K], text: &str, signature: &str) -> bool {
    let signs = |key: &K| -> bool {
        let own = sign(key.as_ref(), text);
        own.as_bytes().ct_eq(signature.as_bytes()).into()
    };
    keys.iter().any(signs)
}

/// A refusal of credentials, with its reason.
fn failed(detail: &str) -> StoreError {
    StoreError::code(ErrorCode::AuthenticationFailed).element("AuthenticationErrorDetail", detail)
}

/// The refusal of a signature, with what the server signed: compare it with what the client did.
fn refused(string_to_sign: &str) -> StoreError {
    let shown = string_to_sign.replace('\n', "\\n");
    failed(&format!(
        "The signature does not match. The server's string to sign is '{shown}'."
    ))
}
