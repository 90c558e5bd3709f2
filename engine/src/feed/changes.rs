//! Reading changes from segment to segment, and then from the tail.

use std::sync::Arc;
use std::time::Duration;

use super::{ChangeBatch, ChangeToken};
use crate::environment::{Environment, Table};
use crate::error::{Error, Result};
use crate::segment::{BATCH_ROWS, Segment};

/// A reader of the changes of one table. While it lives, nothing is removed that it has not given
/// out yet.
pub struct Changes {
    environment: Environment,
    table: Arc<Table>,
    reader: u64,
    /// Every change up to this version was given out, or is none of this table's.
    version: u64,
    /// What is to be read next, the next one last.
    ahead: Vec<Arc<Segment>>,
}

impl Environment {
    /// The changes of a table behind a token, oldest first; `None` is before the first change there
    /// ever was.
    ///
    /// # Errors
    /// `NotFound` for an unknown table, `InvalidInput` for a token of another environment or from
    /// the future, `Expired` if not every change behind it is kept any more.
    pub fn changes(&self, table: &str, token: Option<&ChangeToken>) -> Result<Changes> {
        let table = self.state().table(table)?.clone();
        let version = self.start_version(token)?;
        let mut holders = self.inner.lock_holders();
        self.check_kept(version)?;
        let reader = holders.open_reader(version);
        drop(holders);
        Ok(Changes {
            environment: self.clone(),
            table,
            reader,
            version,
            ahead: Vec::new(),
        })
    }

    /// The token behind every change there is now.
    pub fn change_token(&self) -> ChangeToken {
        self.token(self.inner.staging.last_version())
    }

    /// The token from which the changes go on behind the newest snapshot of a link.
    ///
    /// # Errors
    /// `NotFound` if there is no such link, or no snapshot of it yet.
    pub fn snapshot_token(&self, link: &str) -> Result<ChangeToken> {
        let state = self.state();
        let entry = crate::link::find(&state, link)?;
        if entry.last_snapshot_s == 0 {
            return Err(Error::not_found("snapshot of the link", link));
        }
        Ok(self.token(state.snapshot_version(entry)))
    }

    pub(super) fn token(&self, version: u64) -> ChangeToken {
        ChangeToken::new(self.state().catalog.id, version)
    }

    /// The version that a token of this environment stands for.
    pub(super) fn start_version(&self, token: Option<&ChangeToken>) -> Result<u64> {
        let Some(token) = token else { return Ok(0) };
        if token.environment != self.state().catalog.id {
            return Err(Error::invalid(format!(
                "the change token {token} is of another environment"
            )));
        }
        let last = self.inner.staging.last_version();
        if token.version > last {
            return Err(Error::invalid(format!(
                "the change token {token} is ahead of the last version, {last}"
            )));
        }
        Ok(token.version)
    }
}

impl Changes {
    /// The next changes, at most 4,096; `None` at the end of what is committed now. Asked again
    /// later it goes on with what came since.
    ///
    /// # Errors
    /// `Corrupt` if the segment that holds them is damaged; the reader stays where it is.
    #[allow(clippy::should_implement_trait)] // An iterator would be over at its first end.
    pub fn next(&mut self) -> Result<Option<ChangeBatch>> {
        // Columns may have come since the last batch.
        let name = self.table.plan.schema().name();
        self.table = self.environment.state().table(name)?.clone();
        loop {
            if self.ahead.is_empty() && !self.look_ahead()? {
                return Ok(None);
            }
            let Some(segment) = self.ahead.last().cloned() else {
                return Ok(None);
            };
            let entry = segment.entry();
            let first = (self.version + 1).saturating_sub(entry.first_version) as usize;
            let number = first / BATCH_ROWS;
            let batch = ChangeBatch::of(&segment, number, first % BATCH_ROWS, &self.table)?;
            let Some(batch) = batch else {
                self.version = entry.last_version;
                self.ahead.pop();
                segment.release();
                continue;
            };
            self.version = batch.last_version();
            self.environment
                .inner
                .lock_holders()
                .move_reader(self.reader, self.version);
            if !batch.is_empty() {
                return Ok(Some(batch.with_token(self.token())));
            }
        }
    }

    /// Where it stands: behind everything it has given out.
    pub fn token(&self) -> ChangeToken {
        self.environment.token(self.version)
    }

    /// Waits until something is committed behind where it stands, or until the time is over; tells
    /// which.
    pub fn wait(&self, timeout: Duration) -> bool {
        let staging = &self.environment.inner.staging;
        staging.wait_beyond(self.version, timeout)
    }

    fn look_ahead(&mut self) -> Result<bool> {
        let cut = self.environment.inner.staging.cut();
        let version = self.version;
        let mut commits = cut.commits;
        commits.retain(|commit| commit.last_version() > version);
        let state = self.environment.state();
        let tail = Segment::of_commits(&commits, &|table| state.base_granularity(table))?;
        self.ahead = tail.map(Arc::new).into_iter().collect();
        let sealed = cut.segments.iter().rev();
        self.ahead.extend(
            sealed
                .take_while(|segment| segment.entry().last_version > version)
                .cloned(),
        );
        Ok(!self.ahead.is_empty())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut holders = self.environment.inner.lock_holders();
        holders.close_reader(self.reader);
    }
}
