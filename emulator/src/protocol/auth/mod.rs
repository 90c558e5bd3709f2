//! Who may ask: a shared key or a shared access signature.

mod account_sas;
pub(crate) mod identity;
mod sas;
mod shared_key;

pub(super) use sas::instant;

pub use account_sas::{AccountSas, account_sas};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::account::Account;
use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::request::Request;
use crate::store::Store;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Everything: it was signed with the account's key.
    All,
    /// What the signature it carries says; the check was made.
    Granted,
}

/// Checks a request's signature, and that it may do what it asks for.
pub(crate) fn check(store: &Store, request: &Request) -> Result<Permission> {
    let Some(account) = store.account(&request.account) else {
        return Err(StoreError::with_message(
            ErrorCode::ResourceNotFound,
            format!(
                "There is no account named '{}' here; the accounts are {}.",
                request.account,
                names(store.accounts())
            ),
        ));
    };
    match request.header("authorization")? {
        Some(given) => shared_key::check(account, request, given, store.now_unix_ns())
            .map(|()| Permission::All),
        None if request.query.has("sig") => {
            sas::check(store, account, request).map(|()| Permission::Granted)
        }
        None => Err(ErrorCode::NoAuthenticationInformation.into()),
    }
}

fn names(accounts: &[Account]) -> String {
    accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The HMAC-SHA256 of a text, in base64.
fn sign(key: &[u8], text: &str) -> String {
    // HMAC takes keys of any length.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

/// Whether one of the account's keys signs the text so.
fn is_signed(account: &Account, text: &str, signature: &str) -> bool {
    account.keys.iter().any(|key| {
        sign(key, text)
            .as_bytes()
            .ct_eq(signature.as_bytes())
            .into()
    })
}

/// The refusal of a signature, with what the server signed: compare it with what the client did.
fn refused(string_to_sign: &str) -> StoreError {
    let shown = string_to_sign.replace('\n', "\\n");
    StoreError::code(ErrorCode::AuthenticationFailed).element(
        "AuthenticationErrorDetail",
        &format!("The signature does not match. The server's string to sign is '{shown}'."),
    )
}
