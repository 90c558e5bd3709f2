//! `lakestage account`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args, Subcommand};
use lakestage::{
    AccountSettings, CONNECTIONS, CredentialSettings, RETRIES, Rate, Schedule, SecretPlace, Window,
};
use lakestage_engine::Lake as _;
use serde::Serialize;
use serde_json::json;

use super::command::resolve;
use super::output::{self, Align, TextTable};
use super::run::Session;

/// The storage accounts that links publish to.
///
/// A link writes to one with `lakestage link new --to account:<name>`. Secrets are not kept: the settings say which
/// environment variable or file has them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage account add site --endpoint https://contoso.dfs.core.windows.net --key-env CONTOSO_KEY\n  \
lakestage account add site --endpoint https://contoso.dfs.core.windows.net --sas-file site.sas\n  \
lakestage account add site --endpoint https://contoso.dfs.core.windows.net --managed-identity\n  \
lakestage account add site --endpoint https://contoso.dfs.core.windows.net --sas-file site.sas \\\n      \
--bandwidth 2MiB/s --during \"22:00-06:00=full\" --during \"mon-fri 08:00-18:00=closed\"\n  \
lakestage account test site dataverse-contoso-org1\n  \
lakestage link new --all --to account:site")]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Add an account, or say anew how it is reached
    Add(Box<AddArgs>),
    /// Show the accounts
    List,
    /// Forget an account; nothing in it changes
    Remove(NameArgs),
    /// See whether a container of an account can be read
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The name of the account here
    name: String,
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The name of the account here
    name: String,

    /// A container of it
    container: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("credential").required(true))]
struct AddArgs {
    /// A name for the account here
    name: String,

    /// The address of its DFS or Blob endpoint
    #[arg(long, value_name = "URL")]
    endpoint: String,

    /// The environment variable that has the account's key
    #[arg(long, value_name = "NAME", group = "credential")]
    key_env: Option<String>,

    /// The file that has the account's key
    #[arg(long, value_name = "FILE", group = "credential")]
    key_file: Option<PathBuf>,

    /// The environment variable that has a shared access signature
    #[arg(long, value_name = "NAME", group = "credential")]
    sas_env: Option<String>,

    /// The file that has a shared access signature; it is read anew for each request
    #[arg(long, value_name = "FILE", group = "credential")]
    sas_file: Option<PathBuf>,

    /// The application of Entra ID to be, with --tenant-id and its secret or certificate
    #[arg(long, value_name = "ID", group = "credential", requires_all = ["tenant_id", "client_secret"])]
    client_id: Option<String>,

    /// The file that has the application's certificate and its key, in PEM
    #[arg(
        long,
        value_name = "FILE",
        group = "client_secret",
        requires = "client_id"
    )]
    client_certificate_file: Option<PathBuf>,

    /// The application's tenant
    #[arg(long, value_name = "ID", requires = "client_id")]
    tenant_id: Option<String>,

    /// The environment variable that has the application's secret
    #[arg(
        long,
        value_name = "NAME",
        group = "client_secret",
        requires = "client_id"
    )]
    client_secret_env: Option<String>,

    /// The file that has the application's secret
    #[arg(
        long,
        value_name = "FILE",
        group = "client_secret",
        requires = "client_id"
    )]
    client_secret_file: Option<PathBuf>,

    /// Be the managed identity of this machine, or the one with this client id
    #[arg(long, value_name = "ID", group = "credential", num_args = 0..=1, default_missing_value = "")]
    managed_identity: Option<String>,

    /// Be the workload identity of this pod
    #[arg(long, group = "credential")]
    workload_identity: bool,

    /// Be whoever has signed in with `az login`
    #[arg(long, group = "credential")]
    azure_cli: bool,

    /// Where tokens are had, for clouds other than the public one
    #[arg(long, value_name = "URL")]
    authority: Option<String>,

    /// Certificates of authorities to trust beside those of the system, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Requests that may be on their way at once
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS)]
    connections: usize,

    /// How often a request is sent again before a publication is given up for this time
    #[arg(long, value_name = "COUNT", default_value_t = RETRIES)]
    retries: u32,

    #[command(flatten)]
    uplink: UplinkArgs,
}

/// How fast the way to the account may be used, and when.
#[derive(Debug, Args)]
struct UplinkArgs {
    /// How much may be sent: full, closed, or such as 512KiB/s, 2MB/s, 10Mbit/s
    #[arg(long, value_name = "RATE", default_value = "full")]
    bandwidth: Rate,

    /// Another bandwidth at a time of day, such as "22:00-06:00=full" or "mon-fri 08:00-18:00=closed"; the first
    /// that holds counts
    #[arg(long, value_name = "WINDOW=RATE")]
    during: Vec<Window>,

