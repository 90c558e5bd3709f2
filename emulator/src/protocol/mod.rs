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

use crate::error::Result;
use crate::store::Store;

use self::body::RequestBody;
use self::reply::Reply;
use self::request::{Face, Request};

/// Carries out a request whose signature is good.
pub(crate) fn carry_out(store: &Store, request: &Request, body: &mut RequestBody) -> Result<Reply> {
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
