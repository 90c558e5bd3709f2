//! A link's life: tables come and go, it rests, it ends; and a lake that somebody else's hand was in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use lakestage::EmulatorLake;
use lakestage::emulator::{DEFAULT_ACCOUNT_NAME, Store, StoreOptions};
use lakestage_engine::{
    Activity, DeletePartition, Depth, ErrorKind, Granularity, Lake, LinkTableOptions, Mode,
    SnapshotAt,
};

use crate::world::{World, id};

fn world() -> World {
    let world = World::new();
    world.link(&["task", "member"]);
    world.task(1, 2021, "one");
    world.task(2, 2022, "two");
    world.put("member", &[("memberid", &id(1))]);
    world.snapshot();
    world
}

fn files(world: &World) -> Vec<String> {
    let entries = world.lake().list("").unwrap().into_iter();
    let files = entries.filter(|entry| !entry.is_directory);
    files.map(|entry| entry.path).collect()
}

fn tables(world: &World) -> Vec<String> {
    let model = world.model();
    let entities = model["entities"].as_array().unwrap();
    let name = |e: &serde_json::Value| e["name"].as_str().unwrap().to_owned();
    entities.iter().map(name).collect()
}

fn remove(world: &World, table: &str) -> lakestage_engine::Result<()> {
    world.clock.advance_s(1);
    world
        .environment
        .remove_link_tables("lake", &world.lake(), &[table.to_owned()])
        .map(drop)
}

fn path(world: &World, path: &str) -> PathBuf {
    let lake = world.folder.path().join("lake");
    lake.join(world.environment.filesystem_name()).join(path)
}

#[test]
fn a_table_that_leaves_a_link_takes_its_folder_with_it_and_model_json_forgets_it_first() {
    let world = world();
    world.task(3, 2023, "three");
    world.snapshot();
    remove(&world, "task").unwrap();
    assert_eq!(tables(&world), ["member"]);
    let left = files(&world);
    assert!(left.iter().all(|path| !path.contains("task")), "{left:?}");
    assert!(world.lake().stat("task").unwrap().is_none());
    // Only snapshots whose files are all there can be read.
    assert_eq!(world.environment.snapshots("lake").unwrap().len(), 1);
    assert_eq!(world.rows("member").len(), 1);
    let error = remove(&world, "task").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = remove(&world, "member").unwrap_err();
    assert!(error.to_string().contains("unlink"), "{error}");
}

#[test]
fn a_table_comes_back_to_a_link_with_other_settings() {
    let world = world();
    let by_month = LinkTableOptions {
        granularity: Some(Granularity::Month),
        ..LinkTableOptions::of("task")
    };
    let add = |options: &LinkTableOptions| {
        world
            .environment
            .add_link_tables("lake", &world.lake(), std::slice::from_ref(options))
    };
    // As long as a table is in a link its settings are fixed.
    assert_eq!(add(&by_month).unwrap_err().kind(), ErrorKind::AlreadyExists);
    remove(&world, "task").unwrap();
    add(&by_month).unwrap();
    let link = world.environment.link("lake").unwrap();
    assert_eq!(link.tables[1].state, "NotStarted");
    world.snapshot();
    assert_eq!(tables(&world), ["member", "task"]);
    assert!(files(&world).contains(&"task/2021-03.csv".to_owned()));
    assert_eq!(world.rows("task").len(), 2);
    assert_eq!(
        world.environment.link("lake").unwrap().tables[1].state,
        "Completed"
    );
    let untracked = add(&LinkTableOptions::of("log")).unwrap_err();
    assert!(
        untracked.to_string().contains("change tracking"),
        "{untracked}"
    );
    let append_only = LinkTableOptions {
        mode: Some(Mode::AppendOnly),
        deletes: DeletePartition::Original,
        ..LinkTableOptions::of("task")
    };
    remove(&world, "task").unwrap();
    add(&append_only).unwrap();
    world.snapshot();
    world.delete("task", 1);
    world.snapshot();
    assert_eq!(world.rows("task").len(), 3);
}

#[test]
fn a_table_stays_while_a_pin_or_a_reader_needs_it() {
    let world = world();
    let environment = &world.environment;
    let pin = environment.pin_snapshot("lake", SnapshotAt::Newest, "audit", None);
    assert_eq!(pin.unwrap().pins.len(), 1);
    let error = remove(&world, "task").unwrap_err().to_string();
    assert!(error.contains("unpin audit"), "{error}");
    environment.unpin_snapshot("lake", "audit").unwrap();
    let lake = world.lake();
    let reader = environment
        .open_snapshot("lake", &lake, SnapshotAt::Newest)
        .unwrap();
    assert_eq!(
        remove(&world, "task").unwrap_err().kind(),
        ErrorKind::Conflict
    );
    drop(reader);
    remove(&world, "task").unwrap();
}

