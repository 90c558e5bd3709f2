//! A commit that is being made: files that will be there, files that will not, and what is told of the changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::columns::Columns;
use super::data_file::{DataFile, FileWriter, write_changes};
use super::error::At as _;
use super::log::{Actions, Log, TableState, sync_folder};
use super::{CHANGE_DATA_FOLDER, DeltaError};

/// What a commit is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Merge,
    /// The same rows in fewer files.
    Optimize,
}

/// Rows that a commit inserts, updates and deletes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

pub(super) struct Staged<'t> {
    pub folder: &'t Path,
    pub columns: &'t Columns,
    /// The files of the table as they will be.
    pub files: BTreeMap<String, DataFile>,
    pub counts: Counts,
    /// Files of changes; where there are any, readers of changes look nowhere else.
    changes: Vec<DataFile>,
    version: u64,
    next_name: u32,
    file_bytes: u64,
    open: Option<FileWriter>,
}

/// What a commit stands for.
pub(super) struct Commit<'c> {
    pub operation: Operation,
    pub application: &'c str,
    /// The version of the environment whose rows the table shows from then on.
    pub shown: u64,
}

/// A file has no more rows than this, whatever they are, so that it can be rewritten in memory.
const FILE_ROWS_MAX: u64 = 200_000;
/// Rows are given to a file in about so many pieces.
const PIECES: usize = 8;
const PIECE_ROWS_MIN: usize = 64;
const PIECE_ROWS_MAX: usize = 4_096;

impl<'t> Staged<'t> {
    /// On top of a state; `None` for the first commit.
    pub(super) fn on(
        state: Option<&TableState>,
        folder: &'t Path,
        columns: &'t Columns,
        file_bytes: u64,
    ) -> Self {
        Staged {
            folder,
            columns,
            files: state.map(|state| state.files.clone()).unwrap_or_default(),
            counts: Counts::default(),
            changes: Vec::new(),
            version: state.map_or(0, |state| state.version + 1),
            next_name: 0,
            file_bytes,
            open: None,
        }
    }

