//! The log of a Delta table: JSON files of actions, by Delta's protocol (PROTOCOL.md of delta-io/delta).
//!
//! No library for Rust writes change data files without a whole query engine, so the few actions that an
//! export needs are written here. A commit is one file, which is put in place whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::DeltaError;
use super::data_file::{DataFile, Known};
use super::error::At as _;

/// The log's folder.
pub(super) const LOG_FOLDER: &str = "_delta_log";
/// What is known of a table's protocol: older readers and writers are kept out by higher numbers.
const READER_VERSION_MAX: u64 = 3;
const FEATURES: [&str; 7] = [
    "appendOnly",
    "invariants",
    "checkConstraints",
    "generatedColumns",
    "changeDataFeed",
    "timestampNtz",
    "vacuumProtocolCheck",
];

/// The actions of one commit.
pub(super) type Actions = Vec<Value>;

/// What a table's log says in the end.
#[derive(Debug, Default)]
pub(super) struct TableState {
    /// The version of the last commit.
    pub version: u64,
    pub metadata: Value,
    pub protocol: Value,
    /// The files of the table, by path.
    pub files: BTreeMap<String, DataFile>,
    /// The version of the environment up to which the table shows its rows, by application.
    pub exported: BTreeMap<String, u64>,
    /// When the last commit was made, Unix milliseconds.
    pub timestamp_ms: i64,
}

impl TableState {
    /// The fields of the schema.
    pub(super) fn fields(&self) -> Vec<Value> {
        let schema = self.metadata["schemaString"].as_str().unwrap_or_default();
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        schema["fields"].as_array().cloned().unwrap_or_default()
    }
}

/// The log in a table's folder.
pub(super) struct Log {
    folder: PathBuf,
}

impl Log {
    pub(super) fn of(table: &Path) -> Self {
        Log {
            folder: table.join(LOG_FOLDER),
        }
    }

    /// The state after the last commit; `None` where there is no table yet.
    pub(super) fn state(&self, application: &str) -> Result<Option<TableState>, DeltaError> {
        let versions = self.versions()?;
        let Some(last) = versions.last().copied() else {
            return Ok(None);
        };
        if versions.first() != Some(&0) || versions.len() as u64 != last + 1 {
            return Err(self.refuse(
                "commits are missing from the log, so it cannot be told what the table shows",
            ));
        }
        let mut state = TableState::default();
        for version in versions {
            self.replay(version, application, &mut state)?;
        }
        Ok(Some(state))
    }

