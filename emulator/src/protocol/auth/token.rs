//! Bearer tokens: JSON web tokens with the claims that Microsoft Entra puts into those for storage.
//!
//! They are signed with HMAC-SHA256 by a key that follows from the account's: whoever issues a token and whoever
//! verifies it is the same program, and whoever holds the account's key may do everything anyway. So there is no key
//! file, tokens outlive restarts, and a test in any language issues its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::identity::is_id;
use crate::protocol::auth::{Identity, failed, mac};
use crate::protocol::request::Request;

/// The tenant of tokens, unless another one is chosen.
pub const TENANT_DEFAULT: &str = "1a4e57a9-0000-4000-8000-000000000000";

const AUDIENCE: &str = "https://storage.azure.com";
/// What keeps a token's signature apart from every other that the account's key makes.
const KEY_PURPOSE: &str = "lakestage bearer token";
/// How far the clocks of issuer and verifier may be apart.
const SKEW_S: i64 = 5 * 60;
const NS_PER_S: i64 = 1_000_000_000;

/// What a bearer token must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OAuth {
    /// Signed by the account's key, for storage, for the tenant, and not expired.
    #[default]
    Verify,
    /// Anything that names somebody: for credentials that bring tokens of their own. It protects nothing.
    Accept,
}

/// What to put into a token.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// Object id of whom it is for.
    pub oid: &'a str,
    /// Object ids of the groups.
    pub groups: &'a [String],
    /// The tenant, as the server has it.
    pub tenant: &'a str,
    /// Seconds since 1970 from which it is valid.
    pub issued_unix_s: i64,
    /// Seconds that it is valid.
    pub lifetime_s: i64,
}

/// Issues a token for one account. `None` when the account has no key.
#[must_use]
pub fn bearer_token(account: &Account, token: &Token<'_>) -> Option<String> {
    let claims = json!({
        "aud": AUDIENCE,
        "iss": issuer(token.tenant),
        "iat": token.issued_unix_s,
        "nbf": token.issued_unix_s,
        "exp": token.issued_unix_s.saturating_add(token.lifetime_s),
        "oid": token.oid,
        "sub": token.oid,
        "tid": token.tenant,
        "groups": token.groups,
        "ver": "1.0",
    });
    let header = json!({ "typ": "JWT", "alg": "HS256" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(&key(account.keys.first()?), &text));
    Some(format!("{text}.{signature}"))
}

fn issuer(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

fn key(account_key: &[u8]) -> Vec<u8> {
    mac(account_key, KEY_PURPOSE)
}

pub(super) fn is_bearer(authorization: &str) -> bool {
    let scheme = authorization.split(' ').next().unwrap_or("");
    scheme.eq_ignore_ascii_case("Bearer")
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    aud: String,
    #[serde(default)]
    iss: String,
    exp: Option<f64>,
    nbf: Option<f64>,
    oid: Option<String>,
    /// In tokens that name nobody else.
    sub: Option<String>,
    tid: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// Who bears the token of `authorization`.
pub(super) fn identity(
    account: &Account,
    request: &Request,
    authorization: &str,
    now_unix_ns: i64,
) -> Result<Identity> {
    // The service takes tokens over TLS only, and so do its clients.
    if !request.is_https {
        return Err(failed(
            "Authentication scheme Bearer is not allowed with HTTP: use https, which the server speaks with --self-signed or --tls-cert.",
        ));
    }
    let options = &request.gate.options;
    let token = authorization
        .split_once(' ')
        .map_or("", |(_, token)| token.trim());
    let claims = match options.oauth {
        OAuth::Verify => verified(account, &options.tenant, token)?,
        OAuth::Accept => {
            let payload = token.split('.').nth(1).unwrap_or("");
            decoded(payload).ok_or_else(|| invalid("The token is no JSON web token."))?
        }
    };
    check_lifetime(&claims, now_unix_ns / NS_PER_S)?;
    let id = claims.oid.or(claims.sub).unwrap_or_default();
    if !is_id(&id) || !claims.groups.iter().all(|group| is_id(group)) {
        return Err(invalid(
            "The token's oid, or one of its groups, is no object id.",
        ));
    }
    Ok(Identity {
        id,
        tenant: claims.tid.unwrap_or_else(|| options.tenant.clone()),
        groups: claims.groups,
    })
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn invalid(detail: &str) -> StoreError {
    StoreError::code(ErrorCode::InvalidBearerToken).element("AuthenticationErrorDetail", detail)
}

/// The claims of a token that this account's key signed for storage and the tenant.
fn verified(account: &Account, tenant: &str, token: &str) -> Result<Claims> {
    let malformed = || invalid("The token is no JSON web token.");
    let (text, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = text.split_once('.').ok_or_else(malformed)?;
    let header: Header = decoded(header).ok_or_else(malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    let signs =
        |account_key: &Vec<u8>| -> bool { mac(&key(account_key), text).ct_eq(&signature).into() };
    if header.alg != "HS256" || !account.keys.iter().any(signs) {
        return Err(invalid(
            "Signature validation failed. The token is not one of `lakestage token` for this account; --oauth accept takes others.",
        ));
    }
    let claims: Claims = decoded(payload).ok_or_else(malformed)?;
    let audience = claims.aud.trim_end_matches('/');
    let own = ["blob", "dfs"]
        .map(|service| format!("https://{}.{service}.core.windows.net", account.name));
    if audience != AUDIENCE && !own.iter().any(|own| own == audience) {
        return Err(invalid(
            "Audience validation failed. Audience did not match.",
        ));
    }
    if claims.tid.as_deref() != Some(tenant) || claims.iss != issuer(tenant) {
        return Err(invalid("Issuer validation failed. Issuer did not match."));
    }
    Ok(claims)
}

fn check_lifetime(claims: &Claims, now_unix_s: i64) -> Result<()> {
    // Whole seconds of any year fit.
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let (now, skew) = (now_unix_s as f64, SKEW_S as f64);
    match (claims.nbf, claims.exp) {
        (_, None) => Err(invalid(
            "Lifetime validation failed. The token has no expiry.",
        )),
        (_, Some(exp)) if exp <= now => {
            Err(invalid("Lifetime validation failed. The token is expired."))
        }
        (Some(nbf), _) if nbf > now + skew => Err(invalid(
            "Lifetime validation failed. The token is not yet valid.",
        )),
        _ => Ok(()),
    }
}
