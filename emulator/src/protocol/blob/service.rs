//! What is asked of the account.

use http::Method;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::xml::XmlText;
use crate::protocol::blob::{batch, list, not_done};
use crate::protocol::common::Call;
use crate::protocol::reply::Reply;

pub(super) fn dispatch(call: &mut Call<'_>, comp: Option<&str>) -> Result<Reply> {
    let request = call.request;
    if request.query.is("restype", "account") {
        return Ok(account_information());
    }
    match (&request.method, comp) {
        (&Method::GET, Some("list")) => list::containers(call),
        (&Method::GET, Some("properties")) => Ok(properties()),
        (&Method::GET, Some("stats")) => Ok(stats()),
        (&Method::POST, Some("batch")) => batch::submit(call),
        (&Method::POST, Some("userdelegationkey")) => Err(StoreError::with_message(
            ErrorCode::AuthorizationFailure,
            "User delegation keys are given to bearer tokens, which the emulator does not take; sign with the account's key.",
        )),
        (_, Some(comp)) => Err(not_done(comp)),
        _ => Err(ErrorCode::InvalidUri.into()),
    }
}

/// Get Account Information. `x-ms-is-hns-enabled` is what clients ask it for.
pub(super) fn account_information() -> Reply {
    Reply::new(200)
        .with("x-ms-sku-name", "Standard_LRS")
        .with("x-ms-account-kind", "StorageV2")
        .with("x-ms-is-hns-enabled", "true")
}

/// The settings that the emulator has, all of which are off.
fn properties() -> Reply {
    let mut xml = XmlText::default();
    xml.open("StorageServiceProperties");
    xml.open("Logging")
        .text("Version", "1.0")
        .text("Delete", "false")
        .text("Read", "false")
        .text("Write", "false");
    xml.open("RetentionPolicy")
        .text("Enabled", "false")
        .close("RetentionPolicy")
        .close("Logging");
    for metrics in ["HourMetrics", "MinuteMetrics"] {
        xml.open(metrics)
            .text("Version", "1.0")
            .text("Enabled", "false");
        xml.open("RetentionPolicy")
            .text("Enabled", "false")
            .close("RetentionPolicy")
            .close(metrics);
    }
    xml.text("Cors", "");
    xml.open("DeleteRetentionPolicy")
        .text("Enabled", "false")
        .close("DeleteRetentionPolicy");
    xml.open("StaticWebsite")
        .text("Enabled", "false")
        .close("StaticWebsite");
    xml.close("StorageServiceProperties");
    Reply::new(200).xml(&xml.finish())
}

fn stats() -> Reply {
    let mut xml = XmlText::default();
    xml.open("StorageServiceStats")
        .open("GeoReplication")
        .text("Status", "unavailable")
        .text("LastSyncTime", "");
    xml.close("GeoReplication").close("StorageServiceStats");
    Reply::new(200).xml(&xml.finish())
}
