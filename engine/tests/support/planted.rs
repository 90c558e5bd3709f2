//! An environment with rows in blocks, in a segment and in the journal, and a lake.
// Each test target uses its part.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakestage_engine::{
    Depth, Environment, EnvironmentSettings, Finding, FolderLake, Lake, LinkTableOptions,
    ManualClock, NewLink, OpenOptions, Result, TableOptions, TableSchema, Value, Write,
    verify_folder,
};
use tempfile::TempDir;

/// So many rows stand in blocks; as many and 1,000 more do with those in the segment; 10 more with
/// those in the journal.
pub const ROWS: u32 = 1_500;
pub const SEALED_ROWS: u32 = 1_000;
pub const TAIL_ROWS: u32 = 10;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "versionnumber", "type": "bigint"},
    {"name": "createdon", "type": "datetime"},
    {"name": "subject", "type": "string", "maxLength": 400},
    {"name": "taskid", "type": "uniqueidentifier"}]}"#;

pub struct Planted {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
}

/// An id that sorts by its number.
pub fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

impl Planted {
    pub fn new() -> Self {
        let planted = Planted {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at_unix_s(1_700_000_000)),
        };
        let environment = Environment::create_with(
            &planted.environment_folder(),
            EnvironmentSettings::new("contoso", "org1"),
            planted.options(usize::MAX),
        )
        .unwrap();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        let tables = vec![LinkTableOptions::of("task")];
        let endpoint = "https://contoso.dfs.core.windows.net:443";
        let new = NewLink::new("lake", "folder:lake", endpoint, tables);
        environment.create_link(&planted.lake(), &new).unwrap();
        put(&environment, 0..ROWS, "in a block");
        environment.snapshot("lake", &planted.lake()).unwrap();
        drop(environment);
        // Everything that is committed now is sealed at once.
        let environment = planted.open_with(1);
        put(&environment, ROWS..ROWS + SEALED_ROWS, "in a segment");
        for _ in 0..200 {
            if environment.status().unwrap().tail_bytes == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(environment.status().unwrap().tail_bytes, 0);
        drop(environment);
        let environment = planted.open();
        let sealed = ROWS + SEALED_ROWS;
        put(&environment, sealed..sealed + TAIL_ROWS, "in the journal");
        put(&environment, 0..1, "changed since");
        planted
    }

    fn options(&self, segment_bytes: usize) -> OpenOptions {
        OpenOptions {
            segment_bytes,
            tail_bytes_max: usize::MAX,
            ..OpenOptions::from(self.clock.clone())
        }
    }

    pub fn open(&self) -> Environment {
        self.open_with(usize::MAX)
    }

    fn open_with(&self, segment_bytes: usize) -> Environment {
        Environment::open_with(&self.environment_folder(), self.options(segment_bytes)).unwrap()
    }

    pub fn environment_folder(&self) -> PathBuf {
        self.folder.path().join("environment")
    }

    pub fn lake(&self) -> FolderLake {
        FolderLake::new(&self.folder.path().join("lake"), "dataverse-contoso-org1")
    }

    pub fn lakes(&self) -> impl Fn(&str, &str) -> Result<Box<dyn Lake>> + '_ {
        |address, filesystem| {
            assert_eq!(address, "folder:lake");
            let folder = self.folder.path().join("lake");
            Ok(Box::new(FolderLake::new(&folder, filesystem)))
        }
    }

    pub fn findings(&self, depth: Depth) -> Vec<Finding> {
        let report = verify_folder(&self.environment_folder(), depth, &self.lakes()).unwrap();
        report.findings
    }

    fn files_in(&self, part: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.environment_folder().join(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    pub fn packs(&self) -> Vec<PathBuf> {
        self.files_in("packs")
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        self.files_in("segments")
    }

    /// Packs, segments, the catalog and the files that it names.
    pub fn immutable_files(&self) -> Vec<PathBuf> {
        let parts = ["packs", "segments", "catalog"];
        parts.iter().flat_map(|part| self.files_in(part)).collect()
    }

    /// Flips a bit of a text wherever it stands in the journal: sled may hold a page twice, and what is
    /// in sled may still stand in the strip.
    pub fn spoil_in_journal(&self, text: &[u8]) {
        let mut spoiled = 0;
        for path in self
            .files_in("journal")
            .into_iter()
            .filter(|path| path.is_file())
        {
            let mut bytes = fs::read(&path).unwrap();
            let windows = bytes.windows(text.len()).enumerate();
            let found = windows.filter(|(_, window)| *window == text);
            let places: Vec<usize> = found.map(|(at, _)| at).collect();
            places.iter().for_each(|at| bytes[*at] ^= 4);
            spoiled += places.len();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(spoiled > 0);
    }

    pub fn lake_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.folder.path().join("lake"), &mut files);
        files
    }

    /// Every file of the environment with its bytes, but the lock.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = Vec::new();
        walk(&self.environment_folder(), &mut files);
        let files = files.into_iter().filter(|path| !path.ends_with("lock"));
        files
            .map(|path| (path.clone(), fs::read(&path).unwrap()))
            .collect()
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(path),
        }
    }
}

/// Puts rows with long subjects, so that there are several blocks.
pub fn put(environment: &Environment, numbers: std::ops::Range<u32>, subject: &str) {
    let schema = environment.schema("task").unwrap();
    let position = |name| schema.require(name).unwrap();
    let mut transaction = environment.transaction();
    for number in numbers {
        let (id, subject) = (id(number), format!("{subject:x<300}{number}"));
        let row = [
            (position("taskid"), Value::Text(&id)),
            (position("createdon"), Value::Text("2023-03-01T08:00:00Z")),
            (position("subject"), Value::Text(&subject)),
        ];
        transaction.write(Write::Upsert, "task", &row).unwrap();
    }
    transaction.commit().unwrap();
}
