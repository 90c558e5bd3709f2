//! Parquet files beside CSV files and instead of them.

use std::collections::BTreeMap;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::statistics::Statistics;
use arrow::datatypes::{DataType, TimeUnit};
use lakestage_engine::{
    Depth, FileFormat, FileOptions, FolderLake, Lake, LakeOf, LinkTableOptions, Mode, NewLink,
    SnapshotAt, TableSchema, difference,
};

use crate::world::{World, id};

const EVERYTHING: &str = r#"{"name": "everything", "primaryKey": "everythingid", "columns": [
    {"name": "everythingid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "state", "type": "choice"},
    {"name": "several", "type": "multiselect", "options": [{"value": 1, "label": "A"}, {"value": 2, "label": "B"}]},
    {"name": "flag", "type": "boolean"},
    {"name": "ownerid", "type": "owner"},
    {"name": "price", "type": "money", "scale": 4},
    {"name": "exact", "type": "decimal", "scale": 10},
    {"name": "rough", "type": "double", "scale": 5},
    {"name": "whole", "type": "integer"},
    {"name": "large", "type": "bigint"},
    {"name": "day", "type": "datetime", "behavior": "dateOnly"},
    {"name": "wall", "type": "datetime", "behavior": "timeZoneIndependent"},
    {"name": "moment", "type": "datetime"},
    {"name": "text", "type": "memo", "maxLength": 1000},
    {"name": "versionnumber", "type": "bigint"}]}"#;

/// A link to a lake of its own, named after the format.
fn link(world: &World, format: FileFormat, new: impl FnOnce(&mut NewLink)) {
    let mut link = NewLink {
        files: FileOptions {
            format,
            ..FileOptions::default()
        },
        ..NewLink::new(
            &name(format),
            &format!("folder:{}", name(format)),
            "https://contoso.dfs.core.windows.net:443",
            vec![LinkTableOptions::of("everything")],
        )
    };
    new(&mut link);
    let lake = lake(world, format);
    world.environment.create_link(&lake, &link).unwrap();
}

fn name(format: FileFormat) -> String {
    format!("{format:?}")
}

fn lake(world: &World, format: FileFormat) -> FolderLake {
    let folder = world.folder.path().join(name(format));
    FolderLake::new(&folder, &world.environment.filesystem_name())
}

fn snapshot(world: &World, format: FileFormat) -> lakestage_engine::SnapshotReport {
    world.clock.advance_s(1);
    let lake = lake(world, format);
    world.environment.snapshot(&name(format), &lake).unwrap()
}

fn world() -> World {
    let world = World::new();
    world.table(EVERYTHING);
    world
}

fn put(world: &World, number: u32, year: u32, cells: &[(&str, &str)]) {
    let (id, created) = (id(number), format!("{year}-02-28T23:59:59Z"));
    let mut all = vec![("everythingid", &*id), ("createdon", &created)];
    all.extend(cells);
    world.put("everything", &all);
}

fn fill(world: &World) {
    let owner = id(77);
    put(
        world,
        1,
        2020,
        &[
            ("state", "3"),
            ("several", "1;2"),
            ("flag", "true"),
            ("ownerid", &owner),
            ("ownerid_entitytype", "team"),
            ("price", "-922337203685477.5807"),
            ("exact", "-0.0000000001"),
            ("rough", "-0.125"),
            ("whole", "-7"),
            ("large", "9007199254740993"),
            ("day", "1753-01-01"),
            ("wall", "9999-12-30T23:59:59"),
            ("moment", "2024-02-29T23:59:59.123456Z"),
            ("text", "one, \"two\"\r\nthree\nü"),
        ],
    );
    put(
        world,
        2,
        2020,
        &[
            ("flag", "false"),
            ("price", "10"),
            ("exact", "100000000000"),
            ("text", " "),
        ],
    );
    put(world, 3, 2024, &[]);
}

/// The rows of the newest snapshot, as cells of CSV, partition by partition.
fn rows(world: &World, format: FileFormat) -> Vec<Vec<String>> {
    let lake = lake(world, format);
    let opened = world
        .environment
        .open_snapshot(&name(format), &lake, SnapshotAt::Newest)
        .unwrap();
    let table = opened.table("everything").unwrap();
    let mut rows = Vec::new();
    for file in &table.files {
        for row in opened.rows(file).unwrap() {
            let row = row.unwrap();
            let mut cells: Vec<String> = row
                .iter()
                .map(|c| String::from_utf8(c.to_vec()).unwrap())
                .collect();
            // A CSV row that is older than a column ends before it.
            cells.resize(table.columns.len(), String::new());
            rows.push(cells);
        }
    }
    rows
}

fn read(world: &World, format: FileFormat, path: &str) -> Vec<u8> {
    let read = lake(world, format).read(path).unwrap();
    read.unwrap_or_else(|| panic!("{path} is not there"))
}

fn partitions(world: &World, format: FileFormat) -> Vec<serde_json::Value> {
    let model = read(world, format, "model.json");
    let model: serde_json::Value = serde_json::from_slice(&model).unwrap();
    model["entities"][0]["partitions"]
        .as_array()
        .unwrap()
        .clone()
}

