//! The trickle feed: what is near real time, what is hourly, and what failures and crashes do to it.

use std::collections::BTreeMap;

use lakestage_engine::{
    Environment, Lake, ManualClock, Result, TICKS_PER_SECOND, TrickleFeed, TrickleOptions,
    TrickleStep,
};

use crate::failing_lake::FailingLake;
use crate::world::{START_UNIX_S, World, id};

const OPTIONS: TrickleOptions = TrickleOptions {
    sync_every_s: 60,
    snapshot_every_s: 3_600,
};

fn world() -> World {
    let world = World::new();
    world.link(&["task", "member"]);
    world
}

fn feed(world: &World) -> TrickleFeed {
    TrickleFeed::new(&world.environment, "lake", OPTIONS).unwrap()
}

/// Moves the clock to when the feed works next, and lets it work.
fn next(world: &World, feed: &mut TrickleFeed, lake: &dyn Lake) -> Result<TrickleStep> {
    let due = feed.due();
    let now = now_unix_s(&world.clock);
    let wait = due.sync_unix_s.min(due.snapshot_unix_s) - now;
    world.clock.advance_s(wait.max(0));
    feed.step(lake)
}

fn now_unix_s(clock: &ManualClock) -> i64 {
    use lakestage_engine::Clock;
    clock.now_ticks() / TICKS_PER_SECOND
}

/// The subjects in the near-real-time files.
fn current(world: &World) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in world.lake().list("task").unwrap() {
        if entry.is_directory || entry.path.contains("/Snapshot/") {
            continue;
        }
        let text = world.text(&entry.path);
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.unwrap();
            found.insert(record[0].to_owned(), record[6].to_owned());
        }
    }
    found
}

fn published(world: &World) -> BTreeMap<String, String> {
    let rows = world.rows("task").into_iter();
    rows.map(|row| (row["Id"].clone(), row["subject"].clone()))
        .collect()
}

#[test]
fn near_real_time_files_follow_the_changes_while_model_json_stays_at_the_snapshot() {
    let world = world();
    let (mut feed, lake) = (feed(&world), world.lake());
    world.task(1, 2021, "one");
    assert!(matches!(
        next(&world, &mut feed, &lake),
        Ok(TrickleStep::Published(_))
    ));
    world.put("task", &[("taskid", &id(1)), ("subject", "changed")]);
    world.task(2, 2022, "two");
    assert!(
        matches!(feed.step(&lake), Ok(TrickleStep::Idle)),
        "it is not due"
    );
    let Ok(TrickleStep::Synced(report)) = next(&world, &mut feed, &lake) else {
        panic!("nothing was synced");
    };
    assert_eq!(report.files_written, ["task/2021.csv", "task/2022.csv"]);
    let changed = BTreeMap::from([(id(1), "changed".to_owned()), (id(2), "two".to_owned())]);
    assert_eq!(current(&world), changed);
    assert_eq!(
        published(&world),
        BTreeMap::from([(id(1), "one".to_owned())])
    );
    // The table's own model.json names the new partition at once.
    let own = world.text("Microsoft.Athena.TrickleFeedService/task-model.json");
    assert!(own.contains("task/2022.csv"));
    assert!(matches!(
        next(&world, &mut feed, &lake),
        Ok(TrickleStep::Unchanged)
    ));
    world.delete("task", 2);
    let Ok(TrickleStep::Synced(report)) = next(&world, &mut feed, &lake) else {
        panic!("nothing was synced");
    };
    assert_eq!(report.files_removed, ["task/2022.csv"]);
    assert!(lake.stat("task/2022.csv").unwrap().is_none());
}

