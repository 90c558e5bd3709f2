//! Whatever bytes come, no reader of them panics: each is given what it knows how to read, and thousands of
//! changes of that.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;

use crate::compaction::Granularity;
use crate::fuzzing::{CSV, LINES, TASK, commits, environment};
use crate::ingest::{Ingest, IngestFormat, IngestOptions};
use crate::journal::{Commit, Gaps, Journal as _, LogImage, MemoryJournal, ReadLog, Records};
use crate::schema::TableSchema;
use crate::segment::{SegmentStore, decode_footer};
use crate::value::Value;
use crate::{Durability, Write};

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(u16, u8),
    Set(u16, u8),
    Cut(u16),
    Remove(u16, u8),
    Repeat(u16, u8),
    Insert(u16, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % (bytes.len() + 1);
        match self {
            Change::Flip(at, bit) => {
                let at = place(*at);
                bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|b| *b ^= 1 << (bit % 8));
            }
            Change::Set(at, value) => {
                let at = place(*at);
                bytes.iter_mut().skip(at).take(1).for_each(|b| *b = *value);
            }
            Change::Cut(at) => bytes.truncate(place(*at)),
            Change::Remove(at, count) => {
                let start = place(*at);
                let end = bytes.len().min(start + usize::from(*count));
                bytes.drain(start..end);
            }
            Change::Repeat(at, count) => {
                let start = place(*at);
                let end = bytes.len().min(start + usize::from(*count));
                let part = bytes[start..end].to_vec();
                bytes.splice(start..start, part);
            }
            Change::Insert(at, part) => {
                let at = place(*at);
                bytes.splice(at..at, part.iter().copied());
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Words that mean something to one reader or another.
    const WORDS: [&str; 13] = [
        "\"", "\"\"", ",", "\r\n", "\0", "{", "}", "[[[[", "\\u", "null", "1e999", "-", "\u{feff}",
    ];
    let word = prop_oneof![
        proptest::sample::select(&WORDS[..]).prop_map(|w| w.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..6),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
    ];
    let change = prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        any::<u16>().prop_map(Change::Cut),
        (any::<u16>(), any::<u8>()).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, n)| Change::Repeat(at, n)),
        (any::<u16>(), word).prop_map(|(at, word)| Change::Insert(at, word)),
    ];
    proptest::collection::vec(change, 0..6)
}

/// Runs a reader on a seed and on so many changes of it.
fn hold(cases: u32, seed: &[u8], read: impl Fn(&[u8])) {
    read(seed);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(changes in changes())| {
        let mut bytes = seed.to_vec();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        read(&bytes);
    });
}

fn commit() -> Commit {
    commits().swap_remove(0)
}

#[test]
fn no_bytes_make_a_reader_of_frames_or_records_panic() {
    let journal = MemoryJournal::default();
    journal.append(&[commit()], Durability::Synced).unwrap();
    let frame = journal.image().unwrap().frames.remove(0).1;
    hold(4_000, &frame, |bytes| {
        let image = LogImage::of_frames(vec![(0, bytes.to_vec()), (1, frame.clone())]);
        let read = ReadLog::of(&image, 0, 0, &Gaps::default());
        read.commits
            .iter()
            .for_each(|commit| assert!(Records::of(&commit.payload).count() < 1_000_000));
    });
    hold(4_000, &commit().payload, |bytes| {
        Records::of(bytes).for_each(drop);
    });
}

#[test]
fn no_bytes_make_a_reader_of_segments_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = SegmentStore::open(folder.path()).unwrap();
    let granularity = |_| Granularity::default();
    let entry = store.write(1, &[Arc::new(commit())], &granularity).unwrap();
    let path = store.segment(entry.clone()).path().to_owned();
    let good = std::fs::read(&path).unwrap();
    hold(1_000, &good, |bytes| {
        // A mapped file must not change, so each is another one.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let segment = store.segment(entry.clone());
        let is_good = segment.faults(true, &|_, _| None).is_empty();
        assert_eq!(is_good, bytes == good);
        let _ = segment.find(1, 2);
        let _ = segment.change(1);
        drop(store.entries_of_files());
    });
    // Behind its checksum a footer is believed, so it is read without.
    hold(4_000, &good[good.len() - 200..], |bytes| {
        decode_footer(bytes);
    });
}

#[test]
fn no_schema_makes_its_reader_panic() {
    hold(4_000, TASK.as_bytes(), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(schema) = TableSchema::from_json(&text) {
            let again = TableSchema::from_json(schema.json());
            assert!(
                again.is_ok(),
                "a schema that was taken is refused when it is read again"
            );
        }
    });
}

#[test]
fn no_rows_make_their_reader_panic_and_what_is_taken_can_be_read() {
    for (format, seed) in [(IngestFormat::Csv, CSV), (IngestFormat::JsonLines, LINES)] {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path());
        hold(2_000, seed.as_bytes(), |bytes| {
            let options = IngestOptions::default();
            let ingest = Ingest::into_table(&environment, "task", options).unwrap();
            let _ = ingest.run(format, &mut &bytes[..], &mut |_| {});
        });
        // The environment is as good as before.
        let mut transaction = environment.transaction();
        let schema = environment.schema("task").unwrap();
        let values = [
            ("taskid", "00000000-0000-0000-0000-000000000001"),
            ("subject", "x"),
        ]
        .map(|(name, text)| (schema.require(name).unwrap(), Value::Text(text)));
        transaction.write(Write::Create, "task", &values).unwrap();
        transaction.commit().unwrap();
        environment.compact().unwrap();
    }
}
