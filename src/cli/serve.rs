//! `lakestage serve`

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lakestage::{DataFolder, DataFolderOptions};
use lakestage_emulator::{
    Account, DEFAULT_ACCOUNT_NAME, Server, ServerOptions, Store, StoreOptions, SyncMode,
};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::access::{self, AccessArgs};
use super::console::Console;
use super::control::ControlServer;
use super::faults::FaultArgs;
use super::metrics::MetricsServer;
use super::output;

/// Serve the lake on the Blob and the DFS port.
///
/// Azure's clients use it as they use a storage account with a hierarchical namespace. While it runs, every other
/// command on the same data folder is carried out by it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage serve\n  \
lakestage serve --memory --blob-port 0 --dfs-port 0\n  \
lakestage serve --account contoso=c2VjcmV0 --bind 0.0.0.0\n  \
lakestage serve --self-signed --role 'alice=Storage Blob Data Contributor'\n\n\
Ctrl-C ends it; what was acknowledged is on the disk. A crash of lakestage takes nothing that was acknowledged either; \
--sync says what a power cut may take of what clients wrote. Commits and published snapshots are on the disk whatever \
it says.")]
pub(crate) struct ServeArgs {
    /// When what clients change in the lake is on the disk, relative to the answer
    #[arg(long, value_enum, default_value_t = Sync::Group)]
    sync: Sync,

    /// Tell metrics of environments and links in Prometheus' text form at http://<ADDRESS>/metrics; port 0 takes any
    #[arg(long, value_name = "ADDRESS", conflicts_with = "memory")]
    metrics: Option<SocketAddr>,

    /// Serve an empty lake of which nothing is kept; no data folder is opened, and no environment is there
    #[arg(long, conflicts_with = "sync")]
    pub memory: bool,

    // Last: what follows would stand under the heading that it ends with.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Where the lake is served.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The address to listen on; other machines can reach it only if you name one of theirs
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub bind: IpAddr,

    /// The Blob port; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 10_000)]
    pub blob_port: u16,

    /// The DFS port; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 10_004)]
    pub dfs_port: u16,

    /// Another account and its key in base64; may be given several times. devstoreaccount1 is always there
    #[arg(long = "account", value_name = "NAME=KEY")]
    pub accounts: Vec<AccountChoice>,

    /// An account without a hierarchical namespace; may be given several times
    #[arg(long, value_name = "NAME")]
    pub flat: Vec<String>,

    /// Keep what is deleted for so many days, so that it can be restored
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub soft_delete_days: Option<u32>,

    /// Let signed requests say in x-lakestage-identity for whom they are, so that access control applies to them
    #[arg(long)]
    pub take_identities: bool,

    #[command(flatten)]
    pub faults: FaultArgs,

    /// Let the accounts' read-only copies, <account>-secondary, say that they are so far behind (Last-Sync-Time)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    secondary_lag_s: u32,

    #[command(flatten, next_help_heading = "Who may come in")]
    access: AccessArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sync {
    /// Before it: a power cut takes nothing
    Always,
    /// A tenth of a second after it: a power cut may take that much
    Group,
    /// When the system likes: a power cut may take minutes, or the whole lake
    Off,
}

impl From<Sync> for SyncMode {
    fn from(sync: Sync) -> Self {
        match sync {
            Sync::Always => SyncMode::Always,
            Sync::Group => SyncMode::Group,
            Sync::Off => SyncMode::Off,
        }
    }
}

/// An account as text.
#[derive(Debug, Clone)]
pub(crate) struct AccountChoice(Account);

impl AccountChoice {
    pub(crate) fn account(&self) -> &Account {
        &self.0
    }
}

impl FromStr for AccountChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, key) = text.split_once('=').ok_or("write <name>=<key in base64>")?;
        let fits = (3..=24).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !fits {
            return Err(format!(
                "\"{name}\" cannot be an account's name: 3 to 24 lower-case letters and digits"
            ));
        }
        if name == DEFAULT_ACCOUNT_NAME {
            return Err(format!("{name} is there already, with its published key"));
        }
        Account::from_base64(name, key)
            .map(AccountChoice)
            .ok_or_else(|| format!("the key of {name} is not base64"))
    }
}

