//! `model.json`.

use serde_json::json;

use lakestage_engine::{Granularity, LinkTableOptions, ModelSettings, PartitionNames};

use crate::world::{START_UNIX_S, World};

#[test]
fn it_has_the_head_and_the_entities_of_the_service() {
    let world = World::new();
    world.link(&["task", "member"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let model = world.model();
    assert_eq!(model["name"], "cdm");
    assert_eq!(model["version"], "1.0");
    let names: Vec<_> = model["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["name"])
        .collect();
    assert_eq!(names, ["member", "task"]);
    let task = world.entity("task");
    assert_eq!(task["$type"], "LocalEntity");
    let annotations = task["annotations"].as_array().unwrap();
    assert!(annotations.contains(&json!({"name": "Athena:PartitionGranularity", "value": "Year"})));
    assert!(
        annotations.contains(&json!({"name": "Athena:InitialSyncState", "value": "Completed"}))
    );
}

#[test]
fn attributes_have_the_types_of_the_service() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let task = world.entity("task");
    let kinds: Vec<_> = task["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            (
                a["name"].as_str().unwrap(),
                a["dataType"].as_str().unwrap(),
                a["maxLength"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("Id", "guid", -1),
            ("SinkCreatedOn", "dateTime", -1),
            ("SinkModifiedOn", "dateTime", -1),
            ("versionnumber", "int64", -1),
            ("createdon", "dateTimeOffset", -1),
            ("modifiedon", "dateTime", -1),
            ("subject", "string", 20),
            ("notes", "string", 9_999),
            ("ownerid", "guid", -1),
            ("ownerid_entitytype", "string", 128),
            ("amount", "decimal", -1),
            ("done", "boolean", -1),
            ("taskid", "guid", -1),
        ]
    );
    let amount = &task["attributes"][10]["cdm:traits"][0];
    assert_eq!(
        amount["arguments"],
        json!([{"name": "precision", "value": 38}, {"name": "scale", "value": 4}])
    );
}

#[test]
fn partitions_are_named_without_the_number_and_located_by_endpoint_filesystem_and_path() {
    let world = World::new();
    world.link(&["task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    let partition = &world.entity("task")["partitions"][0];
    assert_eq!(partition["name"], "2021");
    assert_eq!(
        partition["location"],
        format!(
            "https://contoso.dfs.core.windows.net:443/dataverse-contoso-org1/task/Snapshot/2021_{}.csv",
            START_UNIX_S + 1
        )
    );
    assert_eq!(partition["fileFormatSettings"]["columnHeaders"], false);
    assert_eq!(
        partition["annotations"],
        json!([{"name": "Athena:PartitionYear", "value": "2021"}])
    );
}

#[test]
fn what_no_source_settles_about_model_json_is_a_setting() {
    let settings = ModelSettings {
        decimal_precision: 18,
        partition_names: PartitionNames::File,
        month_annotation: false,
        ..ModelSettings::default()
    };
    let by_month = LinkTableOptions {
        granularity: Some(Granularity::Month),
        ..LinkTableOptions::of("task")
    };
    let annotations = |world: &World| world.entity("task")["partitions"][0]["annotations"].clone();
    let year = json!({"name": "Athena:PartitionYear", "value": "2021"});
    let month = json!({"name": "Athena:PartitionMonth", "value": "03"});

    let world = World::new();
    world
        .try_link_with(settings, vec![by_month.clone()])
        .unwrap();
    world.task(1, 2021, "one");
    world.snapshot();
    let amount = &world.entity("task")["attributes"][10]["cdm:traits"][0];
    assert_eq!(
        amount["arguments"][0],
        json!({"name": "precision", "value": 18})
    );
    let name = format!("2021-03_{}", START_UNIX_S + 1);
    assert_eq!(world.entity("task")["partitions"][0]["name"], name);
    assert_eq!(annotations(&world), json!([year]));

    let world = World::new();
    world.try_link(vec![by_month]).unwrap();
    world.task(1, 2021, "one");
    world.snapshot();
    assert_eq!(world.entity("task")["partitions"][0]["name"], "2021-03");
    assert_eq!(annotations(&world), json!([year, month]));
}

#[test]
fn a_decimal_precision_that_a_column_does_not_fit_into_is_refused() {
    for (decimal_precision, said) in [(0, "1 to 38"), (39, "1 to 38"), (3, "column amount")] {
        let world = World::new();
        let settings = ModelSettings {
            decimal_precision,
            ..ModelSettings::default()
        };
        let error = world
            .try_link_with(settings, vec![LinkTableOptions::of("task")])
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
    }
}
