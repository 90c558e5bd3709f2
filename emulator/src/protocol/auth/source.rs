//! The right to what a request names as its source: a copy's, a block's, a rename's.

use http::{HeaderMap, Method};

use crate::account::Account;
use crate::error::Result;
use crate::protocol::auth::{Authority, anonymous, permit, sas, token};
use crate::protocol::query::Query;
use crate::protocol::request::{Face, Request};
use crate::store::Store;
use crate::store::authorize::Principal;

/// A bearer token for the source of a copy.
const SOURCE_AUTHORIZATION: &str = "x-ms-copy-source-authorization";

/// For whom a source is read or, if it `moves`, taken away: a signature in its own URL decides, or a token for it, and
/// otherwise whatever gave the request its right, which has to reach as far as the source. It does not reach into another
/// account: what is there needs a signature or a token of its own, or is public.
///
/// `filesystem` and `path` are decoded, `query` is the source's own.
pub(in crate::protocol) fn source_principal(
    store: &Store,
    request: &Request,
    account: &Account,
    (filesystem, path, query): (&str, &str, &str),
    moves: bool,
) -> Result<Principal> {
    let mut asked = Request {
        // A move takes the name away as a deletion does.
        method: if moves { Method::DELETE } else { Method::GET },
        headers: HeaderMap::new(),
        face: Face::Blob,
        account: account.name.clone(),
        is_flat: account.flat,
        filesystem: filesystem.to_owned(),
        path: path.to_owned(),
        query: Query::parse(query),
        moves_source: moves,
        ..request.clone()
    };
    if asked.query.has("sig") {
        return sas::check(store, account, &asked, None).map(|allowed| allowed.principal);
    }
    if let Some(given) = request.header(SOURCE_AUTHORIZATION)?
        && !moves
    {
        let identity = token::identity(account, request, given, store.now_unix_ns())?;
        return permit(store, &asked, &identity, true);
    }
    if account.name != request.account {
        return anonymous::check(store, &asked).map(|()| Principal::Superuser);
    }
    match &request.authority {
        Authority::Key => Ok(Principal::Superuser),
        Authority::User(identity) => permit(store, &asked, identity, true),
        Authority::Signature(bearer) => {
            asked.query = request.query.signature();
            sas::check(store, account, &asked, bearer.as_ref()).map(|allowed| allowed.principal)
        }
        Authority::Nothing => anonymous::check(store, &asked).map(|()| Principal::Superuser),
    }
}
