//! Get User Delegation Key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::auth::delegation::{DelegationKey, LIFETIME_MAX};
use crate::protocol::auth::{Authority, instant};
use crate::protocol::blob::xml::{XmlText, elements};
use crate::protocol::common::Call;
use crate::protocol::reply::Reply;

const DOCUMENT_MAX_BYTES: u64 = 8 * 1_024;

/// Gives the bearer of a token a key. Whether a role lets them have one was looked at before.
pub(super) fn key(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let Authority::User(bearer) = &request.authority else {
        return Err(StoreError::code(ErrorCode::AuthenticationFailed).element(
            "AuthenticationErrorDetail",
            "Only authentication scheme Bearer is supported",
        ));
    };
    let asked = asked_for(&call.body.read_all(DOCUMENT_MAX_BYTES)?)?;
    let now = Timestamp::from_nanosecond(i128::from(call.store.now_unix_ns()))
        .map_err(|e| StoreError::corrupt("the clock", e.to_string()))?;
    let start = asked.start.unwrap_or(now);
    if asked.expiry <= now || asked.expiry <= start {
        return Err(value_refused(
            "Expiry",
            "It must be later than now and than Start.",
        ));
    }
    if asked.expiry.duration_since(now) > LIFETIME_MAX
        || asked.expiry.duration_since(start) > LIFETIME_MAX
    {
        return Err(value_refused(
            "Expiry",
            "A key is valid for seven days at most.",
        ));
    }
    let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let key = DelegationKey {
        oid: bearer.id.clone(),
        tenant: bearer.tenant.clone(),
        start: text(start),
        expiry: text(asked.expiry),
        service: "b".to_owned(),
        version: request.version.clone(),
        delegated_tenant: asked.delegated_tenant,
    };
    let account = call.store.account(&request.account);
    let own = account
        .and_then(|account| account.keys.first())
        .ok_or(ErrorCode::AuthenticationFailed)?;
    let revocations = call.store.delegation_revocations(&request.account)?;
    let value = STANDARD.encode(key.value(&request.account, own, revocations));
    Ok(Reply::new(200).xml(&document(&key, &value)))
}

fn document(key: &DelegationKey, value: &str) -> String {
    let mut xml = XmlText::default();
    xml.open("UserDelegationKey")
        .text("SignedOid", &key.oid)
        .text("SignedTid", &key.tenant)
        .text("SignedStart", &key.start)
        .text("SignedExpiry", &key.expiry)
        .text("SignedService", &key.service)
        .text("SignedVersion", &key.version);
    if !key.delegated_tenant.is_empty() {
        xml.text("SignedDelegatedUserTid", &key.delegated_tenant);
    }
    xml.text("Value", value).close("UserDelegationKey");
    xml.finish()
}

struct Asked {
    start: Option<Timestamp>,
    expiry: Timestamp,
    delegated_tenant: String,
}

fn asked_for(document: &[u8]) -> Result<Asked> {
    let elements = elements(document)?;
    let text = |name: &str| {
        let named = elements.iter().find(|element| element.name() == name);
        named
            .map(|element| element.text.trim())
            .filter(|text| !text.is_empty())
    };
    let time = |name: &'static str| match text(name) {
        None => Ok(None),
        Some(text) => instant(text)
            .map(Some)
            .ok_or_else(|| value_refused(name, "It is not a time.")),
    };
    let expiry = time("Expiry")?.ok_or_else(|| value_refused("Expiry", "It is missing."))?;
    let delegated_tenant = text("DelegatedUserTid").unwrap_or("").to_owned();
    if delegated_tenant.contains(['\n', '\r']) {
        return Err(value_refused("DelegatedUserTid", "It is no tenant."));
    }
    Ok(Asked {
        start: time("Start")?,
        expiry,
        delegated_tenant,
    })
}

fn value_refused(node: &str, reason: &str) -> StoreError {
    StoreError::code(ErrorCode::InvalidXmlNodeValue)
        .element("XmlNodeName", node)
        .element("Reason", reason)
}
