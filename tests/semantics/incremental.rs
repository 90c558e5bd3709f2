//! Links that write what changed into folders: what readers of the real ones rely on, and what failures do to it.

use std::collections::BTreeMap;

use lakestage_engine::{
    Depth, Environment, FolderLake, Lake, LinkTableOptions, Mode, NewLink, Result, TableSchema,
    TrickleFeed, TrickleStep, restore, salvage,
};

use crate::failing_lake::FailingLake;
use crate::world::{TASK, World, id};

const FIRST: &str = "2023-11-14T22.13.20Z";
const EVERY_S: u32 = 900;

fn try_link(world: &World, every_s: u32, tables: Vec<LinkTableOptions>) -> Result<()> {
    let new = NewLink {
        incremental_every_s: Some(every_s),
        ..NewLink::new("lake", "folder:lake", "https://contoso", tables)
    };
    world.environment.create_link(&world.lake(), &new)
}

fn world() -> World {
    let world = World::new();
    let tables = ["task", "member"].map(LinkTableOptions::of).to_vec();
    try_link(&world, EVERY_S, tables).unwrap();
    world
}

/// All files of the lake with their bytes.
fn files(world: &World) -> BTreeMap<String, Vec<u8>> {
    let lake = world.lake();
    let entries = lake.list("").unwrap().into_iter();
    entries
        .filter(|entry| !entry.is_directory)
        .map(|entry| {
            let bytes = lake.read(&entry.path).unwrap().unwrap();
            (entry.path, bytes)
        })
        .collect()
}

/// The data files of a folder.
fn data(world: &World, folder: &str) -> Vec<String> {
    let files = files(world).into_keys();
    files
        .filter_map(|path| {
            Some(
                path.strip_prefix(folder)?
                    .trim_start_matches('/')
                    .to_owned(),
            )
        })
        .filter(|path| path.starts_with("task/") || path.starts_with("member/"))
        .collect()
}

fn closed(world: &World) -> Vec<String> {
    let log = world.text("Changelog/Synapse.log");
    log.split(',').map(str::to_owned).collect()
}

/// The last cells of the lines of a file.
fn is_delete(world: &World, path: &str) -> Vec<String> {
    let text = world.text(path);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let records = reader.records();
    records
        .map(|record| record.unwrap().iter().next_back().unwrap().to_owned())
        .collect()
}

#[test]
fn a_folder_holds_what_changed_in_its_interval_by_year_and_deletes_apart() {
    let world = world();
    world.task(1, 2021, "one");
    world.task(2, 2022, "two");
    world.put("member", &[("memberid", &id(1))]);
    let report = world.snapshot();
    assert_eq!((report.rows, report.files_written.len()), (3, 3));
    assert_eq!(
        data(&world, FIRST),
        ["member/1900.csv", "task/2021.csv", "task/2022.csv"]
    );
    world.put("task", &[("taskid", &id(1)), ("subject", "changed")]);
    world.delete("task", 2);
    world.snapshot();
    let second = closed(&world)[1].clone();
    assert_eq!(data(&world, &second), ["task/1.csv", "task/2021.csv"]);
    assert_eq!(is_delete(&world, &format!("{second}/task/1.csv")), ["True"]);
    let upserts = format!("{second}/task/2021.csv");
    assert_eq!(is_delete(&world, &upserts), [""]);
    assert!(world.text(&upserts).contains("\"changed\""));
}

