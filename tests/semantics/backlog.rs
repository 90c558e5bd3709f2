//! Snapshots that are taken while a lake is away, and reach it in their order.

use std::collections::BTreeMap;

use lakestage_engine::{
    Depth, LinkTableOptions, ManualClock, NewLink, PublishPolicy, Selection, SnapshotReport, Taken,
    TrickleFeed, TrickleOptions, TrickleStep, WhenFull,
};

use crate::failing_lake::FailingLake;
use crate::world::{START_UNIX_S, World, id};

const HOUR_S: i64 = 3_600;
const OPTIONS: TrickleOptions = TrickleOptions {
    sync_every_s: 60,
    snapshot_every_s: HOUR_S as u32,
};

fn all() -> PublishPolicy {
    PublishPolicy {
        selection: Selection::Every(1),
        ..PublishPolicy::default()
    }
}

fn world(policy: PublishPolicy) -> World {
    let world = World::new();
    world.link(&["task"]);
    world
        .environment
        .set_publish_policy("lake", policy)
        .unwrap();
    world
}

fn waiting(world: &World) -> u64 {
    let status = world.environment.link("lake").unwrap();
    status.backlog.unwrap().waiting
}

/// Publishes the oldest that waits.
fn publish(world: &World) -> Option<SnapshotReport> {
    let lake = world.lake();
    world.environment.publish_waiting("lake", &lake).unwrap()
}

/// The subjects that `model.json` leads to, by task.
fn shown(world: &World) -> BTreeMap<String, String> {
    let rows = world.rows("task").into_iter();
    rows.map(|row| (row["Id"].clone(), row["subject"].clone()))
        .collect()
}

/// A task gets a subject, and a snapshot is taken an hour later.
fn take(world: &World, number: u32, subject: &str) -> Taken {
    world.task(number, 2023, subject);
    world.clock.advance_s(HOUR_S);
    world.environment.take_snapshot("lake").unwrap()
}

fn is_waiting(taken: &Taken) -> bool {
    matches!(taken, Taken::Waits { .. })
}

#[test]
fn a_lake_that_was_away_gets_every_snapshot_in_its_order() {
    let mut world = world(all());
    let mut states = Vec::new();
    for hour in 0..5u32 {
        assert!(is_waiting(&take(&world, hour % 3, &format!("hour {hour}"))));
        let mut state: BTreeMap<String, String> = states.last().cloned().unwrap_or_default();
        state.insert(id(hour % 3), format!("hour {hour}"));
        states.push(state);
        // Blocks that only wait outlive compaction, garbage collection and a restart.
        world.environment.compact().unwrap();
        if hour == 2 {
            world = world.reopened();
        }
    }
    assert_eq!(waiting(&world), 5);
    for (hour, state) in states.iter().enumerate() {
        let report = publish(&world).unwrap();
        let taken_unix_s = START_UNIX_S + (hour as i64 + 1) * HOUR_S;
        assert_eq!(report.snapshot_unix_s, taken_unix_s);
        assert_eq!(shown(&world), *state, "hour {hour}");
    }
    assert!(publish(&world).is_none());
    assert_eq!(waiting(&world), 0);
    let lakes = |_: &str, _: &str| Ok(Box::new(world.lake()) as Box<dyn lakestage_engine::Lake>);
    let verified = world.environment.verify(Depth::Full, &lakes).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}

#[test]
fn a_snapshot_that_failed_waits_on() {
    let world = world(all());
    take(&world, 1, "one");
    take(&world, 2, "two");
    for step in 0.. {
        let lake = FailingLake::at(world.lake(), step, step % 2 == 0);
        match world.environment.publish_waiting("lake", &lake) {
            Ok(_) => break,
            Err(_) => assert_eq!(waiting(&world), 2, "step {step}"),
        }
    }
    assert_eq!(shown(&world).len(), 1);
    publish(&world).unwrap();
    assert_eq!(shown(&world).len(), 2);
}

