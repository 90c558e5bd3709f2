//! The DFS and the Blob protocol over the store.
//!
//! [`request`] says what a request is about, [`auth`] whether it may be, [`dfs`] and [`blob`] do it, and [`reply`] says
//! how it went.

pub(crate) mod auth;
mod blob;
pub(crate) mod body;
mod checksums;
mod common;
mod customer_key;
mod dfs;
pub(crate) mod query;
mod read;
pub(crate) mod reply;
pub(crate) mod request;
mod route;
mod secondary;
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
    customer_key::check(request)?;
    secondary::check(request)?;
    let mut call = common::Call {
        store,
        request,
        body,
    };
    let reply = match request.face {
        Face::Dfs => dfs::dispatch(&mut call),
        Face::Blob => blob::dispatch(&mut call),
    }?;
    let mut reply = as_signed(request, reply);
    customer_key::answer(request, &mut reply);
    Ok(reply)
}

/// Headers of the answer to a read that a shared access signature sets.
fn as_signed(request: &Request, mut reply: Reply) -> Reply {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    let is_plain = !request.path.is_empty() && !request.query.has("comp");
    if reads && is_plain && matches!(request.authority, auth::Authority::Signature(_)) {
        for (parameter, header) in [
            ("rscc", "cache-control"),
            ("rscd", "content-disposition"),
            ("rsce", "content-encoding"),
            ("rscl", "content-language"),
            ("rsct", "content-type"),
        ] {
            if let Some(value) = request.query.get(parameter) {
                reply.set(header, value);
            }
        }
    }
    reply
}

/// Headers that ask for what the emulator does not do; to pass over them would be to promise it.
const UNSUPPORTED_HEADERS: [&str; 4] = [
    "x-ms-encryption-scope",
    "x-ms-immutability-policy-until-date",
    "x-ms-immutability-policy-mode",
    "x-ms-legal-hold",
];

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
