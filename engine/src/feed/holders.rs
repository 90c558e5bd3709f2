//! Who still needs changes: open readers, and named consumers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::error::{Error, Result};
use crate::journal::Journal;

const META_PREFIX: &str = "consumer/";

/// A consumer as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consumer {
    pub table: String,
    /// It has every change up to this version.
    pub version: u64,
    pub expires_after_s: u64,
    /// When it was last heard of.
    pub seen: Ticks,
}

impl Consumer {
    pub(super) fn is_expired(&self, now: Ticks) -> bool {
        let silent_s = (now - self.seen).max(0) / TICKS_PER_SECOND;
        silent_s as u64 > self.expires_after_s
    }
}

/// Everybody who needs changes that are behind a version.
#[derive(Default)]
pub(crate) struct Holders {
    pub(super) consumers: BTreeMap<String, Consumer>,
    readers: BTreeMap<u64, u64>,
    next_reader: u64,
}

impl Holders {
    pub(crate) fn load(journal: &dyn Journal) -> Result<Self> {
        let mut consumers = BTreeMap::new();
        for (key, value) in journal.metas(META_PREFIX)? {
            let consumer = serde_json::from_slice(&value)
                .map_err(|e| Error::corrupt("journal".as_ref(), format!("{key}: {e}")))?;
            let name = key.trim_start_matches(META_PREFIX);
            consumers.insert(name.to_owned(), consumer);
        }
        Ok(Holders {
            consumers,
            ..Holders::default()
        })
    }

    /// Keeps a consumer, durably, or forgets it.
    pub(super) fn set(
        &mut self,
        journal: &dyn Journal,
        name: &str,
        consumer: Option<Consumer>,
    ) -> Result<()> {
        let value = consumer
            .as_ref()
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|e| Error::invalid(format!("the consumer cannot be kept: {e}")))?;
        journal.set_meta(&format!("{META_PREFIX}{name}"), value.as_deref())?;
        match consumer {
            Some(consumer) => self.consumers.insert(name.to_owned(), consumer),
            None => self.consumers.remove(name),
        };
        Ok(())
    }

    /// How many readers are open.
    pub(crate) fn readers(&self) -> u64 {
        self.readers.len() as u64
    }

    /// Notes a reader that needs everything behind a version.
    pub(crate) fn open_reader(&mut self, version: u64) -> u64 {
        self.next_reader += 1;
        self.readers.insert(self.next_reader, version);
        self.next_reader
    }

    pub(super) fn move_reader(&mut self, reader: u64, version: u64) {
        self.readers.insert(reader, version);
    }

    pub(crate) fn close_reader(&mut self, reader: u64) {
        self.readers.remove(&reader);
    }

    /// The least version behind which somebody needs changes. An expired consumer needs nothing.
    pub(super) fn least(&self, now: Ticks) -> Option<u64> {
        let consumers = self.consumers.values().filter(|c| !c.is_expired(now));
        consumers
            .map(|c| c.version)
            .chain(self.readers.values().copied())
            .min()
    }
}
