//! Which snapshots are still there, which of them are pinned, and which files may go.
//!
//! The newest few snapshots are kept, as the service keeps five. A pinned one is kept as well until its pin ends, and so is one that a
//! reader of this process holds. A file goes once no kept snapshot names it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::reader::SnapshotReader;
use crate::catalog::FileEntry;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::link::{self, LinkEntry};

/// How many snapshots a link keeps unless it is told otherwise, as the service does.
pub const SNAPSHOTS_KEPT: u32 = 5;

/// A snapshot whose files are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    /// Its cut.
    pub version: u64,
    /// Its `model.json`.
    pub model: FileEntry,
    pub rows: u64,
    pub bytes: u64,
    /// Every file that its `model.json` names.
    pub files: BTreeSet<String>,
}

/// Keeps a snapshot beyond its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pin {
    pub snapshot_s: i64,
    /// When it ends by itself; `None` means never.
    pub expires: Option<Ticks>,
}

/// What a link remembers of its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct History {
    /// How many are kept; `None` keeps all.
    pub limit: Option<u32>,
    /// By the number in the names of their files.
    pub kept: BTreeMap<i64, Kept>,
    /// By name.
    pub pins: BTreeMap<String, Pin>,
}

impl History {
    pub(crate) fn keeping(limit: Option<u32>) -> Self {
        History {
            limit,
            ..History::default()
        }
    }

    /// Forgets the snapshots whose time is over, and gives the files that nobody needs any more: theirs, and those of
    /// `retired`. `held` says which numbers a reader of this process holds.
    pub(crate) fn expire(
        &mut self,
        now: Ticks,
        held: impl Fn(i64) -> bool,
        retired: BTreeSet<String>,
    ) -> Vec<String> {
        self.pins
            .retain(|_, pin| pin.expires.is_none_or(|expires| expires > now));
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let pinned: BTreeSet<i64> = self.pins.values().map(|pin| pin.snapshot_s).collect();
        let newest: BTreeSet<i64> = self.kept.keys().rev().take(limit).copied().collect();
        let mut gone = retired;
        self.kept.retain(|number, kept| {
            let stays = newest.contains(number) || pinned.contains(number) || held(*number);
            if !stays {
                gone.append(&mut kept.files);
            }
            stays
        });
        for kept in self.kept.values() {
            for file in &kept.files {
                gone.remove(file);
            }
        }
        gone.into_iter().collect()
    }

    /// Forgets the snapshots that name files of a table, whose folder is about to go, and gives the other files that
    /// they named.
    pub(crate) fn forget_table(&mut self, table: &str) -> BTreeSet<String> {
        let folder = format!("{table}/");
        let mut gone = BTreeSet::new();
        self.kept.retain(|_, kept| {
            let stays = !kept.files.iter().any(|file| file.starts_with(&folder));
            if !stays {
                gone.append(&mut kept.files);
            }
            stays
        });
        self.pins
            .retain(|_, pin| self.kept.contains_key(&pin.snapshot_s));
        gone.retain(|file| !file.starts_with(&folder));
        gone
    }

    /// The names of the catalog's files that this history needs.
    pub(crate) fn model_files(&self) -> impl Iterator<Item = &str> {
        self.kept.values().map(|kept| kept.model.file.as_str())
    }
}

/// Which snapshot is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotAt {
    /// The newest.
    Newest,
    /// The one before the newest.
    Previous,
    /// The newest whose number is at most this, in Unix seconds.
    Time(i64),
    /// The newest whose cut is at most this version.
    Version(u64),
}

/// A snapshot that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotInfo {
    /// The number in the names of its files, in Unix seconds.
    pub snapshot_unix_s: i64,
    /// Every change up to this version is in it, and none after.
    pub version: u64,
    /// Rows of all its files.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How many files it names.
    pub files: u64,
    /// The pins that keep it.
    pub pins: Vec<SnapshotPin>,
}

/// A pin, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPin {
    /// The name it was given.
    pub name: String,
    /// When it ends by itself, in Unix seconds.
    pub expires_unix_s: Option<i64>,
}

impl Environment {
    /// The snapshots of a link that can be read, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such link; `InvalidInput` if it writes folders.
    pub fn snapshots(&self, link: &str) -> Result<Vec<SnapshotInfo>> {
        let state = self.state();
        let entry = link::find(&state, link)?;
        refuse_folders(entry, link)?;
        let readable = entry.readable();
        Ok(readable
            .map(|(number, kept)| info(&entry.history, number, kept))
            .collect())
    }

    /// Keeps a snapshot, whatever the link keeps otherwise, until the pin is taken away or its time is over.
    /// A pin of that name that is there already moves.
    ///
    /// # Errors
    /// `NotFound` if there is no such link or no such snapshot any more; `InvalidInput` if the pin would be over already.
    pub fn pin_snapshot(
        &self,
        link: &str,
        at: SnapshotAt,
        pin: &str,
        expires_unix_s: Option<i64>,
    ) -> Result<SnapshotInfo> {
        let _publishing = self.inner.lock_publication();
        let expires = expires_unix_s.map(|s| s.saturating_mul(TICKS_PER_SECOND));
        if expires.is_some_and(|expires| expires <= self.inner.clock.now_ticks()) {
            return Err(Error::invalid(format!(
                "the pin {pin} would be over before it began; name a later time"
            )));
        }
        let state = self.state();
        let (snapshot_s, kept) = find(link::find(&state, link)?, link, at)?;
        let new = Pin {
            snapshot_s,
            expires,
        };
        self.update_link(link, |entry| {
            entry.change_pins(|pins| {
                pins.insert(pin.to_owned(), new.clone());
            });
        })?;
        let after = self.state();
        Ok(info(&link::find(&after, link)?.history, snapshot_s, kept))
    }

