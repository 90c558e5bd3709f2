//! The metadata files beside the data.

use lakestage_engine::{Lake, LinkTableOptions, ModelSettings};
use serde_json::{Value, json};

use crate::world::World;

const CASE: &str = r#"{"name": "case", "primaryKey": "caseid", "columns": [
    {"name": "statecode", "type": "state", "options": [{"value": 0, "label": "Open"}, {"value": 1, "label": "Closed, \"done\""}]},
    {"name": "statuscode", "type": "status", "options": [{"value": 5, "label": "New", "state": 0}, {"value": 6, "label": "Solved", "state": 1}]},
    {"name": "origin", "type": "choice", "options": [{"value": 1, "label": "Phone"}, {"value": 2, "label": "E-Mail"}]},
    {"name": "channels", "type": "multiselect", "globalOptionSet": "socialprofile_community", "options": [{"value": 10, "label": "Chat"}]},
    {"name": "customerid", "type": "customer"},
    {"name": "taskid", "type": "lookup", "targets": ["task"]},
    {"name": "createdon", "type": "datetime"},
    {"name": "title", "type": "string", "maxLength": 80},
    {"name": "price", "type": "money", "scale": 2},
    {"name": "caseid", "type": "uniqueidentifier"}]}"#;

const FOLDER: &str = "Microsoft.Athena.TrickleFeedService";

fn world() -> World {
    let world = World::new();
    world.table(CASE);
    world.link(&["case", "task"]);
    world.task(1, 2021, "one");
    world.snapshot();
    world
}

fn json(world: &World, path: &str) -> Value {
    serde_json::from_str(&world.text(path)).unwrap()
}

#[test]
fn labels_stand_in_csv_files_in_the_columns_that_readers_expect() {
    let world = world();
    let text = |name: &str| world.text(&format!("OptionsetMetadata/{name}.csv"));
    assert_eq!(
        text("OptionsetMetadata"),
        "\"case\",\"origin\",1,False,1033,\"Phone\"\n\"case\",\"origin\",2,False,1033,\"E-Mail\"\n"
    );
    assert_eq!(
        text("GlobalOptionsetMetadata"),
        "\"channels\",10,False,1033,\"Chat\",\"socialprofile_community\",\"case\"\n"
    );
    assert_eq!(
        text("StateMetadata"),
        "\"case\",0,False,1033,\"Open\"\n\"case\",1,False,1033,\"Closed, \"\"done\"\"\"\n"
    );
    assert_eq!(
        text("StatusMetadata"),
        "\"case\",0,5,False,1033,\"New\"\n\"case\",1,6,False,1033,\"Solved\"\n"
    );
    assert_eq!(
        text("TargetMetadata"),
        "\"case\",\"customerid\",\"account\",\"accountid\"\n\"case\",\"customerid\",\"contact\",\"contactid\"\n\
\"case\",\"taskid\",\"task\",\"taskid\"\n\"task\",\"ownerid\",\"systemuser\",\"systemuserid\"\n\
\"task\",\"ownerid\",\"team\",\"teamid\"\n"
    );
}

