//! What the fuzz targets call (`fuzz/`): each takes any bytes, and none panics.
//!
//! What a checksum covers is given twice, as it is and with the checksum put right, so that a fuzzer gets
//! behind it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::OnceCell;
use std::sync::Arc;

use crate::catalog::EnvironmentSettings;
use crate::compaction::Granularity;
use crate::environment::{Environment, OpenOptions, TableOptions};
use crate::ingest::{Ingest, IngestFormat, IngestOptions};
use crate::journal::{
    Commit, Durability, Gaps, Journal as _, LogImage, MemoryJournal, Operation, ReadLog, Record,
    Records, batch_file, read_batches, with_checksums,
};
use crate::schema::TableSchema;
use crate::segment::{SegmentStore, decode_footer, with_footer_checksum};

pub const TASK: &str = r#"{"name": "task", "displayName": "Task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "due", "type": "datetime", "behavior": "dateOnly"},
    {"name": "statecode", "type": "state", "options": [{"value": 0, "label": "Open"}, {"value": 1}]},
    {"name": "statuscode", "type": "status", "options": [{"value": 1, "label": "New", "state": 0}]},
    {"name": "ownerid", "type": "owner"},
    {"name": "parentid", "type": "lookup", "targets": ["task", "visit"]},
    {"name": "tags", "type": "multiselect", "options": [{"value": 3}, {"value": 4}]},
    {"name": "amount", "type": "money", "scale": 4},
    {"name": "share", "type": "double", "scale": 5},
    {"name": "count", "type": "integer", "min": -5, "max": 100},
    {"name": "done", "type": "boolean"},
    {"name": "subject", "type": "string", "maxLength": 20, "required": true},
    {"name": "versionnumber", "type": "bigint"}]}"#;

pub const CSV: &str = "taskid,createdon,due,statecode,ownerid,ownerid_entitytype,tags,amount,share,count,done,subject,@op\r\n\
8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b,2024-05-06T07:08:09Z,2024-02-29,0,,,3;4,12.5,0.5,7,true,\"a \"\"b\"\"\nc\",upsert\r\n\
{8F14E45FCEEA4672A1B03C1D2E4F5A6C},,,,,,,,,,,\"é😀\",create\n\
8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b,,,,,,,,,,,,delete\n";

pub const LINES: &str = r#"{"taskid": "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b", "subject": "a\u00e9\ud83d\ude00", "count": 5, "tags": [3, 4], "amount": "1.25", "share": 1e-3, "done": false}
{"@op": "update", "taskid": "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b", "amount": 99999999999999999999.5, "parentid": null}

{"@op": "delete", "taskid": "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b"}
"#;

/// Bytes of a commit's payload.
fn payload() -> Vec<u8> {
    let mut payload = Vec::new();
    for row in 0..3u32 {
        let cells =
            b"\"2024-05-06T07:08:09.0000000+00:00\",\"a\",,8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b";
        let record = Record {
            table: 1,
            id: row.into(),
            created: Some(5),
            operation: Operation::Put {
                existed: row == 1,
                cells,
                version_offset: Some(40),
            },
        };
        record.encode(&mut payload);
    }
    let deleted = Record {
        table: 2,
        id: 7,
        created: None,
        operation: Operation::Delete,
    };
    deleted.encode(&mut payload);
    payload
}

pub(crate) fn commits() -> Vec<Commit> {
    let first = Commit {
        first_version: 1,
        rows: 4,
        committed: 5,
        payload: payload(),
    };
    let second = Commit {
        first_version: 5,
        ..first.clone()
    };
    vec![first, second]
}

pub(crate) fn environment(folder: &std::path::Path) -> Environment {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let journal = Arc::new(MemoryJournal::default());
    let options = OpenOptions::default();
    let environment = Environment::open_on(folder, settings, options, journal).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    environment
}

/// What each target is given first.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let journal = MemoryJournal::default();
    journal.append(&commits(), Durability::Synced).unwrap();
    let frame = journal.image().unwrap().frames.remove(0).1;
    let folder = tempfile::tempdir().unwrap();
    let store = SegmentStore::open(folder.path()).unwrap();
    let commits: Vec<_> = commits().into_iter().map(Arc::new).collect();
    let entry = store
        .write(1, &commits, &|_| Granularity::default())
        .unwrap();
    let segment = std::fs::read(store.segment(entry).path()).unwrap();
    vec![
        ("engine_frames", frame),
        ("engine_records", payload()),
        ("engine_batches", batch_file(&self::commits())),
        ("engine_segment", segment),
        ("engine_schema", TASK.as_bytes().to_vec()),
        ("engine_csv", CSV.as_bytes().to_vec()),
        ("engine_json", LINES.as_bytes().to_vec()),
    ]
}

