//! Encryption of a store at rest: a data key seals everything, and a secret of the user's seals the data key.
//!
//! ```text
//! <folder>/encryption.json   how the secret becomes a key, and the data key sealed by it
//! ```
//!
//! So another secret needs a new `encryption.json` and nothing else. The data key becomes one key for names, one for the
//! entries of the namespace, and one for each extent.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::error::{Result, StoreError};
use crate::store::seal::{KEY_BYTES, Sealer, derived, random};
use crate::store::sled_file::sync_path;

const FILE: &str = "encryption.json";
const VERSION: u32 = 1;
const CIPHER: &str = "AES-256-GCM";
/// What the sealed data key is bound to.
const BOUND_TO: &[u8] = b"lakestage data key 1";
const SALT_BYTES: usize = 16;
const KEY_FILE_MIN_BYTES: usize = 32;
const KEY_FILE_MAX_BYTES: u64 = 64 * 1024;
/// What one guess at a passphrase costs: the second of the choices that RFC 9106 recommends.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a file may ask for, lest a damaged one take all memory.
const MEMORY_MAX_KIB: u32 = 4 * 1024 * 1024;
const PASSES_MAX: u32 = 1_000;
const LANES_MAX: u32 = 256;

/// What a store is opened with where it is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file of 32 bytes or more that nobody can guess.
    KeyFile(PathBuf),
    /// Words; they become a key by Argon2id, which takes a moment and 64 MiB of memory.
    Passphrase(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile(path) => write!(f, "KeyFile({})", path.display()),
            Self::Passphrase(_) => f.write_str("Passphrase(…)"),
        }
    }
}

/// `encryption.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    cipher: String,
    secret: SecretKind,
    /// Of the secret's key, in base64.
    salt: String,
    /// The data key, sealed, in base64.
    data_key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum SecretKind {
    KeyFile,
    Passphrase {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
}

fn wrong(reason: impl Into<String>) -> StoreError {
    StoreError::Encryption(reason.into())
}

impl Secret {
    fn kind(&self) -> SecretKind {
        match self {
            Self::KeyFile(_) => SecretKind::KeyFile,
            Self::Passphrase(_) => SecretKind::Passphrase {
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
            },
        }
    }

    /// The key that seals the data key.
    fn key(&self, kind: SecretKind, salt: &[u8]) -> Result<Sealer> {
        let key = match (self, kind) {
            (Self::KeyFile(path), SecretKind::KeyFile) => {
                derived(&key_file(path)?, salt, &[b"lakestage key file"])?
            }
            (
                Self::Passphrase(words),
                SecretKind::Passphrase {
                    memory_kib,
                    passes,
                    lanes,
                },
            ) => {
                if words.is_empty() {
                    return Err(wrong("the passphrase is empty"));
                }
                if memory_kib > MEMORY_MAX_KIB || passes > PASSES_MAX || lanes > LANES_MAX {
                    return Err(wrong(format!(
                        "{FILE} asks for more than anybody would write there"
                    )));
                }
                let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES));
                let params = params.map_err(|e| wrong(format!("{FILE}: {e}")))?;
                let mut key = [0; KEY_BYTES];
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(words.as_bytes(), salt, &mut key)
                    .map_err(|e| wrong(format!("the passphrase cannot become a key: {e}")))?;
                key
            }
            (Self::KeyFile(_), SecretKind::Passphrase { .. }) => {
                return Err(wrong(
                    "the lake is encrypted by a passphrase, and a key file was given",
                ));
            }
            (Self::Passphrase(_), SecretKind::KeyFile) => {
                return Err(wrong(
                    "the lake is encrypted by a key file, and a passphrase was given",
                ));
            }
        };
        Sealer::new(&key)
    }

    fn name(&self) -> String {
        match self {
            Self::KeyFile(path) => format!("the key file {}", path.display()),
            Self::Passphrase(_) => "the passphrase".to_owned(),
        }
    }
}

