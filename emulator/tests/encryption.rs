//! Stores that are encrypted on the disk.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use lakestage_emulator::{
    DEFAULT_ACCOUNT_NAME as ACCOUNT, FileSystem, Part, Secret, Store, StoreError, StoreOptions,
    SyncMode, WriteOptions, change_secret,
};

const SENTINELS: [&str; 5] = [
    "nobodymayreadthisname",
    "nobodymayreadthisfilesystem",
    "nobodymayreadthisproperty",
    "nobody may read this short content",
    "nobody may read this long content",
];

fn secret() -> Secret {
    Secret::Passphrase("correct horse battery staple".to_owned())
}

fn try_open(folder: &Path, secret: Option<Secret>) -> Result<Store, StoreError> {
    Store::open(StoreOptions {
        folder: Some(folder.to_owned()),
        sync: SyncMode::Off,
        secret,
        ..StoreOptions::default()
    })
}

fn open(folder: &Path) -> Store {
    try_open(folder, Some(secret())).unwrap()
}

fn write(lake: &FileSystem, path: &str, content: &[u8]) {
    let options = WriteOptions {
        content_type: Some(SENTINELS[2].to_owned()),
        ..WriteOptions::default()
    };
    lake.write_file(path, &[Part::Bytes(content)], &options)
        .unwrap();
}

/// A megabyte that says the same again and again.
fn long() -> Vec<u8> {
    SENTINELS[4].bytes().cycle().take(1_000_000).collect()
}

fn fill(store: &Store) {
    store.create_file_system(ACCOUNT, SENTINELS[1]).unwrap();
    let lake = store.file_system(ACCOUNT, SENTINELS[1]);
    let short = format!("{}/short", SENTINELS[0]);
    write(&lake, &short, SENTINELS[3].as_bytes());
    write(&lake, &format!("{}/long", SENTINELS[0]), &long());
    write(&lake, "gone", &long());
    lake.delete("gone", false).unwrap();
}

fn check(store: &Store) {
    let lake = store.file_system(ACCOUNT, SENTINELS[1]);
    let name = SENTINELS[0];
    let paths: Vec<String> = lake
        .list("", true)
        .unwrap()
        .into_iter()
        .map(|p| p.path)
        .collect();
    assert_eq!(
        paths,
        [
            name.to_owned(),
            format!("{name}/long"),
            format!("{name}/short")
        ]
    );
    assert_eq!(lake.read(&format!("{name}/long")).unwrap().unwrap(), long());
    assert_eq!(
        lake.read(&format!("{name}/short")).unwrap().unwrap(),
        SENTINELS[3].as_bytes()
    );
}

/// All files below, with their content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn nothing_that_was_written_can_be_read_from_the_disk() {
    let (sealed, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    {
        let store = open(sealed.path());
        fill(&store);
        store.collect_garbage().unwrap();
        check(&store);
    }
    check(&open(sealed.path()));
    {
        fill(&try_open(plain.path(), None).unwrap());
    }
    let (sealed, plain) = (files(sealed.path()), files(plain.path()));
    for sentinel in SENTINELS {
        for (name, bytes) in &sealed {
            assert!(!contains(bytes, sentinel), "{sentinel} in {name}");
        }
        // The same without encryption: what is looked for is there to be found.
        assert!(
            plain.iter().any(|(_, bytes)| contains(bytes, sentinel)),
            "{sentinel}"
        );
    }
}

#[test]
fn a_store_opens_by_its_secret_only_and_by_another_after_a_change() {
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()));
    let refused = |secret: Option<Secret>| {
        let error = try_open(folder.path(), secret).unwrap_err();
        assert!(matches!(error, StoreError::Encryption(_)), "{error}");
        error.to_string()
    };
    let wrong = Secret::Passphrase("correct horse".to_owned());
    assert!(refused(Some(wrong.clone())).contains("not the one"));
    assert!(refused(None).contains("--encrypt"));

    let key = folder.path().join("key");
    fs::write(&key, [9; 40]).unwrap();
    let key = Secret::KeyFile(key);
    assert!(change_secret(folder.path(), &wrong, &key).is_err());
    // Whoever has the store open goes on.
    let store = open(folder.path());
    change_secret(folder.path(), &secret(), &key).unwrap();
    check(&store);
    drop(store);
    refused(Some(secret()));
    check(&try_open(folder.path(), Some(key)).unwrap());
}

#[test]
fn a_store_that_was_begun_without_encryption_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    fill(&try_open(folder.path(), None).unwrap());
    let error = try_open(folder.path(), Some(secret())).unwrap_err();
    assert!(error.to_string().contains("not encrypted"), "{error}");
    check(&try_open(folder.path(), None).unwrap());
}

#[test]
fn a_flipped_bit_in_an_encrypted_store_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        fill(&store);
        // Only what is in use is read.
        store.collect_garbage().unwrap();
    }
    let name = format!("{}/long", SENTINELS[0]);
    let extents = fs::read_dir(folder.path().join("extents")).unwrap();
    let extents: Vec<_> = extents.map(|entry| entry.unwrap().path()).collect();
    assert!(!extents.is_empty());
    for path in extents {
        let whole = fs::read(&path).unwrap();
        for place in [0, 15, 16, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let store = open(folder.path());
            let read = store.file_system(ACCOUNT, SENTINELS[1]).read(&name);
            assert!(
                matches!(read, Err(StoreError::Corrupt { .. })),
                "{place} of {path:?}"
            );
        }
        fs::write(&path, &whole).unwrap();
    }
    check(&open(folder.path()));
}

#[test]
fn ranges_of_callers_files_are_copied_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("lake"));
    store.create_file_system(ACCOUNT, "raw").unwrap();
    let lake = store.file_system(ACCOUNT, "raw");
    let pack = folder.path().join("pack");
    fs::write(&pack, long()).unwrap();
    let part = |crc32c| Part::Shared {
        key: "pack",
        file: &pack,
        offset: 10,
        length: 700_000,
        crc32c,
    };
    let range = &long()[10..700_010];
    let crc32c = lakestage_emulator::store::extent::crc32c(range);
    let options = WriteOptions::default();
    lake.write_file("copy", &[Part::Bytes(b"head"), part(crc32c)], &options)
        .unwrap();
    assert_eq!(
        lake.read("copy").unwrap().unwrap(),
        [b"head", range].concat()
    );
    let error = lake.write_file("bad", &[part(crc32c ^ 1)], &options);
    assert!(matches!(error, Err(StoreError::Corrupt { .. })));
    for (name, bytes) in files(&folder.path().join("lake")) {
        assert!(!contains(&bytes, SENTINELS[4]), "{name}");
    }
}
