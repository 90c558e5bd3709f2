//! `lakestage token`

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use lakestage_emulator::{Account, TENANT_DEFAULT, Token, bearer_token};
use serde::Serialize;

use super::output;
use super::run::Session;
use super::serve::AccountChoice;

/// Issue a bearer token for an account of the emulator.
///
/// It is signed by a key that follows from the account's, so no server is asked, and `serve` takes it until it expires.
/// Roles, and access control lists where no role decides, apply to whoever it names. Clients send tokens over TLS only:
/// `lakestage serve --self-signed`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage token --oid alice\n  \
lakestage token --oid 5c1e… --group 9d0a… --valid-minutes 5\n  \
curl --cacert lakestage-data/tls/ca.pem -H \"Authorization: Bearer $(lakestage token --oid alice)\" \\\n       \
-H 'x-ms-version: 2023-11-03' https://127.0.0.1:10000/devstoreaccount1/raw/file")]
pub(crate) struct TokenArgs {
    /// Whom it is for: an object id
    #[arg(long, value_name = "ID")]
    oid: String,

    /// A group that they are in; may be given several times
    #[arg(long = "group", value_name = "ID")]
    groups: Vec<String>,

    /// The account it is for, and its key in base64, unless it is devstoreaccount1
    #[arg(long, value_name = "NAME=KEY")]
    account: Option<AccountChoice>,

    /// The tenant, as `serve --tenant` has it
    #[arg(long, value_name = "ID", default_value = TENANT_DEFAULT)]
    tenant: String,

    /// How long it is valid
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    valid_minutes: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    token: String,
    expires_unix_s: i64,
    oid: String,
    tenant: String,
    account: String,
}

pub(crate) fn run(args: &TokenArgs, session: &Session<'_>) -> Result<()> {
    let account = match &args.account {
        None => Account::well_known(),
        Some(choice) => choice.account().clone(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let issued_unix_s = i64::try_from(now)?;
    let lifetime_s = i64::from(args.valid_minutes) * 60;
    let token = Token {
        oid: &args.oid,
        groups: &args.groups,
        tenant: &args.tenant,
        issued_unix_s,
        lifetime_s,
    };
    let issued = Issued {
        token: bearer_token(&account, &token).context("the account has no key")?,
        expires_unix_s: issued_unix_s + lifetime_s,
        oid: args.oid.clone(),
        tenant: args.tenant.clone(),
        account: account.name,
    };
    output::print(session.console, session.json, &issued, |issued| {
        issued.token.clone()
    })
}
