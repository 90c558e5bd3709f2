//! A backup in one file.
//!
//! ```text
//! 8 bytes of magic | the files, one behind the other, in the manifest's order | the manifest
//! u64 length of the manifest, little-endian | 8 bytes of magic
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};

use super::manifest::{MANIFEST_FILE, Manifest, SavedFile};
use crate::error::{Error, IoContext, Result};
use crate::files::{self, NewFile};

const MAGIC: &[u8; 8] = b"LSBACK\x00\x01";
const TAIL_BYTES: u64 = 16;
const COPY_BYTES: usize = 1 << 20;

/// Where a backup is written to.
pub(super) enum Target {
    Folder(PathBuf),
    /// A file, under a name of its own until it is whole.
    File(PathBuf, BufWriter<NewFile>),
}

impl Target {
    /// Nothing may be there yet.
    pub(super) fn create(path: &Path, is_folder: bool) -> Result<Self> {
        let is_empty = path.is_dir() && files::names_in(path)?.is_empty();
        if path.exists() && !(is_folder && is_empty) {
            return Err(Error::AlreadyExists {
                what: "file or folder",
                name: path.display().to_string(),
            });
        }
        if is_folder {
            for part in ["catalog", "packs", "segments"] {
                files::create_folder(&path.join(part))?;
            }
            return Ok(Target::Folder(path.to_owned()));
        }
        let unfinished = files::temporary_name(path);
        let file = NewFile::create(&unfinished).context("creating", &unfinished)?;
        let mut file = BufWriter::with_capacity(COPY_BYTES, file);
        file.write_all(MAGIC).context("writing", &unfinished)?;
        Ok(Target::File(path.to_owned(), file))
    }

    /// Saves a file. Into a folder of the same file system it is linked, since it never changes.
    pub(super) fn save(&mut self, from: &Path, name: &str) -> Result<SavedFile> {
        let mut file = File::open(from).context("opening", from)?;
        let copied = match self {
            Target::File(_, out) => copy(&mut file, out).context("copying", from)?,
            Target::Folder(folder) => {
                let to = folder.join(name);
                match files::hard_link(from, &to) {
                    // The checksum is taken of what will be read back.
                    Ok(()) => copy(&mut file, &mut io::sink()).context("reading", from)?,
                    Err(_) => {
                        let mut out = NewFile::create(&to).context("creating", &to)?;
                        let copied = copy(&mut file, &mut out).context("copying", from)?;
                        out.sync().context("syncing", &to)?;
                        copied
                    }
                }
            }
        };
        Ok(SavedFile {
            path: name.to_owned(),
            bytes: copied.0,
            crc32c: copied.1,
        })
    }

    /// Writes the manifest, and only then the backup is one.
    pub(super) fn finish(self, manifest: &Manifest) -> Result<()> {
        let bytes = manifest.encode()?;
        match self {
            Target::Folder(folder) => {
                for part in ["catalog", "packs", "segments"] {
                    files::sync_folder(&folder.join(part))?;
                }
                files::write_file(&folder.join(MANIFEST_FILE), &bytes)
            }
            Target::File(path, mut out) => {
                let unfinished = files::temporary_name(&path);
                out.write_all(&bytes)
                    .and_then(|()| out.write_all(&(bytes.len() as u64).to_le_bytes()))
                    .and_then(|()| out.write_all(MAGIC))
                    .and_then(|()| out.flush())
                    .and_then(|()| out.get_ref().sync())
                    .context("writing", &unfinished)?;
                files::rename(&unfinished, &path)?;
                match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => files::sync_folder(folder),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Where a backup is read from.
pub(super) enum Origin {
    Folder(PathBuf),
    /// A file; the files stand behind each other.
    File(PathBuf, File),
}

impl Origin {
    /// Opens a backup and reads its manifest.
    pub(super) fn open(path: &Path) -> Result<(Self, Manifest)> {
        let wrong = |detail: String| Error::corrupt(path, detail);
        if path.is_dir() {
            let file = path.join(MANIFEST_FILE);
            if !file.is_file() {
                return Err(wrong(format!(
                    "there is no {MANIFEST_FILE}: it is no backup, or one that was not finished"
                )));
            }
            let bytes = std::fs::read(&file).context("reading", &file)?;
            let manifest = Manifest::decode(&bytes).map_err(wrong)?;
            return Ok((Origin::Folder(path.to_owned()), manifest));
        }
        let mut file = File::open(path).context("opening", path)?;
        let bytes = read_manifest(&mut file)
            .context("reading", path)?
            .ok_or_else(|| wrong("it is no backup, or it was cut".to_owned()))?;
        let manifest = Manifest::decode(&bytes).map_err(wrong)?;
        let held: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        let length = MAGIC.len() as u64 + held + bytes.len() as u64 + TAIL_BYTES;
        let found = file.metadata().context("reading", path)?.len();
        if found != length {
            return Err(wrong(format!(
                "it has {found} bytes, and should have {length}"
            )));
        }
        Ok((Origin::File(path.to_owned(), file), manifest))
    }

    /// Passes every file through `out`, in the manifest's order, and checks it.
    pub(super) fn each(
        &mut self,
        manifest: &Manifest,
        mut out: impl FnMut(&SavedFile) -> Result<Box<dyn Write>>,
    ) -> Result<()> {
        if let Origin::File(path, file) = self {
            file.seek(SeekFrom::Start(MAGIC.len() as u64))
                .context("reading", path)?;
        }
        for saved in &manifest.files {
            let mut to = out(saved)?;
            let (place, copied) = match self {
                Origin::Folder(folder) => {
                    let place = folder.join(&saved.path);
                    let mut file = File::open(&place).context("opening", &place)?;
                    let copied = copy(&mut file, &mut to).context("copying", &place)?;
                    (place, copied)
                }
                Origin::File(path, file) => {
                    let mut part = Read::by_ref(file).take(saved.bytes);
                    let copied = copy(&mut part, &mut to).context("copying", path)?;
                    (path.clone(), copied)
                }
            };
            if copied != (saved.bytes, saved.crc32c) {
                let detail = format!("{} is not as it was saved", saved.path);
                return Err(Error::corrupt(&place, detail));
            }
        }
        Ok(())
    }
}

fn read_manifest(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let Some(tail_at) = length.checked_sub(TAIL_BYTES).filter(|at| *at >= 8) else {
        return Ok(None);
    };
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let (mut bytes, mut magic) = ([0; 8], [0; 8]);
    file.seek(SeekFrom::Start(tail_at))?;
    file.read_exact(&mut bytes)?;
    file.read_exact(&mut magic)?;
    let manifest = u64::from_le_bytes(bytes);
    let start = tail_at.checked_sub(manifest).filter(|start| *start >= 8);
    let Some(start) = start.filter(|_| &magic == MAGIC && &head == MAGIC) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(start))?;
    let mut manifest = Vec::new();
    Read::by_ref(file)
        .take(tail_at - start)
        .read_to_end(&mut manifest)?;
    Ok(Some(manifest))
}

/// Copies everything, and gives its length and CRC-32C.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, u32)> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let mut buffer = vec![0; COPY_BYTES];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    to.flush()?;
    Ok((bytes, digest.finalize() as u32))
}