fn path(location: &serde_json::Value) -> String {
    let location = location.as_str().unwrap();
    location
        .split_once("/dataverse-contoso-org1/")
        .unwrap()
        .1
        .to_owned()
}

fn assert_whole(world: &World) {
    let lakes: &LakeOf<'_> = &|address, filesystem| {
        let folder = world
            .folder
            .path()
            .join(address.strip_prefix("folder:").unwrap());
        Ok(Box::new(FolderLake::new(&folder, filesystem)))
    };
    let report = world.environment.verify(Depth::Full, lakes).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn parquet_has_the_rows_of_csv_with_the_types_of_the_schema() {
    let world = world();
    let formats = [FileFormat::Csv, FileFormat::Parquet, FileFormat::Both];
    for format in formats {
        link(&world, format, |_| ());
    }
    fill(&world);
    for format in formats {
        snapshot(&world, format);
    }
    let wanted = rows(&world, FileFormat::Csv);
    assert_eq!(wanted.len(), 3);
    assert_eq!(rows(&world, FileFormat::Parquet), wanted);
    assert_eq!(rows(&world, FileFormat::Both), wanted);
    let beside = partitions(&world, FileFormat::Both);
    let annotations = beside[0]["annotations"].as_array().unwrap();
    assert_eq!(annotations[0]["name"], "Athena:PartitionYear");
    assert_eq!(annotations[1]["name"], "lakestage:ParquetLocation");
    let beside = read(&world, FileFormat::Both, &path(&annotations[1]["value"]));
    let instead = partitions(&world, FileFormat::Parquet);
    assert_eq!(instead.len(), 2);
    assert_eq!(instead[0]["name"], "2020");
    assert_eq!(
        instead[0]["cdm:traits"][0]["traitReference"],
        "is.partition.format.parquet"
    );
    assert!(instead[0].get("fileFormatSettings").is_none());
    let location = path(&instead[0]["location"]);
    let file = read(&world, FileFormat::Parquet, &location);
    assert_eq!(file, beside, "the same rows are the same bytes");
    assert_eq!(
        file,
        read(&world, FileFormat::Parquet, "everything/2020.parquet")
    );
    assert_eq!(
        file,
        read(&world, FileFormat::Both, "everything/2020.parquet")
    );
    types(file);
    assert_whole(&world);
}

fn types(file: Vec<u8>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let kind = |name: &str| {
        builder
            .schema()
            .field_with_name(name)
            .unwrap()
            .data_type()
            .clone()
    };
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let wall = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (name, wanted) in [
        ("Id", DataType::Utf8),
        ("SinkCreatedOn", utc.clone()),
        ("createdon", utc.clone()),
        ("moment", utc),
        ("day", wall.clone()),
        ("wall", wall),
        ("flag", DataType::Boolean),
        ("state", DataType::Int64),
        ("several", DataType::Utf8),
        ("price", DataType::Decimal128(38, 4)),
        ("exact", DataType::Decimal128(38, 10)),
        ("large", DataType::Int64),
        ("ownerid_entitytype", DataType::Utf8),
    ] {
        assert_eq!(kind(name), wanted, "{name}");
    }
    let metadata = builder.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("lakestage"));
    let column = metadata.row_group(0).column(0);
    assert!(format!("{:?}", column.compression()).contains("ZSTD"));
    let Some(Statistics::ByteArray(ids)) = column.statistics() else {
        panic!("no statistics of Id");
    };
    assert_eq!(ids.min_opt().unwrap().data(), id(1).as_bytes());
    assert_eq!(ids.max_opt().unwrap().data(), id(2).as_bytes());
}

#[test]
fn only_partitions_that_changed_get_a_new_parquet_file() {
    let world = world();
    link(&world, FileFormat::Both, |link| {
        link.snapshots_kept = Some(1)
    });
    fill(&world);
    snapshot(&world, FileFormat::Both);
    let first = partitions(&world, FileFormat::Both);
    put(&world, 3, 2024, &[("text", "changed")]);
    let report = snapshot(&world, FileFormat::Both);
    let written: Vec<&str> = report
        .files_written
        .iter()
        .map(|f| f.rsplit('.').next().unwrap())
        .collect();
    assert_eq!(written, ["csv", "parquet"], "{:?}", report.files_written);
    assert_eq!(report.rows, 3, "rows are counted once");
    let second = partitions(&world, FileFormat::Both);
    assert_eq!(first[0], second[0]);
    assert_ne!(first[1], second[1]);
    // What only the first snapshot named is gone.
    let gone = path(&first[1]["annotations"][1]["value"]);
    assert_eq!(lake(&world, FileFormat::Both).stat(&gone).unwrap(), None);
    assert!(!snapshot(&world, FileFormat::Both).changed);
    // Between snapshots the near-real-time files follow, in both formats.
    put(&world, 3, 2024, &[("text", "again")]);
    world.clock.advance_s(1);
    let synced = world
        .environment
        .sync("Both", &lake(&world, FileFormat::Both))
        .unwrap();
    assert_eq!(
        synced.files_written,
        ["everything/2024.csv", "everything/2024.parquet"]
    );
    assert!(
        world
            .environment
            .sync("Both", &lake(&world, FileFormat::Both))
            .unwrap()
            .files_written
            .is_empty()
    );
    let left = std::fs::read_dir(world.folder.path().join("environment/parquet"));
    assert!(
        left.map_or(true, |mut left| left.next().is_none()),
        "what was made is handed over and gone"
    );
    assert_whole(&world);
}

