//! What the engine may ask of every lake: the plain folder and the emulator in process.

use lakestage::EmulatorLake;
use lakestage::emulator::{DEFAULT_ACCOUNT_NAME, Store, StoreOptions};
use lakestage::engine::{FolderLake, Lake, Part};

fn each_lake(test: impl Fn(&dyn Lake)) {
    let folder = tempfile::tempdir().unwrap();
    test(&FolderLake::new(&folder.path().join("plain"), "raw"));
    let options = StoreOptions {
        folder: Some(folder.path().join("emulator")),
        ..StoreOptions::default()
    };
    let store = Store::open(options).unwrap();
    test(&EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, "raw"));
}

fn write(lake: &dyn Lake, path: &str, text: &str) -> String {
    let written = lake
        .write(path, &[Part::Bytes(text.as_bytes())], "text/plain")
        .unwrap();
    assert_eq!(written.length, text.len() as u64);
    written.etag
}

#[test]
fn files_are_written_replaced_copied_renamed_and_deleted() {
    each_lake(|lake| {
        assert!(lake.create().unwrap());
        assert!(!lake.create().unwrap());
        let first = write(lake, "a/one", "1");
        let second = write(lake, "a/one", "uno");
        assert_ne!(first, second);
        lake.copy("a/one", "b/copy").unwrap();
        lake.rename("a/one", "a/two").unwrap();
        lake.create_directory("c").unwrap();
        lake.create_directory("c").unwrap();
        let all: Vec<_> = lake
            .list("")
            .unwrap()
            .into_iter()
            .map(|e| (e.path, e.is_directory))
            .collect();
        let expected = [
            ("a", true),
            ("a/two", false),
            ("b", true),
            ("b/copy", false),
            ("c", true),
        ];
        assert_eq!(
            all,
            expected.map(|(path, is_directory)| (path.to_owned(), is_directory))
        );
        assert_eq!(lake.read("b/copy").unwrap().unwrap(), b"uno");
        lake.delete("b/copy").unwrap();
        lake.delete("b/copy").unwrap();
        assert!(lake.read("b/copy").unwrap().is_none());
        assert!(lake.stat("nowhere").unwrap().is_none());
    });
}

#[test]
fn a_range_of_a_local_file_becomes_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pack");
    std::fs::write(&file, b"0123456789").unwrap();
    let part = |offset: usize, length: usize| {
        let bytes = &b"0123456789"[offset..offset + length];
        Part::Range {
            name: "pack/1",
            file: &file,
            offset: offset as u64,
            length: length as u64,
            crc32c: crc32c(bytes),
        }
    };
    each_lake(|lake| {
        lake.create().unwrap();
        let parts = [part(6, 4), Part::Bytes(b"-"), part(0, 3)];
        lake.write("joined", &parts, "text/plain").unwrap();
        assert_eq!(lake.read("joined").unwrap().unwrap(), b"6789-012");
    });
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (0_u32.wrapping_sub(crc & 1)));
        }
    }
    !crc
}
