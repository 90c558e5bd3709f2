//! What is asked of the account.

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::xml::XmlText;
use crate::protocol::blob::{batch, list, not_done, properties};
use crate::protocol::common::{Call, http_date};
use crate::protocol::reply::Reply;

pub(super) fn dispatch(call: &mut Call<'_>, comp: Option<&str>) -> Result<Reply> {
    let request = call.request;
    if request.query.is("restype", "account") {
        return Ok(account_information(request.is_flat));
    }
    match (&request.method, comp) {
        (&Method::GET, Some("list")) => list::containers(call),
        (&Method::GET, Some("properties")) => properties::get(call),
        (&Method::PUT, Some("properties")) => properties::set(call),
        (&Method::GET, Some("stats")) => Ok(stats(call.store.now_unix_ns())),
        (&Method::POST, Some("batch")) => batch::submit(call),
        // Only a bearer token gets one, and the emulator takes none.
        (&Method::POST, Some("userdelegationkey")) => {
            Err(StoreError::code(ErrorCode::AuthenticationFailed).element(
                "AuthenticationErrorDetail",
                "Only authentication scheme Bearer is supported",
            ))
        }
        (_, Some(comp)) => Err(not_done(comp)),
        _ => Err(ErrorCode::InvalidUri.into()),
    }
}

/// Get Account Information. `x-ms-is-hns-enabled` is what clients ask it for.
pub(super) fn account_information(is_flat: bool) -> Reply {
    Reply::new(200)
        .with("x-ms-sku-name", "Standard_LRS")
        .with("x-ms-account-kind", "StorageV2")
        .with("x-ms-is-hns-enabled", (!is_flat).to_string())
}

/// Get Blob Service Stats. The copy is the account itself, so it is up to date by now.
fn stats(now_unix_ns: i64) -> Reply {
    let mut xml = XmlText::default();
    xml.open("StorageServiceStats")
        .open("GeoReplication")
        .text("Status", "live")
        .text("LastSyncTime", &http_date(now_unix_ns));
    xml.close("GeoReplication").close("StorageServiceStats");
    Reply::new(200).xml(&xml.finish())
}