impl ServerArgs {
    /// How to open what another data folder names, served as the arguments say.
    pub(crate) fn data_folder_options(&self, sync: SyncMode, of: &DataFolder) -> DataFolderOptions {
        DataFolderOptions {
            accounts: self.all_accounts(),
            sync,
            secret: of.secret().cloned(),
        }
    }

    /// Refuses options about accounts that are not there.
    pub(crate) fn check(&self) -> Result<()> {
        self.access.check()?;
        let accounts = self.all_accounts();
        for name in &self.flat {
            if !accounts.iter().any(|account| account.name == *name) {
                bail!("--flat {name}: there is no account of that name; add it with --account");
            }
        }
        Ok(())
    }

    fn all_accounts(&self) -> Vec<Account> {
        let mut accounts = vec![Account::well_known()];
        accounts.extend(self.accounts.iter().map(|choice| choice.0.clone()));
        for account in &mut accounts {
            account.soft_delete_days = self.soft_delete_days;
            account.flat = self.flat.contains(&account.name);
        }
        accounts
    }

    /// Serves a lake of which nothing is kept; a certificate that is made stands in `folder`.
    fn start_in_memory(&self, folder: &Path) -> Result<(Store, Server)> {
        self.check()?;
        let store = Store::open(StoreOptions {
            accounts: self.all_accounts(),
            ..StoreOptions::default()
        })?;
        let server = self.serve(store.clone(), folder)?;
        Ok((store, server))
    }

    pub(crate) fn start(&self, data: &DataFolder) -> Result<Server> {
        self.serve(data.store()?, data.root())
    }

    fn serve(&self, store: Store, folder: &Path) -> Result<Server> {
        let options = ServerOptions {
            bind: self.bind,
            blob_port: self.blob_port,
            dfs_port: self.dfs_port,
            takes_identities: self.take_identities,
            faults: self.faults.faults()?,
            faults_port: self.faults.faults_port,
            access: self.access.options()?,
            secondary_lag_s: self.secondary_lag_s,
            tls: self.access.tls(folder),
        };
        Server::start(store, options).map_err(|error| {
            let is_port = matches!(
                error.kind(),
                ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied
            );
            let what = match is_port {
                true => format!(
                    "the lake cannot be served on ports {} and {} of {}; choose others with --blob-port and --dfs-port",
                    self.blob_port, self.dfs_port, self.bind
                ),
                false => "the lake cannot be served".to_owned(),
            };
            anyhow::Error::new(error).context(what)
        })
    }

    fn facts(&self, store: &Store, server: Option<&Server>) -> ServingFacts {
        let accounts = store.accounts().iter().map(|a| a.name.clone());
        let authority = server.and_then(Server::authority_file);
        ServingFacts {
            serving: true,
            blob_endpoint: server.map(Server::blob_url),
            dfs_endpoint: server.map(Server::dfs_url),
            metrics_endpoint: None,
            faults_endpoint: server.and_then(faults_endpoint),
            tenant: self.access.tenant.clone(),
            certificate_authority: authority.map(Path::to_owned),
            accounts: accounts.collect(),
            environments: Vec::new(),
            warnings: match server {
                Some(_) => self.access.warnings(self.bind),
                None => Vec::new(),
            },
        }
    }
}

/// Waits for Ctrl-C or SIGTERM; a second one ends the process at once.
pub(crate) struct Ending(Signals);

impl Ending {
    pub(crate) fn watch() -> Result<Self> {
        const KILLED: i32 = 1;
        let first = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal only sets the flag that arms the second.
            flag::register_conditional_shutdown(signal, KILLED, first.clone())?;
            flag::register(signal, first.clone())?;
        }
        Ok(Ending(Signals::new([SIGINT, SIGTERM])?))
    }

    pub(crate) fn wait(mut self) {
        self.0.forever().next();
    }

    /// Waits so long at most, and says whether it is time to end.
    pub(crate) fn wait_for(&mut self, time: Duration) -> bool {
        if self.0.pending().next().is_some() {
            return true;
        }
        // A signal ends the sleep of this thread, or is seen after it.
        thread::sleep(time);
        self.0.pending().next().is_some()
    }
}

