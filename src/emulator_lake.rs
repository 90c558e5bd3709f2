//! The emulator as a lake of the engine, within one process.

use std::io::Read;

use lakestage_emulator as emulator;
use lakestage_emulator::{FileSystem, PathInfo, Store, StoreError, WriteOptions};
use lakestage_engine::{Error, Lake, LakeEntry, Part, Result};

/// One filesystem of the emulator as a [`Lake`].
///
/// Ranges of the engine's packs are linked into the emulator once and referred to from then on, so a file that a
/// snapshot shares with the one before costs no bytes.
///
/// What it did is on the disk when it returns, whatever the store's sync mode: a snapshot that is reported as published
/// survives a power cut.
pub struct EmulatorLake {
    store: Store,
    account: String,
    name: String,
    filesystem: FileSystem,
}

impl EmulatorLake {
    /// The filesystem of that name in an account of the emulator, whether it exists yet or not.
    #[must_use]
    pub fn new(store: &Store, account: &str, filesystem: &str) -> Self {
        EmulatorLake {
            store: store.clone(),
            account: account.to_owned(),
            name: filesystem.to_owned(),
            filesystem: store.file_system(account, filesystem),
        }
    }
}

fn failed(error: StoreError) -> Error {
    Error::Lake(error.to_string())
}

fn entry(info: PathInfo) -> LakeEntry {
    LakeEntry {
        path: info.path,
        is_directory: info.is_directory,
        length: info.length,
        etag: info.etag,
    }
}

impl Lake for EmulatorLake {
    fn describe(&self) -> String {
        format!(
            "the filesystem {} of the emulator's account {}",
            self.name, self.account
        )
    }

    fn create(&self) -> Result<bool> {
        let account = self.store.account(&self.account);
        if account.is_some_and(|account| account.flat) {
            return Err(Error::InvalidInput(format!(
                "the account {} has no hierarchical namespace, and a lake needs one, as the service asks of a storage account",
                self.account
            )));
        }
        self.store
            .create_file_system(&self.account, &self.name)
            .map_err(failed)
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.filesystem
            .create_directory(path)
            .map_err(failed)
            .map(drop)
    }

    fn write(&self, path: &str, parts: &[Part<'_>], content_type: &str) -> Result<LakeEntry> {
        let parts: Vec<emulator::Part<'_>> = parts.iter().map(shared).collect();
        let options = WriteOptions {
            content_type: Some(content_type.to_owned()),
            ..WriteOptions::default()
        };
        self.filesystem
            .write_file(path, &parts, &options)
            .map(entry)
            .map_err(failed)
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.filesystem.copy_file(from, to).map_err(failed)?;
        self.store.sync().map_err(failed)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.filesystem.rename(from, to).map_err(failed)?;
        self.store.sync().map_err(failed)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.filesystem.delete(path, false).map_err(failed)?;
        self.store.sync().map_err(failed)
    }

    fn delete_directory(&self, path: &str) -> Result<()> {
        self.filesystem.delete(path, true).map_err(failed)?;
        self.store.sync().map_err(failed)
    }

    fn destroy(&self) -> Result<()> {
        self.store
            .delete_file_system(&self.account, &self.name)
            .map_err(failed)?;
        self.store.sync().map_err(failed)
    }

    fn list(&self, path: &str) -> Result<Vec<LakeEntry>> {
        let below = self.filesystem.list(path, true).map_err(failed)?;
        Ok(below.into_iter().map(entry).collect())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.filesystem.read(path).map_err(failed)
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let reader = self.filesystem.open(path).map_err(failed)?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Read + Send>))
    }

    fn stat(&self, path: &str) -> Result<Option<LakeEntry>> {
        Ok(self.filesystem.stat(path).map_err(failed)?.map(entry))
    }
}

fn shared<'a>(part: &Part<'a>) -> emulator::Part<'a> {
    match *part {
        Part::Bytes(bytes) => emulator::Part::Bytes(bytes),
        Part::Range {
            name,
            file,
            offset,
            length,
            crc32c,
        } => emulator::Part::Shared {
            key: name,
            file,
            offset,
            length,
            crc32c,
        },
    }
}
