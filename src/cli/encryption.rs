//! `lakestage rekey`, and the options that say what the lake is encrypted by.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lakestage_emulator::{Secret, change_secret};
use serde::Serialize;

use super::output;
use super::run::Session;

const PASSPHRASE: &str = "LAKESTAGE_PASSPHRASE";
const NEW_PASSPHRASE: &str = "LAKESTAGE_NEW_PASSPHRASE";

/// By what a lake is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretKind {
    /// A file of 32 bytes or more
    KeyFile,
    /// Words, from the environment variable LAKESTAGE_PASSPHRASE or the first line of a file
    Passphrase,
}

/// Options of every command that opens the lake.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct EncryptionArgs {
    /// What the lake is encrypted by, on the disk; a new lake begins with it
    #[arg(long, global = true, env = "LAKESTAGE_ENCRYPT", value_name = "SECRET")]
    pub encrypt: Option<SecretKind>,

    /// The key file that the lake is encrypted by
    #[arg(long, global = true, env = "LAKESTAGE_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// A file whose first line is the passphrase, instead of LAKESTAGE_PASSPHRASE
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl EncryptionArgs {
    /// What to open the lake with.
    pub(crate) fn secret(&self) -> Result<Option<Secret>> {
        let Some(kind) = self.encrypt else {
            return Ok(None);
        };
        let option = "--key-file";
        let (file, words) = (self.key_file.as_deref(), self.passphrase_file.as_deref());
        secret(kind, (option, file), words, PASSPHRASE).map(Some)
    }
}

fn secret(
    kind: SecretKind,
    (option, key_file): (&str, Option<&Path>),
    passphrase_file: Option<&Path>,
    variable: &str,
) -> Result<Secret> {
    match (kind, key_file, passphrase_file) {
        (SecretKind::KeyFile, Some(file), _) => Ok(Secret::KeyFile(file.to_owned())),
        (SecretKind::KeyFile, None, _) => bail!("name the key file with {option}"),
        (SecretKind::Passphrase, _, Some(file)) => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let words = text.lines().next().unwrap_or_default();
            Ok(Secret::Passphrase(words.to_owned()))
        }
        (SecretKind::Passphrase, _, None) => match env::var(variable) {
            Ok(words) => Ok(Secret::Passphrase(words)),
            Err(_) => bail!("say the passphrase in {variable}, or in the first line of a file"),
        },
    }
}

/// Encrypt the lake by another key file or passphrase.
///
/// The lake's own key is sealed by the new secret instead of the old one; nothing else is written, and a server that has
/// the lake open goes on. The old secret opens the lake no more. What it could open before, such as a copy of the
/// folder, it still opens.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage rekey --encrypt key-file --key-file old.key --to key-file --to-key-file new.key\n  \
LAKESTAGE_PASSPHRASE=… LAKESTAGE_NEW_PASSPHRASE=… lakestage rekey --encrypt passphrase --to passphrase")]
pub(crate) struct RekeyArgs {
    /// What the lake is to be encrypted by
    #[arg(long, value_name = "SECRET")]
    to: SecretKind,

    /// The new key file
    #[arg(long, value_name = "FILE")]
    to_key_file: Option<PathBuf>,

    /// A file whose first line is the new passphrase, instead of LAKESTAGE_NEW_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    to_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Rekeyed {
    rekeyed: PathBuf,
}

pub(crate) fn rekey(args: &RekeyArgs, session: &Session<'_>) -> Result<()> {
    let Some(before) = session.data.secret() else {
        bail!("say what the lake is encrypted by now with --encrypt");
    };
    let option = "--to-key-file";
    let (file, words) = (
        args.to_key_file.as_deref(),
        args.to_passphrase_file.as_deref(),
    );
    let after = secret(args.to, (option, file), words, NEW_PASSPHRASE)?;
    let folder = session.data.emulator_folder();
    change_secret(&folder, before, &after)?;
    output::print(
        session.console,
        session.json,
        &Rekeyed { rekeyed: folder },
        |done| format!("{} is encrypted by the new secret", done.rekeyed.display()),
    )
}
