//! lakestage: Azure Synapse Link for Dataverse and its data lake, on one machine.
//!
//! The [`engine`] turns change-tracked rows into CSV snapshots, the [`emulator`] is the lake they
//! stand in. They do not know each other; [`EmulatorLake`] joins them within one process, and
//! [`DataFolder`] is where both keep what they hold.

mod account;
pub mod bench;
mod data_folder;
mod emulator_lake;
mod lake_address;

pub use lakestage_emulator as emulator;
pub use lakestage_engine as engine;

pub use account::{
    AccountLake, AccountOptions, AccountSettings, Accounts, CONNECTIONS, CredentialSettings,
    Endpoint, IgnoredSchedule, RETRIES, Rate, Schedule, SecretPlace, Sending, Window,
};
pub use data_folder::{DataFolder, DataFolderOptions};
pub use emulator_lake::EmulatorLake;
pub use lake_address::LakeAddress;
