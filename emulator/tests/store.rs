//! The store's promises, without a protocol in front of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use lakestage_emulator::{
    DEFAULT_ACCOUNT_NAME as ACCOUNT, ErrorCode, FileSystem, Part, Store, StoreError, StoreOptions,
    SyncMode, WriteOptions,
};

fn open(folder: &Path) -> Store {
    let options = StoreOptions {
        folder: Some(folder.to_owned()),
        ..StoreOptions::default()
    };
    Store::open(options).unwrap()
}

fn lake(store: &Store) -> FileSystem {
    store.create_file_system(ACCOUNT, "raw").unwrap();
    store.file_system(ACCOUNT, "raw")
}

fn write(lake: &FileSystem, path: &str, content: &[u8]) {
    lake.write_file(path, &[Part::Bytes(content)], &WriteOptions::default())
        .unwrap();
}

fn paths(lake: &FileSystem) -> Vec<String> {
    lake.list("", true)
        .unwrap()
        .into_iter()
        .map(|info| info.path)
        .collect()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    {
        let store = open(folder.path());
        let lake = lake(&store);
        write(&lake, "a/small", b"small");
        write(&lake, "a/large", &large);
        lake.rename("a", "b").unwrap();
        write(&lake, "gone", b"gone");
        lake.delete("gone", false).unwrap();
    }
    let store = open(folder.path());
    let lake = lake(&store);
    assert_eq!(paths(&lake), ["b", "b/large", "b/small"]);
    assert_eq!(lake.read("b/large").unwrap().unwrap(), large);
    assert_eq!(lake.read("b/small").unwrap().unwrap(), b"small");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// What the operating system has of the folder at that moment is what a crash of the process leaves.
#[test]
fn what_was_acknowledged_survives_a_crash_in_every_sync_mode() {
    for sync in [SyncMode::Always, SyncMode::Group, SyncMode::Off] {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            folder: Some(folder.path().to_owned()),
            sync,
            ..StoreOptions::default()
        };
        let store = Store::open(options).unwrap();
        let lake = lake(&store);
        write(&lake, "a/small", b"small");
        for round in 0..20 {
            // A copy and a rename do not ask for the disk by themselves.
            lake.copy_file("a/small", &format!("copy{round}")).unwrap();
            lake.rename(&format!("copy{round}"), &format!("b{round}"))
                .unwrap();
            let left = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), left.path());
            let reopened = open(left.path());
            let found = paths(&reopened.file_system(ACCOUNT, "raw"));
            let newest = format!("b{round}");
            assert!(found.contains(&newest), "{sync:?}: {newest} of {found:?}");
        }
    }
}

#[test]
fn one_process_has_the_folder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let options = StoreOptions {
        folder: Some(folder.path().to_owned()),
        ..StoreOptions::default()
    };
    assert!(matches!(
        Store::open(options).unwrap_err(),
        StoreError::InUse { .. }
    ));
}

#[test]
fn a_reader_keeps_what_it_opened() {
    let store = Store::open(StoreOptions::default()).unwrap();
    let lake = lake(&store);
    let old = vec![1_u8; 3_000_000];
    write(&lake, "f", &old);
    let mut reader = lake.open("f").unwrap().unwrap();
    let mut begun = vec![0; 1_000];
    reader.read_exact(&mut begun).unwrap();
    write(&lake, "f", &vec![2_u8; 3_000_000]);
    lake.delete("f", false).unwrap();
    store.collect_garbage().unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!([begun, rest].concat(), old);
    assert_eq!(lake.read("f").unwrap(), None);
}

fn extents(folder: &Path) -> usize {
    fs::read_dir(folder.join("extents")).unwrap().count()
}

#[test]
fn a_shared_file_is_linked_once_and_goes_with_its_last_use() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    let content: Vec<u8> = (0..600_000_u32).map(|n| (n % 253) as u8).collect();
    fs::write(&pack, &content).unwrap();
    let store = open(&folder.path().join("store"));
    let lake = lake(&store);
    let part = |offset: u64, length: u64| Part::Shared {
        key: "environment/1",
        file: &pack,
        offset,
        length,
        crc32c: lakestage_emulator::store::extent::crc32c(
            &content[offset as usize..(offset + length) as usize],
        ),
    };
    let parts = [part(0, 250_000), part(400_000, 200_000)];
    lake.write_file("one", &parts, &WriteOptions::default())
        .unwrap();
    lake.write_file("two", &parts[..1], &WriteOptions::default())
        .unwrap();
    assert_eq!(extents(&folder.path().join("store")), 1);
    let expected = [&content[..250_000], &content[400_000..]].concat();
    assert_eq!(lake.read("one").unwrap().unwrap(), expected);
    fs::remove_file(&pack).unwrap();
    lake.delete("one", false).unwrap();
    store.collect_garbage().unwrap();
    assert_eq!(lake.read("two").unwrap().unwrap(), content[..250_000]);
    lake.delete("two", false).unwrap();
    store.collect_garbage().unwrap();
    assert_eq!(extents(&folder.path().join("store")), 0);
}

#[test]
fn damaged_bytes_are_named_and_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lake = lake(&store);
    write(&lake, "f", &vec![7_u8; 500_000]);
    let extent = fs::read_dir(folder.path().join("extents"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&extent).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&extent, bytes).unwrap();
    assert!(matches!(
        lake.read("f").unwrap_err(),
        StoreError::Corrupt { .. }
    ));
}