    /// Adds rows to the file that is being written, and begins another where that is full.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), DeltaError> {
        // In pieces, so that the length of the file is known soon enough.
        let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
        let piece = self.file_bytes as usize / PIECES / row_bytes.max(1);
        let piece = piece.clamp(PIECE_ROWS_MIN, PIECE_ROWS_MAX);
        let mut done = 0;
        while done < batch.num_rows() {
            let mut writer = match self.open.take() {
                Some(writer) => writer,
                None => {
                    let path = format!("part-{}", self.name());
                    FileWriter::create(self.folder, path, &self.columns.schema, self.columns.key)?
                }
            };
            let room = (FILE_ROWS_MAX - writer.rows()) as usize;
            let taken = room.min(piece).min(batch.num_rows() - done);
            writer.write(&batch.slice(done, taken))?;
            done += taken;
            let is_full = writer.rows() >= FILE_ROWS_MAX || writer.bytes() >= self.file_bytes;
            self.open = Some(writer);
            if is_full {
                self.end_file()?;
            }
        }
        Ok(())
    }

    /// Ends the file that is being written.
    pub(super) fn end_file(&mut self) -> Result<(), DeltaError> {
        if let Some(writer) = self.open.take() {
            let file = writer.finish()?;
            self.files.insert(file.path.clone(), file);
        }
        Ok(())
    }

    /// Tells of changes, to those who read the change data feed.
    pub(super) fn tell(&mut self, changes: &[(&str, RecordBatch)]) -> Result<(), DeltaError> {
        let name = format!("cdc-{}", self.name());
        let file = write_changes(self.folder, &name, self.columns, changes)?;
        self.changes.extend(file);
        Ok(())
    }

    /// Whether the commit has files of changes.
    pub(super) fn tells_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The version is that of the commit to come, so that what a crash leaves behind is known by its name.
    fn name(&mut self) -> String {
        self.next_name += 1;
        name_of(self.version, self.next_name)
    }

    /// Makes the commit, durably, and gives the state after it.
    pub(super) fn commit(
        mut self,
        before: Option<TableState>,
        commit: &Commit<'_>,
    ) -> Result<TableState, DeltaError> {
        self.end_file()?;
        let mut after = before.unwrap_or_default();
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64);
        after.timestamp_ms = now_ms.max(after.timestamp_ms + 1);
        let mut actions = vec![self.commit_info(commit, after.timestamp_ms)];
        self.describe(&mut after, &mut actions);
        if commit.operation != Operation::Optimize {
            actions.push(json!({"txn": {
                "appId": commit.application, "version": commit.shown, "lastUpdated": after.timestamp_ms,
            }}));
            let application = commit.application.to_owned();
            after.exported.insert(application, commit.shown);
        }
        self.name_files(
            &after,
            commit.operation != Operation::Optimize,
            &mut actions,
        );
        sync_folder(self.folder)?;
        if !self.changes.is_empty() {
            sync_folder(&self.folder.join(CHANGE_DATA_FOLDER))?;
        }
        Log::of(self.folder).commit(self.version, &actions)?;
        self.remove_passing()?;
        after.version = self.version;
        after.files = self.files;
        Ok(after)
    }

    /// Removes files that were written for the commit and written anew before it was made.
    fn remove_passing(&self) -> Result<(), DeltaError> {
        for number in 1..=self.next_name {
            let name = format!("part-{}", name_of(self.version, number));
            let path = self.folder.join(&name);
            if !self.files.contains_key(&name) && path.exists() {
                fs::remove_file(&path).at("removing", &path)?;
            }
        }
        Ok(())
    }

    fn commit_info(&self, commit: &Commit<'_>, timestamp_ms: i64) -> Value {
        let (name, mode) = match commit.operation {
            Operation::Create => ("CREATE TABLE AS SELECT", json!({})),
            Operation::Merge => ("MERGE", json!({})),
            Operation::Optimize => ("OPTIMIZE", json!({})),
        };
        let Counts {
            inserted,
            updated,
            deleted,
        } = self.counts;
        json!({"commitInfo": {
            "timestamp": timestamp_ms,
            "operation": name,
            "operationParameters": mode,
            "operationMetrics": {
                "numTargetRowsInserted": inserted.to_string(),
                "numTargetRowsUpdated": updated.to_string(),
                "numTargetRowsDeleted": deleted.to_string(),
            },
            "isBlindAppend": false,
            "engineInfo": concat!("lakestage/", env!("CARGO_PKG_VERSION")),
        }})
    }

    /// The protocol and the columns, where they are not what they were.
    fn describe(&self, after: &mut TableState, actions: &mut Actions) {
        let is_new_enough = after.protocol["minReaderVersion"].as_u64() == Some(3);
        let wanted = match self.columns.have_wall_times() || is_new_enough {
            true => json!({
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["timestampNtz"],
                "writerFeatures": ["appendOnly", "invariants", "changeDataFeed", "timestampNtz"],
            }),
            false => json!({"minReaderVersion": 1, "minWriterVersion": 4}),
        };
        let has_features = |protocol: &Value| protocol["readerFeatures"].is_array();
        if after.protocol.is_null() || has_features(&wanted) && !has_features(&after.protocol) {
            actions.push(json!({"protocol": wanted}));
            after.protocol = wanted;
        }
        let fields = self.columns.fields();
        if after.metadata.is_null() {
            after.metadata = json!({
                "id": uuid::Uuid::new_v4().to_string(),
                "format": {"provider": "parquet", "options": {}},
                "partitionColumns": [],
                // The log is what tells which rows are there; commits that went would take that with them.
                "configuration": {
                    "delta.enableChangeDataFeed": "true",
                    "delta.enableExpiredLogCleanup": "false",
                },
                "createdTime": after.timestamp_ms,
            });
        } else if after.fields() == fields {
            return;
        }
        let schema = json!({"type": "struct", "fields": fields});
        after.metadata["schemaString"] = json!(schema.to_string());
        actions.push(json!({"metaData": after.metadata}));
    }

    fn name_files(&self, before: &TableState, data_change: bool, actions: &mut Actions) {
        let gone = before.files.values();
        for file in gone.filter(|file| !self.files.contains_key(&file.path)) {
            actions.push(json!({"remove": {
                "path": file.path,
                "deletionTimestamp": before.timestamp_ms,
                "dataChange": data_change,
                "extendedFileMetadata": true,
                "partitionValues": {},
                "size": file.bytes,
            }}));
        }
        let new = self.files.values();
        for file in new.filter(|file| !before.files.contains_key(&file.path)) {
            actions.push(json!({"add": {
                "path": file.path,
                "partitionValues": {},
                "size": file.bytes,
                "modificationTime": before.timestamp_ms,
                "dataChange": data_change,
                "stats": self.stats(file).to_string(),
            }}));
        }
        for file in &self.changes {
            actions.push(json!({"cdc": {
                "path": file.path,
                "partitionValues": {},
                "size": file.bytes,
                "dataChange": false,
            }}));
        }
    }

    fn stats(&self, file: &DataFile) -> Value {
        let Some(known) = &file.known else {
            return json!({});
        };
        let of_key = |value: Value| {
            let key = self.columns.key_name().to_owned();
            Value::Object([(key, value)].into_iter().collect())
        };
        json!({
            "numRecords": known.rows,
            "minValues": of_key(json!(known.first)),
            "maxValues": of_key(json!(known.last)),
            "nullCount": of_key(json!(0)),
        })
    }

    /// Bytes that were written for the commit.
    pub(super) fn bytes_written(&self, before: Option<&TableState>) -> u64 {
        let files = self.files.values();
        let new = files.filter(|f| before.is_none_or(|state| !state.files.contains_key(&f.path)));
        new.chain(&self.changes).map(|file| file.bytes).sum()
    }
}

fn name_of(version: u64, number: u32) -> String {
    format!("{version:020}-{number:05}.zstd.parquet")
}

/// Removes what was written for commits that were not made.
pub(super) fn clear_away(folder: &Path, last_version: Option<u64>) -> Result<(), DeltaError> {
    let parts = unfinished(folder, "part-", last_version)?;
    let changes = unfinished(&folder.join(CHANGE_DATA_FOLDER), "cdc-", last_version)?;
    for path in parts.iter().chain(&changes) {
        fs::remove_file(path).at("removing what a crash left", path)?;
    }
    Ok(())
}

fn unfinished(
    folder: &Path,
    prefix: &str,
    last_version: Option<u64>,
) -> Result<Vec<PathBuf>, DeltaError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("listing", folder)? {
        let entry = entry.at("listing", folder)?;
        let name = entry.file_name();
        let version = name
            .to_str()
            .filter(|name| name.ends_with(".zstd.parquet"))
            .and_then(|name| name.strip_prefix(prefix)?.get(..20)?.parse::<u64>().ok());
        if version.is_some_and(|version| last_version.is_none_or(|last| version > last)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
