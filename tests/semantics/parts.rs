//! Partitions that continue in further files.

use std::collections::{BTreeMap, BTreeSet};

use lakestage_engine::{
    Depth, ErrorKind, FileOptions, Lake, LakeOf, LinkTableOptions, Mode, NewLink, RowDifference,
    SnapshotAt, difference,
};

use crate::world::{World, id};

const LIMIT: u64 = 1 << 20;

fn link_with(world: &World, limits: FileOptions, new: impl FnOnce(&mut NewLink)) {
    let tables = vec![LinkTableOptions::of("task")];
    let endpoint = "https://contoso.dfs.core.windows.net:443";
    let mut link = NewLink {
        files: limits,
        ..NewLink::new("lake", "folder:lake", endpoint, tables)
    };
    new(&mut link);
    world.environment.create_link(&world.lake(), &link).unwrap();
}

fn linked(mode: Option<Mode>) -> World {
    let world = World::new();
    let limits = FileOptions {
        bytes_max: Some(LIMIT),
        ..FileOptions::default()
    };
    link_with(&world, limits, |link| link.tables[0].mode = mode);
    world
}

/// A row that makes a block of its own.
fn large(world: &World, number: u32, year: u32, subject: &str) {
    let created = format!("{year}-03-01T08:00:00Z");
    // Lines of different lengths, so that it is no accident where they end.
    let notes = "and, \"so\"\n on".repeat(7_000 + number as usize % 700);
    let cells = [
        ("taskid", &*id(number)),
        ("createdon", &created),
        ("subject", subject),
        ("notes", &notes),
    ];
    world.put("task", &cells);
}

/// The names of the files that `model.json` names, without folder and ending.
fn named(world: &World) -> Vec<String> {
    let paths = world.named("task").into_iter();
    paths
        .map(|path| path.trim_start_matches("task/Snapshot/").to_owned())
        .collect()
}

/// The names of partitions in `model.json`, or in the one of the near-real-time files.
fn partitions(model: &serde_json::Value) -> Vec<String> {
    let entity = &model["entities"].as_array().unwrap()[0];
    let partitions = entity["partitions"].as_array().unwrap().iter();
    partitions
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect()
}

fn subjects(world: &World) -> BTreeMap<String, String> {
    let rows = world.rows("task");
    let found: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row["Id"].clone(), row["subject"].clone()))
        .collect();
    assert_eq!(found.len(), rows.len(), "a row stands in two parts");
    found
}

fn assert_limited(world: &World) {
    for path in world.named("task") {
        let length = world.lake().stat(&path).unwrap().unwrap().length;
        assert!(length <= LIMIT, "{path} has {length} bytes");
    }
}