    /// Takes a pin away. A snapshot that nothing keeps any more goes with the next one that is published.
    ///
    /// # Errors
    /// `NotFound` if there is no such link or pin.
    pub fn unpin_snapshot(&self, link: &str, pin: &str) -> Result<()> {
        let _publishing = self.inner.lock_publication();
        let state = self.state();
        if !link::find(&state, link)?.history.pins.contains_key(pin) {
            return Err(Error::not_found("pin", pin));
        }
        self.update_link(link, |entry| {
            entry.change_pins(|pins| {
                pins.remove(pin);
            });
        })
    }

    /// Opens a snapshot to read it. As long as the reader lives, the snapshot's files stay.
    ///
    /// # Errors
    /// `NotFound` if there is no such link or no such snapshot any more; `Corrupt` if what the catalog remembers of it is damaged.
    pub fn open_snapshot<'l>(
        &self,
        link: &str,
        lake: &'l dyn Lake,
        at: SnapshotAt,
    ) -> Result<SnapshotReader<'l>> {
        // Under this lock no snapshot goes, so that it cannot go between being found and being held.
        let _publishing = self.inner.lock_publication();
        let state = self.state();
        let entry = link::find(&state, link)?;
        let (number, kept) = find(entry, link, at)?;
        let lease = self.inner.leases.take(link, number);
        let model = self.inner.store.read(&kept.model)?;
        let format = state.catalog.settings.date_time_format;
        SnapshotReader::new(lake, entry, (number, &model), format, lease)
    }
}

fn refuse_folders(entry: &LinkEntry, link: &str) -> Result<()> {
    match entry.incremental {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!(
            "the link {link} writes what changed into folders and has no snapshots; `lakestage link status {link} --json` names its folders"
        ))),
    }
}

fn find<'e>(entry: &'e LinkEntry, link: &str, at: SnapshotAt) -> Result<(i64, &'e Kept)> {
    refuse_folders(entry, link)?;
    let mut newest_first = entry.readable().rev();
    let found = match at {
        SnapshotAt::Newest => newest_first.next(),
        SnapshotAt::Previous => newest_first.nth(1),
        SnapshotAt::Time(unix_s) => newest_first.find(|(number, _)| *number <= unix_s),
        SnapshotAt::Version(version) => newest_first.find(|(_, kept)| kept.version <= version),
    };
    found.ok_or_else(|| Error::NotFound {
        what: "snapshot",
        name: match at {
            SnapshotAt::Newest => format!("the newest of {link}"),
            SnapshotAt::Previous => format!("the one before the newest of {link}"),
            SnapshotAt::Time(unix_s) => format!("{link} at {unix_s}"),
            SnapshotAt::Version(version) => format!("{link} at version {version}"),
        },
        hint: match entry.readable().next() {
            None => "; the link has published none yet".into(),
            Some((number, kept)) => format!(
                "; the oldest that is kept is {number}, at version {}",
                kept.version
            ),
        },
    })
}

fn info(history: &History, number: i64, kept: &Kept) -> SnapshotInfo {
    let pins = history.pins.iter();
    let pins = pins.filter(|(_, pin)| pin.snapshot_s == number);
    let pins = pins.map(|(name, pin)| SnapshotPin {
        name: name.clone(),
        expires_unix_s: pin.expires.map(|ticks| ticks.div_euclid(TICKS_PER_SECOND)),
    });
    SnapshotInfo {
        snapshot_unix_s: number,
        version: kept.version,
        rows: kept.rows,
        bytes: kept.bytes,
        files: kept.files.len() as u64,
        pins: pins.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(files: &[&str]) -> Kept {
        Kept {
            version: 1,
            model: FileEntry {
                file: "model".into(),
                crc32c: 0,
            },
            rows: 0,
            bytes: 0,
            files: files.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    fn none() -> BTreeSet<String> {
        BTreeSet::new()
    }

    #[test]
    fn a_file_goes_with_the_last_kept_snapshot_that_names_it() {
        let mut history = History::keeping(Some(2));
        history.kept.insert(1, kept(&["a1", "b1"]));
        history.kept.insert(2, kept(&["a2", "b1"]));
        history.kept.insert(3, kept(&["a3", "b1"]));
        assert_eq!(history.expire(0, |_| false, none()), ["a1"]);
        history.kept.insert(4, kept(&["a3", "b4"]));
        let pin = Pin {
            snapshot_s: 2,
            expires: Some(10),
        };
        history.pins.insert("audit".into(), pin);
        assert_eq!(history.expire(9, |_| false, none()), [""; 0]);
        assert_eq!(history.expire(10, |number| number == 2, none()), [""; 0]);
        assert!(history.pins.is_empty());
        assert_eq!(history.expire(10, |_| false, none()), ["a2"]);
        let retired = ["b4", "c1"].map(str::to_owned).into();
        assert_eq!(history.expire(10, |_| false, retired), ["c1"]);
        history.limit = None;
        history.kept.insert(5, kept(&["a5", "b5"]));
        assert_eq!(history.expire(10, |_| false, none()), [""; 0]);
    }
}
