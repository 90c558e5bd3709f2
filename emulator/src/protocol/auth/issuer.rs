//! The token endpoint, for credentials of the SDKs that get their tokens themselves.
//!
//! `/<tenant>/v2.0/.well-known/openid-configuration` and `/<tenant>/oauth2/v2.0/token` answer as Microsoft Entra's do, as
//! far as a client with a secret needs them: the secret is an account's key, and the token is for that account and for
//! whom the client's id names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, header};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::account::Account;
use crate::error::Result;
use crate::protocol::auth::identity::is_id;
use crate::protocol::auth::token::{Token, bearer_token};
use crate::protocol::body::RequestBody;
use crate::protocol::query::Query;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::store::Store;

/// As long as those of Microsoft Entra at least.
const LIFETIME_S: i64 = 3_600;
const FORM_MAX_BYTES: u64 = 16 * 1_024;
const NS_PER_S: i64 = 1_000_000_000;

/// What of the issuer a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Configuration,
    Token,
}

fn asked(request: &Request) -> Option<Asked> {
    let path = request.raw_path.trim_start_matches('/');
    let (tenant, rest) = path.split_once('/')?;
    if tenant != request.gate.options.tenant {
        return None;
    }
    match rest {
        "v2.0/.well-known/openid-configuration" | ".well-known/openid-configuration" => {
            Some(Asked::Configuration)
        }
        "oauth2/v2.0/token" | "oauth2/token" => Some(Asked::Token),
        _ => None,
    }
}

/// Whether a request is for the issuer and not for an account.
pub(crate) fn is_asked(request: &Request) -> bool {
    asked(request).is_some()
}

/// Answers what is asked of the issuer.
pub(crate) fn answer(store: &Store, request: &Request, body: &mut RequestBody) -> Result<Reply> {
    if !request.is_https {
        return Ok(error(400, "invalid_request", "Ask by https."));
    }
    match asked(request) {
        Some(Asked::Token) => token(store, request, &body.read_all(FORM_MAX_BYTES)?),
        _ => Ok(configuration(request)),
    }
}

fn configuration(request: &Request) -> Reply {
    let host = request.headers.get(header::HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let base = format!("https://{host}/{}", request.gate.options.tenant);
    Reply::new(200).json(&json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["HS256"],
        "claims_supported": ["aud", "exp", "iat", "iss", "nbf", "oid", "sub", "tid", "groups"],
    }))
}

fn token(store: &Store, request: &Request, form: &[u8]) -> Result<Reply> {
    let form = Query::parse(&String::from_utf8_lossy(form));
    let value = |name: &str| form.get(name).unwrap_or("");
    if request.method != Method::POST || value("grant_type") != "client_credentials" {
        let text = "Only POST with grant_type=client_credentials is done here.";
        return Ok(error(400, "unsupported_grant_type", text));
    }
    let oid = value("client_id");
    let account = account_of(store, value("client_secret"));
    let (Some(account), true) = (account, is_id(oid)) else {
        let text =
            "The secret has to be the key of an account here, and the client's id an object id.";
        return Ok(error(401, "invalid_client", text));
    };
    let token = Token {
        oid,
        groups: &[],
        tenant: &request.gate.options.tenant,
        issued_unix_s: store.now_unix_ns() / NS_PER_S,
        lifetime_s: LIFETIME_S,
    };
    Ok(Reply::new(200).json(&json!({
        "token_type": "Bearer",
        "expires_in": LIFETIME_S,
        "ext_expires_in": LIFETIME_S,
        "access_token": bearer_token(account, &token),
    })))
}

/// The account that has a key.
fn account_of<'s>(store: &'s Store, secret: &str) -> Option<&'s Account> {
    let secret = STANDARD.decode(secret).ok()?;
    let has = |account: &&Account| account.keys.iter().any(|key| key.ct_eq(&secret).into());
    store.accounts().iter().find(has)
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    Reply::new(status).json(&json!({ "error": code, "error_description": text }))
}