fn assert_whole(world: &World) {
    let lakes: &LakeOf<'_> = &|_, _| Ok(Box::new(world.lake()));
    let report = world.environment.verify(Depth::Full, lakes).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_partition_continues_in_further_files_within_the_limit() {
    let world = linked(None);
    for number in 0..36 {
        large(&world, number, 2021, "one");
    }
    world.task(50, 2022, "small");
    world.snapshot();
    let parts = ["2021", "2021_001", "2021_002", "2021_003", "2022"];
    assert_eq!(partitions(&world.model()), parts);
    let number = crate::world::START_UNIX_S + 1;
    let files = parts.map(|part| format!("{part}_{number}.csv"));
    assert_eq!(named(&world), files);
    // Readers of near-real-time files go by the names of partitions.
    let model = world.text("Microsoft.Athena.TrickleFeedService/task-model.json");
    let model = serde_json::from_str(&model).unwrap();
    assert_eq!(partitions(&model), parts);
    for part in parts {
        let current = world.text(&format!("task/{part}.csv"));
        assert_eq!(
            current,
            world.text(&format!("task/Snapshot/{part}_{number}.csv"))
        );
    }
    let year = &world.entity("task")["partitions"][1]["annotations"][0];
    assert_eq!(year["value"], "2021");
    assert_limited(&world);
    assert_eq!(subjects(&world).len(), 37);
    assert_whole(&world);
}

#[test]
fn a_change_of_one_row_rewrites_one_part_and_a_full_one_is_divided() {
    let world = linked(None);
    for number in 0..36 {
        large(&world, number * 10, 2021, "one");
    }
    world.snapshot();
    let before = named(&world);
    world.put("task", &[("taskid", &id(150)), ("subject", "changed")]);
    let report = world.snapshot();
    assert_eq!(report.files_written.len(), 1, "{:?}", report.files_written);
    let kept = named(&world);
    assert_eq!(kept.iter().filter(|file| before.contains(file)).count(), 3);
    // What is added to a full part divides it, and the others stay.
    for number in 151..155 {
        large(&world, number, 2021, "added");
    }
    let report = world.snapshot();
    assert_eq!(report.files_written.len(), 2, "{:?}", report.files_written);
    let parts = ["2021", "2021_001", "2021_002", "2021_003", "2021_004"];
    assert_eq!(partitions(&world.model()), parts);
    assert_limited(&world);
    // A part whose rows are all gone goes, and its near-real-time file with it.
    let last = world.text(&world.named("task")[3]);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(last.as_bytes());
    for record in reader.records() {
        let number = u32::from_str_radix(&record.unwrap()[0][..8], 16).unwrap();
        world.delete("task", number);
    }
    let report = world.snapshot();
    assert_eq!(report.files_written, [""; 0]);
    assert_eq!(
        partitions(&world.model()),
        ["2021", "2021_001", "2021_002", "2021_004"]
    );
    assert_eq!(world.lake().stat("task/2021_003.csv").unwrap(), None);
    assert_whole(&world);
}

#[test]
fn only_the_last_part_of_an_append_only_partition_grows() {
    let world = linked(Some(Mode::AppendOnly));
    for number in 0..25 {
        large(&world, number, 2021, "one");
    }
    world.snapshot();
    assert_eq!(partitions(&world.model()), ["2021", "2021_001", "2021_002"]);
    for number in 0..9 {
        large(&world, number, 2021, "again");
    }
    let report = world.snapshot();
    let written = report.files_written.iter().map(|file| &file[14..22]);
    assert_eq!(written.collect::<Vec<_>>(), ["2021_002", "2021_003"]);
    assert_limited(&world);
    let rows = world.rows("task");
    assert_eq!(rows.len(), 34);
    let versions: Vec<u64> = rows
        .iter()
        .map(|r| r["versionnumber"].parse().unwrap())
        .collect();
    assert!(versions.is_sorted(), "parts follow each other");
    assert_whole(&world);
}

#[test]
fn parts_of_two_snapshots_are_compared_as_one_partition() {
    let world = linked(None);
    for number in 0..12 {
        large(&world, number * 10, 2021, "one");
    }
    world.snapshot();
    for number in 41..50 {
        large(&world, number, 2021, "added");
    }
    world.delete("task", 0);
    world.put("task", &[("taskid", &id(110)), ("subject", "changed")]);
    world.snapshot();
    let lake = world.lake();
    let open = |at| world.environment.open_snapshot("lake", &lake, at).unwrap();
    let mut told = BTreeMap::new();
    let found = difference(
        &open(SnapshotAt::Previous),
        &open(SnapshotAt::Newest),
        |_, id, change| {
            told.insert(id.to_owned(), change);
            Ok(())
        },
    );
    let found = &found.unwrap()[0];
    assert_eq!((found.created, found.updated, found.deleted), (9, 1, 1));
    let added = (41..50).map(|number| (id(number), RowDifference::Created));
    let others = [
        (id(0), RowDifference::Deleted),
        (id(110), RowDifference::Updated),
    ];
    assert_eq!(told, added.chain(others).collect());
}

#[test]
fn folders_have_parts_too() {
    let world = World::new();
    let limits = FileOptions {
        bytes_max: Some(LIMIT),
        ..FileOptions::default()
    };
    link_with(&world, limits, |link| link.incremental_every_s = Some(300));
    for number in 0..25 {
        large(&world, number, 2021, "one");
    }
    let report = world.snapshot();
    let folder = world.text("Changelog/Synapse.log");
    let files = ["2021", "2021_001", "2021_002"];
    let paths = files.map(|file| format!("{folder}/task/{file}.csv"));
    assert_eq!(report.files_written, paths);
    let model = world.text(&format!("{folder}/model.json"));
    assert_eq!(partitions(&serde_json::from_str(&model).unwrap()), files);
    let rows: usize = paths
        .iter()
        .map(|path| {
            assert!(world.lake().stat(path).unwrap().unwrap().length <= LIMIT);
            let text = world.text(path);
            let mut reader = ::csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(text.as_bytes());
            reader.records().filter(Result::is_ok).count()
        })
        .sum();
    assert_eq!(rows, 25);
    assert_whole(&world);
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl FnMut(u32) -> u32 {
    let mut state = 7u64;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u32 % below
    }
}

#[test]
fn whatever_changes_the_parts_hold_each_row_once() {
    let mut world = linked(None);
    let mut below = numbers();
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for round in 0..8 {
        for _ in 0..15 {
            let number = below(90);
            let subject = format!("{round} {number}");
            match rows.contains_key(&id(number)) && below(3) == 0 {
                true => {
                    world.delete("task", number);
                    rows.remove(&id(number));
                }
                false => {
                    large(&world, number, 2020 + number % 2, &subject);
                    rows.insert(id(number), subject);
                }
            }
        }
        if below(2) == 0 {
            world.environment.sync("lake", &world.lake()).unwrap();
        }
        if below(3) == 0 {
            world = world.reopened();
        }
        world.snapshot();
        assert_eq!(subjects(&world), rows);
        assert_limited(&world);
        assert_whole(&world);
        seen.extend(partitions(&world.model()));
    }
    assert!(seen.len() > 6, "{seen:?}");
}

#[test]
fn a_limit_of_rows_holds_and_one_that_is_too_small_is_refused() {
    let world = World::new();
    let limits = |bytes_max, rows_max| FileOptions {
        bytes_max,
        rows_max,
        ..FileOptions::default()
    };
    for small in [limits(Some(LIMIT - 1), None), limits(None, Some(9_999))] {
        let tables = vec![LinkTableOptions::of("task")];
        let link = NewLink {
            files: small,
            ..NewLink::new("lake", "folder:lake", "https://contoso", tables)
        };
        let refused = world.environment.create_link(&world.lake(), &link);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    link_with(&world, limits(None, Some(10_000)), |_| ());
    let schema = world.environment.schema("task").unwrap();
    let places = ["taskid", "createdon"].map(|name| schema.require(name).unwrap());
    let mut transaction = world.environment.transaction();
    for number in 0..25_000 {
        let id = id(number);
        let values = [
            (places[0], lakestage_engine::Value::Text(&id)),
            (
                places[1],
                lakestage_engine::Value::Text("2021-01-01T00:00:00Z"),
            ),
        ];
        transaction
            .write(lakestage_engine::Write::Create, "task", &values)
            .unwrap();
    }
    transaction.commit().unwrap();
    world.snapshot();
    assert_eq!(partitions(&world.model()), ["2021", "2021_001", "2021_002"]);
    for path in world.named("task") {
        assert!(world.text(&path).lines().count() <= 10_000);
    }
    assert_eq!(world.rows("task").len(), 25_000);
}
