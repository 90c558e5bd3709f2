//! Requests without credentials, which go by the public access level of the container.

use http::Method;

use crate::error::{ErrorCode, Result};
use crate::protocol::auth::needs::{Action, Needs};
use crate::protocol::request::Request;
use crate::store::Store;

/// Lets read what is public: blobs at the level `blob`, and lists and properties of the container at `container`.
///
/// Whatever is not public is answered as if nobody knew: that there is such a container is not told.
pub(super) fn check(store: &Store, request: &Request) -> Result<()> {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    let level = match store.filesystem_record(&request.account, &request.filesystem) {
        Ok(record) if reads => record.public_access,
        Ok(_) => None,
        Err(error) if error.is(ErrorCode::FilesystemNotFound) => None,
        Err(error) => return Err(error),
    };
    let needs = Needs::of(request);
    let is_public = match (level.as_deref(), &needs.actions[..]) {
        (Some("container"), [Action::ReadBlobs | Action::ReadContainers]) => true,
        (Some("blob"), [Action::ReadBlobs]) => needs.resource == 'o',
        _ => false,
    };
    match is_public && !request.query.is("action", "getaccesscontrol") {
        true => Ok(()),
        false => Err(ErrorCode::NoAuthenticationInformation.into()),
    }
}
