//! An environment whose lake is a storage account: the emulator stands for it, at the end of a way that is measured and
//! cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lakestage::{AccountLake, AccountOptions, CredentialSettings, Schedule, SecretPlace};
use lakestage_emulator::faults::Faults;
use lakestage_emulator::{DEFAULT_ACCOUNT_KEY, Emulator, ServerOptions, StoreOptions};
use lakestage_engine::{
    FolderLake, Lake, LinkTableOptions, MODEL_FILE, NewLink, Result, SnapshotReport, Value, Write,
};

use crate::uplink::Uplink;
use crate::world::{World, id};

pub const ENDPOINT: &str = "https://contoso.dfs.core.windows.net:443";

/// An environment with the same link to a folder and to an account.
pub struct Site {
    pub world: World,
    pub emulator: Emulator,
    pub uplink: Uplink,
}

impl Site {
    pub fn new() -> Self {
        Self::with_faults(&Arc::default())
    }

    /// With an account that does what a plan says.
    pub fn with_faults(faults: &Arc<Faults>) -> Self {
        let server = ServerOptions {
            blob_port: 0,
            dfs_port: 0,
            faults: Some(faults.clone()),
            ..ServerOptions::default()
        };
        Self::at(Emulator::start_with(StoreOptions::default(), server).unwrap())
    }

    pub fn at(emulator: Emulator) -> Self {
        let uplink = Uplink::to(&emulator.blob_url());
        let site = Site {
            world: World::new(),
            emulator,
            uplink,
        };
        fs::write(site.key(), DEFAULT_ACCOUNT_KEY).unwrap();
        site
    }

    pub fn linked(self) -> Self {
        let tables = || ["task", "member"].map(LinkTableOptions::of).to_vec();
        let new = NewLink::new("site", "account:site", ENDPOINT, tables());
        let environment = &self.world.environment;
        environment.create_link(&self.lake(), &new).unwrap();
        self.world.link(&["task", "member"]);
        self
    }

    pub fn key(&self) -> PathBuf {
        self.world.folder.path().join("key")
    }

    pub fn options(&self) -> AccountOptions {
        AccountOptions {
            endpoint: self.uplink.url(&self.emulator.blob_url()).parse().unwrap(),
            credential: CredentialSettings::AccountKey {
                key: SecretPlace::File(self.key()),
            },
            authority: None,
            ca_file: None,
            connections: 1,
            retries: 0,
            schedule: Schedule::default(),
        }
    }

    /// As a process that was started anew sees it.
    pub fn lake(&self) -> AccountLake {
        self.lake_of("us")
    }

    pub fn lake_of(&self, writer: &str) -> AccountLake {
        self.account(self.options(), writer)
    }

    /// Reached in another way.
    pub fn lake_with(&self, options: AccountOptions) -> AccountLake {
        self.account(options, "us")
    }

    fn account(&self, options: AccountOptions, writer: &str) -> AccountLake {
        let folder = self.world.folder.path().join("accounts").join(writer);
        let container = self.world.environment.filesystem_name();
        AccountLake::new(&options, &container, &folder, writer).unwrap()
    }

    pub fn snapshot(&self) -> Result<SnapshotReport> {
        self.world.clock.advance_s(1);
        self.world.environment.snapshot("site", &self.lake())
    }

    /// Rows with texts that do not repeat.
    pub fn tasks(&self, numbers: std::ops::Range<u32>, notes_bytes: usize) {
        let mut transaction = self.world.environment.transaction();
        let schema = self.world.environment.schema("task").unwrap();
        let column = |name| schema.require(name).unwrap();
        for number in numbers {
            let id = id(number);
            let created = format!("{}-03-01T08:00:00Z", 2021 + number % 2);
            let notes = noise(number, notes_bytes);
            let cells = [
                (column("taskid"), Value::Text(&id)),
                (column("createdon"), Value::Text(&created)),
                (column("notes"), Value::Text(&notes)),
            ];
            transaction.write(Write::Upsert, "task", &cells).unwrap();
        }
        transaction.commit().unwrap();
    }

    /// The files that `model.json` names in the account, as a reader finds them.
    pub fn read(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.direct(), &self.named())
    }

    pub fn named(&self) -> Vec<String> {
        let Some(model) = self.direct().read(MODEL_FILE).unwrap() else {
            return Vec::new();
        };
        let model: serde_json::Value = serde_json::from_slice(&model).unwrap();
        let mut paths = Vec::new();
        for entity in model["entities"].as_array().unwrap() {
            for partition in entity["partitions"].as_array().unwrap() {
                let location = partition["location"].as_str().unwrap();
                let (_, path) = location.split_once("/dataverse-contoso-org1/").unwrap();
                paths.push(path.to_owned());
            }
        }
        paths
    }

    /// The account by a way that nobody cuts.
    pub fn direct(&self) -> impl Lake {
        let options = AccountOptions {
            endpoint: self.emulator.blob_url().parse().unwrap(),
            ..self.options()
        };
        let folder = self.world.folder.path().join("direct");
        let container = self.world.environment.filesystem_name();
        AccountLake::new(&options, &container, &folder, "us").unwrap()
    }

    /// What the engine itself would show.
    pub fn expected(&self) -> BTreeMap<String, Vec<u8>> {
        let lake = self.world.lake();
        self.world.environment.snapshot("lake", &lake).unwrap();
        self.contents(&lake)
    }

    /// The newest content of each partition.
    pub fn contents(&self, lake: &FolderLake) -> BTreeMap<String, Vec<u8>> {
        files(lake, &self.world.named("task"))
    }

    pub fn newest(&self) -> BTreeMap<String, Vec<u8>> {
        self.read()
            .into_iter()
            .filter(|(path, _)| path.starts_with("task/"))
            .collect()
    }
}

fn files(lake: &dyn Lake, paths: &[String]) -> BTreeMap<String, Vec<u8>> {
    paths
        .iter()
        .map(|path| {
            let bytes = lake.read(path).unwrap();
            let bytes = bytes.unwrap_or_else(|| panic!("{path} is named and not there"));
            // The number of the snapshot is the link's own.
            let (partition, _) = path.rsplit_once('_').unwrap();
            (partition.to_owned(), bytes)
        })
        .collect()
}

/// Text that no two numbers share, and that does not compress.
fn noise(number: u32, bytes: usize) -> String {
    let mut state = u64::from(number) + 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}
