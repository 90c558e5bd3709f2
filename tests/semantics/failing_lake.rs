//! A lake that fails: whatever step of a snapshot it is, readers see whole snapshots, and the next one mends the rest.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use lakestage_engine::{
    Error, ErrorKind, FolderLake, Lake, LakeEntry, LinkTableOptions, NewLink, Part, Result,
};

use crate::world::{World, id};

/// Fails at one change, before it is made or after it.
pub struct FailingLake {
    lake: FolderLake,
    changes: AtomicUsize,
    fails_at: usize,
    after_the_change: bool,
    /// Called before each change.
    watch: Box<dyn Fn() + Send + Sync>,
}

impl FailingLake {
    pub fn at(lake: FolderLake, fails_at: usize, after_the_change: bool) -> Self {
        FailingLake {
            lake,
            changes: AtomicUsize::new(0),
            fails_at,
            after_the_change,
            watch: Box::new(|| ()),
        }
    }

    /// Never fails, and has somebody look before each change.
    fn watched(lake: FolderLake, watch: impl Fn() + Send + Sync + 'static) -> Self {
        FailingLake {
            watch: Box::new(watch),
            ..Self::at(lake, usize::MAX, false)
        }
    }

    /// Fails as [`at`](Self::at) says, and has somebody look before each change.
    pub fn watched_at(
        lake: FolderLake,
        (fails_at, after_the_change): (usize, bool),
        watch: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        FailingLake {
            watch: Box::new(watch),
            ..Self::at(lake, fails_at, after_the_change)
        }
    }

    fn change(&self, make: impl FnOnce(&FolderLake) -> Result<()>) -> Result<()> {
        (self.watch)();
        let fails = self.changes.fetch_add(1, Ordering::SeqCst) == self.fails_at;
        if !fails || self.after_the_change {
            make(&self.lake)?;
        }
        match fails {
            true => Err(Error::Lake("it was told to fail".into())),
            false => Ok(()),
        }
    }
}

impl Lake for FailingLake {
    fn describe(&self) -> String {
        self.lake.describe()
    }

    fn create(&self) -> Result<bool> {
        self.lake.create()
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.change(|lake| lake.create_directory(path))
    }

    fn write(&self, path: &str, parts: &[Part<'_>], content_type: &str) -> Result<LakeEntry> {
        let mut entry = None;
        self.change(|lake| {
            entry = Some(lake.write(path, parts, content_type)?);
            Ok(())
        })?;
        entry.ok_or_else(|| Error::Lake("nothing was written".into()))
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.change(|lake| lake.copy(from, to))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.change(|lake| lake.rename(from, to))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.change(|lake| lake.delete(path))
    }

    fn delete_directory(&self, path: &str) -> Result<()> {
        self.change(|lake| lake.delete_directory(path))
    }

    fn destroy(&self) -> Result<()> {
        self.change(Lake::destroy)
    }

    fn list(&self, path: &str) -> Result<Vec<LakeEntry>> {
        self.lake.list(path)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.lake.read(path)
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.lake.open(path)
    }

    fn stat(&self, path: &str) -> Result<Option<LakeEntry>> {
        self.lake.stat(path)
    }
}

/// T1 is published; what T2 will show adds a partition, changes one and empties one.
fn changed_world() -> World {
    let world = World::new();
    world.link(&["task", "member"]);
    world.task(1, 2020, "goes");
    world.task(2, 2021, "one");
    world.put("member", &[("memberid", &id(1))]);
    world.snapshot();
    world.delete("task", 1);
    world.put("task", &[("taskid", &id(2)), ("subject", "changed")]);
    world.task(3, 2022, "new");
    world
}

type Subjects = BTreeMap<String, String>;

fn subjects(world: &World) -> Subjects {
    let rows = world.rows("task").into_iter();
    rows.map(|row| (row["Id"].clone(), row["subject"].clone()))
        .collect()
}

fn files(world: &World) -> Vec<String> {
    let entries = world.lake().list("").unwrap().into_iter();
    entries
        .filter(|entry| !entry.is_directory)
        .map(|entry| entry.path)
        .collect()
}

/// Runs the second snapshot with a failure; gives whether the failure came.
fn fail_and_mend(fails_at: usize, after_the_change: bool) -> bool {
    let world = changed_world();
    let before = subjects(&world);
    let lake = FailingLake::at(world.lake(), fails_at, after_the_change);
    world.clock.advance_s(1);
    let failed = world.environment.snapshot("lake", &lake).is_err();
    let after = Subjects::from([(id(2), "changed".to_owned()), (id(3), "new".to_owned())]);
    let seen = subjects(&world);
    assert!(
        seen == before || seen == after,
        "a failure at change {fails_at} shows a mixture: {seen:?}"
    );
    world.snapshot();
    assert_eq!(subjects(&world), after);
    let files = files(&world);
    let current: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|path| path.starts_with("task/2"))
        .collect();
    assert_eq!(
        current,
        ["task/2021.csv", "task/2022.csv"],
        "after a failure at change {fails_at}"
    );
    // Every snapshot file belongs to T1 or to the one that is named now.
    let t1 = crate::world::START_UNIX_S + 1;
    let named = world.named("task");
    for path in files
        .iter()
        .filter(|path| path.starts_with("task/Snapshot/"))
    {
        let is_t1 = path.ends_with(&format!("_{t1}.csv"));
        assert!(
            is_t1 || named.contains(path),
            "{path} was left behind by a failure at change {fails_at}"
        );
    }
    failed
}