fn key_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| StoreError::io("read", path, e))?;
    if bytes.len() < KEY_FILE_MIN_BYTES || bytes.len() as u64 > KEY_FILE_MAX_BYTES {
        return Err(wrong(format!(
            "the key file {} has {} bytes, and 32 to 65,536 are needed; make one with `head -c 32 /dev/urandom`",
            path.display(),
            bytes.len()
        )));
    }
    Ok(bytes)
}

fn read(folder: &Path) -> Result<Option<Sealed>> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let damaged =
        |e: &dyn fmt::Display| StoreError::corrupt(path.display().to_string(), e.to_string());
    let sealed: Sealed = serde_json::from_slice(&text).map_err(|e| damaged(&e))?;
    match sealed.version == VERSION && sealed.cipher == CIPHER {
        true => Ok(Some(sealed)),
        false => Err(wrong(format!(
            "{} is of version {} with {}, and this lakestage knows version {VERSION} with {CIPHER}",
            path.display(),
            sealed.version,
            sealed.cipher
        ))),
    }
}

/// Puts a file in the place of the one before in one step.
fn write(folder: &Path, data_key: &[u8; KEY_BYTES], secret: &Secret) -> Result<()> {
    let salt: [u8; SALT_BYTES] = random()?;
    let kind = secret.kind();
    let data_key = secret.key(kind, &salt)?.seal(BOUND_TO, data_key)?;
    let sealed = Sealed {
        version: VERSION,
        cipher: CIPHER.to_owned(),
        secret: kind,
        salt: STANDARD.encode(salt),
        data_key: STANDARD.encode(data_key),
    };
    let mut text = serde_json::to_vec_pretty(&sealed).map_err(|e| wrong(e.to_string()))?;
    text.push(b'\n');
    let (path, temporary) = (folder.join(FILE), folder.join("encryption.json.new"));
    File::create(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .map_err(|e| StoreError::io("write", &temporary, e))?;
    fs::rename(&temporary, &path).map_err(|e| StoreError::io("rename", &temporary, e))?;
    sync_path(folder)
}

fn unsealed(folder: &Path, sealed: &Sealed, secret: &Secret) -> Result<[u8; KEY_BYTES]> {
    let damaged =
        || StoreError::corrupt(folder.join(FILE).display().to_string(), "it is no base64");
    let salt = STANDARD.decode(&sealed.salt).map_err(|_| damaged())?;
    let data_key = STANDARD.decode(&sealed.data_key).map_err(|_| damaged())?;
    secret
        .key(sealed.secret, &salt)?
        .open(BOUND_TO, &data_key)
        .and_then(|key| key.try_into().ok())
        .ok_or_else(|| {
            wrong(format!(
                "{} does not open the lake in {}: it is not the one that it was encrypted by",
                secret.name(),
                folder.display()
            ))
        })
}

/// Gives an encrypted store another secret. Its content stays as it is, and so does who is using it.
///
/// # Errors
/// `Encryption` when it is not encrypted, or not by `before`; `Io`.
pub fn change_secret(folder: &Path, before: &Secret, after: &Secret) -> Result<()> {
    let Some(sealed) = read(folder)? else {
        return Err(wrong(format!(
            "the lake in {} is not encrypted",
            folder.display()
        )));
    };
    let data_key = unsealed(folder, &sealed, before)?;
    write(folder, &data_key, after)
}

/// The keys of an encrypted store.
#[derive(Debug)]
pub(crate) struct Keys {
    entries: Sealer,
    names: Vec<u8>,
    extents: Vec<u8>,
}

/// Bytes that a sealed entry's key has.
const ENTRY_NAME_BYTES: usize = 16;

impl Keys {
    /// The keys of the store in `folder`, which gets a data key if it is new; `None` for one that is not encrypted.
    ///
    /// `is_new` says whether nothing is stored there yet.
    pub(crate) fn open(
        folder: &Path,
        secret: Option<&Secret>,
        is_new: bool,
    ) -> Result<Option<Self>> {
        let data_key = match (read(folder)?, secret) {
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return Err(wrong(format!(
                    "the lake in {} is encrypted; say by what with --encrypt",
                    folder.display()
                )));
            }
            (None, Some(_)) if !is_new => {
                return Err(wrong(format!(
                    "the lake in {} is not encrypted; only a new one can be",
                    folder.display()
                )));
            }
            (None, Some(secret)) => {
                fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
                let data_key = random()?;
                write(folder, &data_key, secret)?;
                data_key
            }
            (Some(sealed), Some(secret)) => unsealed(folder, &sealed, secret)?,
        };
        let key = |purpose: &[u8]| derived(&data_key, b"", &[b"lakestage ", purpose]);
        Ok(Some(Self {
            entries: Sealer::new(&key(b"entries")?)?,
            names: key(b"names")?.to_vec(),
            extents: key(b"extents")?.to_vec(),
        }))
    }

    /// The key under which an entry is stored; it tells nothing of what the entry is called.
    pub(crate) fn entry_name(&self, key: &[u8]) -> Result<Vec<u8>> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.names).map_err(|e| wrong(e.to_string()))?;
        mac.update(key);
        let mut name = mac.finalize().into_bytes().to_vec();
        name.truncate(ENTRY_NAME_BYTES);
        Ok(name)
    }

    /// An entry as it is stored under its name.
    pub(crate) fn seal_entry(&self, name: &[u8], key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let length = u16::try_from(key.len()).map_err(|_| wrong("a key is too long"))?;
        let mut plain = Vec::with_capacity(2 + key.len() + value.len());
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(key);
        plain.extend_from_slice(value);
        self.entries.seal(name, &plain)
    }

    /// Key and value of an entry; `None` when it was damaged.
    pub(crate) fn open_entry(&self, name: &[u8], sealed: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let plain = self.entries.open(name, sealed)?;
        let (length, rest) = plain.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let (key, value) = rest.split_at_checked(length)?;
        Some((key.to_vec(), value.to_vec()))
    }

    /// What seals an extent; no two have the same, even if a number came twice.
    pub(crate) fn extent(&self, id: u64, salt: &[u8]) -> Result<Sealer> {
        Sealer::new(&derived(&self.extents, salt, &[&id.to_be_bytes()])?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_opens_by_its_secret_and_by_a_new_one_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, [7; 32]).unwrap();
        let (words, file) = (
            Secret::Passphrase("open sesame".to_owned()),
            Secret::KeyFile(file),
        );
        let lake = folder.path().join("lake");
        let name = |secret: &Secret| {
            let keys = Keys::open(&lake, Some(secret), false)?;
            keys.unwrap().entry_name(b"k")
        };
        let first = Keys::open(&lake, Some(&words), true).unwrap().unwrap();
        let first = first.entry_name(b"k").unwrap();
        assert_eq!(name(&words).unwrap(), first);
        let other = Secret::Passphrase("open sesam".to_owned());
        assert!(
            name(&other)
                .unwrap_err()
                .to_string()
                .contains("not the one")
        );
        assert!(
            name(&file)
                .unwrap_err()
                .to_string()
                .contains("a passphrase")
        );
        assert!(
            Keys::open(&lake, None, false)
                .unwrap_err()
                .to_string()
                .contains("is encrypted")
        );

        assert!(change_secret(&lake, &other, &file).is_err());
        change_secret(&lake, &words, &file).unwrap();
        assert_eq!(name(&file).unwrap(), first, "what was written can be read");
        assert!(name(&words).unwrap_err().to_string().contains("a key file"));
        assert_eq!(format!("{words:?}"), "Passphrase(…)");
    }

    #[test]
    fn a_key_file_that_is_short_or_missing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let open = || Keys::open(folder.path(), Some(&Secret::KeyFile(path.clone())), true);
        assert!(open().unwrap_err().to_string().contains("key"));
        fs::write(&path, [7; 31]).unwrap();
        assert!(open().unwrap_err().to_string().contains("31 bytes"));
        assert!(!folder.path().join(FILE).exists(), "nothing was begun");
    }
}
