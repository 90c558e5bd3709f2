//! A lake in a plain folder: a filesystem is a folder, a file is a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Lake, LakeEntry, Part};
use crate::checksum::crc32c;
use crate::error::{Error, IoContext, Result};
use crate::files::{self, NewFile};

/// Files are shared by hard links, so nobody may write into one.
const READ_ONLY: u32 = 0o444;

/// A [`Lake`] in a plain folder. Files are written under another name, synced and renamed; copies
/// are hard links.
pub struct FolderLake {
    root: PathBuf,
}

impl FolderLake {
    /// The filesystem `filesystem` below `folder`.
    pub fn new(folder: &Path, filesystem: &str) -> Self {
        FolderLake {
            root: folder.join(filesystem),
        }
    }

    fn path(&self, path: &str) -> Result<PathBuf> {
        let safe = path
            .split('/')
            .all(|part| !matches!(part, "." | "..") && !part.contains('\0'));
        if safe && !path.starts_with('/') {
            return Ok(self.root.join(path));
        }
        Err(Error::invalid(format!(
            "\"{path}\" is not a path within a lake"
        )))
    }

    /// Puts a finished file in its place.
    fn place(&self, from: &Path, to: &Path) -> Result<()> {
        files::rename(from, to)?;
        match to.parent() {
            Some(folder) => files::sync_folder(folder),
            None => Ok(()),
        }
    }

    fn create_parent(&self, path: &Path) -> Result<()> {
        match path.parent() {
            Some(parent) => self.create_folders(parent),
            None => Ok(()),
        }
    }

    fn create_folders(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_folders(parent)?;
        }
        files::create_folder(path)
    }
}

fn entry(path: String, metadata: &fs::Metadata) -> LakeEntry {
    LakeEntry {
        path,
        is_directory: metadata.is_dir(),
        length: if metadata.is_dir() { 0 } else { metadata.len() },
        etag: format!(
            "{:x}-{:x}-{:x}",
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec()
        ),
    }
}

fn write_parts(file: &mut NewFile, parts: &[Part<'_>]) -> Result<(), Error> {
    let mut buffer = Vec::new();
    for part in parts {
        let bytes = match part {
            Part::Bytes(bytes) => *bytes,
            Part::Range {
                file,
                offset,
                length,
                crc32c: expected,
                ..
            } => {
                buffer.resize(*length as usize, 0);
                File::open(file)
                    .and_then(|f| f.read_exact_at(&mut buffer, *offset))
                    .context("reading", file)?;
                if crc32c(&[&buffer]) != *expected {
                    let detail = format!("the bytes from {offset} on fail their checksum");
                    return Err(Error::corrupt(file, detail));
                }
                buffer.as_slice()
            }
        };
        file.write_all(bytes)
            .context("writing", Path::new("a file of the lake"))?;
    }
    Ok(())
}

impl Lake for FolderLake {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self) -> Result<bool> {
        if self.root.is_dir() {
            return Ok(false);
        }
        self.create_folders(&self.root)?;
        Ok(true)
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.create_folders(&self.path(path)?)
    }

    fn write(&self, path: &str, parts: &[Part<'_>], _content_type: &str) -> Result<LakeEntry> {
        let target = self.path(path)?;
        self.create_parent(&target)?;
        let temporary = files::temporary_name(&target);
        files::remove_file(&temporary)?;
        let mut file = NewFile::create(&temporary).context("creating", &temporary)?;
        let written = write_parts(&mut file, parts).and_then(|()| {
            file.file()
                .set_permissions(fs::Permissions::from_mode(READ_ONLY))
                .and_then(|()| file.sync())
                .context("syncing", &temporary)
        });
        if let Err(error) = written {
            files::remove_file(&temporary)?;
            return Err(error);
        }
        self.place(&temporary, &target)?;
        let metadata = file.file().metadata().context("asking about", &target)?;
        Ok(entry(path.to_owned(), &metadata))
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.create_parent(&to)?;
        let temporary = files::temporary_name(&to);
        files::remove_file(&temporary)?;
        files::hard_link(&from, &temporary).context("linking", &from)?;
        self.place(&temporary, &to)?;
        // Renaming one name of a file onto another of the same file does nothing and leaves both.
        files::remove_file(&temporary)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.create_parent(&to)?;
        self.place(&from, &to)?;
        match from.parent() {
            Some(folder) => files::sync_folder(folder),
            None => Ok(()),
        }
    }

    fn delete(&self, path: &str) -> Result<()> {
        let path = self.path(path)?;
        files::remove_file(&path)?;
        match path.parent().filter(|folder| folder.is_dir()) {
            Some(folder) => files::sync_folder(folder),
            None => Ok(()),
        }
    }

    fn delete_directory(&self, path: &str) -> Result<()> {
        files::remove_folder(&self.path(path)?)
    }

    fn destroy(&self) -> Result<()> {
        files::remove_folder(&self.root)
    }

    fn list(&self, path: &str) -> Result<Vec<LakeEntry>> {
        let mut entries = Vec::new();
        let mut waiting = vec![path.to_owned()];
        while let Some(folder) = waiting.pop() {
            let on_disk = self.path(&folder)?;
            if !on_disk.is_dir() {
                continue;
            }
            for name in files::names_in(&on_disk)? {
                if name.ends_with(files::TEMPORARY_SUFFIX) {
                    continue;
                }
                let metadata =
                    fs::metadata(on_disk.join(&name)).context("asking about", &on_disk)?;
                let path = match folder.as_str() {
                    "" => name,
                    folder => format!("{folder}/{name}"),
                };
                if metadata.is_dir() {
                    waiting.push(path.clone());
                }
                entries.push(entry(path, &metadata));
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(path)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("reading", &path, e)),
        }
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let path = self.path(path)?;
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("opening", &path, e)),
        }
    }

    fn stat(&self, path: &str) -> Result<Option<LakeEntry>> {
        let on_disk = self.path(path)?;
        match fs::metadata(&on_disk) {
            Ok(metadata) => Ok(Some(entry(path.to_owned(), &metadata))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("asking about", &on_disk, e)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_keeps_what_it_opened_while_the_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let lake = FolderLake::new(folder.path(), "fs");
        assert!(lake.create().unwrap());
        assert!(!lake.create().unwrap());
        lake.write("t/a.csv", &[Part::Bytes(b"one")], "text/csv")
            .unwrap();
        let mut reader = File::open(folder.path().join("fs/t/a.csv")).unwrap();
        lake.write("t/b.csv", &[Part::Bytes(b"two")], "text/csv")
            .unwrap();
        lake.copy("t/b.csv", "t/a.csv").unwrap();
        lake.copy("t/b.csv", "t/a.csv").unwrap();
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "one");
        assert_eq!(lake.read("t/a.csv").unwrap().as_deref(), Some(&b"two"[..]));
        let names: Vec<_> = lake.list("").unwrap().into_iter().map(|e| e.path).collect();
        assert_eq!(names, ["t", "t/a.csv", "t/b.csv"]);
        lake.delete("t/a.csv").unwrap();
        lake.delete("t/a.csv").unwrap();
        assert_eq!(lake.stat("t/a.csv").unwrap(), None);
        assert!(lake.read("../x").is_err());
    }
}