#[test]
fn a_lake_that_fails_at_any_step_shows_whole_snapshots_and_is_mended() {
    for after_the_change in [false, true] {
        let steps = (0..)
            .take_while(|step| fail_and_mend(*step, after_the_change))
            .count();
        assert!(steps >= 6, "only {steps} changes could fail");
    }
}

/// What a reader of `model.json` finds in every file that it names.
fn named_files(world: &World, tables: &[&str]) -> BTreeMap<String, String> {
    let named = tables.iter().flat_map(|table| world.named(table));
    named
        .map(|path| (path.clone(), world.text(&path)))
        .collect()
}

/// The tables that `model.json` names.
fn shown_tables(world: &World) -> Vec<String> {
    let model = world.model();
    let entities = model["entities"].as_array().unwrap().iter();
    entities
        .map(|e| e["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Takes a table out of the link with a failure; gives whether the failure came.
fn fail_and_take_out(fails_at: usize, after_the_change: bool) -> bool {
    let world = changed_world();
    let lake = FailingLake::at(world.lake(), fails_at, after_the_change);
    let member = ["member".to_owned()];
    world.clock.advance_s(1);
    let removed = world.environment.remove_link_tables("lake", &lake, &member);
    // Whatever is shown is there whole.
    let tables = shown_tables(&world);
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    assert!(tables == ["member", "task"] || tables == ["task"]);
    named_files(&world, &tables);
    let failed = removed.is_err();
    if failed {
        let status = world.environment.link("lake").unwrap();
        let is_there = status.tables.iter().find(|table| table.name == "task");
        assert_eq!(is_there.unwrap().state, "CompletedWithFailures");
        assert!(status.last_failure.unwrap().contains("told to fail"));
        // Either the failure came before it was visible, or the second try finds it done.
        let again = world
            .environment
            .remove_link_tables("lake", &world.lake(), &member);
        assert!(again.is_ok_and(|r| r.changed) || shown_tables(&world) == ["task"]);
    }
    world.snapshot();
    assert_eq!(shown_tables(&world), ["task"]);
    let left = files(&world)
        .into_iter()
        .find(|path| path.starts_with("member/"));
    assert_eq!(left, None, "after a failure at change {fails_at}");
    failed
}

#[test]
fn a_lake_that_fails_while_a_table_leaves_shows_whole_files_and_is_mended() {
    for after_the_change in [false, true] {
        let steps = (0..)
            .take_while(|step| fail_and_take_out(*step, after_the_change))
            .count();
        assert!(steps >= 6, "only {steps} changes could fail");
    }
}

/// A link that keeps one snapshot, with a failure while the second takes the place of the first.
fn fail_and_expire(fails_at: usize, after_the_change: bool) -> bool {
    let world = World::new();
    let new = NewLink {
        snapshots_kept: Some(1),
        ..NewLink::new(
            "lake",
            "folder:lake",
            "https://contoso.dfs.core.windows.net:443",
            vec![LinkTableOptions::of("task")],
        )
    };
    world.environment.create_link(&world.lake(), &new).unwrap();
    for year in 2020..2024 {
        world.task(year, year, "one");
    }
    world.snapshot();
    for year in 2020..2023 {
        world.task(year, year, "two");
    }
    let lake = FailingLake::at(world.lake(), fails_at, after_the_change);
    world.clock.advance_s(1);
    let failed = world.environment.snapshot("lake", &lake).is_err();
    assert_eq!(named_files(&world, &["task"]).len(), 4);
    world.task(2023, 2023, "two");
    world.snapshot();
    let kept: Vec<String> = files(&world)
        .into_iter()
        .filter(|path| path.starts_with("task/Snapshot/"))
        .collect();
    let mut named = world.named("task");
    named.sort();
    assert_eq!(kept, named, "after a failure at change {fails_at}");
    failed
}

#[test]
fn a_lake_that_fails_while_old_snapshots_go_shows_whole_files_and_is_mended() {
    for after_the_change in [false, true] {
        let steps = (0..)
            .take_while(|step| fail_and_expire(*step, after_the_change))
            .count();
        assert!(steps >= 6, "only {steps} changes could fail");
    }
}

#[test]
fn a_link_tells_how_it_stands_with_each_table() {
    let world = World::new();
    world.link(&["task"]);
    let told = |world: &World| {
        let link = world.environment.link("lake").unwrap();
        (link.tables[0].state, link.last_failure.is_some())
    };
    let fail = |world: &World, fails_at| {
        let lake = FailingLake::at(world.lake(), fails_at, false);
        world.clock.advance_s(1);
        let error = world.environment.snapshot("lake", &lake).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    };
    world.task(1, 2020, "one");
    assert_eq!(told(&world), ("NotStarted", false));
    fail(&world, 0);
    assert_eq!(told(&world), ("InProgress", true));
    let environment = world.environment.clone();
    let publish_watched = |state: &'static str| {
        let environment = environment.clone();
        let lake = FailingLake::watched(world.lake(), move || {
            let link = environment.link("lake").unwrap();
            assert_eq!((link.tables[0].state, link.last_failure), (state, None));
        });
        world.clock.advance_s(1);
        world.environment.snapshot("lake", &lake).unwrap();
        assert!(lake.changes.load(Ordering::SeqCst) >= 3);
    };
    publish_watched("InProgress");
    assert_eq!(told(&world), ("Completed", false));
    world.task(1, 2020, "changed");
    publish_watched("PostProcessing");
    assert_eq!(told(&world), ("Completed", false));
    assert!(world.text("model.json").contains("\"Completed\""));
    world.task(2, 2020, "two");
    fail(&world, 1);
    assert_eq!(told(&world), ("CompletedWithFailures", true));
    // What was cut off is known after reopening, its reason is not.
    drop(environment);
    let world = world.reopened();
    assert_eq!(told(&world), ("CompletedWithFailures", false));
    world.environment.pause_link("lake").unwrap();
    assert_eq!(told(&world), ("Paused", false));
    world.environment.resume_link("lake").unwrap();
    world.snapshot();
    assert_eq!(told(&world), ("Completed", false));
}
