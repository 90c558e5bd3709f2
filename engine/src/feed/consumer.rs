//! Named consumers: the engine remembers how far each is, and keeps what it has not read.

use serde::Serialize;

use super::holders::Consumer;
use super::{ChangeToken, Changes};
use crate::clock::TICKS_PER_SECOND;
use crate::environment::Environment;
use crate::error::{Error, Result};

const NAME_CHARACTERS_MAX: usize = 64;
/// Seven days.
const EXPIRES_AFTER_S: u64 = 7 * 24 * 3_600;

/// A consumer as a person asks for it.
#[derive(Debug, Clone)]
pub struct NewConsumer {
    /// A name of the caller's choice: letters, digits, `-` and `_`, 64 at most.
    pub name: String,
    /// The table whose changes it reads.
    pub table: String,
    /// Where it starts; `None` is before the first change there ever was.
    pub start: Option<ChangeToken>,
    /// It keeps changes from being removed for so long after it was last heard of.
    pub expires_after_s: u64,
}

impl NewConsumer {
    /// One that starts before the first change and expires after seven days of silence.
    pub fn new(name: &str, table: &str) -> Self {
        NewConsumer {
            name: name.to_owned(),
            table: table.to_owned(),
            start: None,
            expires_after_s: EXPIRES_AFTER_S,
        }
    }
}

/// A consumer in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// The table whose changes it reads.
    pub table: String,
    /// Where it stands.
    pub token: String,
    /// The version up to which it has every change.
    pub version: u64,
    /// For how long after it was last heard of it keeps changes from being removed.
    pub expires_after_s: u64,
    /// When it was last heard of, Unix seconds.
    pub last_seen_unix_s: i64,
    /// Whether it was silent for longer. It may go on as long as its changes happen to be there.
    pub is_expired: bool,
}

impl Environment {
    /// Adds a consumer. What it has not read stays until it has, or until it expires.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, `Expired` if the changes from its start on are not all
    /// kept any more.
    pub fn create_consumer(&self, new: &NewConsumer) -> Result<ConsumerStatus> {
        check_name(&new.name)?;
        self.schema(&new.table)?;
        let version = self.start_version(new.start.as_ref())?;
        let mut holders = self.inner.lock_holders();
        if holders.consumers.contains_key(&new.name) {
            return Err(Error::AlreadyExists {
                what: "consumer",
                name: new.name.clone(),
            });
        }
        self.check_kept(version)?;
        let consumer = Consumer {
            table: new.table.clone(),
            version,
            expires_after_s: new.expires_after_s,
            seen: self.inner.clock.now_ticks(),
        };
        let status = self.consumer_status(&new.name, &consumer);
        holders.set(&*self.inner.journal, &new.name, Some(consumer))?;
        Ok(status)
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> Vec<ConsumerStatus> {
        let holders = self.inner.lock_holders();
        let consumers = holders.consumers.iter();
        consumers
            .map(|(name, consumer)| self.consumer_status(name, consumer))
            .collect()
    }

    /// One consumer.
    pub fn consumer(&self, name: &str) -> Result<ConsumerStatus> {
        self.find_consumer(name)
            .map(|consumer| self.consumer_status(name, &consumer))
    }

    /// The changes that a consumer has not acknowledged yet.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; otherwise as [`changes`](Self::changes).
    pub fn changes_for(&self, name: &str) -> Result<Changes> {
        let consumer = self.find_consumer(name)?;
        self.changes(&consumer.table, Some(&self.token(consumer.version)))
    }

    /// Moves a consumer forward, durably: it has everything up to the token, and will not ask for
    /// it again.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name, `InvalidInput` if the token lies behind where it
    /// stands or ahead of every change there is.
    pub fn acknowledge(&self, name: &str, token: &ChangeToken) -> Result<()> {
        let version = self.start_version(Some(token))?;
        {
            let mut holders = self.inner.lock_holders();
            let consumer = holders.consumers.get(name);
            let mut consumer = consumer.cloned().ok_or_else(|| missing(name))?;
            if version < consumer.version {
                return Err(Error::invalid(format!(
                    "the consumer \"{name}\" stands at version {} and cannot go back to {version}; remove it and create it again to read again",
                    consumer.version
                )));
            }
            consumer.version = version;
            consumer.seen = self.inner.clock.now_ticks();
            holders.set(&*self.inner.journal, name, Some(consumer))?;
        }
        self.collect_segments()
    }

    /// Forgets a consumer.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name.
    pub fn remove_consumer(&self, name: &str) -> Result<()> {
        self.find_consumer(name)?;
        let mut holders = self.inner.lock_holders();
        holders.set(&*self.inner.journal, name, None)?;
        drop(holders);
        self.collect_segments()
    }

    fn find_consumer(&self, name: &str) -> Result<Consumer> {
        let holders = self.inner.lock_holders();
        let consumer = holders.consumers.get(name).cloned();
        consumer.ok_or_else(|| missing(name))
    }

    fn consumer_status(&self, name: &str, consumer: &Consumer) -> ConsumerStatus {
        ConsumerStatus {
            name: name.to_owned(),
            table: consumer.table.clone(),
            token: self.token(consumer.version).to_string(),
            version: consumer.version,
            expires_after_s: consumer.expires_after_s,
            last_seen_unix_s: consumer.seen.div_euclid(TICKS_PER_SECOND),
            is_expired: consumer.is_expired(self.inner.clock.now_ticks()),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::not_found("consumer", name)
}

fn check_name(name: &str) -> Result<()> {
    let fine = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the consumer name \"{name}\" may only have letters, digits, - and _, 1 to {NAME_CHARACTERS_MAX} of them"
    )))
}
