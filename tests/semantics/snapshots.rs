//! Partitions, modes, and what a snapshot shows.

use lakestage_engine::{
    DeletePartition, ErrorKind, Granularity, Lake, LinkTableOptions, Mode, Value, Write,
};

use crate::world::{START_UNIX_S, World, id};

#[test]
fn in_place_an_update_replaces_the_row_and_a_delete_removes_it() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.task(2, 2021, "two");
    world.snapshot();
    world.put("task", &[("taskid", &id(1)), ("subject", "changed")]);
    world.delete("task", 2);
    world.snapshot();
    let rows = world.rows("task");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["subject"], "changed");
}

#[test]
fn append_only_a_change_is_a_new_row_and_a_delete_is_one_with_is_delete() {
    let world = World::new();
    world.link(&["member"]);
    world.put("member", &[("memberid", &id(1)), ("listid", &id(7))]);
    world.snapshot();
    world.put("member", &[("memberid", &id(1)), ("listid", &id(8))]);
    world.snapshot();
    world.delete("member", 1);
    world.snapshot();
    let rows = world.rows("member");
    let seen: Vec<_> = rows
        .iter()
        .map(|r| (&*r["listid"], &*r["IsDelete"]))
        .collect();
    let (seven, eight) = (id(7), id(8));
    assert_eq!(seen, [(&*seven, ""), (&*eight, ""), ("", "True")]);
    // A delete's row has the id, the sink times, the version and IsDelete, and nothing else.
    assert_eq!(rows[2]["memberid"], "");
    let version = |row: usize| rows[row]["versionnumber"].parse::<u64>().unwrap();
    assert!(version(2) > version(1));
}

#[test]
fn append_only_changes_of_a_row_between_snapshots_become_one_row() {
    let world = World::new();
    world.link(&["member"]);
    world.put("member", &[("memberid", &id(1)), ("listid", &id(7))]);
    world.snapshot();
    world.put("member", &[("memberid", &id(1)), ("listid", &id(8))]);
    world.put("member", &[("memberid", &id(1)), ("listid", &id(9))]);
    world.snapshot();
    let rows = world.rows("member");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["listid"], id(9));
}

#[test]
fn append_only_a_row_created_and_deleted_between_snapshots_leaves_no_trace() {
    let world = World::new();
    world.link(&["member"]);
    world.put("member", &[("memberid", &id(1))]);
    world.snapshot();
    world.put("member", &[("memberid", &id(2))]);
    world.delete("member", 2);
    let report = world.snapshot();
    assert_eq!(world.rows("member").len(), 1);
    assert!(!report.changed);
}

fn append_only_task(deletes: DeletePartition) -> World {
    let world = World::new();
    let task = LinkTableOptions {
        table: "task".into(),
        mode: Some(Mode::AppendOnly),
        deletes,
        ..LinkTableOptions::default()
    };
    world.try_link(vec![task]).unwrap();
    world.task(1, 2021, "one");
    world.task(2, 2021, "two");
    world.snapshot();
    world.delete("task", 1);
    world.snapshot();
    world
}

#[test]
fn append_only_deletes_go_into_1_csv_or_where_the_row_was() {
    let stems = |world: &World| {
        let paths = world.named("task");
        let stem = |path: &String| path.split(['/', '_']).nth(2).unwrap().to_owned();
        paths.iter().map(stem).collect::<Vec<_>>()
    };
    let apart = append_only_task(DeletePartition::NoDate);
    assert_eq!(stems(&apart), ["1", "2021"]);
    let together = append_only_task(DeletePartition::Original);
    assert_eq!(stems(&together), ["2021"]);
    assert_eq!(together.rows("task").last().unwrap()["IsDelete"], "True");
}

#[test]
fn partitions_are_years_or_months_of_createdon_in_utc() {
    let world = World::new();
    let task = LinkTableOptions {
        table: "task".into(),
        granularity: Some(Granularity::Month),
        ..LinkTableOptions::default()
    };
    world.try_link(vec![task]).unwrap();
    world.put(
        "task",
        &[
            ("taskid", &id(1)),
            ("createdon", "2021-12-31T23:30:00-01:00"),
        ],
    );
    world.task(2, 2021, "two");
    world.snapshot();
    let number = START_UNIX_S + 1;
    assert_eq!(
        world.named("task"),
        [
            format!("task/Snapshot/2021-03_{number}.csv"),
            format!("task/Snapshot/2022-01_{number}.csv")
        ]
    );
}

#[test]
fn partitions_may_be_half_months_or_five_days_and_any_layout_holds_every_row() {
    for (granularity, name, expected) in [
        (
            Granularity::HalfMonth,
            "HalfMonth",
            ["2021-02-16", "2021-03-01", "2021-03-16"],
        ),
        (
            Granularity::FiveDay,
            "FiveDay",
            ["2021-02-26", "2021-03-01", "2021-03-26"],
        ),
    ] {
        let world = World::new();
        let days = ["2021-02-28", "2021-03-01", "2021-03-31"];
        let put = |number: u32, day: &str| {
            let id = id(number);
            world.put("task", &[("taskid", &id), ("createdon", day)]);
        };
        // One row is there before the link, and stands in years.
        put(0, days[0]);
        world.environment.compact().unwrap();
        let task = LinkTableOptions {
            granularity: Some(granularity),
            ..LinkTableOptions::of("task")
        };
        world.try_link(vec![task]).unwrap();
        put(1, days[1]);
        put(2, days[2]);
        world.snapshot();
        let entity = world.entity("task");
        let partitions = entity["partitions"].as_array().unwrap();
        let names: Vec<&str> = partitions
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected);
        assert_eq!(entity["annotations"][0]["value"], name);
        let day = &partitions[1]["annotations"][2];
        assert_eq!(
            (&day["name"], &day["value"]),
            (&"Athena:PartitionDay".into(), &"01".into())
        );
        assert_eq!(world.rows("task").len(), 3);
        world.put("task", &[("taskid", &id(0)), ("subject", "changed")]);
        world.snapshot();
        assert_eq!(world.rows("task")[0]["subject"], "changed");
    }
}

