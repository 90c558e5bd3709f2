//! Snapshots that are kept, pinned, read and compared.

use std::collections::BTreeMap;

use lakestage_engine::{
    ErrorKind, Lake, LinkTableOptions, NewLink, RowDifference, SnapshotAt, SnapshotInfo, difference,
};

use crate::world::{START_UNIX_S, World, id};

/// A world whose link keeps so many snapshots.
fn keeping(count: Option<u32>) -> World {
    let world = World::new();
    let tables = ["task", "member"].map(LinkTableOptions::of);
    let endpoint = "https://contoso.dfs.core.windows.net:443";
    let new = NewLink {
        snapshots_kept: count,
        ..NewLink::new("lake", "folder:lake", endpoint, tables.into())
    };
    world.environment.create_link(&world.lake(), &new).unwrap();
    world
}

fn publish(world: &World, subject: &str) {
    world.task(1, 2021, subject);
    world.snapshot();
}

fn snapshots(world: &World) -> Vec<SnapshotInfo> {
    world.environment.snapshots("lake").unwrap()
}

/// The numbers of the snapshot files of `task` that are there.
fn files(world: &World) -> Vec<i64> {
    let entries = world.lake().list("task/Snapshot").unwrap().into_iter();
    let numbers = entries.map(|entry| {
        let (_, number) = entry.path.rsplit_once('_').unwrap();
        number.strip_suffix(".csv").unwrap().parse::<i64>().unwrap() - START_UNIX_S
    });
    numbers.collect()
}

fn subject(world: &World, at: SnapshotAt) -> String {
    let lake = world.lake();
    let snapshot = world.environment.open_snapshot("lake", &lake, at).unwrap();
    let table = snapshot.table("task").unwrap();
    let place = table
        .columns
        .iter()
        .position(|c| c.name == "subject")
        .unwrap();
    let row = snapshot
        .rows(&table.files[0])
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    String::from_utf8(row[place].to_vec()).unwrap()
}

