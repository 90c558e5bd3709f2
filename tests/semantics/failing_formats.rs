//! A lake that fails at any step while Parquet files, parts and folders are written, and while a reader looks at
//! `model.json` before each change: what it names is there whole, and the next run finishes the work.

use std::collections::{BTreeMap, BTreeSet};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use lakestage_engine::{
    Activity, Depth, FileFormat, FileOptions, FolderLake, Lake, LakeOf, LinkTableOptions, NewLink,
};

use crate::failing_lake::FailingLake;
use crate::world::{World, id};

/// A row that makes a block of its own, so that twelve of them need two files.
fn large(world: &World, number: u32, subject: &str) {
    let notes = "x".repeat(99_000);
    let cells = [
        ("taskid", &*id(number)),
        ("createdon", "2021-03-01T08:00:00Z"),
        ("subject", subject),
        ("notes", &notes),
    ];
    world.put("task", &cells);
}

fn world(format: FileFormat, every_s: Option<u32>) -> World {
    let world = World::new();
    let tables = ["task", "member"].map(LinkTableOptions::of).to_vec();
    let link = NewLink {
        snapshots_kept: Some(1),
        incremental_every_s: every_s,
        files: FileOptions {
            format,
            bytes_max: Some(1 << 20),
            rows_max: None,
        },
        ..NewLink::new(
            "lake",
            "folder:lake",
            "https://contoso.dfs.core.windows.net:443",
            tables,
        )
    };
    world.environment.create_link(&world.lake(), &link).unwrap();
    world
}

/// Every file that a `model.json` names, Parquet files beside CSV files too.
fn named(model: &[u8]) -> Vec<String> {
    let model: serde_json::Value = serde_json::from_slice(model).unwrap();
    let mut paths = Vec::new();
    let mut add = |location: &serde_json::Value| {
        let location = location.as_str().unwrap();
        let (_, path) = location.split_once("/dataverse-contoso-org1/").unwrap();
        paths.push(path.to_owned());
    };
    for entity in model["entities"].as_array().unwrap() {
        for partition in entity["partitions"].as_array().unwrap() {
            add(&partition["location"]);
            let annotations = partition["annotations"].as_array().unwrap().iter();
            for beside in annotations.filter(|a| a["name"] == "lakestage:ParquetLocation") {
                add(&beside["value"]);
            }
        }
    }
    paths
}

/// What the files of one `model.json` hold, by table and format: subjects by id. Panics if one is not whole.
fn read(lake: &FolderLake, model: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let model = lake.read(model).unwrap()?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in named(&model) {
        let bytes = lake.read(&path).unwrap();
        let bytes = bytes.unwrap_or_else(|| panic!("{path} is named and not there"));
        let tables = ["task", "member"];
        let table = path.split('/').find(|part| tables.contains(part)).unwrap();
        let format = path.rsplit('.').next().unwrap_or_default();
        let rows = found.entry(format!("{table} {format}")).or_default();
        match format {
            "csv" => {
                let mut reader = ::csv::ReaderBuilder::new()
                    .has_headers(false)
                    .from_reader(&*bytes);
                for record in reader.records() {
                    let record = record.unwrap();
                    rows.insert(format!("{} {}", &record[0], &record[6]));
                }
            }
            _ => {
                use arrow::array::{Array, AsArray};
                let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
                for batch in builder.unwrap().build().unwrap() {
                    let batch = batch.unwrap();
                    let (ids, last) = (batch.column(0), batch.column(6));
                    for row in 0..batch.num_rows() {
                        let last = match last.as_string_opt::<i32>() {
                            Some(last) if last.is_valid(row) => last.value(row),
                            _ => "",
                        };
                        rows.insert(format!("{} {last}", ids.as_string::<i32>().value(row)));
                    }
                }
            }
        }
    }
    Some(found)
}

fn assert_whole(world: &World, step: usize) {
    let lakes: &LakeOf<'_> = &|_, _| Ok(Box::new(world.lake()));
    let report = world.environment.verify(Depth::Full, lakes).unwrap();
    let findings = report.findings;
    assert!(
        findings.is_empty(),
        "a failure at change {step}: {findings:?}"
    );
}