/// A data folder that is held and served.
pub(crate) struct Serving {
    // In this order: no command is taken any more before the ports close.
    control: ControlServer,
    metrics: Option<MetricsServer>,
    server: Option<Server>,
    data: Arc<DataFolder>,
    facts: ServingFacts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServingFacts {
    serving: bool,
    blob_endpoint: Option<String>,
    dfs_endpoint: Option<String>,
    metrics_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults_endpoint: Option<String>,
    /// The tenant of bearer tokens.
    tenant: String,
    /// The file that clients are told to trust.
    certificate_authority: Option<PathBuf>,
    accounts: Vec<String>,
    environments: Vec<String>,
    warnings: Vec<String>,
}

impl Serving {
    /// Opens the folder, its ports if they are to `listen`, and lets other commands in.
    pub(crate) fn start(args: &ServeArgs, data: &DataFolder, listen: bool) -> Result<Self> {
        args.server.check()?;
        let options = args.server.data_folder_options(args.sync.into(), data);
        let data = Arc::new(DataFolder::new(data.root().to_owned(), options));
        let server = listen.then(|| args.server.start(&data)).transpose()?;
        let environments = data.environment_names()?;
        for name in &environments {
            data.environment(Some(name))?;
        }
        let metrics = args.metrics.map(|at| MetricsServer::start(at, &data));
        let metrics = metrics.transpose()?;
        let control = ControlServer::start(&data)?;
        let store = data.store()?;
        let facts = ServingFacts {
            metrics_endpoint: metrics.as_ref().map(MetricsServer::url),
            environments,
            ..args.server.facts(&store, server.as_ref())
        };
        Ok(Serving {
            control,
            metrics,
            server,
            data,
            facts,
        })
    }

    pub(crate) fn data(&self) -> &DataFolder {
        &self.data
    }

    pub(crate) fn tell(&self, console: &dyn Console, json: bool) -> Result<()> {
        output::print(console, json, &self.facts, serving_text)
    }

    pub(crate) fn end(self) {
        drop(self.control);
        drop(self.metrics);
        if let Some(server) = self.server {
            server.shutdown();
        }
    }
}

pub(crate) fn run(
    args: &ServeArgs,
    data: &DataFolder,
    console: &dyn Console,
    json: bool,
) -> Result<()> {
    if args.memory {
        if data.secret().is_some() {
            bail!("--encrypt is for what stands on a disk, and of --memory nothing does");
        }
        return run_in_memory(args, console, json);
    }
    let ending = Ending::watch()?;
    let serving = Serving::start(args, data, true)?;
    serving.tell(console, json)?;
    ending.wait();
    serving.end();
    Ok(())
}

fn run_in_memory(args: &ServeArgs, console: &dyn Console, json: bool) -> Result<()> {
    let ending = Ending::watch()?;
    // Only a certificate that is made here needs a place, for clients to find its authority.
    let folder = match args.server.access.is_self_signed() {
        true => Some(tempfile::tempdir().context("a folder for the certificate")?),
        false => None,
    };
    let place = folder
        .as_ref()
        .map_or(Path::new(""), |folder| folder.path());
    let (store, server) = args.server.start_in_memory(place)?;
    let facts = args.server.facts(&store, Some(&server));
    output::print(console, json, &facts, serving_text)?;
    ending.wait();
    server.shutdown();
    Ok(())
}

fn faults_endpoint(server: &Server) -> Option<String> {
    let address = server.faults_address()?;
    Some(format!("http://{address}/faults"))
}

fn serving_text(serving: &ServingFacts) -> String {
    let environments = match serving.environments.is_empty() {
        true => "none yet".to_owned(),
        false => serving.environments.join(", "),
    };
    let mut text = String::new();
    if let (Some(blob), Some(dfs)) = (&serving.blob_endpoint, &serving.dfs_endpoint) {
        text = format!("Blob         {blob}\nDFS          {dfs}\n");
    }
    if let Some(metrics) = &serving.metrics_endpoint {
        text += &format!("metrics      {metrics}\n");
    }
    if let Some(faults) = &serving.faults_endpoint {
        text += &format!("faults       {faults}\n");
    }
    if let Some(authority) = &serving.certificate_authority {
        text += &access::how_to_trust(authority);
    }
    text += &format!(
        "accounts     {}\nenvironments {environments}\n",
        serving.accounts.join(", "),
    );
    for warning in &serving.warnings {
        text += &format!("WARNING      {warning}\n");
    }
    text + "Ctrl-C ends it."
}