/// Frames of sled's entries: the bytes, twice, as two frames.
pub fn frames(bytes: &[u8]) {
    for frame in [bytes.to_vec(), with_checksums(bytes)] {
        let image = LogImage::of_frames(vec![(0, frame.clone()), (1, frame)]);
        let read = ReadLog::of(&image, 0, 0, &Gaps::default());
        read.commits
            .iter()
            .for_each(|commit| records(&commit.payload));
    }
}

/// Row changes of a commit.
pub fn records(bytes: &[u8]) {
    assert!(Records::of(bytes).count() <= bytes.len());
}

/// A file of batches.
pub fn batches(bytes: &[u8]) {
    let read = read_batches(bytes);
    let held: usize = read.iter().map(|commit| commit.payload.len()).sum();
    assert!(held <= bytes.len(), "more is read than there is");
    read.iter().for_each(|commit| records(&commit.payload));
}

/// A segment's file.
pub fn segment(bytes: &[u8]) {
    thread_local! {
        static STORE: OnceCell<(tempfile::TempDir, SegmentStore)> = const { OnceCell::new() };
    }
    decode_footer(bytes);
    STORE.with(|store| {
        let (folder, store) = store.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = SegmentStore::open(&folder.path().join("segments")).unwrap();
            (folder, store)
        });
        let path = folder.path().join("segments/segment-0000000001.arrows");
        for bytes in [bytes.to_vec(), with_footer_checksum(bytes)] {
            // A mapped file must not change, so each is another one.
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, &bytes).unwrap();
            for entry in store.entries_of_files().unwrap() {
                let segment = store.segment(entry);
                let _ = segment.faults(true, &|_, _| None);
                let _ = segment.find(1, 2);
                let _ = segment.change(1);
            }
        }
    });
}

/// A table's schema.
pub fn schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(schema) = TableSchema::from_json(&text) {
        let again = TableSchema::from_json(schema.json());
        assert!(
            again.is_ok(),
            "a schema that was taken is refused when it is read again"
        );
    }
}

/// Rows as CSV.
pub fn csv(bytes: &[u8]) {
    ingest(IngestFormat::Csv, bytes);
}

/// Rows as JSON lines.
pub fn json(bytes: &[u8]) {
    ingest(IngestFormat::JsonLines, bytes);
}

fn ingest(format: IngestFormat, bytes: &[u8]) {
    thread_local! {
        static ENVIRONMENT: OnceCell<(tempfile::TempDir, Environment)> = const { OnceCell::new() };
    }
    ENVIRONMENT.with(|environment| {
        let (_, environment) = environment.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let environment = self::environment(folder.path());
            (folder, environment)
        });
        let options = IngestOptions::default();
        let ingest = Ingest::into_table(environment, "task", options).unwrap();
        let _ = ingest.run(format, &mut &bytes[..], &mut |_| {});
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
    }

    fn run(target: &str, bytes: &[u8]) {
        match target {
            "engine_frames" => frames(bytes),
            "engine_records" => records(bytes),
            "engine_batches" => batches(bytes),
            "engine_segment" => segment(bytes),
            "engine_schema" => schema(bytes),
            "engine_csv" => csv(bytes),
            "engine_json" => json(bytes),
            other => panic!("{other} is no target"),
        }
    }

    /// Also what a fuzzer found once: it stands among the seeds.
    #[test]
    fn every_seed_of_the_fuzz_targets_is_read() {
        for (target, _) in seeds() {
            let folder = folder().join(target);
            let mut read = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                run(target, &std::fs::read(entry.unwrap().path()).unwrap());
                read += 1;
            }
            assert!(read > 0, "{} is empty", folder.display());
        }
    }

    #[test]
    #[ignore = "run when a format changes, to write the seeds anew"]
    fn writes_the_seeds_of_the_fuzz_targets() {
        for (target, bytes) in seeds() {
            let folder = folder().join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("whole"), bytes).unwrap();
        }
    }
}
