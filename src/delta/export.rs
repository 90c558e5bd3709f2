//! From the rows and changes of an environment to the commits of a Delta table.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use lakestage_engine::{ChangeToken, Changes, Environment, ErrorKind, NewConsumer};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::DeltaError;
use super::columns::{Columns, Row};
use super::error::At as _;
use super::log::{LOG_FOLDER, Log, TableState, sync_folder};
use super::merge::Changed;
use super::staged::{Commit, Operation, Staged, clear_away};

/// How long a file of the table gets unless told otherwise: a row that changes costs one.
pub const FILE_BYTES: u64 = 16 << 20;
const CHANGED_BYTES_MAX: usize = 64 << 20;
/// What a changed row takes beside its cells, about.
const ENTRY_BYTES: usize = 128;
/// Keeps two exports of one table apart.
const LOCK_FILE: &str = ".lakestage.lock";

/// An export of one table into one folder.
#[derive(Debug, Clone)]
pub struct DeltaExport {
    /// The table.
    pub table: String,
    /// The folder of the Delta table.
    pub folder: PathBuf,
    /// About how long a file gets.
    pub file_bytes: u64,
    /// A commit takes about so many bytes of cells into memory; what changed beyond it goes into further commits.
    pub changed_bytes_max: usize,
    /// Changes are kept for so long after the last export, so that the next one finds them.
    pub expires_after_s: u64,
}

/// How a table was brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeltaStep {
    /// It was not there, and has all rows now.
    Created,
    /// It got what changed.
    Changed,
    /// The changes were not kept any more, so each row was compared.
    Compared,
    /// It shows every row already.
    UpToDate,
}

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeltaReport {
    /// The table.
    pub table: String,
    /// The folder of the Delta table.
    pub folder: PathBuf,
    /// How it was brought up to date.
    pub step: DeltaStep,
    /// The version of the Delta table.
    pub delta_version: u64,
    /// The version of the environment whose rows it shows.
    pub version: u64,
    /// Rows that are new in it.
    pub inserted: u64,
    /// Rows that became others.
    pub updated: u64,
    /// Rows that went.
    pub deleted: u64,
    /// Files that it has now.
    pub files: u64,
    /// Bytes of data that were written.
    pub bytes_written: u64,
}

impl DeltaExport {
    /// Brings the Delta table up to the rows of now.
    ///
    /// # Errors
    /// Those of the environment and the disk; `Log` if the folder has another table, or one that others wrote rows
    /// into; `Conflict` if another export is at it.
    pub fn run(&self, environment: &Environment) -> Result<DeltaReport, DeltaError> {
        let _lock = self.lock()?;
        let run = Run::new(self, environment)?;
        let log = Log::of(&self.folder);
        let state = log.state(&run.application)?;
        clear_away(&self.folder, state.as_ref().map(|state| state.version))?;
        let (report, state) = match state {
            None => run.create()?,
            Some(state) => run.go_on(state)?,
        };
        run.put_together(report, state)
    }

    fn lock(&self) -> Result<File, DeltaError> {
        fs::create_dir_all(&self.folder).at("creating the folder of the table", &self.folder)?;
        for entry in fs::read_dir(&self.folder).at("listing", &self.folder)? {
            let name = entry.at("listing", &self.folder)?.file_name();
            let name = name.to_string_lossy();
            let is_known = name.starts_with(['.', '_']) || name.ends_with(".parquet");
            if !is_known {
                return Err(DeltaError::Refused(format!(
                    "{} is no folder of a Delta table: it has {name}; name another folder",
                    self.folder.display()
                )));
            }
        }
        let log = self.folder.join(LOG_FOLDER);
        fs::create_dir_all(&log).at("creating the folder of the log", &log)?;
        let path = self.folder.join(LOCK_FILE);
        let file = File::create(&path).at("creating", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DeltaError::Conflict(format!(
                "{}: another export is at this table; wait for it and export again",
                self.folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(error).at("locking", &path),
        }
    }
}

struct Run<'r> {
    export: &'r DeltaExport,
    environment: &'r Environment,
    columns: Columns,
    /// Names the environment and the table in the log.
    application: String,
    consumer: String,
}

impl<'r> Run<'r> {
    fn new(export: &'r DeltaExport, environment: &'r Environment) -> Result<Self, DeltaError> {
        let schema = environment.schema(&export.table)?;
        let token = environment.change_token().to_string();
        let id = token.rsplit_once('-').map_or("", |(id, _)| id);
        let folder = fs::canonicalize(&export.folder).at("looking at", &export.folder)?;
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        let digest: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let name: String = export.table.chars().take(32).collect();
        Ok(Run {
            export,
            environment,
            columns: Columns::of(&schema),
            application: format!("lakestage/{id}/{}", export.table),
            consumer: format!("delta-{name}-{digest}"),
        })
    }

