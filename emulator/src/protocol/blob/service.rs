//! What is asked of the account.

use http::Method;

use crate::error::{ErrorCode, Result};
use crate::protocol::blob::xml::XmlText;
use crate::protocol::blob::{batch, delegation, list, not_done, properties};
use crate::protocol::common::{Call, http_date};
use crate::protocol::reply::Reply;
use crate::protocol::secondary;

pub(super) fn dispatch(call: &mut Call<'_>, comp: Option<&str>) -> Result<Reply> {
    let request = call.request;
    if request.query.is("restype", "account") {
        return Ok(account_information(request.is_flat));
    }
    match (&request.method, comp) {
        (&Method::GET, Some("list")) => list::containers(call),
        (&Method::GET, Some("properties")) => properties::get(call),
        (&Method::PUT, Some("properties")) => properties::set(call),
        (&Method::GET, Some("stats")) => Ok(stats(call)),
        (&Method::POST, Some("batch")) => batch::submit(call),
        (&Method::POST, Some("userdelegationkey")) => delegation::key(call),
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

/// Get Blob Service Stats.
fn stats(call: &Call<'_>) -> Reply {
    let synced = secondary::last_sync_unix_ns(call.request, call.store.now_unix_ns());
    let mut xml = XmlText::default();
    xml.open("StorageServiceStats")
        .open("GeoReplication")
        .text("Status", "live")
        .text("LastSyncTime", &http_date(synced));
    xml.close("GeoReplication").close("StorageServiceStats");
    Reply::new(200).xml(&xml.finish())
}
