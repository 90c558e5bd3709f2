//! The few things the engine asks of a file system, each done once and durably.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::faults::{self, Operation};

/// A new file that is being written.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
}

impl NewFile {
    /// Creates it, or empties the one that is there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        faults::meet(Operation::Create, path)?;
        Ok(NewFile {
            file: File::create(path)?,
            path: path.to_owned(),
        })
    }

    /// Makes its content durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        faults::meet(Operation::Sync, &self.path)?;
        self.file.sync_all()
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        faults::meet(Operation::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives a file its name. Only a sync of the folder makes that durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    faults::meet(Operation::Rename, to)
        .and_then(|()| fs::rename(from, to))
        .context("renaming into place", to)
}

/// Gives a file one more name.
pub(crate) fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    faults::meet(Operation::Link, to)?;
    fs::hard_link(from, to)
}

/// Makes the entries of a folder durable: new names, renamed names, removed names.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    faults::meet(Operation::Sync, folder)
        .and_then(|()| File::open(folder))
        .and_then(|f| f.sync_all())
        .context("syncing the folder", folder)
}

/// Creates a folder with its parents and makes its name durable.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    faults::meet(Operation::Create, folder)
        .and_then(|()| fs::create_dir_all(folder))
        .context("creating the folder", folder)?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => Ok(()),
    }
}

/// Creates a folder for files that a crash may take, in one that is there.
pub(crate) fn create_scratch_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    faults::meet(Operation::Create, folder)
        .and_then(|()| fs::create_dir(folder))
        .context("creating the folder", folder)
}

/// Writes a whole file so that after a power cut there is the old content or the new, and the new
/// once this returned.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_name(path);
    let written = NewFile::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync()
    });
    written.context("writing", &temporary)?;
    rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// The name under which a file is written before it gets its own.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY_SUFFIX);
    path.with_file_name(name)
}

/// What unfinished files end with; they are garbage whenever nobody is writing them.
pub(crate) const TEMPORARY_SUFFIX: &str = ".unfinished";

/// Removes a file; it is fine if it is gone already.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match faults::meet(Operation::Remove, path).and_then(|()| fs::remove_file(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).context("removing", path),
        _ => Ok(()),
    }
}

/// Removes a folder with everything below it; it is fine if it is gone already.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match faults::meet(Operation::Remove, path).and_then(|()| fs::remove_dir_all(path)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed.context("removing", path)?,
    }
    match path.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).context("listing", folder)? {
        let entry = entry.context("listing", folder)?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// So much stays free of what segments and packs may take, for the metadata that releases others.
pub(crate) const RESERVE_BYTES: u64 = 4 << 20;

/// Whether so many bytes may be written to a folder, so that the reserve is left.
///
/// # Errors
/// `Full` if not.
pub(crate) fn check_room(folder: &Path, bytes: u64, action: &'static str) -> Result<()> {
    if free_bytes(folder)? >= RESERVE_BYTES + bytes {
        return Ok(());
    }
    Err(Error::Full {
        action,
        path: folder.to_owned(),
    })
}

/// Bytes that an unprivileged process may still write to the disk of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(io::Error::from)
        .context("asking for free space", folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
