//! The lake as a consumer sees it.

use std::path::Path;

use serde_json::Value;

use crate::support::run;

const FILESYSTEM: &str = "dataverse-crash-org1";

/// A row of the lake.
pub struct Row {
    pub id: String,
    pub batch: u64,
}

/// `model.json`, if a snapshot was ever published.
fn model(data: &Path) -> Option<Value> {
    let list = run(data, &["fs", "ls", FILESYSTEM]);
    let model = format!("{FILESYSTEM}/model.json");
    let there = String::from_utf8(list)
        .unwrap()
        .lines()
        .any(|line| line == model);
    there.then(|| serde_json::from_slice(&run(data, &["fs", "cat", &model])).unwrap())
}

fn records(data: &Path, model: &Value) -> Vec<csv::StringRecord> {
    let mut records = Vec::new();
    for entity in model["entities"].as_array().unwrap() {
        let columns = entity["attributes"].as_array().unwrap().len();
        for partition in entity["partitions"].as_array().unwrap() {
            let location = partition["location"].as_str().unwrap();
            let (_, path) = location.split_once(&format!("/{FILESYSTEM}/")).unwrap();
            let content = run(data, &["fs", "cat", &format!("{FILESYSTEM}/{path}")]);
            assert!(
                content.ends_with(b"\n"),
                "{path} ends in the middle of a row"
            );
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&content[..]);
            for record in reader.records() {
                let record = record.unwrap();
                assert_eq!(record.len(), columns, "{path}");
                records.push(record);
            }
        }
    }
    records
}

/// Checks that `model.json` names only whole files.
pub fn check_whole(data: &Path) {
    if let Some(model) = model(data) {
        records(data, &model);
    }
}

/// The rows that `model.json` leads to.
pub fn rows(data: &Path) -> Vec<Row> {
    let Some(model) = model(data) else {
        return Vec::new();
    };
    let attributes = model["entities"][0]["attributes"].as_array().unwrap();
    let place = |name: &str| attributes.iter().position(|a| a["name"] == name).unwrap();
    let (id, batch) = (place("Id"), place("batch"));
    let records = records(data, &model);
    records
        .iter()
        .map(|record| Row {
            id: record[id].to_owned(),
            batch: record[batch].parse().unwrap(),
        })
        .collect()
}