    fn staged(&self, state: Option<&TableState>) -> Staged<'_> {
        Staged::on(
            state,
            &self.export.folder,
            &self.columns,
            self.export.file_bytes,
        )
    }

    fn commit(&self, operation: Operation, shown: u64) -> Commit<'_> {
        Commit {
            operation,
            application: &self.application,
            shown,
        }
    }

    /// All rows, as the first commit of a new table.
    fn create(&self) -> Result<(DeltaReport, TableState), DeltaError> {
        sync_folder(&self.export.folder)?;
        self.consume_from(None)?;
        let mut report = self.report(DeltaStep::Created);
        let mut staged = self.staged(None);
        let mut rows = Vec::new();
        let mut bytes = 0;
        let token = self.rows(|_, row| {
            bytes += row.bytes();
            rows.push(row);
            if bytes >= self.export.changed_bytes_max {
                staged.add(&self.columns.batch(rows.iter())?)?;
                (bytes, rows) = (0, Vec::new());
            }
            report.inserted += 1;
            Ok(())
        })?;
        staged.add(&self.columns.batch(rows.iter())?)?;
        staged.end_file()?;
        staged.counts.inserted = report.inserted;
        report.bytes_written = staged.bytes_written(None);
        let commit = self.commit(Operation::Create, token.version());
        let state = staged.commit(None, &commit)?;
        self.acknowledge(token.version())?;
        Ok((report, state))
    }

    /// What changed since the last commit.
    fn go_on(&self, state: TableState) -> Result<(DeltaReport, TableState), DeltaError> {
        let Some(shown) = state.exported.get(&self.application).copied() else {
            return Err(DeltaError::Log {
                path: self.export.folder.clone(),
                rule: format!(
                    "the Delta table there is not of table {} of this environment",
                    self.export.table
                ),
            });
        };
        let before = state.fields();
        let fields = self.columns.fields();
        if fields.get(..before.len()) != Some(&before[..]) {
            return Err(DeltaError::Log {
                path: self.export.folder.clone(),
                rule: "the table has other columns there, or of other types".to_owned(),
            });
        }
        match self.changes_from(shown)? {
            Some(changes) => self.apply(changes, state, shown),
            None => self.compare(state),
        }
    }

    /// The changes behind a version; `None` if they are not all kept any more.
    fn changes_from(&self, shown: u64) -> Result<Option<Changes>, DeltaError> {
        let token = self.token(shown)?;
        match self.environment.changes(&self.export.table, Some(&token)) {
            Ok(changes) => {
                self.consume_from(Some(token))?;
                Ok(Some(changes))
            }
            Err(error) if error.kind() == ErrorKind::Expired => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn apply(
        &self,
        mut changes: Changes,
        mut state: TableState,
        shown: u64,
    ) -> Result<(DeltaReport, TableState), DeltaError> {
        // What comes meanwhile is left to the next export.
        let until = self.environment.change_token().version();
        let mut report = self.report(DeltaStep::UpToDate);
        let mut changed = Changed::new();
        let (mut bytes, mut last, mut is_over) = (0, shown, false);
        while !is_over {
            let Some(batch) = changes.next()? else { break };
            for change in batch.rows() {
                let change = change?;
                if change.version > until {
                    is_over = true;
                    break;
                }
                last = change.version;
                let row = change.row.as_ref().map(Row::of);
                bytes += row.as_ref().map_or(0, Row::bytes) + ENTRY_BYTES;
                changed.insert(change.id.to_string(), row);
            }
            if bytes >= self.export.changed_bytes_max {
                state = self.merge(std::mem::take(&mut changed), state, last, &mut report)?;
                bytes = 0;
            }
        }
        if until
            > state
                .exported
                .get(&self.application)
                .copied()
                .unwrap_or(shown)
            || state.fields() != self.columns.fields()
        {
            state = self.merge(changed, state, until, &mut report)?;
        }
        Ok((report, state))
    }

    fn merge(
        &self,
        changed: Changed,
        state: TableState,
        shown: u64,
        report: &mut DeltaReport,
    ) -> Result<TableState, DeltaError> {
        let mut staged = self.staged(Some(&state));
        staged.merge(&changed, false)?;
        if !changed.is_empty() {
            report.step = DeltaStep::Changed;
        }
        self.end(staged, state, shown, report)
    }

    fn end(
        &self,
        staged: Staged<'_>,
        state: TableState,
        shown: u64,
        report: &mut DeltaReport,
    ) -> Result<TableState, DeltaError> {
        report.inserted += staged.counts.inserted;
        report.updated += staged.counts.updated;
        report.deleted += staged.counts.deleted;
        report.bytes_written += staged.bytes_written(Some(&state));
        let state = staged.commit(Some(state), &self.commit(Operation::Merge, shown))?;
        self.acknowledge(shown)?;
        Ok(state)
    }

    /// Each row beside what the table shows, as one commit.
    fn compare(&self, state: TableState) -> Result<(DeltaReport, TableState), DeltaError> {
        self.consume_from(None)?;
        let mut report = self.report(DeltaStep::Compared);
        let mut staged = self.staged(Some(&state));
        let mut changed = Changed::new();
        let mut ids = Vec::new();
        let mut bytes = 0;
        let token = self.rows(|id, row| {
            ids.push(id.as_u128());
            bytes += row.bytes();
            changed.insert(id.to_string(), Some(row));
            if bytes >= self.export.changed_bytes_max {
                staged.merge(&std::mem::take(&mut changed), true)?;
                bytes = 0;
            }
            Ok(())
        })?;
        staged.merge(&changed, true)?;
        ids.sort_unstable();
        let missing = staged.missing_from(&ids)?;
        staged.merge(&missing, true)?;
        let state = self.end(staged, state, token.version(), &mut report)?;
        Ok((report, state))
    }

    /// Puts small files together, as a commit that changes no row, and ends the report.
    fn put_together(
        &self,
        mut report: DeltaReport,
        mut state: TableState,
    ) -> Result<DeltaReport, DeltaError> {
        report.version = state
            .exported
            .get(&self.application)
            .copied()
            .unwrap_or_default();
        let mut staged = self.staged(Some(&state));
        if staged.put_together(self.export.file_bytes)? {
            report.bytes_written += staged.bytes_written(Some(&state));
            let commit = self.commit(Operation::Optimize, report.version);
            state = staged.commit(Some(state), &commit)?;
        }
        report.delta_version = state.version;
        report.files = state.files.len() as u64;
        Ok(report)
    }

    fn rows(
        &self,
        mut take: impl FnMut(uuid::Uuid, Row) -> Result<(), DeltaError>,
    ) -> Result<ChangeToken, DeltaError> {
        let table = &self.export.table;
        self.environment
            .table_rows(table, |id, row| take(id, Row::of(&row)))
    }

    fn report(&self, step: DeltaStep) -> DeltaReport {
        DeltaReport {
            table: self.export.table.clone(),
            folder: self.export.folder.clone(),
            step,
            delta_version: 0,
            version: 0,
            inserted: 0,
            updated: 0,
            deleted: 0,
            files: 0,
            bytes_written: 0,
        }
    }

    fn token(&self, version: u64) -> Result<ChangeToken, DeltaError> {
        let now = self.environment.change_token().to_string();
        let id = now.rsplit_once('-').map_or("", |(id, _)| id);
        Ok(format!("{id}-{version}").parse::<ChangeToken>()?)
    }

    /// Keeps the changes behind a token, or from now on.
    fn consume_from(&self, start: Option<ChangeToken>) -> Result<(), DeltaError> {
        let start = start.unwrap_or_else(|| self.environment.change_token());
        let known = self.environment.consumers();
        let known = known.into_iter().find(|c| c.name == self.consumer);
        // One that lags holds more than is needed, and one that is ahead too little.
        if let Some(known) = known {
            if known.version <= start.version()
                && known.expires_after_s == self.export.expires_after_s
            {
                return Ok(self.environment.acknowledge(&self.consumer, &start)?);
            }
            self.environment.remove_consumer(&self.consumer)?;
        }
        let mut new = NewConsumer::new(&self.consumer, &self.export.table);
        new.start = Some(start);
        new.expires_after_s = self.export.expires_after_s;
        self.environment.create_consumer(&new)?;
        Ok(())
    }

    fn acknowledge(&self, version: u64) -> Result<(), DeltaError> {
        let token = self.token(version)?;
        Ok(self.environment.acknowledge(&self.consumer, &token)?)
    }
}

impl DeltaExport {
    /// An export of a table to a folder of its name.
    pub fn of(table: &str, folder: &Path) -> Self {
        DeltaExport {
            table: table.to_owned(),
            folder: folder.join(table),
            file_bytes: FILE_BYTES,
            changed_bytes_max: CHANGED_BYTES_MAX,
            expires_after_s: 30 * 24 * 3_600,
        }
    }
}
