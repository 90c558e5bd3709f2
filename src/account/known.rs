//! What the files of a container consist of, as far as we wrote them.
//!
//! It is what makes a small change a small upload: a part that stands in a file of the account already is copied from
//! there by the account itself. A record that is lost costs bytes on the wire and nothing else; one that is wrong does no
//! harm either, because a copy names the ETag of its source.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file;

const SUFFIX: &str = "file";

/// What a part's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Content {
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    /// As Azure computes it, so that it checks what it copies.
    pub crc64: u64,
    /// Bytes.
    pub length: u64,
}

/// A range of an immutable local file that a part came from. It spares reading the bytes again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Origin {
    pub name: String,
    pub offset: u64,
    pub length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownPart {
    #[serde(flatten)]
    pub content: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// A file of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFile {
    pub path: String,
    pub etag: String,
    pub parts: Vec<KnownPart>,
    /// Made of what an interrupted publication had sent; nobody reads it, and it goes when its bytes are in their place.
    #[serde(default)]
    pub is_leftover: bool,
}

/// Where a content stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: u64,
    at: u64,
}

/// A content in a file of the account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'k> {
    pub file: &'k KnownFile,
    pub at: u64,
}

/// The files of a container that are known.
#[derive(Debug)]
pub(super) struct Known {
    folder: PathBuf,
    files: HashMap<u64, KnownFile>,
    numbers: HashMap<String, u64>,
    places: HashMap<Content, Vec<Place>>,
    origins: HashMap<Origin, Content>,
    next: u64,
}

impl Known {
    /// Reads the records of a folder; those that are damaged are forgotten.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut known = Known {
            folder: folder.to_owned(),
            files: HashMap::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            origins: HashMap::new(),
            next: 0,
        };
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<io::Result<_>>()?;
        paths.sort();
        for path in paths {
            if path.extension().is_none_or(|e| e != SUFFIX) {
                continue;
            }
            match read(&path)? {
                Some(file) => known.enter(file),
                None => {
                    tracing::warn!(path = %path.display(), "a damaged record is forgotten; what it knew is sent again");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(known)
    }

    /// What a file is known to be.
    pub(super) fn file(&self, path: &str) -> Option<&KnownFile> {
        self.files.get(self.numbers.get(path)?)
    }

    /// The content of a local range, if it was read before.
    pub(super) fn content(&self, origin: &Origin) -> Option<Content> {
        self.origins.get(origin).copied()
    }

    /// Where a content stands: behind `after`, if it does, so that one copy takes both.
    pub(super) fn find(&self, content: &Content, after: Option<(&str, u64)>) -> Option<Found<'_>> {
        let found = |place: &Place| {
            let file = self.files.get(&place.file)?;
            Some(Found { file, at: place.at })
        };
        let places = self.places.get(content)?;
        let follows = places.iter().filter_map(found).find(|found| {
            after.is_some_and(|(path, end)| found.file.path == path && found.at == end)
        });
        follows.or_else(|| places.iter().find_map(found))
    }

    /// Notes what a file is now, durably.
    pub(super) fn note(&mut self, file: KnownFile) -> io::Result<()> {
        write(&self.record(&file.path), &file)?;
        self.forget_places(&file.path);
        self.enter(file);
        Ok(())
    }

    /// Forgets a file, before it is removed or when it is not what it was.
    pub(super) fn forget(&mut self, path: &str) -> io::Result<()> {
        self.forget_places(path);
        file::remove(&self.record(path))
    }

    /// The files that hold what an interrupted publication had sent.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let leftovers = self.files.values().filter(|file| file.is_leftover);
        leftovers.map(|file| file.path.clone()).collect()
    }

    fn record(&self, path: &str) -> PathBuf {
        self.folder.join(format!("{}.{SUFFIX}", digest_name(path)))
    }

    fn forget_places(&mut self, path: &str) {
        // Its places go with its number; `find` passes them over.
        if let Some(number) = self.numbers.remove(path) {
            self.files.remove(&number);
        }
    }

    fn enter(&mut self, file: KnownFile) {
        let number = self.next;
        self.next += 1;
        let mut at = 0;
        for part in &file.parts {
            let places = self.places.entry(part.content).or_default();
            places.retain(|place| self.files.contains_key(&place.file));
            places.push(Place { file: number, at });
            at += part.content.length;
            if let Some(origin) = &part.origin {
                self.origins.insert(origin.clone(), part.content);
            }
        }
        self.numbers.insert(file.path.clone(), number);
        self.files.insert(number, file);
    }
}

/// A name for the records of a path.
pub(super) fn digest_name(path: &str) -> String {
    let digest = Sha256::digest(path.as_bytes());
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// `None` if the record is not whole.
fn read(path: &Path) -> io::Result<Option<KnownFile>> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let Some((json, sum)) = text.trim_end().rsplit_once('\n') else {
        return Ok(None);
    };
    if sum != digest_name(json) {
        return Ok(None);
    }
    Ok(serde_json::from_str(json).ok())
}

fn write(path: &Path, known: &KnownFile) -> io::Result<()> {
    let json = serde_json::to_string(known)?;
    let sum = digest_name(&json);
    file::replace(path, format!("{json}\n{sum}\n").as_bytes())
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        s.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0; 32];
        let wrong = || D::Error::custom("not 64 hexadecimal digits");
        if text.len() != 64 {
            return Err(wrong());
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn content(byte: u8) -> Content {
        Content {
            sha256: [byte; 32],
            crc64: u64::from(byte),
            length: 10,
        }
    }

    fn known_file(path: &str, bytes: &[u8]) -> KnownFile {
        let part = |byte: &u8| KnownPart {
            content: content(*byte),
            origin: Some(Origin {
                name: "pack".into(),
                offset: u64::from(*byte) * 10,
                length: 10,
            }),
        };
        KnownFile {
            path: path.into(),
            etag: "\"1\"".into(),
            parts: bytes.iter().map(part).collect(),
            is_leftover: false,
        }
    }

    #[test]
    fn what_was_noted_is_found_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::open(folder.path()).unwrap();
        known.note(known_file("a.csv", &[1, 2, 3])).unwrap();
        known.note(known_file("b.csv", &[3, 1])).unwrap();
        known.forget("b.csv").unwrap();
        let known = Known::open(folder.path()).unwrap();
        let found = known.find(&content(3), None).unwrap();
        assert_eq!((found.file.path.as_str(), found.at), ("a.csv", 20));
        assert!(known.file("b.csv").is_none());
        let origin = known.file("a.csv").unwrap().parts[1].origin.clone();
        assert_eq!(known.content(&origin.unwrap()), Some(content(2)));
    }

    #[test]
    fn a_run_goes_on_in_the_same_file_where_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::open(folder.path()).unwrap();
        known.note(known_file("a.csv", &[1, 2])).unwrap();
        known.note(known_file("b.csv", &[2, 9, 1, 2])).unwrap();
        let found = known.find(&content(2), Some(("b.csv", 30))).unwrap();
        assert_eq!((found.file.path.as_str(), found.at), ("b.csv", 30));
    }

    #[test]
    fn a_damaged_record_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::open(folder.path()).unwrap();
        known.note(known_file("a.csv", &[1])).unwrap();
        let record = known.record("a.csv");
        let mut bytes = fs::read(&record).unwrap();
        bytes[12] ^= 1;
        fs::write(&record, bytes).unwrap();
        assert!(Known::open(folder.path()).unwrap().file("a.csv").is_none());
    }
}
