//! What can go wrong, and what the caller should do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`]. New causes join one of these kinds; the kinds stay few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input breaks a rule. Correct it and send it again; nothing of it was kept.
    InvalidInput,
    /// A named thing is not there.
    NotFound,
    /// A named thing is there already.
    AlreadyExists,
    /// Somebody else holds what this call needs. Try again.
    Conflict,
    /// More is on its way than the engine takes. Nothing was kept; wait and send it again.
    Busy,
    /// The environment holds as much as its quota allows. Nothing was kept; delete rows, or raise the
    /// quota.
    OverQuota,
    /// What was asked for is not kept any more. Read it again from a snapshot.
    Expired,
    /// The engine refuses writes until it is opened again.
    Poisoned,
    /// The disk is full. Make room; nothing was damaged.
    Full,
    /// Stored bytes are not what was written.
    Corrupt,
    /// The operating system or the lake failed.
    Io,
}

/// An error with its context.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row breaks a rule of its table.
    #[error(transparent)]
    Row(#[from] Box<RowError>),
    /// Something the caller asked for is not allowed, or not well formed.
    #[error("{0}")]
    InvalidInput(String),
    /// A named thing is not there.
    #[error("there is no {what} named \"{name}\"{hint}")]
    NotFound {
        /// The sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What to do, starting with a separator; may be empty.
        hint: String,
    },
    /// A named thing is there already.
    #[error("the {what} \"{name}\" exists already")]
    AlreadyExists {
        /// The sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Another process or transaction holds what this call needs.
    #[error("{0}")]
    Conflict(String),
    /// More is on its way than the queue or the memory for it holds.
    #[error("{0}")]
    Busy(String),
    /// A commit would exceed the environment's quota; nothing of it was kept.
    #[error(
        "the environment would hold {would_hold} {what}, and its quota is {limit}; nothing of this commit was kept. Delete rows, shorten the retention of changes (`lakestage retention set`), or raise the quota (`lakestage quota set`)"
    )]
    OverQuota {
        /// What the limit counts: `bytes` or `rows`.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What there would be.
        would_hold: u64,
    },
    /// Changes that were asked for are not kept any more.
    #[error(
        "the change token expired: the changes before version {oldest_version} are not kept any more. {}",
        start_again(.snapshot.as_deref())
    )]
    Expired {
        /// The oldest change that is kept.
        oldest_version: u64,
        /// The newest snapshot to start from again, where there is one.
        snapshot: Option<Box<SnapshotName>>,
    },
    /// An earlier write or sync failed, so nothing more is written until the folder is opened again.
    #[error(
        "the engine stopped writing after a failure and must be reopened; what was acknowledged is safe. The failure: {reason}"
    )]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// No space is left.
    #[error("{path}: the disk is full while {action}; free some space and try again", path = path.display())]
    Full {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Stored bytes fail their checksum or do not parse.
    #[error("{path}: {detail}; the data was not used", path = path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The operating system refused.
    #[error("{path}: {action}: {source}", path = path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The lake refused or failed.
    #[error("the lake: {0}")]
    Lake(String),
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Row(_) | Error::InvalidInput(_) => ErrorKind::InvalidInput,
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Error::Conflict(_) => ErrorKind::Conflict,
            Error::Busy(_) => ErrorKind::Busy,
            Error::OverQuota { .. } => ErrorKind::OverQuota,
            Error::Expired { .. } => ErrorKind::Expired,
            Error::Poisoned { .. } => ErrorKind::Poisoned,
            Error::Full { .. } => ErrorKind::Full,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Io { .. } | Error::Lake(_) => ErrorKind::Io,
        }
    }

    /// Whether something could not be written or synced, and not for want of room: what the disk holds
    /// then is in doubt. A file that could not even be created leaves nothing in doubt.
    pub(crate) fn is_failed_write(&self) -> bool {
        const ACTIONS: [&str; 4] = [
            "writing",
            "writing a segment",
            "renaming into place",
            "syncing",
        ];
        let Error::Io { action, .. } = self else {
            return false;
        };
        ACTIONS.contains(action) || action.starts_with("syncing ")
    }

    /// The same error with the number of the input row in it, where it is about a row.
    pub fn at_row(mut self, row: u64) -> Self {
        if let Error::Row(error) = &mut self {
            error.row = Some(row);
        }
        self
    }

    /// The same failure of writing once more, for everyone whose commit it took.
    pub(crate) fn again(&self) -> Self {
        match self {
            Error::Full { action, path } => Error::Full {
                action,
                path: path.clone(),
            },
            Error::Busy(message) => Error::Busy(message.clone()),
            Error::Poisoned { reason } => Error::Poisoned {
                reason: reason.clone(),
            },
            other => Error::Poisoned {
                reason: other.to_string(),
            },
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Error::Full {
                action,
                path: path.to_owned(),
            };
        }
        Error::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Error::Corrupt {
            path: path.to_owned(),
            detail: detail.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::InvalidInput(message.into())
    }

    pub(crate) fn not_found(what: &'static str, name: &str) -> Self {
        Error::NotFound {
            what,
            name: name.to_owned(),
            hint: String::new(),
        }
    }
}

/// A snapshot from which a reader of changes can start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName {
    /// The link that it is of.
    pub link: String,
    /// The number in the names of its files, Unix seconds.
    pub unix_s: i64,
    /// Every change up to this version is in it.
    pub version: u64,
    /// The change token that goes on behind it.
    pub token: String,
}

fn start_again(snapshot: Option<&SnapshotName>) -> String {
    match snapshot {
        None => {
            "Publish a snapshot, read the table from it, and go on with its change token".to_owned()
        }
        Some(snapshot) => format!(
            "Read the table again from the snapshot {} of the link \"{}\", and go on with the token {}",
            snapshot.unix_s, snapshot.link, snapshot.token
        ),
    }
}

/// Turns an [`io::Error`] into an [`Error`] that names the file and what was being done.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}

/// A row that breaks a rule: which, where, and the rule itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The table's logical name.
    pub table: String,
    /// The row's number in the input, counted from 1, where the input has numbers.
    pub row: Option<u64>,
    /// The column, where one column is to blame.
    pub column: Option<String>,
    /// The value as it came, cut after 80 characters.
    pub value: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
}

impl RowError {
    pub(crate) fn new(table: &str, rule: impl Into<String>) -> Self {
        RowError {
            table: table.to_owned(),
            row: None,
            column: None,
            value: None,
            rule: rule.into(),
        }
    }

    pub(crate) fn column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    pub(crate) fn value(mut self, value: &str) -> Self {
        const SHOWN_CHARACTERS: usize = 80;
        let mut shown: String = value.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.value = Some(shown);
        self
    }
}

impl std::error::Error for RowError {}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.table)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(value) = &self.value {
            write!(f, ", value {value:?}")?;
        }
        write!(f, ": {}", self.rule)
    }
}
