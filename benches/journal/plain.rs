//! Plain files that are synced as often: what the machine can do.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A file whose blocks are there already, so that a sync writes nothing but the data.
pub struct Preallocated {
    file: File,
    length: u64,
    offset: u64,
}

impl Preallocated {
    pub fn new(path: &Path, length: usize) -> Self {
        let mut file = File::create(path).unwrap();
        file.write_all(&vec![0; length]).unwrap();
        file.sync_all().unwrap();
        Preallocated {
            file,
            length: length as u64,
            offset: 0,
        }
    }

    /// `pwrite` and `fdatasync`.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.offset + bytes.len() as u64 > self.length {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset).unwrap();
        self.file.sync_data().unwrap();
        self.offset += bytes.len() as u64;
    }
}

/// Appends and `fdatasync`.
pub fn append(file: &mut File, bytes: &[u8]) {
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}
