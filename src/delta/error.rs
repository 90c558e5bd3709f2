//! What can go wrong with a Delta table.

use std::io;
use std::path::{Path, PathBuf};

use lakestage_engine as engine;

/// An error of an export. What was committed before it stays, and the next export goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// The environment could not give the rows.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A file could not be read or written.
    #[error("{path}: {action}: {source}", path = path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A data file could not be read or written as Parquet.
    #[error("{path}: {source}", path = path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: parquet::errors::ParquetError,
    },
    /// Columns could not be computed with.
    #[error("the columns do not fit each other: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The log of the table is not one that can be gone on with.
    #[error("{path}: {rule}; name another folder to begin a new table", path = path.display())]
    Log {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and why that ends it.
        rule: String,
    },
    /// Somebody else writes the table.
    #[error("{0}")]
    Conflict(String),
    /// What was asked for is not possible.
    #[error("{0}")]
    Refused(String),
}

/// Says where an operation failed.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DeltaError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DeltaError> {
        self.map_err(|source| DeltaError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

impl<T> At<T> for parquet::errors::Result<T> {
    fn at(self, _: &'static str, path: &Path) -> Result<T, DeltaError> {
        self.map_err(|source| DeltaError::Parquet {
            path: path.to_owned(),
            source,
        })
    }
}