#[test]
fn a_day_of_hourly_snapshots_has_one_an_hour_in_which_something_changed() {
    let world = world();
    let (mut feed, lake) = (feed(&world), world.lake());
    let mut numbers = Vec::new();
    let mut subject = String::new();
    while now_unix_s(&world.clock) < START_UNIX_S + 24 * 3_600 {
        let minute = (now_unix_s(&world.clock) - START_UNIX_S) / 60;
        // In every third hour nothing happens.
        if (minute / 60) % 3 != 2 && minute % 7 == 0 {
            subject = format!("minute {minute}");
            let number = minute as u32 % 50;
            world.task(number, 2020 + number % 3, &subject);
        }
        if let TrickleStep::Published(report) = next(&world, &mut feed, &lake).unwrap() {
            numbers.push((report.snapshot_unix_s - START_UNIX_S) / 3_600);
        }
    }
    let quiet: Vec<i64> = (0..24).filter(|hour| !numbers.contains(hour)).collect();
    // The snapshot of an hour shows what the hour before it changed.
    assert_eq!(quiet, [3, 6, 9, 12, 15, 18, 21]);
    assert_eq!(world.environment.snapshots("lake").unwrap().len(), 5);
    assert!(current(&world).values().any(|found| *found == subject));
}

#[test]
fn a_feed_that_is_started_again_goes_on_at_its_hour() {
    let world = world();
    let lake = world.lake();
    world.task(1, 2021, "one");
    let mut first = feed(&world);
    next(&world, &mut first, &lake).unwrap();
    world.task(2, 2021, "two");
    world.clock.advance_s(1_800);
    first.step(&lake).unwrap();
    drop(first);
    let world = world.reopened();
    let mut again = feed(&world);
    assert_eq!(again.due().snapshot_unix_s, START_UNIX_S + 3_600);
    // What was synced before is not written again.
    assert!(matches!(again.step(&lake), Ok(TrickleStep::Unchanged)));
    world.clock.advance_s(1_800);
    assert!(matches!(again.step(&lake), Ok(TrickleStep::Published(_))));
    assert_eq!(published(&world), current(&world));
}

#[test]
fn what_fails_is_tried_again_later_each_time() {
    let world = world();
    world.task(1, 2021, "one");
    let mut feed = feed(&world);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let lake = FailingLake::at(world.lake(), 0, false);
        match next(&world, &mut feed, &lake).unwrap() {
            TrickleStep::Failed { retry_after_s, .. } => waits.push(retry_after_s),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(matches!(
        next(&world, &mut feed, &world.lake()),
        Ok(TrickleStep::Published(_))
    ));
    assert_eq!(published(&world).len(), 1);
}

#[test]
fn a_sync_that_fails_at_any_step_is_brought_to_its_end_by_the_next() {
    for after_the_change in [false, true] {
        for step in 0.. {
            let world = world();
            world.task(1, 2020, "goes");
            world.task(2, 2021, "one");
            world.environment.sync("lake", &world.lake()).unwrap();
            world.delete("task", 1);
            world.put("task", &[("taskid", &id(2)), ("subject", "changed")]);
            world.task(3, 2022, "new");
            let lake = FailingLake::at(world.lake(), step, after_the_change);
            let failed = world.environment.sync("lake", &lake).is_err();
            world.environment.sync("lake", &world.lake()).unwrap();
            let expected =
                BTreeMap::from([(id(2), "changed".to_owned()), (id(3), "new".to_owned())]);
            assert_eq!(
                current(&world),
                expected,
                "after a failure at change {step}"
            );
            if !failed {
                assert!(step >= 3, "only {step} changes could fail");
                break;
            }
        }
    }
}

#[test]
fn a_feed_waits_while_its_link_is_paused() {
    let world = world();
    let (mut feed, lake) = (feed(&world), world.lake());
    world.task(1, 2021, "one");
    world.environment.pause_link("lake").unwrap();
    assert!(matches!(
        next(&world, &mut feed, &lake),
        Ok(TrickleStep::Idle)
    ));
    world.environment.resume_link("lake").unwrap();
    assert!(matches!(
        next(&world, &mut feed, &lake),
        Ok(TrickleStep::Published(_))
    ));
    let no_interval = TrickleOptions {
        sync_every_s: 0,
        ..OPTIONS
    };
    assert!(TrickleFeed::new(&world.environment, "lake", no_interval).is_err());
    let environment: &Environment = &world.environment;
    environment.unlink("lake", &lake, true).unwrap();
    world.clock.advance_s(7_200);
    assert!(feed.step(&lake).is_err(), "the link is gone");
}