#[test]
fn a_reader_of_the_last_snapshot_reads_it_whole_while_the_next_appears() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let old = world.named("task")[0].clone();
    let before = world.text(&old);
    world.put("task", &[("taskid", &id(1)), ("subject", "changed")]);
    world.snapshot();
    assert_ne!(world.named("task")[0], old);
    assert_eq!(world.text(&old), before);
}

#[test]
fn a_table_without_change_keeps_its_file_and_nothing_changed_writes_nothing() {
    let world = World::new();
    world.link(&["task", "member"]);
    world.task(1, 2021, "one");
    world.put("member", &[("memberid", &id(1))]);
    world.snapshot();
    let member = world.named("member");
    world.task(2, 2021, "two");
    let report = world.snapshot();
    assert_eq!(world.named("member"), member);
    assert_eq!(report.files_kept, member);
    let model = world.text("model.json");
    let idle = world.snapshot();
    assert!(!idle.changed);
    assert_eq!(world.text("model.json"), model);
}

#[test]
fn a_snapshot_is_one_cut_over_all_tables() {
    let world = World::new();
    world.link(&["task", "member"]);
    let (task, member) = (
        world.environment.schema("task").unwrap(),
        world.environment.schema("member").unwrap(),
    );
    // A writer changes both tables in every transaction; no snapshot may show one without the other.
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..200 {
                let id = id(number);
                let mut transaction = world.environment.transaction();
                let created = (task.created_on().unwrap(), Value::Text("2021-01-01"));
                let rows = [
                    (
                        "task",
                        vec![(task.primary_key(), Value::Text(&id)), created],
                    ),
                    ("member", vec![(member.primary_key(), Value::Text(&id))]),
                ];
                for (table, values) in &rows {
                    transaction.write(Write::Create, table, values).unwrap();
                }
                transaction.commit().unwrap();
            }
        });
        let mut snapshots = 0;
        while !writer.is_finished() || snapshots == 0 {
            world.snapshot();
            let ids = |table| {
                world
                    .rows(table)
                    .into_iter()
                    .map(|r| r["Id"].clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids("task"), ids("member"));
            snapshots += 1;
        }
    });
    world.snapshot();
    assert_eq!(world.rows("member").len(), 200);
}

#[test]
fn the_same_changes_give_the_same_bytes() {
    let lakes = [World::new(), World::new()].map(|world| {
        world.link(&["task", "member"]);
        for number in 0..50 {
            world.task(number, 2020 + number % 3, "a task");
            world.put("member", &[("memberid", &id(number))]);
        }
        world.snapshot();
        world.delete("task", 7);
        world.snapshot();
        let lake = world.lake();
        let files = lake
            .list("")
            .unwrap()
            .into_iter()
            .filter(|e| !e.is_directory);
        files
            .map(|e| (e.path.clone(), lake.read(&e.path).unwrap().unwrap()))
            .collect::<Vec<_>>()
    });
    assert_eq!(lakes[0], lakes[1]);
}

#[test]
fn the_near_real_time_file_equals_the_snapshot() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    assert_eq!(
        world.text("task/2021.csv"),
        world.text(&world.named("task")[0])
    );
}

#[test]
fn a_table_without_change_tracking_cannot_be_linked() {
    let world = World::new();
    let log = LinkTableOptions {
        table: "log".into(),
        ..LinkTableOptions::default()
    };
    let error = world.try_link(vec![log]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains("log") && text.contains("change tracking is off"),
        "{text}"
    );
    assert!(world.environment.links().is_empty());
    assert!(world.lake().stat("log").unwrap().is_none());
}

#[test]
fn links_that_cannot_work_are_refused() {
    let options = |table: &str, mode, granularity| LinkTableOptions {
        table: table.into(),
        mode,
        granularity,
        ..LinkTableOptions::default()
    };
    for (tables, part) in [
        (vec![], "at least one table"),
        (vec![options("nothing", None, None)], "no table named"),
        (
            vec![options("member", Some(Mode::InPlace), None)],
            "no createdon",
        ),
        (
            vec![options(
                "task",
                Some(Mode::AppendOnly),
                Some(Granularity::Month),
            )],
            "always partitioned by year",
        ),
    ] {
        let error = World::new().try_link(tables).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let world = World::new();
    let lake = world.lake();
    lake.create().unwrap();
    lake.write("somebody.txt", &[], "text/plain").unwrap();
    let error = world
        .try_link(vec![options("task", None, None)])
        .unwrap_err();
    assert!(error.to_string().contains("somebody.txt"), "{error}");
}

#[test]
fn snapshot_numbers_rise_even_when_the_clock_does_not() {
    let world = World::new();
    world.link(&["task"]);
    let mut last = 0;
    for number in 0..3 {
        world.task(number, 2021, "a task");
        // The clock stands still.
        let report = world.environment.snapshot("lake", &world.lake()).unwrap();
        assert!(report.snapshot_unix_s > last);
        last = report.snapshot_unix_s;
    }
}

#[test]
fn links_and_snapshots_survive_reopening() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let before = world.environment.link("lake").unwrap();
    let world = world.reopened();
    let after = world.environment.link("lake").unwrap();
    assert_eq!(after.last_version, before.last_version);
    assert!(!world.snapshot().changed);
}