#[test]
fn schema_changes_deletes_and_row_differences_show_in_parquet() {
    let world = world();
    for format in [FileFormat::Csv, FileFormat::Parquet] {
        link(&world, format, |link| {
            link.tables[0].mode = Some(Mode::AppendOnly)
        });
    }
    fill(&world);
    for format in [FileFormat::Csv, FileFormat::Parquet] {
        snapshot(&world, format);
    }
    let wider = EVERYTHING.replace(
        r#"{"name": "versionnumber""#,
        r#"{"name": "later", "type": "integer"}, {"name": "versionnumber""#,
    );
    let wider = TableSchema::from_json(&wider).unwrap();
    world.environment.alter_table(&wider).unwrap();
    put(&world, 2, 2020, &[("later", "5")]);
    world.delete("everything", 3);
    for format in [FileFormat::Csv, FileFormat::Parquet] {
        snapshot(&world, format);
    }
    let wanted = rows(&world, FileFormat::Csv);
    assert_eq!(wanted.len(), 5);
    assert_eq!(rows(&world, FileFormat::Parquet), wanted);
    assert!(wanted.iter().any(|row| row.contains(&"True".to_owned())));
    let lake = lake(&world, FileFormat::Parquet);
    let open = |at| {
        world
            .environment
            .open_snapshot("Parquet", &lake, at)
            .unwrap()
    };
    let found = difference(
        &open(SnapshotAt::Previous),
        &open(SnapshotAt::Newest),
        |_, _, _| Ok(()),
    );
    assert_eq!(found.unwrap()[0].added, 2);
    assert_whole(&world);
}

#[test]
fn folders_may_have_parquet_too() {
    let world = world();
    link(&world, FileFormat::Both, |link| {
        link.incremental_every_s = Some(300)
    });
    fill(&world);
    world.delete("everything", 2);
    let report = snapshot(&world, FileFormat::Both);
    assert_eq!(report.files_written.len(), 4, "{:?}", report.files_written);
    let folder =
        String::from_utf8(read(&world, FileFormat::Both, "Changelog/Synapse.log")).unwrap();
    let file = read(
        &world,
        FileFormat::Both,
        &format!("{folder}/everything/2020.parquet"),
    );
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let rows: usize = builder
        .build()
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, 1);
    assert_whole(&world);
}

#[test]
fn a_parquet_file_that_was_edited_is_named_and_put_right() {
    let world = world();
    link(&world, FileFormat::Parquet, |_| ());
    fill(&world);
    snapshot(&world, FileFormat::Parquet);
    let location = path(&partitions(&world, FileFormat::Parquet)[0]["location"]);
    let before = read(&world, FileFormat::Parquet, &location);
    let on_disk = world
        .folder
        .path()
        .join("Parquet/dataverse-contoso-org1")
        .join(&location);
    let mut edited = before.clone();
    let middle = edited.len() / 2;
    edited[middle] ^= 1;
    // Of the same length, under the same name.
    std::fs::remove_file(&on_disk).unwrap();
    std::fs::write(&on_disk, &edited).unwrap();
    let lakes: &LakeOf<'_> = &|_, _| Ok(Box::new(lake(&world, FileFormat::Parquet)));
    let found = world.environment.verify(Depth::Full, lakes).unwrap();
    assert!(
        found.findings.iter().any(|f| f.file.contains(&location)),
        "{:?}",
        found.findings
    );
    let report = snapshot(&world, FileFormat::Parquet);
    assert_eq!(report.repaired, [location]);
    let named = path(&partitions(&world, FileFormat::Parquet)[0]["location"]);
    assert_eq!(read(&world, FileFormat::Parquet, &named), before);
}

#[test]
fn the_same_changes_give_the_same_parquet_files() {
    let publish = || {
        let world = world();
        link(&world, FileFormat::Parquet, |_| ());
        fill(&world);
        for number in 10..300 {
            put(
                &world,
                number,
                2021,
                &[("text", &"long enough, ".repeat(60))],
            );
        }
        snapshot(&world, FileFormat::Parquet);
        let entries = lake(&world, FileFormat::Parquet)
            .list("everything")
            .unwrap();
        let files = entries.into_iter().filter(|entry| !entry.is_directory);
        files
            .map(|entry| {
                let bytes = read(&world, FileFormat::Parquet, &entry.path);
                (entry.path, bytes)
            })
            .collect::<BTreeMap<_, _>>()
    };
    let (first, second) = (publish(), publish());
    assert_eq!(first.len(), 6);
    assert_eq!(first, second);
}