    /// Where the times are those of the clocks, such as Europe/Berlin; this machine's zone unless it is given
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl From<&UplinkArgs> for Schedule {
    fn from(args: &UplinkArgs) -> Self {
        Schedule {
            bandwidth: args.bandwidth,
            windows: args.during.clone(),
            time_zone: args.time_zone.clone(),
        }
    }
}

pub(crate) fn run(args: &AccountArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        AccountCommand::Add(args) => add(args, session),
        AccountCommand::List => list(session),
        AccountCommand::Remove(args) => {
            session.data.accounts().remove(&args.name)?;
            let told = json!({ "removed": args.name });
            output::print(session.console, session.json, &told, |_| {
                format!("forgot the account {}\n", args.name)
            })
        }
        AccountCommand::Test(args) => test(args, session),
    }
}

fn add(args: &AddArgs, session: &Session<'_>) -> Result<()> {
    let settings = AccountSettings {
        endpoint: args.endpoint.clone(),
        credential: args.credential(&session.folder)?,
        authority: args.authority.clone(),
        ca_file: args.ca_file.as_ref().map(|f| resolve(&session.folder, f)),
        connections: args.connections,
        retries: args.retries,
        schedule: (&args.uplink).into(),
    };
    session.data.accounts().set(&args.name, settings.clone())?;
    let shown = Shown {
        name: args.name.clone(),
        settings,
    };
    output::print(session.console, session.json, &shown, |shown| {
        format!(
            "added the account {name} at {}\nnext: lakestage link new --all --to account:{name}\n",
            shown.settings.endpoint,
            name = shown.name,
        )
    })
}

impl AddArgs {
    fn credential(&self, folder: &Path) -> Result<CredentialSettings> {
        let file = |path: &PathBuf| SecretPlace::File(resolve(folder, path));
        let variable = |name: &String| SecretPlace::Environment(name.clone());
        let place = |name: &Option<String>, path: &Option<PathBuf>| {
            name.as_ref().map(variable).or(path.as_ref().map(file))
        };
        if let Some(key) = place(&self.key_env, &self.key_file) {
            return Ok(CredentialSettings::AccountKey { key });
        }
        if let Some(sas) = place(&self.sas_env, &self.sas_file) {
            return Ok(CredentialSettings::Sas { sas });
        }
        if let (Some(client_id), Some(tenant_id)) = (&self.client_id, &self.tenant_id) {
            if let Some(certificate) = &self.client_certificate_file {
                return Ok(CredentialSettings::ClientCertificate {
                    tenant_id: tenant_id.clone(),
                    client_id: client_id.clone(),
                    certificate_file: resolve(folder, certificate),
                });
            }
            let secret = place(&self.client_secret_env, &self.client_secret_file);
            return Ok(CredentialSettings::ClientSecret {
                tenant_id: tenant_id.clone(),
                client_id: client_id.clone(),
                secret: secret.context("the application's secret is missing")?,
            });
        }
        if let Some(id) = &self.managed_identity {
            let client_id = (!id.is_empty()).then(|| id.clone());
            return Ok(CredentialSettings::ManagedIdentity { client_id });
        }
        Ok(match self.workload_identity {
            true => CredentialSettings::WorkloadIdentity,
            false => CredentialSettings::AzureCli,
        })
    }
}

#[derive(Serialize)]
struct Shown {
    name: String,
    #[serde(flatten)]
    settings: AccountSettings,
}

fn list(session: &Session<'_>) -> Result<()> {
    let all: Vec<Shown> = session
        .data
        .accounts()
        .all()?
        .into_iter()
        .map(|(name, settings)| Shown { name, settings })
        .collect();
    output::print(session.console, session.json, &all, |all| {
        if all.is_empty() {
            return "no account is known; `lakestage account add` adds one\n".to_owned();
        }
        let mut lines = TextTable::new(&[
            ("account", Align::Left),
            ("endpoint", Align::Left),
            ("credential", Align::Left),
            ("way", Align::Left),
        ]);
        for shown in all {
            lines.row(vec![
                shown.name.clone(),
                shown.settings.endpoint.clone(),
                shown.settings.credential.to_string(),
                shown.settings.schedule.to_string(),
            ]);
        }
        lines.text("")
    })
}

fn test(args: &TestArgs, session: &Session<'_>) -> Result<()> {
    let lake = session.data.account_lake(&args.name, &args.container)?;
    let start = Instant::now();
    let found = lake.list("")?;
    let elapsed_ms = start.elapsed().as_millis();
    let told = json!({ "account": args.name, "container": args.container, "paths": found.len(), "elapsedMs": elapsed_ms });
    output::print(session.console, session.json, &told, |_| {
        format!(
            "{} can be read: {} paths, listed in {elapsed_ms} ms\n",
            lake.describe(),
            found.len()
        )
    })
}
