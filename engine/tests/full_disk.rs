//! A disk that is full, on a file system of its own: writing stops before anything is damaged, reading
//! goes on, and writing too once there is room.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/disk.rs"]
mod disk;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use disk::{Disk, Kind};
use lakestage_engine::{
    Depth, Environment, EnvironmentSettings, Error, ErrorKind, Lake, OpenOptions, Result,
    TableOptions, TableSchema, Value, Write,
};

const SMALL_MEBIBYTES: u32 = 48;
/// Large enough for the ballast of the journal.
const LARGE_MEBIBYTES: u32 = 160;
const NOTES_BYTES: usize = 90_000;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "notes", "type": "memo", "maxLength": 100000}]}"#;

fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn notes(number: u32) -> String {
    format!("{number:08}{}", "n".repeat(NOTES_BYTES))
}

struct World {
    disk: Disk,
    /// The commits that were acknowledged, a row each.
    rows: u32,
}

impl World {
    fn new(mebibytes: u32) -> Option<Self> {
        let disk = Disk::new(Kind::Ext4, mebibytes)?;
        Some(World { disk, rows: 0 })
    }

    fn folder(&self) -> PathBuf {
        self.disk.path().join("environment")
    }

    fn create(&self) -> Environment {
        let settings = EnvironmentSettings::new("contoso", "org1");
        let environment = Environment::create_with(&self.folder(), settings, options()).unwrap();
        let schema = TableSchema::from_json(TASK).unwrap();
        let options = TableOptions::default();
        environment.create_table(schema, options).unwrap();
        environment
    }

    fn open(&self) -> Result<Environment> {
        Environment::open_with(&self.folder(), options())
    }

    fn commit(&mut self, environment: &Environment) -> Result<()> {
        let schema = environment.schema("task")?;
        let (id, notes) = (id(self.rows), notes(self.rows));
        let row = [
            (schema.require("taskid")?, Value::Text(&id)),
            (schema.require("notes")?, Value::Text(&notes)),
        ];
        let mut transaction = environment.transaction();
        transaction.write(Write::Upsert, "task", &row)?;
        transaction.commit()?;
        self.rows += 1;
        Ok(())
    }

    fn commit_until_full(&mut self, environment: &Environment) {
        let error = loop {
            if let Err(error) = self.commit(environment) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }

    /// Everything that was acknowledged can be read, and nothing is damaged.
    fn check(&self, environment: &Environment) {
        for number in 0..self.rows {
            let row = environment
                .get("task", id(number).parse().unwrap())
                .unwrap();
            assert!(row.unwrap().cell("notes").unwrap().contains(&notes(number)));
        }
        let status = environment.status().unwrap();
        assert!(status.last_version >= u64::from(self.rows));
        let lakes = |_: &str, _: &str| -> Result<Box<dyn Lake>> { unreachable!() };
        let report = environment.verify(Depth::Full, &lakes).unwrap();
        assert_eq!(report.findings, []);
    }

    /// Fills what is left of the disk, as another program may.
    fn fill(&self) -> PathBuf {
        let path = self.disk.path().join("another-program");
        let mut file = File::create(&path).unwrap();
        for bytes in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
        file.sync_all().unwrap();
        path
    }
}

fn options() -> OpenOptions {
    OpenOptions {
        segment_bytes: 1 << 20,
        tail_bytes_max: 2 << 20,
        ..OpenOptions::default()
    }
}

fn reserve(path: &Path, mebibytes: u64) {
    let file = File::create(path).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, flags, 0, mebibytes << 20).unwrap();
}

#[test]
fn commits_stop_before_the_disk_is_full_and_go_on_once_there_is_room() {
    let Some(mut world) = World::new(SMALL_MEBIBYTES) else {
        return;
    };
    let other = world.disk.path().join("another-program");
    reserve(&other, 8);
    let environment = world.create();
    world.commit_until_full(&environment);
    assert!(world.rows > 10, "{}", world.rows);
    world.check(&environment);
    // It is no failure that must be reopened, and the next one fails as well.
    world.commit_until_full(&environment);
    fs::remove_file(&other).unwrap();
    world.commit(&environment).unwrap();
    world.commit_until_full(&environment);
    world.check(&environment);
    drop(environment);
    let environment = world.open().unwrap();
    world.check(&environment);
    world.commit_until_full(&environment);
}

#[test]
fn a_disk_that_others_filled_takes_no_commit_and_is_read() {
    let Some(mut world) = World::new(SMALL_MEBIBYTES) else {
        return;
    };
    let environment = world.create();
    (0..20).for_each(|_| world.commit(&environment).unwrap());
    let other = world.fill();
    world.commit_until_full(&environment);
    // A merge finds no room either, and leaves nothing behind.
    assert_eq!(environment.compact().unwrap_err().kind(), ErrorKind::Full);
    world.check(&environment);
    drop(environment);
    // Opening writes a little, so it says what it needs instead.
    assert_eq!(world.open().err().unwrap().kind(), ErrorKind::Full);
    fs::remove_file(&other).unwrap();
    let environment = world.open().unwrap();
    world.check(&environment);
    environment.compact().unwrap();
    world.commit(&environment).unwrap();
    world.check(&environment);
}

#[test]
fn space_is_released_on_a_full_disk_with_what_was_kept_aside_for_it() {
    let Some(mut world) = World::new(LARGE_MEBIBYTES) else {
        return;
    };
    let environment = world.create();
    (0..300).for_each(|_| world.commit(&environment).unwrap());
    environment.compact().unwrap();
    let segments = environment.status().unwrap().segment_bytes;
    assert!(segments > 20 << 20);
    drop(environment);
    let _other = world.fill();
    // The journal's ballast makes room for opening and for the metadata.
    let environment = world.open().unwrap();
    world.check(&environment);
    let mut retention = environment.retention();
    retention.bytes = Some(0);
    environment.set_retention(retention).unwrap();
    assert!(environment.status().unwrap().segment_bytes < segments);
    world.commit(&environment).unwrap();
    world.check(&environment);
}

#[test]
fn a_disk_that_is_filled_at_any_moment_loses_nothing_that_was_acknowledged() {
    let Some(mut world) = World::new(SMALL_MEBIBYTES) else {
        return;
    };
    drop(world.create());
    let over = AtomicBool::new(false);
    let other = world.disk.path().join("another-program");
    let end = Instant::now() + Duration::from_secs(4);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) && Instant::now() < end {
                if let Ok(mut file) = File::create(&other) {
                    while file.write_all(&[1; 256 << 10]).is_ok() {}
                }
                let _ = fs::remove_file(&other);
                thread::sleep(Duration::from_millis(2));
            }
        });
        while Instant::now() < end && world.rows < 200 {
            let Ok(environment) = world.open() else {
                continue;
            };
            while let Ok(()) | Err(Error::Full { .. }) = world.commit(&environment) {
                if Instant::now() > end || world.rows >= 200 {
                    break;
                }
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    let environment = world.open().unwrap();
    world.check(&environment);
}
