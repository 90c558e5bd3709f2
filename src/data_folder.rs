//! The folder that everything stands in.
//!
//! ```text
//! <data>/environments/<name>/   one environment of the engine each
//! <data>/emulator/              the emulator's accounts
//! <data>/accounts/              the storage accounts that links write to
//! <data>/control.sock           there while `lakestage serve` holds the folder
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use lakestage_emulator::{Account, Secret, Store, StoreOptions, SyncMode};
use lakestage_engine::{Environment, EnvironmentSettings, FolderLake, Lake};

use crate::account::{AccountLake, Accounts};
use crate::emulator_lake::EmulatorLake;
use crate::lake_address::LakeAddress;

const ENVIRONMENTS_FOLDER: &str = "environments";
const EMULATOR_FOLDER: &str = "emulator";
const ACCOUNTS_FOLDER: &str = "accounts";

/// How the parts of a data folder are opened.
#[derive(Debug, Clone)]
pub struct DataFolderOptions {
    /// The emulator's accounts.
    pub accounts: Vec<Account>,
    /// When the emulator's changes are on the disk.
    pub sync: SyncMode,
    /// By what the emulator's lake is encrypted.
    pub secret: Option<Secret>,
}

impl Default for DataFolderOptions {
    fn default() -> Self {
        DataFolderOptions {
            accounts: vec![Account::well_known()],
            sync: SyncMode::Always,
            secret: None,
        }
    }
}

/// A data folder. Its environments and its emulator are opened when they are first asked for, and
/// stay open, and locked against other processes, as long as it lives.
pub struct DataFolder {
    root: PathBuf,
    options: DataFolderOptions,
    environments: Mutex<BTreeMap<String, Environment>>,
    store: Mutex<Option<Store>>,
    /// Containers by account and name. Each keeps its connections, its token and what it knows of the files there.
    containers: Mutex<BTreeMap<(String, String), AccountLake>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DataFolder {
    /// The data folder at `root`. Nothing is created or opened yet.
    #[must_use]
    pub fn new(root: PathBuf, options: DataFolderOptions) -> Self {
        DataFolder {
            root,
            options,
            environments: Mutex::default(),
            store: Mutex::default(),
            containers: Mutex::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the emulator's lake.
    #[must_use]
    pub fn emulator_folder(&self) -> PathBuf {
        self.root.join(EMULATOR_FOLDER)
    }

    /// By what the emulator's lake is encrypted, as it was said.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.options.secret.as_ref()
    }

    /// The folder of the environment of that name.
    #[must_use]
    pub fn environment_folder(&self, name: &str) -> PathBuf {
        self.root.join(ENVIRONMENTS_FOLDER).join(name)
    }

    /// The environments there are, sorted by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn environment_names(&self) -> Result<Vec<String>> {
        let folder = self.root.join(ENVIRONMENTS_FOLDER);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| folder.display().to_string()),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.with_context(|| folder.display().to_string())?;
            names.extend(name.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Creates an environment.
    ///
    /// # Errors
    /// When there is one of that name, or the name does not fit.
    pub fn create_environment(&self, settings: EnvironmentSettings) -> Result<Environment> {
        let mut environments = lock(&self.environments);
        let name = settings.name.clone();
        let environment = Environment::create(&self.environment_folder(&name), settings)?;
        environments.insert(name, environment.clone());
        Ok(environment)
    }

    /// The environment of that name, or the only one there is.
    ///
    /// # Errors
    /// When there is none, or several and no name; when it cannot be opened.
    pub fn environment(&self, name: Option<&str>) -> Result<Environment> {
        let name = self.which(name)?;
        let mut environments = lock(&self.environments);
        if let Some(environment) = environments.get(&name) {
            return Ok(environment.clone());
        }
        let environment = Environment::open(&self.environment_folder(&name))?;
        environments.insert(name, environment.clone());
        Ok(environment)
    }

    /// The environment of that name, if this process has it open.
    #[must_use]
    pub fn opened(&self, name: &str) -> Option<Environment> {
        lock(&self.environments).get(name).cloned()
    }

    /// Closes an environment as soon as nobody else holds it.
    pub fn forget(&self, name: &str) {
        lock(&self.environments).remove(name);
    }

    /// The name of the environment that is meant: the given one, or the only one there is.
    ///
    /// # Errors
    /// When there is none, or several and no name.
    pub fn which(&self, name: Option<&str>) -> Result<String> {
        let names = self.environment_names()?;
        match (name, &names[..]) {
            (Some(name), _) if names.iter().any(|n| n == name) => Ok(name.to_owned()),
            (None, [only]) => Ok(only.clone()),
            (_, []) => bail!(
                "{} holds no environment yet; create one with `lakestage init <name>`, or see one with `lakestage demo`",
                self.root.display()
            ),
            (Some(name), _) => bail!(
                "there is no environment named \"{name}\"; there is {}",
                names.join(", ")
            ),
            (None, _) => bail!(
                "name the environment with --environment: there are {}",
                names.join(", ")
            ),
        }
    }

    /// The emulator's store.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn store(&self) -> Result<Store> {
        let mut store = lock(&self.store);
        if let Some(store) = &*store {
            return Ok(store.clone());
        }
        let options = StoreOptions {
            folder: Some(self.emulator_folder()),
            accounts: self.options.accounts.clone(),
            sync: self.options.sync,
            secret: self.options.secret.clone(),
            ..StoreOptions::default()
        };
        let opened = Store::open(options)?;
        *store = Some(opened.clone());
        Ok(opened)
    }

    /// The storage accounts that links write to.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        Accounts::new(self.root.join(ACCOUNTS_FOLDER))
    }

    /// The filesystem of that name in the lake at an address.
    ///
    /// # Errors
    /// When there is no such account, or the emulator cannot be opened.
    pub fn lake(&self, address: &LakeAddress, filesystem: &str) -> Result<Box<dyn Lake>> {
        match address {
            LakeAddress::Folder(folder) => Ok(Box::new(FolderLake::new(folder, filesystem))),
            LakeAddress::Account(name) => Ok(Box::new(self.account_lake(name, filesystem)?)),
            LakeAddress::Emulator { account } => {
                let store = self.store()?;
                if store.account(account).is_none() {
                    bail!(
                        "the emulator has no account named \"{account}\"; name it with --account {account}=<key>"
                    );
                }
                Ok(Box::new(EmulatorLake::new(&store, account, filesystem)))
            }
        }
    }

    /// The container of that name in a storage account.
    ///
    /// # Errors
    /// When there is no such account, or its credential is not there.
    pub fn account_lake(&self, name: &str, container: &str) -> Result<AccountLake> {
        let accounts = self.accounts();
        let options = accounts.options(name)?;
        let mut containers = lock(&self.containers);
        let key = (name.to_owned(), container.to_owned());
        if let Some(lake) = containers.get(&key)
            && *lake.options() == options
        {
            return Ok(lake.clone());
        }
        let lake = AccountLake::new(&options, container, accounts.folder(), &accounts.writer()?)?;
        containers.insert(key, lake.clone());
        Ok(lake)
    }
}