#[test]
fn a_snapshot_shows_the_columns_that_the_table_had() {
    let world = world(all());
    take(&world, 1, "before");
    let change = r#"{"name": "task", "primaryKey": "taskid", "columns": [
        {"name": "versionnumber", "type": "bigint"},
        {"name": "createdon", "type": "datetime"},
        {"name": "modifiedon", "type": "datetime"},
        {"name": "subject", "type": "string", "maxLength": 20},
        {"name": "notes", "type": "memo", "maxLength": 100000},
        {"name": "ownerid", "type": "owner"},
        {"name": "amount", "type": "money"},
        {"name": "done", "type": "boolean"},
        {"name": "taskid", "type": "uniqueidentifier"},
        {"name": "colour", "type": "string", "maxLength": 10}]}"#;
    let schema = lakestage_engine::TableSchema::from_json(change).unwrap();
    world.environment.alter_table(&schema).unwrap();
    take(&world, 2, "after");
    let world = world.reopened();
    let names = |world: &World| -> Vec<String> {
        let attributes = world.entity("task")["attributes"].clone();
        let attributes = attributes.as_array().unwrap().iter();
        attributes
            .map(|attribute| attribute["name"].as_str().unwrap().to_owned())
            .collect()
    };
    publish(&world).unwrap();
    assert!(!names(&world).contains(&"colour".to_owned()));
    publish(&world).unwrap();
    assert!(names(&world).contains(&"colour".to_owned()));
}

#[test]
fn every_so_manieth_snapshot_is_taken_and_the_first() {
    let world = world(PublishPolicy {
        selection: Selection::Every(3),
        ..PublishPolicy::default()
    });
    let taken: Vec<bool> = (0..7)
        .map(|n| is_waiting(&take(&world, n, "due")))
        .collect();
    assert_eq!(taken, [true, false, false, true, false, false, true]);
    // What has not changed is not due.
    world.clock.advance_s(HOUR_S);
    let taken = world.environment.take_snapshot("lake").unwrap();
    assert_eq!(taken, Taken::Unchanged);
}

#[test]
fn a_full_backlog_drops_its_oldest_or_takes_no_more() {
    for when_full in [WhenFull::DropOldest, WhenFull::TakeNoMore] {
        let world = world(PublishPolicy {
            snapshots_max: 2,
            when_full,
            ..all()
        });
        take(&world, 1, "one");
        take(&world, 2, "two");
        let third = take(&world, 3, "three");
        let status = world.environment.link("lake").unwrap().backlog.unwrap();
        assert_eq!(status.waiting, 2);
        let first = publish(&world).map(|_| shown(&world).len()).unwrap();
        match when_full {
            WhenFull::DropOldest => {
                assert!(matches!(third, Taken::Waits { dropped: 1, .. }));
                assert_eq!((status.dropped, first), (1, 2));
            }
            WhenFull::TakeNoMore => {
                assert_eq!(third, Taken::Full);
                assert_eq!((status.dropped, first), (0, 1));
                // There is room again, and nothing of the changes is missing.
                assert!(is_waiting(&take(&world, 4, "four")));
            }
        }
        while publish(&world).is_some() {}
        assert!(shown(&world).len() >= 3);
    }
}

#[test]
fn a_backlog_is_bounded_by_the_bytes_that_are_kept_for_it_alone() {
    let world = world(PublishPolicy {
        bytes_max: Some(60_000),
        ..all()
    });
    let note = "n".repeat(20_000);
    for round in 0..6 {
        let created = "2023-03-01T08:00:00Z";
        let text = format!("{note}{round}");
        world.put(
            "task",
            &[("taskid", &id(1)), ("createdon", created), ("notes", &text)],
        );
        world.clock.advance_s(HOUR_S);
        world.environment.take_snapshot("lake").unwrap();
    }
    // The newest is the current state, and three before it are kept for the backlog alone at most.
    let status = world.environment.link("lake").unwrap().backlog.unwrap();
    assert!((2..=3).contains(&status.waiting), "{status:?}");
    assert_eq!(status.waiting + status.dropped, 6);
    while publish(&world).is_some() {}
    assert_eq!(world.rows("task").len(), 1);
}

