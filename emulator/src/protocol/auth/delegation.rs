//! User delegation keys.
//!
//! A key follows from the account's key, from what the key says about itself, and from how often keys were revoked, so
//! none is stored, and one that the server gave out is good as long as it says or until the next revocation, whatever
//! happens to the server.

use jiff::{SignedDuration, Timestamp};

use crate::protocol::auth::mac;

/// How long a key is good at most.
pub(crate) const LIFETIME_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What keeps a delegation key apart from everything else that follows from the account's key.
const PURPOSE: &str = "lakestage user delegation key";

/// What a key says about itself, as text of the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DelegationKey {
    pub oid: String,
    pub tenant: String,
    pub start: String,
    pub expiry: String,
    pub service: String,
    pub version: String,
    /// Tenant of the users that signatures by it may be for.
    pub delegated_tenant: String,
}

impl DelegationKey {
    /// Its value under one of the account's keys, after so many revocations.
    pub(crate) fn value(&self, account: &str, account_key: &[u8], revocations: u32) -> Vec<u8> {
        let fields = [
            PURPOSE,
            account,
            &self.oid,
            &self.tenant,
            &self.start,
            &self.expiry,
            &self.service,
            &self.version,
            &self.delegated_tenant,
        ];
        let mut text = fields.join("\n");
        if revocations > 0 {
            text.push_str(&format!("\nrevoked {revocations}"));
        }
        mac(account_key, &text)
    }

    /// Whether it is good at `now`; `None` when its times are none.
    pub(crate) fn is_good_at(&self, now: Timestamp) -> Option<bool> {
        let start: Timestamp = super::instant(&self.start)?;
        let expiry: Timestamp = super::instant(&self.expiry)?;
        Some(start <= now && now < expiry)
    }
}
