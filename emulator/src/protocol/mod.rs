//! The DFS and the Blob protocol over the store.
//!
//! [`request`] says what a request is about, [`auth`] whether it may be, [`dfs`] and [`blob`] do it, and [`reply`] says
//! how it went.

pub(crate) mod auth;
mod blob;
pub(crate) mod body;
mod checksums;
mod common;
mod dfs;
pub(crate) mod query;
mod read;
pub(crate) mod reply;
pub(crate) mod request;
mod route;
pub(crate) mod structured;

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::store::Store;

use self::body::RequestBody;
use self::reply::Reply;
use self::request::{Face, Request};

/// Carries out a request whose signature is good.
pub(crate) fn carry_out(store: &Store, request: &Request, body: &mut RequestBody) -> Result<Reply> {
    refuse_unsupported(request)?;
    refuse_writes_on_secondary(request)?;
    let mut call = common::Call {
        store,
        request,
        body,
    };
    match request.face {
        Face::Dfs => dfs::dispatch(&mut call),
        Face::Blob => blob::dispatch(&mut call),
    }
}

/// Headers that ask for what the emulator does not do; to pass over them would be to promise it.
const UNSUPPORTED_HEADERS: [&str; 8] = [
    "x-ms-encryption-key",
    "x-ms-encryption-key-sha256",
    "x-ms-source-encryption-key",
    "x-ms-encryption-scope",
    "x-ms-immutability-policy-until-date",
    "x-ms-immutability-policy-mode",
    "x-ms-legal-hold",
    "x-ms-copy-source-authorization",
];

/// An account's copy in the other region is only read.
fn refuse_writes_on_secondary(request: &Request) -> Result<()> {
    let reads = [Method::GET, Method::HEAD].contains(&request.method)
        || (request.method == Method::POST && request.query.is("comp", "query"));
    match request.is_secondary && !reads {
        true => Err(StoreError::with_message(
            ErrorCode::InsufficientAccountPermissions,
            "Write operations are not allowed.",
        )),
        false => Ok(()),
    }
}

fn refuse_unsupported(request: &Request) -> Result<()> {
    let asked = UNSUPPORTED_HEADERS
        .iter()
        .find(|name| request.headers.contains_key(**name));
    match asked {
        None => Ok(()),
        Some(name) => {
            Err(StoreError::code(ErrorCode::UnsupportedHeader).element("HeaderName", name))
        }
    }
}
