//! Making a shared access signature for an account.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::account::Account;
use crate::protocol::auth::sign;

const VERSION: &str = "2023-11-03";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a shared access signature allows. The letters are those of the protocol.
#[derive(Clone, Debug)]
pub struct AccountSas<'a> {
    /// Permissions, in the order `rwdlacup`: `rl` reads and lists.
    pub permissions: &'a str,
    /// Resource types: `s` the service, `c` containers, `o` objects.
    pub resource_types: &'a str,
    /// When it ends, as `2026-11-24T00:00:00Z`.
    pub expiry: &'a str,
}

/// The text that is signed for an account's signature.
pub(super) fn string_to_sign(
    account: &str,
    value: impl Fn(&str) -> String,
    version: &str,
) -> String {
    let mut fields = vec![account.to_owned()];
    fields.extend(["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"].map(&value));
    if version >= "2020-12-06" {
        fields.push(value("ses"));
    }
    let mut text = fields.join("\n");
    text.push('\n');
    text
}

/// A shared access signature for an account's Blob and DFS endpoints, as the query of a URL.
///
/// `None` when the account has no key.
#[must_use]
pub fn account_sas(account: &Account, sas: &AccountSas<'_>) -> Option<String> {
    let value = |name: &str| -> String {
        match name {
            "sp" => sas.permissions.to_owned(),
            "ss" => "b".to_owned(),
            "srt" => sas.resource_types.to_owned(),
            "se" => sas.expiry.to_owned(),
            "sv" => VERSION.to_owned(),
            _ => String::new(),
        }
    };
    let signature = sign(
        account.keys.first()?,
        &string_to_sign(&account.name, value, VERSION),
    );
    let names = ["sv", "ss", "srt", "sp", "se"];
    let mut query: String = names
        .iter()
        .map(|name| format!("{name}={}&", utf8_percent_encode(&value(name), UNRESERVED)))
        .collect();
    query.push_str(&format!(
        "sig={}",
        utf8_percent_encode(&signature, UNRESERVED)
    ));
    Some(query)
}
