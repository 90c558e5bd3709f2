//! A real storage account as a lake.
//!
//! A file goes there in blocks that are named by what is in them. What the account has already, in whatever file, is
//! copied by the account itself, so a small change is a small upload; what an interrupted publication had sent is not
//! sent again. Everything goes over the Blob endpoint by Azure's own client library.

mod certificate;
mod client;
mod credential;
mod endpoint;
mod failure;
mod file;
mod known;
mod lake;
mod local;
mod pace;
mod plan;
mod pointer;
mod reader;
mod schedule;
mod settings;
mod signature;
mod staging;
mod transport;
mod upload;

pub use client::AccountOptions;
pub use credential::{CredentialSettings, SecretPlace};
pub use endpoint::Endpoint;
pub use lake::AccountLake;
pub use pace::{IgnoredSchedule, Sending};
pub use schedule::{Rate, Schedule, Window};
pub use settings::{AccountSettings, Accounts, CONNECTIONS, RETRIES};