    /// The versions that are there.
    pub(super) fn versions(&self) -> Result<BTreeSet<u64>, DeltaError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(error).at("listing", &self.folder),
        };
        let mut versions = BTreeSet::new();
        for entry in entries {
            let name = entry.at("listing", &self.folder)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            versions.extend(
                stem.filter(|s| s.len() == 20)
                    .and_then(|s| s.parse::<u64>().ok()),
            );
        }
        Ok(versions)
    }

    fn replay(
        &self,
        version: u64,
        application: &str,
        state: &mut TableState,
    ) -> Result<(), DeltaError> {
        let path = self.path(version);
        let text = fs::read_to_string(&path).at("reading a commit", &path)?;
        let (mut changes_rows, mut is_ours) = (false, false);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let action: Value = serde_json::from_str(line).map_err(|e| DeltaError::Log {
                path: path.clone(),
                rule: format!("an action is no JSON: {e}"),
            })?;
            let Some((kind, body)) = action.as_object().and_then(|o| o.iter().next()) else {
                continue;
            };
            match kind.as_str() {
                "metaData" => state.metadata = body.clone(),
                "protocol" => {
                    check_protocol(body).map_err(|rule| self.refuse(&rule))?;
                    state.protocol = body.clone();
                }
                "add" => {
                    let file = added(body).map_err(|rule| self.refuse(&rule))?;
                    changes_rows |= body["dataChange"] != json!(false);
                    state.files.insert(file.path.clone(), file);
                }
                "remove" => {
                    changes_rows |= body["dataChange"] != json!(false);
                    state
                        .files
                        .remove(body["path"].as_str().unwrap_or_default());
                }
                "txn" => {
                    let name = body["appId"].as_str().unwrap_or_default();
                    let shown = body["version"].as_u64().unwrap_or_default();
                    is_ours |= name == application;
                    state.exported.insert(name.to_owned(), shown);
                }
                "commitInfo" => {
                    let at = body["timestamp"].as_i64().unwrap_or_default();
                    state.timestamp_ms = state.timestamp_ms.max(at);
                }
                _ => {}
            }
        }
        if changes_rows && !is_ours {
            return Err(self.refuse(&format!(
                "commit {version} changed rows and is not of this table and environment, so the table is no copy of it"
            )));
        }
        state.version = version;
        Ok(())
    }

    /// Commits actions as a version, durably. Data files and their names must be on the disk before.
    ///
    /// # Errors
    /// `Conflict` if there is such a version already; nothing was written then.
    pub(super) fn commit(&self, version: u64, actions: &Actions) -> Result<(), DeltaError> {
        let mut text = String::new();
        for action in actions {
            text.push_str(&action.to_string());
            text.push('\n');
        }
        // The name is always the same, so what a crash leaves is written over.
        let unfinished = self.folder.join(".lakestage.unfinished");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().at("writing a commit", &unfinished)?;
        let path = self.path(version);
        // A link is refused where there is a file, which a rename would replace.
        let linked = fs::hard_link(&unfinished, &path);
        let removed = fs::remove_file(&unfinished);
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(DeltaError::Conflict(format!(
                    "{}: somebody else committed this version; leave writing the table to one, and export again",
                    path.display()
                )));
            }
            linked => linked.at("putting a commit in place", &path)?,
        }
        removed.at("removing", &unfinished)?;
        sync_folder(&self.folder)
    }

    pub(super) fn path(&self, version: u64) -> PathBuf {
        self.folder.join(format!("{version:020}.json"))
    }

    fn refuse(&self, rule: &str) -> DeltaError {
        DeltaError::Log {
            path: self.folder.clone(),
            rule: rule.to_owned(),
        }
    }
}

fn check_protocol(body: &Value) -> Result<(), String> {
    let reader = body["minReaderVersion"].as_u64().unwrap_or_default();
    let features = ["readerFeatures", "writerFeatures"];
    let features = features.iter().flat_map(|kind| body[*kind].as_array());
    let unknown = features
        .flatten()
        .filter_map(Value::as_str)
        .find(|feature| !FEATURES.contains(feature));
    match unknown {
        Some(feature) => Err(format!(
            "the table has the feature {feature}, which is not known here"
        )),
        None if reader > READER_VERSION_MAX || reader == 2 => {
            Err(format!("the table asks for reader version {reader}"))
        }
        None => Ok(()),
    }
}

fn added(body: &Value) -> Result<DataFile, String> {
    let path = body["path"].as_str().unwrap_or_default();
    if !body["deletionVector"].is_null() {
        return Err(format!("{path} has a deletion vector"));
    }
    if path.contains([':', '%']) {
        return Err(format!(
            "{path} does not stand in the table's folder under that name"
        ));
    }
    let stats = body["stats"].as_str().unwrap_or_default();
    let stats: Value = serde_json::from_str(stats).unwrap_or_default();
    let bound = |which: &str| {
        // The id is the only column that an export writes bounds of; another program may write others, and shorter ones.
        let bounds = stats[which]
            .as_object()
            .filter(|bounds| bounds.len() == 1)?;
        bounds.values().next()?.as_str().map(str::to_owned)
    };
    let known = || {
        let (first, last) = (bound("minValues")?, bound("maxValues")?);
        let rows = stats["numRecords"].as_u64()?;
        (first <= last).then_some(Known { rows, first, last })
    };
    Ok(DataFile {
        path: path.to_owned(),
        bytes: body["size"].as_u64().unwrap_or_default(),
        known: known(),
    })
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), DeltaError> {
    let opened = File::open(folder).and_then(|file| file.sync_all());
    opened.at("syncing", folder)
}