#[test]
fn a_paused_link_publishes_nothing_and_loses_nothing() {
    let world = world();
    world.environment.pause_link("lake").unwrap();
    world.task(3, 2023, "three");
    let world = world.reopened();
    let error = world
        .environment
        .snapshot("lake", &world.lake())
        .unwrap_err();
    assert!(error.to_string().contains("link resume lake"), "{error}");
    let status = world.environment.link("lake").unwrap();
    assert_eq!(
        (status.activity, status.lag_versions),
        (Activity::Paused, 1)
    );
    assert_eq!(status.tables[0].state, "Paused");
    world.environment.resume_link("lake").unwrap();
    world.snapshot();
    assert_eq!(world.rows("task").len(), 3);
    assert_eq!(world.environment.link("lake").unwrap().lag_versions, 0);
}

#[test]
fn an_unlinked_lake_stays_as_it_is_and_must_go_before_it_is_linked_again() {
    let world = world();
    let before = files(&world);
    world
        .environment
        .unlink("lake", &world.lake(), false)
        .unwrap();
    assert!(world.environment.links().is_empty());
    assert_eq!(files(&world), before);
    let error = world
        .try_link(vec![LinkTableOptions::of("task")])
        .unwrap_err();
    assert!(error.to_string().contains("holds files already"), "{error}");
    world.lake().destroy().unwrap();
    world.link(&["task"]);
    world.snapshot();
    assert_eq!(world.rows("task").len(), 2);
}

#[test]
fn unlinking_with_the_data_removes_the_filesystem_and_the_environment_can_be_linked_again() {
    let world = world();
    world
        .environment
        .unlink("lake", &world.lake(), true)
        .unwrap();
    assert!(!path(&world, "").exists());
    world.link(&["task", "member"]);
    world.snapshot();
    assert_eq!(world.rows("task").len(), 2);
}

#[test]
fn what_somebody_else_removed_or_changed_is_put_right_by_the_next_snapshot() {
    let world = world();
    let named = world.named("task");
    let removed = named[0].clone();
    let damage: [(&str, &dyn Fn()); 4] = [
        (&removed, &|| {
            fs::remove_file(path(&world, &removed)).unwrap()
        }),
        ("task/2022.csv", &|| {
            fs::remove_file(path(&world, "task/2022.csv")).unwrap()
        }),
        ("member/Snapshot", &|| {
            // The same length, so that only the ETag tells.
            let file = path(&world, &world.named("member")[0]);
            let bytes = fs::read(&file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&file, vec![b'x'; bytes.len()]).unwrap();
        }),
        ("model.json", &|| {
            let file = path(&world, "model.json");
            fs::remove_file(&file).unwrap();
            fs::write(&file, "{}").unwrap();
        }),
    ];
    assert!(!world.snapshot().changed);
    for (what, make) in damage {
        make();
        let report = world.snapshot();
        assert_eq!(report.repaired.len(), 1, "{what}: {report:?}");
        assert!(report.repaired[0].starts_with(what), "{report:?}");
        let subjects: Vec<String> = world
            .rows("task")
            .iter()
            .map(|r| r["subject"].clone())
            .collect();
        assert_eq!(subjects, ["one", "two"], "{what}");
        assert_eq!(world.rows("member")[0]["Id"], id(1), "{what}");
        assert!(path(&world, "task/2022.csv").exists());
        assert!(!world.snapshot().changed, "{what}");
    }
}

#[test]
fn a_filesystem_that_is_gone_is_made_and_published_anew() {
    let world = world();
    let listed = |lake: &dyn Lake| -> Vec<(String, Vec<u8>)> {
        let entries = lake.list("").unwrap().into_iter();
        let files = entries.filter(|entry| !entry.is_directory);
        let mut files: Vec<_> = files
            .map(|entry| (entry.path.clone(), lake.read(&entry.path).unwrap().unwrap()))
            .collect();
        files.sort();
        files
    };
    let expected = listed(&world.lake());
    let store = Store::open(StoreOptions {
        folder: Some(world.folder.path().join("emulator")),
        ..StoreOptions::default()
    })
    .unwrap();
    let name = world.environment.filesystem_name();
    let emulator = EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, &name);
    world.lake().destroy().unwrap();
    for lake in [&emulator as &dyn Lake, &world.lake()] {
        world.clock.advance_s(1);
        let report = world.environment.snapshot("lake", lake).unwrap();
        assert!(report.changed && !report.repaired.is_empty());
        let (found, named) = (listed(lake), report.files_written.len());
        assert_eq!(found.len(), expected.len());
        assert!(
            named > 0
                && expected.iter().all(|(path, bytes)| {
                    path.contains("Snapshot/")
                        || path.ends_with("model.json")
                        || found.contains(&(path.clone(), bytes.clone()))
                })
        );
        let again = world.environment.snapshot("lake", lake).unwrap();
        assert!(!again.changed);
        assert_eq!(world.environment.snapshots("lake").unwrap().len(), 1);
    }
    world.environment.pause_link("lake").unwrap();
    world.lake().destroy().unwrap();
    assert!(world.environment.snapshot("lake", &world.lake()).is_err());
    assert!(listed(&world.lake()).is_empty());
    let lakes = |_: &str, filesystem: &str| {
        let lake = EmulatorLake::new(&store, DEFAULT_ACCOUNT_NAME, filesystem);
        Ok(Box::new(lake) as Box<dyn Lake>)
    };
    emulator.destroy().unwrap();
    let found = world.environment.verify(Depth::Full, &lakes).unwrap();
    assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
    world.environment.unlink("lake", &emulator, true).unwrap();
}
