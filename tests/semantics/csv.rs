//! The dialect and the columns of the CSV files.

use lakestage_engine::{EnvironmentSettings, LineEnd};

use crate::world::{START_UNIX_S, World, id, settings};

const OWNER: &str = "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b";

#[test]
fn a_row_is_written_as_the_service_writes_it() {
    let world = World::new();
    world.link(&["task"]);
    let receipt = world.put(
        "task",
        &[
            ("taskid", "{00000001-0000-4000-8000-00000000000A}"),
            ("createdon", "2021-06-25T18:21:12+02:00"),
            ("modifiedon", "2021-06-26"),
            ("subject", "say \"hi\", 0042"),
            ("notes", "two\nlines"),
            ("ownerid", OWNER),
            ("ownerid_entitytype", "systemuser"),
            ("amount", "-1500.5000"),
            ("done", "true"),
        ],
    );
    world.snapshot();
    let path = format!("task/Snapshot/2021_{}.csv", START_UNIX_S + 1);
    let expected = format!(
        "00000001-0000-4000-8000-00000000000a,\"11/14/2023 10:13:20 PM\",\"11/14/2023 10:13:20 PM\",{},\
\"2021-06-25T16:21:12.0000000+00:00\",\"2021-06-26T00:00:00.0000000Z\",\"say \"\"hi\"\", 0042\",\"two\nlines\",\
{OWNER},\"systemuser\",-1500.5,True,00000001-0000-4000-8000-00000000000a\n",
        receipt.last_version
    );
    let text = world.text(&path);
    assert_eq!(text, expected);
}

#[test]
fn null_and_empty_text_are_empty_cells_without_quotes() {
    let world = World::new();
    world.link(&["task"]);
    world.put(
        "task",
        &[
            ("taskid", &id(1)),
            ("createdon", "2021-01-01"),
            ("subject", ""),
        ],
    );
    world.snapshot();
    let text = world.text(&world.named("task")[0]);
    assert!(
        text.contains("Z\",,,,,,,") || text.contains("+00:00\",\""),
        "{text}"
    );
    let row = &world.rows("task")[0];
    assert_eq!(row["subject"], "");
    assert!(!text.contains("\"\","), "{text}");
}

#[test]
fn columns_stand_in_the_order_of_the_schema_behind_the_system_columns() {
    let world = World::new();
    world.link(&["task", "member"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let columns = |table: &str| {
        let entity = world.entity(table);
        let attributes = entity["attributes"].as_array().unwrap();
        let names = attributes
            .iter()
            .map(|a| a["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        columns("task"),
        [
            "Id",
            "SinkCreatedOn",
            "SinkModifiedOn",
            "versionnumber",
            "createdon",
            "modifiedon",
            "subject",
            "notes",
            "ownerid",
            "ownerid_entitytype",
            "amount",
            "done",
            "taskid"
        ]
    );
    assert_eq!(
        columns("member"),
        [
            "Id",
            "SinkCreatedOn",
            "SinkModifiedOn",
            "memberid",
            "listid",
            "versionnumber",
            "IsDelete"
        ]
    );
}

#[test]
fn there_is_no_header_and_rows_are_sorted_by_id() {
    let world = World::new();
    world.link(&["task"]);
    for number in [3, 1, 2] {
        world.task(number, 2021, "a task");
    }
    world.snapshot();
    let text = world.text(&world.named("task")[0]);
    let ids: Vec<&str> = text.lines().map(|line| &line[..36]).collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
}

#[test]
fn sink_times_are_the_times_of_the_commits() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.clock.advance_s(3_600);
    world.put("task", &[("taskid", &id(1)), ("subject", "two")]);
    world.snapshot();
    let row = &world.rows("task")[0];
    assert_eq!(row["SinkCreatedOn"], "11/14/2023 10:13:20 PM");
    assert_eq!(row["SinkModifiedOn"], "11/14/2023 11:13:20 PM");
}

#[test]
fn rows_end_with_a_line_feed_or_as_the_environment_says() {
    for (line_end, end) in [(LineEnd::Lf, "\n"), (LineEnd::CrLf, "\r\n")] {
        let world = World::with(EnvironmentSettings {
            line_end,
            ..settings()
        });
        world.link(&["task", "member"]);
        for number in [1, 2, 3] {
            world.put(
                "task",
                &[
                    ("taskid", &id(number)),
                    ("createdon", "2021-01-01"),
                    ("notes", "a\nb\r\nc"),
                    ("done", "true"),
                ],
            );
            world.put("member", &[("memberid", &id(number))]);
        }
        world.snapshot();
        // Rows that stand in a block already are merged with changed ones.
        world.put("task", &[("taskid", &id(2)), ("subject", "b")]);
        world.delete("member", 2);
        world.snapshot();
        for (table, rows) in [("task", 3), ("member", 4)] {
            let path = &world.named(table)[0];
            let text = world.text(path);
            assert!(text.ends_with(end), "{path}");
            assert_eq!(world.rows(table).len(), rows, "{table}");
            let notes = text.matches("\"a\nb\r\nc\"").count();
            let unquoted = text.replace("\"a\nb\r\nc\"", "");
            assert_eq!(unquoted.matches('\n').count(), rows, "{table}");
            assert_eq!(unquoted.matches(end).count(), rows, "{table}");
            assert_eq!(notes, if table == "task" { 3 } else { 0 });
            assert_eq!(unquoted.contains('\r'), line_end == LineEnd::CrLf);
        }
    }
}
