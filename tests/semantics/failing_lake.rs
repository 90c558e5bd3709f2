//! A lake that fails: whatever step of a snapshot it is, readers see whole snapshots, and the next one mends the rest.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use lakestage_engine::{Error, FolderLake, Lake, LakeEntry, Part, Result};

use crate::world::{World, id};

/// Fails at one change, before it is made or after it.
pub struct FailingLake {
    lake: FolderLake,
    changes: AtomicUsize,
    fails_at: usize,
    after_the_change: bool,
}

impl FailingLake {
    pub fn at(lake: FolderLake, fails_at: usize, after_the_change: bool) -> Self {
        FailingLake {
            lake,
            changes: AtomicUsize::new(0),
            fails_at,
            after_the_change,
        }
    }

    fn change(&self, make: impl FnOnce(&FolderLake) -> Result<()>) -> Result<()> {
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