#[test]
fn entity_metadata_describes_every_column_in_dataverses_terms() {
    let world = world();
    let metadata = json(&world, &format!("{FOLDER}/case-EntityMetadata.json"));
    let attributes = metadata["AttributeMetadata"].as_array().unwrap();
    let kinds: Vec<_> = attributes
        .iter()
        .map(|a| {
            assert_eq!(a["EntityName"], "case");
            (
                a["AttributeName"].as_str().unwrap(),
                a["AttributeType"].as_str().unwrap(),
                a["AttributeTypeCode"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("statecode", "State", 12),
            ("statuscode", "Status", 13),
            ("origin", "Picklist", 11),
            ("channels", "MultiSelectPicklist", 17),
            ("customerid", "Customer", 1),
            ("customerid_entitytype", "EntityName", 20),
            ("taskid", "Lookup", 6),
            ("taskid_entitytype", "EntityName", 20),
            ("createdon", "DateTime", 2),
            ("title", "String", 14),
            ("price", "Money", 8),
            ("caseid", "Uniqueidentifier", 15),
        ]
    );
    assert_eq!(attributes[9]["MaxLength"], 80);
    assert_eq!(attributes[9]["Precision"], Value::Null);
    assert_eq!(attributes[10]["Precision"], 2);
    assert_eq!(attributes[0]["Timestamp"], "2023-11-14T22:13:20");
    let label = json!({"IsUserLocalizedLabel": false, "LocalizedLabelLanguageCode": 1033});
    let with = |fields: Value| {
        let mut row = fields.as_object().unwrap().clone();
        row.extend(label.as_object().unwrap().clone());
        Value::Object(row)
    };
    assert_eq!(
        metadata["OptionSetMetadata"][0],
        with(
            json!({"EntityName": "case", "OptionSetName": "origin", "Option": 1, "LocalizedLabel": "Phone"})
        )
    );
    assert_eq!(
        metadata["GlobalOptionSetMetadata"][0],
        with(
            json!({"EntityName": "case", "OptionSetName": "channels", "Option": 10, "LocalizedLabel": "Chat",
            "GlobalOptionSetName": "socialprofile_community"})
        )
    );
    assert_eq!(
        metadata["StateMetadata"][0],
        with(json!({"EntityName": "case", "State": 0, "LocalizedLabel": "Open"}))
    );
    assert_eq!(
        metadata["StatusMetadata"][1],
        with(json!({"EntityName": "case", "State": 1, "Status": 6, "LocalizedLabel": "Solved"}))
    );
    assert_eq!(
        metadata["TargetMetadata"][2],
        json!({"EntityName": "case", "AttributeName": "taskid", "ReferencedEntity": "task",
            "ReferencedAttribute": "taskid"})
    );
}

#[test]
fn a_tables_own_model_names_its_near_real_time_files() {
    let world = world();
    let model = json(&world, &format!("{FOLDER}/task-model.json"));
    assert_eq!(
        (&model["name"], &model["version"]),
        (&json!("cdm"), &json!("1.0"))
    );
    assert_eq!(model["entities"].as_array().unwrap().len(), 1);
    let entity = &model["entities"][0];
    assert_eq!(entity["attributes"], world.entity("task")["attributes"]);
    let partition = &entity["partitions"][0];
    assert_eq!(partition["name"], "2021");
    let location = partition["location"].as_str().unwrap();
    assert!(
        location.ends_with("/dataverse-contoso-org1/task/2021.csv"),
        "{location}"
    );
    assert!(world.lake().stat("task/2021.csv").unwrap().is_some());
    world.task(2, 2022, "two");
    world.snapshot();
    let model = json(&world, &format!("{FOLDER}/task-model.json"));
    assert_eq!(model["entities"][0]["partitions"][1]["name"], "2022");
}

#[test]
fn metadata_is_written_again_only_where_it_changed() {
    let world = world();
    let etag = |path: &str| world.lake().stat(path).unwrap().unwrap().etag;
    let paths = [
        "OptionsetMetadata/StateMetadata.csv".to_owned(),
        format!("{FOLDER}/case-EntityMetadata.json"),
        format!("{FOLDER}/case-model.json"),
    ];
    let before = paths.clone().map(|path| etag(&path));
    let task = etag(&format!("{FOLDER}/task-model.json"));
    world.task(3, 2030, "a partition more");
    world.snapshot();
    assert_eq!(paths.map(|path| etag(&path)), before);
    assert_ne!(etag(&format!("{FOLDER}/task-model.json")), task);
}

#[test]
fn labels_are_in_the_language_that_the_link_says() {
    let world = World::new();
    world.table(CASE);
    let settings = ModelSettings {
        label_language_code: 1_031,
        ..ModelSettings::default()
    };
    world
        .try_link_with(settings, vec![LinkTableOptions::of("case")])
        .unwrap();
    world.snapshot();
    let text = world.text("OptionsetMetadata/OptionsetMetadata.csv");
    assert!(text.contains(",1031,\"Phone\""), "{text}");
}