/// Publishes the second snapshot with a failure; gives whether the failure came.
fn fail_and_mend(format: FileFormat, fails_at: usize, after_the_change: bool) -> bool {
    let world = world(format, None);
    for number in 0..12 {
        large(&world, number, "one");
    }
    world.snapshot();
    let before = read(&world.lake(), "model.json").unwrap();
    for number in [0, 11, 12] {
        large(&world, number, "two");
    }
    world.delete("task", 5);
    let (reader, shown) = (world.lake(), before.clone());
    let after = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::new()));
    let seen = after.clone();
    let lake = FailingLake::watched_at(world.lake(), (fails_at, after_the_change), move || {
        let found = read(&reader, "model.json").unwrap();
        if found != shown {
            *seen.lock().unwrap() = found;
        }
    });
    world.clock.advance_s(1);
    let failed = world.environment.snapshot("lake", &lake).is_err();
    world.snapshot();
    let found = read(&world.lake(), "model.json").unwrap();
    assert_ne!(found, before);
    let seen = after.lock().unwrap().clone();
    assert!(
        seen.is_empty() || seen == found,
        "a mixture was seen at change {fails_at}"
    );
    if format == FileFormat::Both {
        assert_eq!(found["task csv"], found["task parquet"]);
    }
    let rows = found.values().next().unwrap();
    assert_eq!(rows.len(), 12);
    // One snapshot is kept, so each file is named or the near-real-time one.
    let model = world.lake().read("model.json").unwrap().unwrap();
    let named: BTreeSet<String> = named(&model).into_iter().collect();
    for entry in world.lake().list("task/Snapshot").unwrap() {
        assert!(
            named.contains(&entry.path),
            "{} was left by a failure at change {fails_at}",
            entry.path
        );
    }
    assert_whole(&world, fails_at);
    failed
}

#[test]
fn a_lake_that_fails_while_parts_and_parquet_are_written_shows_whole_files_and_is_mended() {
    for (format, after_the_change) in [(FileFormat::Both, false), (FileFormat::Parquet, true)] {
        let steps = (0..)
            .take_while(|step| fail_and_mend(format, *step, after_the_change))
            .count();
        assert!(steps >= 7, "only {steps} changes could fail");
    }
}

/// Closes a folder with a failure; gives whether the failure came.
fn fail_and_close(fails_at: usize, after_the_change: bool) -> bool {
    let world = world(FileFormat::Both, Some(300));
    for number in 0..12 {
        large(&world, number, "one");
    }
    let reader = world.lake();
    let lake = FailingLake::watched_at(world.lake(), (fails_at, after_the_change), move || {
        let log = reader
            .read("Changelog/Synapse.log")
            .unwrap()
            .unwrap_or_default();
        let log = String::from_utf8(log).unwrap();
        for folder in log.split(',').filter(|folder| !folder.is_empty()) {
            let found = read(&reader, &format!("{folder}/model.json")).unwrap();
            assert_eq!(
                found["task csv"].len(),
                12,
                "a folder in Synapse.log is complete"
            );
            assert_eq!(found["task csv"].len(), found["task parquet"].len());
        }
    });
    world.clock.advance_s(300);
    let failed = world.environment.snapshot("lake", &lake).is_err();
    world.clock.advance_s(300);
    world.snapshot();
    let folder = world.text("Changelog/Synapse.log");
    assert!(!folder.contains(','), "{folder}");
    let found = read(&world.lake(), &format!("{folder}/model.json")).unwrap();
    assert_eq!(found["task csv"].len(), 12);
    assert_eq!(found["task parquet"].len(), 12);
    assert_whole(&world, fails_at);
    failed
}

#[test]
fn a_lake_that_fails_while_a_folder_gets_both_formats_names_whole_folders_only() {
    for after_the_change in [false, true] {
        let steps = (0..)
            .take_while(|step| fail_and_close(*step, after_the_change))
            .count();
        assert!(steps >= 10, "only {steps} changes could fail");
    }
}

#[test]
fn a_sync_of_both_formats_that_fails_at_any_step_is_brought_to_its_end() {
    let fail = |fails_at: usize, after_the_change: bool| {
        let world = world(FileFormat::Both, None);
        large(&world, 1, "one");
        world.snapshot();
        let shown = read(&world.lake(), "model.json");
        large(&world, 1, "two");
        large(&world, 2, "two");
        let lake = FailingLake::at(world.lake(), fails_at, after_the_change);
        let failed = world.environment.sync("lake", &lake).is_err();
        assert_eq!(read(&world.lake(), "model.json"), shown);
        world.environment.sync("lake", &world.lake()).unwrap();
        let rows = world.text("task/2021.csv").lines().count();
        assert_eq!(rows, 2);
        assert_whole(&world, fails_at);
        failed
    };
    for after_the_change in [false, true] {
        let steps = (0..)
            .take_while(|step| fail(*step, after_the_change))
            .count();
        assert!(steps >= 2, "only {steps} changes could fail");
    }
}

#[test]
fn an_unlinking_that_fails_can_only_be_brought_to_its_end() {
    for after_the_change in [false, true] {
        let world = world(FileFormat::Both, None);
        world.task(1, 2021, "one");
        world.snapshot();
        let lake = FailingLake::at(world.lake(), 0, after_the_change);
        assert!(world.environment.unlink("lake", &lake, true).is_err());
        let link = world.environment.link("lake").unwrap();
        assert_eq!(link.activity, Activity::Unlinking);
        world.task(2, 2021, "two");
        assert!(world.environment.snapshot("lake", &world.lake()).is_err());
        let world = world.reopened();
        world
            .environment
            .unlink("lake", &world.lake(), true)
            .unwrap();
        assert!(world.lake().create().unwrap(), "the filesystem is gone");
        assert!(world.environment.links().is_empty());
    }
}