#[test]
fn a_large_directory_is_renamed_and_deleted_at_once() {
    let store = Store::open(StoreOptions::default()).unwrap();
    let lake = lake(&store);
    for number in 0..3_000 {
        write(&lake, &format!("d/{number:05}"), b"x");
    }
    let before = lake.stat("d/00042").unwrap().unwrap();
    lake.rename("d", "e").unwrap();
    let after = lake.stat("e/00042").unwrap().unwrap();
    assert_eq!(
        (before.etag, before.modified_unix_ns),
        (after.etag, after.modified_unix_ns)
    );
    assert_eq!(lake.list("e", false).unwrap().len(), 3_000);
    let refused = lake.delete("e", false).unwrap_err();
    assert!(refused.is(ErrorCode::DirectoryNotEmpty));
    assert!(lake.delete("e", true).unwrap());
    assert_eq!(paths(&lake), Vec::<String>::new());
    store.collect_garbage().unwrap();
}

#[test]
fn the_namespace_refuses_what_the_service_refuses() {
    let store = Store::open(StoreOptions::default()).unwrap();
    let lake = lake(&store);
    write(&lake, "a/f", b"x");
    let code = |result: lakestage_emulator::Result<()>| result.unwrap_err().service_code();
    assert_eq!(
        code(lake.create_directory("a/f/below")),
        ErrorCode::PathConflict
    );
    assert_eq!(
        code(lake.rename("a", "a/b")),
        ErrorCode::InvalidRenameSourcePath
    );
    assert_eq!(
        code(lake.rename("nothing", "b")),
        ErrorCode::SourcePathNotFound
    );
    assert_eq!(
        code(lake.rename("a/f", "no/parent")),
        ErrorCode::RenameDestinationParentPathNotFound
    );
    lake.create_directory("full/x").unwrap();
    assert_eq!(code(lake.rename("a", "full")), ErrorCode::PathAlreadyExists);
    assert_eq!(
        code(lake.rename("a/f", "full")),
        ErrorCode::InvalidSourceOrDestinationResourceType
    );
    lake.create_directory("empty").unwrap();
    lake.rename("a", "empty").unwrap();
    assert_eq!(paths(&lake), ["empty", "empty/f", "full", "full/x"]);
}

/// The namespace as a map from paths to contents; `None` is a directory.
#[derive(Default)]
struct Model(BTreeMap<Vec<String>, Option<Vec<u8>>>);

impl Model {
    fn is_directory(&self, path: &[String]) -> bool {
        path.is_empty() || self.0.get(path).is_some_and(Option::is_none)
    }

    /// Whether every name above the path is free or a directory; makes those that are missing.
    fn make_parents(&mut self, path: &[String]) -> bool {
        let above = || (1..path.len()).map(|depth| path[..depth].to_vec());
        if above().any(|parent| self.0.get(&parent).is_some_and(Option::is_some)) {
            return false;
        }
        for parent in above() {
            self.0.entry(parent).or_default();
        }
        true
    }

    fn write(&mut self, path: &[String], content: Option<Vec<u8>>) -> bool {
        let fits = self
            .0
            .get(path)
            .is_none_or(|there| there.is_some() == content.is_some());
        let fits = fits && self.make_parents(path);
        if fits {
            self.0.insert(path.to_vec(), content);
        }
        fits
    }

    fn below(&self, path: &[String]) -> Vec<Vec<String>> {
        self.0
            .keys()
            .filter(|other| other.starts_with(path))
            .cloned()
            .collect()
    }

    fn rename(&mut self, from: &[String], to: &[String]) -> bool {
        let Some(kind) = self.0.get(from).map(Option::is_some) else {
            return false;
        };
        let parent = &to[..to.len() - 1];
        let target_fits = match self.0.get(to) {
            None => true,
            Some(there) => there.is_some() == kind && self.below(to).len() == 1,
        };
        if to.starts_with(from) || !self.is_directory(parent) || !target_fits {
            return false;
        }
        self.0.remove(to);
        for old in self.below(from) {
            let content = self.0.remove(&old).unwrap();
            self.0.insert([to, &old[from.len()..]].concat(), content);
        }
        true
    }
}

#[test]
fn random_operations_leave_what_a_plain_model_has() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |end: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % end
    };
    let store = Store::open(StoreOptions::default()).unwrap();
    let lake = lake(&store);
    let mut model = Model::default();
    for turn in 0..4_000_u64 {
        let mut path = || -> Vec<String> {
            let depth = 1 + random(3);
            (0..depth)
                .map(|_| ["a", "b", "c-1", "c"][random(4) as usize].to_owned())
                .collect()
        };
        let (one, two) = (path(), path());
        let (from, to) = (one.join("/"), two.join("/"));
        match random(6) {
            0 | 1 => {
                let content = turn
                    .to_string()
                    .repeat(1 + random(600) as usize)
                    .into_bytes();
                let done =
                    lake.write_file(&from, &[Part::Bytes(&content)], &WriteOptions::default());
                assert_eq!(
                    done.is_ok(),
                    model.write(&one, Some(content)),
                    "write {from}"
                );
            }
            2 => assert_eq!(
                lake.create_directory(&from).is_ok(),
                model.write(&one, None),
                "mkdir {from}"
            ),
            3 | 4 => assert_eq!(
                lake.rename(&from, &to).is_ok(),
                model.rename(&one, &two),
                "{from} to {to}"
            ),
            _ => {
                let below = model.below(&one);
                assert_eq!(
                    lake.delete(&from, true).unwrap(),
                    !below.is_empty(),
                    "delete {from}"
                );
                below.iter().for_each(|gone| drop(model.0.remove(gone)));
            }
        }
        if turn % 97 == 0 {
            let expected: Vec<String> = model.0.keys().map(|path| path.join("/")).collect();
            assert_eq!(paths(&lake), expected);
            for (path, content) in model.0.iter().filter(|(_, content)| content.is_some()) {
                assert_eq!(lake.read(&path.join("/")).unwrap(), *content);
            }
        }
    }
    store.collect_garbage().unwrap();
}