#[test]
fn changelog_names_the_open_folder_and_the_log_the_complete_ones() {
    let world = world();
    for number in 1..=3 {
        world.task(number, 2021, "one");
        world.snapshot();
    }
    let closed = closed(&world);
    assert_eq!((closed.len(), closed[0].as_str()), (3, FIRST));
    let open = world.text("Changelog/changelog.info");
    let mut names: Vec<&str> = closed.iter().map(String::as_str).collect();
    names.push(&open);
    assert!(
        names.is_sorted_by(|a, b| a < b),
        "names must rise: {names:?}"
    );
    for folder in &closed {
        let model: serde_json::Value =
            serde_json::from_str(&world.text(&format!("{folder}/model.json"))).unwrap();
        let entities = model["entities"].as_array().unwrap();
        let task = entities.iter().find(|e| e["name"] == "task").unwrap();
        let location = task["partitions"][0]["location"].as_str().unwrap();
        assert!(location.ends_with(&format!("/{folder}/task/2021.csv")));
        world.text(&format!(
            "{folder}/Microsoft.Athena.TrickleFeedService/task-model.json"
        ));
    }
    assert!(files(&world).keys().all(|path| !path.starts_with(&open)));
    let root = world.model();
    assert_eq!(root["entities"].as_array().unwrap().len(), 2);
    assert_eq!(
        root["entities"][1]["partitions"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn an_interval_without_changes_leaves_no_folder() {
    let world = world();
    assert!(!world.snapshot().changed);
    assert!(files(&world).is_empty());
    world.task(1, 2021, "one");
    world.snapshot();
    let before = files(&world);
    assert!(!world.snapshot().changed);
    assert_eq!(files(&world), before);
}

#[test]
fn the_first_folder_of_a_link_has_every_row_that_is_there() {
    let world = World::new();
    world.task(1, 2021, "one");
    world.task(2, 2021, "gone");
    world.delete("task", 2);
    try_link(&world, EVERY_S, vec![LinkTableOptions::of("task")]).unwrap();
    world.task(3, 2022, "three");
    world.snapshot();
    assert_eq!(data(&world, FIRST), ["task/2021.csv", "task/2022.csv"]);
    assert!(
        world
            .text(&format!("{FIRST}/task/2021.csv"))
            .contains("\"one\"")
    );
}

#[test]
fn folders_come_every_5_minutes_to_24_hours_and_tables_take_no_options() {
    let world = World::new();
    for every_s in [299, 86_401] {
        let error = try_link(&world, every_s, vec![LinkTableOptions::of("task")]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("300 to 86400 s"), "{error}");
    }
    let in_place = LinkTableOptions {
        mode: Some(Mode::InPlace),
        ..LinkTableOptions::of("task")
    };
    let error = try_link(&world, EVERY_S, vec![in_place]).unwrap_err();
    assert!(error.to_string().contains("takes no options"), "{error}");
    try_link(&world, 300, vec![LinkTableOptions::of("task")]).unwrap();
    let error = world.environment.sync("lake", &world.lake()).unwrap_err();
    assert!(error.to_string().contains("writes folders"), "{error}");
    let error = world.environment.snapshots("lake").unwrap_err();
    assert!(error.to_string().contains("has no snapshots"), "{error}");
}

#[test]
fn the_trickle_feed_closes_a_folder_at_each_interval() {
    let world = world();
    let options = lakestage_engine::TrickleOptions {
        sync_every_s: 1,
        snapshot_every_s: 1,
    };
    let mut feed = TrickleFeed::new(&world.environment, "lake", options).unwrap();
    world.task(1, 2021, "one");
    let step = feed.step(&world.lake()).unwrap();
    assert!(matches!(step, TrickleStep::Published(_)));
    world.task(2, 2021, "two");
    world.clock.advance_s(i64::from(EVERY_S) - 1);
    assert!(matches!(feed.step(&world.lake()), Ok(TrickleStep::Idle)));
    world.clock.advance_s(1);
    let step = feed.step(&world.lake()).unwrap();
    assert!(matches!(step, TrickleStep::Published(_)));
    assert_eq!(closed(&world).len(), 2);
}

/// Closes the second folder on a lake that fails at a step; gives whether the failure came.
fn fail_and_mend(expected: &BTreeMap<String, Vec<u8>>, fails_at: usize, after: bool) -> bool {
    let world = two_intervals();
    let lake = FailingLake::at(world.lake(), fails_at, after);
    let failed = world.environment.snapshot("lake", &lake).is_err();
    for folder in closed(&world) {
        // A folder that is named is whole.
        for (path, bytes) in expected
            .iter()
            .filter(|(path, _)| path.starts_with(&folder))
        {
            assert_eq!(
                files(&world).get(path),
                Some(bytes),
                "failure at {fails_at}"
            );
        }
    }
    let open = world.text("Changelog/changelog.info");
    assert!(closed(&world).iter().all(|folder| *folder <= open));
    // Time passes, and the process is another.
    world.clock.advance_s(5);
    let world = world.reopened();
    assert_eq!(world.snapshot().changed, failed);
    assert_eq!(&files(&world), expected, "after a failure at {fails_at}");
    failed
}

fn two_intervals() -> World {
    let world = world();
    world.task(1, 2021, "one");
    world.task(2, 2022, "two");
    world.snapshot();
    world.task(3, 2021, "three");
    world.delete("task", 2);
    world.put("member", &[("memberid", &id(1))]);
    world.clock.advance_s(1);
    world
}

#[test]
fn a_lake_that_fails_at_any_step_names_whole_folders_and_is_mended_with_the_same_bytes() {
    let whole = two_intervals();
    whole.environment.snapshot("lake", &whole.lake()).unwrap();
    let expected = files(&whole);
    for after in [false, true] {
        let steps = (0..)
            .take_while(|step| fail_and_mend(&expected, *step, after))
            .count();
        assert!(steps >= 8, "only {steps} changes could fail");
    }
}

#[test]
fn tables_come_and_go_without_touching_folders_that_are_complete() {
    let world = World::new();
    try_link(&world, EVERY_S, vec![LinkTableOptions::of("task")]).unwrap();
    world.task(1, 2021, "one");
    world.snapshot();
    let first: BTreeMap<_, _> = files(&world)
        .into_iter()
        .filter(|(path, _)| path.starts_with(FIRST))
        .collect();
    world.put("member", &[("memberid", &id(1))]);
    let added = [LinkTableOptions::of("member")];
    world
        .environment
        .add_link_tables("lake", &world.lake(), &added)
        .unwrap();
    world.snapshot();
    let second = closed(&world)[1].clone();
    assert_eq!(data(&world, &second), ["member/1900.csv"]);
    let gone = ["task".to_owned()];
    world
        .environment
        .remove_link_tables("lake", &world.lake(), &gone)
        .unwrap();
    world.task(2, 2021, "two");
    assert!(!world.snapshot().changed);
    let now = files(&world);
    assert!(
        first
            .iter()
            .all(|(path, bytes)| now.get(path) == Some(bytes))
    );
}

#[test]
fn what_a_folder_waits_for_is_verified_backed_up_and_salvaged() {
    let world = two_intervals();
    let lake = FailingLake::at(world.lake(), 0, false);
    assert!(world.environment.snapshot("lake", &lake).is_err());
    let folder = world.folder.path().to_owned();
    world
        .environment
        .backup(&folder.join("backup"), false)
        .unwrap();
    let lakes = |_: &str, filesystem: &str| {
        let lake = FolderLake::new(&folder.join("lake"), filesystem);
        Ok(Box::new(lake) as Box<dyn Lake>)
    };
    let found = world.environment.verify(Depth::Full, &lakes).unwrap();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    let World {
        folder: _kept,
        environment,
        ..
    } = world;
    drop(environment);
    restore(&folder.join("backup"), &folder.join("restored")).unwrap();
    salvage(&folder.join("environment"), &folder.join("salvaged")).unwrap();
    for copy in ["restored", "salvaged"] {
        let environment = Environment::open(&folder.join(copy)).unwrap();
        environment.resume_link("lake").unwrap();
        let name = environment.filesystem_name();
        let lake = FolderLake::new(&folder.join("lake"), &name);
        let report = environment.snapshot("lake", &lake).unwrap();
        assert!(report.changed, "{copy}");
        let found = environment.verify(Depth::Full, &lakes).unwrap();
        assert!(found.findings.is_empty(), "{copy}: {:?}", found.findings);
    }
}

#[test]
fn a_changed_schema_shows_at_the_root_without_a_folder() {
    let world = world();
    world.task(1, 2021, "one");
    world.snapshot();
    let before = files(&world);
    let wider = TASK.replace(
        r#"{"name": "done""#,
        r#"{"name": "extra", "type": "integer"}, {"name": "done""#,
    );
    let wider = TableSchema::from_json(&wider).unwrap();
    world.environment.alter_table(&wider).unwrap();
    assert!(!world.snapshot().changed);
    let after = files(&world);
    assert!(before.keys().eq(after.keys()));
    let names = world.entity("task")["attributes"].to_string();
    assert!(names.contains("extra"), "{names}");
    assert_eq!(
        before[&format!("{FIRST}/model.json")],
        after[&format!("{FIRST}/model.json")]
    );
    world.task(2, 2021, "two");
    world.snapshot();
    assert_eq!(closed(&world).len(), 2);
}
