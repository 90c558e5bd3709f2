//! `lakestage revoke-delegation-keys`

use anyhow::Result;
use clap::Args;
use lakestage_emulator::DEFAULT_ACCOUNT_NAME;
use serde::Serialize;

use super::output;
use super::run::Session;

/// Revoke the user delegation keys of an account of the emulator.
///
/// Every key that it gave out so far is good no more, and neither are the shared access signatures by them. Keys that are
/// asked for from then on are new ones. Signatures by the account's key stay good.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage revoke-delegation-keys\n  \
lakestage revoke-delegation-keys --account contoso")]
pub(crate) struct RevokeArgs {
    /// The account
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT_NAME)]
    account: String,
}

#[derive(Debug, Serialize)]
struct Revoked {
    account: String,
    /// How often that was done.
    revocations: u32,
}

pub(crate) fn revoke(args: &RevokeArgs, session: &Session<'_>) -> Result<()> {
    let revocations = session
        .data
        .store()?
        .revoke_delegation_keys(&args.account)?;
    let revoked = Revoked {
        account: args.account.clone(),
        revocations,
    };
    output::print(session.console, session.json, &revoked, |revoked| {
        format!(
            "the user delegation keys of {} are revoked",
            revoked.account
        )
    })
}