#[test]
fn the_newest_five_snapshots_are_kept_or_as_many_as_the_link_says() {
    for (count, left) in [(Some(5), 3..=7), (Some(1), 7..=7), (None, 1..=7)] {
        let world = match count {
            Some(5) => {
                let world = World::new();
                world.link(&["task", "member"]);
                world
            }
            _ => keeping(count),
        };
        for number in 1..=7 {
            publish(&world, &format!("T{number}"));
        }
        assert_eq!(files(&world), left.collect::<Vec<_>>());
        assert_eq!(snapshots(&world).len(), files(&world).len());
        assert_eq!(subject(&world, SnapshotAt::Newest), "T7");
    }
    let error = World::new()
        .environment
        .create_link(
            &World::new().lake(),
            &NewLink {
                snapshots_kept: Some(0),
                ..NewLink::new("lake", "", "", vec![LinkTableOptions::of("task")])
            },
        )
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_file_that_a_kept_snapshot_names_stays_however_old_it_is() {
    let world = keeping(Some(2));
    world.put("member", &[("memberid", &id(1))]);
    for number in 1..=5 {
        publish(&world, &format!("T{number}"));
    }
    // `member` has not changed since T1.
    let old = format!("member/Snapshot/1_{}.csv", START_UNIX_S + 1);
    assert_eq!(world.named("member"), std::slice::from_ref(&old));
    assert!(world.lake().read(&old).unwrap().is_some());
    assert_eq!(files(&world), [4, 5]);
}

#[test]
fn a_pinned_snapshot_outlives_the_others_until_its_pin_ends() {
    let world = keeping(Some(1));
    let pin = |at, name: &str, until| world.environment.pin_snapshot("lake", at, name, until);
    publish(&world, "T1");
    pin(SnapshotAt::Newest, "first", None).unwrap();
    publish(&world, "T2");
    pin(SnapshotAt::Newest, "second", Some(START_UNIX_S + 4)).unwrap();
    publish(&world, "T3");
    assert_eq!(files(&world), [1, 2, 3]);
    assert_eq!(subject(&world, SnapshotAt::Time(START_UNIX_S + 1)), "T1");
    assert_eq!(snapshots(&world)[0].pins[0].name, "first");
    publish(&world, "T4");
    assert_eq!(files(&world), [1, 4], "the second pin's time is over");
    world.environment.unpin_snapshot("lake", "first").unwrap();
    publish(&world, "T5");
    assert_eq!(files(&world), [5]);
    let gone = pin(SnapshotAt::Time(START_UNIX_S + 1), "late", None).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(
        gone.to_string().contains("the oldest that is kept"),
        "{gone}"
    );
    let over = pin(SnapshotAt::Newest, "over", Some(START_UNIX_S)).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::InvalidInput);
    let unknown = world
        .environment
        .unpin_snapshot("lake", "first")
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[test]
fn pins_survive_reopening() {
    let world = keeping(Some(1));
    publish(&world, "T1");
    world
        .environment
        .pin_snapshot("lake", SnapshotAt::Newest, "first", None)
        .unwrap();
    let world = world.reopened();
    publish(&world, "T2");
    publish(&world, "T3");
    assert_eq!(files(&world), [1, 3]);
}

#[test]
fn a_snapshot_that_a_reader_holds_stays_until_the_reader_goes() {
    let world = keeping(Some(1));
    publish(&world, "T1");
    let lake = world.lake();
    let environment = &world.environment;
    let reader = environment
        .open_snapshot("lake", &lake, SnapshotAt::Newest)
        .unwrap();
    publish(&world, "T2");
    publish(&world, "T3");
    let file = &reader.table("task").unwrap().files[0];
    assert_eq!(reader.rows(file).unwrap().count(), 1);
    assert_eq!(files(&world), [1, 3]);
    drop(reader);
    publish(&world, "T4");
    assert_eq!(files(&world), [4]);
}

#[test]
fn kept_snapshots_are_found_by_version_and_time() {
    let world = keeping(None);
    let first = world.task(1, 2021, "T1");
    world.snapshot();
    let second = world.task(1, 2021, "T2");
    world.snapshot();
    assert_eq!(
        subject(&world, SnapshotAt::Version(first.last_version)),
        "T1"
    );
    assert_eq!(
        subject(&world, SnapshotAt::Version(second.last_version)),
        "T2"
    );
    assert_eq!(subject(&world, SnapshotAt::Time(START_UNIX_S + 1)), "T1");
    assert_eq!(subject(&world, SnapshotAt::Previous), "T1");
    let lake = world.lake();
    let early = world
        .environment
        .open_snapshot("lake", &lake, SnapshotAt::Version(0));
    assert_eq!(early.err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn two_snapshots_are_compared_row_by_row() {
    let world = keeping(None);
    world.task(1, 2020, "stays");
    world.task(2, 2021, "changes");
    world.task(3, 2021, "goes");
    world.task(4, 2022, "is alone and goes");
    world.put("member", &[("memberid", &id(1))]);
    world.snapshot();
    world.put("task", &[("taskid", &id(2)), ("subject", "changed")]);
    world.delete("task", 3);
    world.delete("task", 4);
    world.task(5, 2021, "new");
    world.task(6, 2023, "new");
    world.put("member", &[("memberid", &id(1)), ("listid", &id(9))]);
    world.delete("member", 1);
    world.put("member", &[("memberid", &id(2))]);
    world.snapshot();
    let lake = world.lake();
    let open = |at| world.environment.open_snapshot("lake", &lake, at).unwrap();
    let mut told = BTreeMap::new();
    let found = difference(
        &open(SnapshotAt::Previous),
        &open(SnapshotAt::Newest),
        |table, id, change| {
            told.insert((table.to_owned(), id.to_owned()), change);
            Ok(())
        },
    )
    .unwrap();
    let task = |number, change| (("task".to_owned(), id(number)), change);
    let member = |number| (("member".to_owned(), id(number)), RowDifference::Added);
    let expected = BTreeMap::from([
        task(2, RowDifference::Updated),
        task(3, RowDifference::Deleted),
        task(4, RowDifference::Deleted),
        task(5, RowDifference::Created),
        task(6, RowDifference::Created),
        member(1),
        member(2),
    ]);
    assert_eq!(told, expected);
    let counts: Vec<_> = found
        .iter()
        .map(|t| {
            (
                &*t.table,
                t.created,
                t.updated,
                t.deleted,
                t.added,
                t.files_same,
            )
        })
        .collect();
    assert_eq!(counts, [("member", 0, 0, 0, 2, 0), ("task", 2, 1, 2, 0, 1)]);
    let same = difference(
        &open(SnapshotAt::Newest),
        &open(SnapshotAt::Newest),
        |_, _, _| panic!("nothing differs"),
    )
    .unwrap();
    assert!(same.iter().all(|table| table.files_compared == 0));
}