#[test]
fn the_trickle_feed_takes_at_its_hours_and_publishes_when_it_can() {
    let world = world(all());
    let mut feed = TrickleFeed::new(&world.environment, "lake", OPTIONS).unwrap();
    let step = |feed: &mut TrickleFeed, fails: bool| {
        let due = feed.due();
        let now = now_unix_s(&world.clock);
        let wait = due.sync_unix_s.min(due.snapshot_unix_s) - now;
        world.clock.advance_s(wait.max(0));
        match fails {
            true => feed.step(&FailingLake::at(world.lake(), 0, false)),
            false => feed.step(&world.lake()),
        }
    };
    let mut taken = 0;
    let mut failed = 0;
    for number in 0..3 {
        world.task(number, 2023, "away");
        let end = START_UNIX_S + (i64::from(number) + 1) * HOUR_S - 61;
        while now_unix_s(&world.clock) < end {
            match step(&mut feed, true).unwrap() {
                TrickleStep::Taken(step) => taken += u32::from(is_waiting(&step)),
                TrickleStep::Failed { .. } => failed += 1,
                TrickleStep::Unchanged | TrickleStep::Idle => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(taken, 3);
    assert!(failed > 100, "{failed}");
    let mut published = Vec::new();
    while published.len() < 3 {
        if let TrickleStep::Published(report) = step(&mut feed, false).unwrap() {
            published.push(report.version);
        }
    }
    assert!(published.is_sorted(), "{published:?}");
    assert_eq!(shown(&world).len(), 3);
}

fn now_unix_s(clock: &ManualClock) -> i64 {
    use lakestage_engine::Clock;
    clock.now_ticks() / lakestage_engine::TICKS_PER_SECOND
}

#[test]
fn what_waits_goes_when_it_can_not_be_shown_any_more() {
    let world = world(all());
    take(&world, 1, "one");
    // A snapshot that somebody asks for takes what is new and publishes everything.
    world.task(2, 2023, "two");
    world.snapshot();
    assert_eq!((waiting(&world), shown(&world).len()), (0, 2));
    // With other tables, what waits would not be a snapshot of the link.
    take(&world, 3, "three");
    let member = [LinkTableOptions::of("member")];
    let lake = world.lake();
    world
        .environment
        .add_link_tables("lake", &lake, &member)
        .unwrap();
    assert!(publish(&world).is_none());
    world.snapshot();
    assert_eq!(shown(&world).len(), 3);
    // And where only the newest state counts, nothing waits.
    take(&world, 4, "four");
    let policy = PublishPolicy::default();
    world
        .environment
        .set_publish_policy("lake", policy)
        .unwrap();
    assert!(world.environment.link("lake").unwrap().backlog.is_none());
    world.snapshot();
    assert_eq!(shown(&world).len(), 4);
    world.environment.unlink("lake", &lake, true).unwrap();
}

#[test]
fn a_policy_that_cannot_work_is_refused() {
    let world = world(all());
    let refused = |policy| {
        let environment = &world.environment;
        environment
            .set_publish_policy("lake", policy)
            .unwrap_err()
            .to_string()
    };
    let none = PublishPolicy {
        selection: Selection::Every(0),
        ..all()
    };
    assert!(refused(none).contains("every 0th"));
    let no_room = PublishPolicy {
        snapshots_max: 0,
        ..all()
    };
    assert!(refused(no_room).contains("room for one"));
    let synced = world.environment.sync("lake", &world.lake()).unwrap_err();
    assert!(synced.to_string().contains("in their order"), "{synced}");
    world
        .environment
        .unlink("lake", &world.lake(), true)
        .unwrap();
    let folders = NewLink {
        incremental_every_s: Some(900),
        ..NewLink::new(
            "lake",
            "folder:lake",
            "https://c",
            vec![LinkTableOptions::of("task")],
        )
    };
    world
        .environment
        .create_link(&world.lake(), &folders)
        .unwrap();
    assert!(refused(all()).contains("writes folders"));
}

#[test]
fn a_restored_environment_has_nothing_waiting() {
    let world = world(all());
    take(&world, 1, "one");
    let backup = world.folder.path().join("backup");
    world.environment.backup(&backup, true).unwrap();
    let restored = world.folder.path().join("restored");
    let restored = lakestage_engine::Environment::restore(&backup, &restored).unwrap();
    let status = restored.link("lake").unwrap().backlog.unwrap();
    assert_eq!((status.waiting, status.policy), (0, all()));
}
