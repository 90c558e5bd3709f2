//! The commands that look at files: `verify` and `dump`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, output, run};
use crate::world::{TASK, id};

/// A data folder with one snapshot in the emulator's lake and one row in the journal.
pub fn published() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    run(data, &["init", "contoso"]);
    let schema = data.join("task.json");
    fs::write(&schema, TASK).unwrap();
    run(data, &["table", "add", schema.to_str().unwrap()]);
    ingest(data, 1, "in a block");
    run(data, &["link", "new", "--all"]);
    run(data, &["snapshot"]);
    ingest(data, 2, "in the journal");
    folder
}

pub fn ingest(data: &Path, number: u32, subject: &str) {
    let row = format!(
        "taskid,createdon,subject\n{},2021-01-02T03:04:05Z,{subject}\n",
        id(number)
    );
    let arguments = ["ingest", "task", "--format", "csv"];
    assert!(output(data, &arguments, row.as_bytes()).status.success());
}

fn lines(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["--json"], arguments].concat();
    let text = String::from_utf8(run(data, &arguments)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn pack(data: &Path) -> PathBuf {
    let packs = data.join("environments/contoso/packs");
    fs::read_dir(packs).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn verify_finds_nothing_in_a_whole_folder_with_a_server_or_without() {
    let data = published();
    let whole = |arguments: &[&str]| {
        let reports = lines(data.path(), arguments);
        assert_eq!(reports[0][0]["environment"], "contoso");
        assert_eq!(reports[0][0]["findings"], Value::Array(Vec::new()));
        assert!(reports[0][0]["files"].as_u64().unwrap() > 6);
    };
    whole(&["verify"]);
    whole(&["verify", "--full"]);
    let server = Server::start(data.path());
    run(data.path(), &["status"]);
    whole(&["verify", "--full"]);
    server.kill();
}

#[test]
fn verify_names_damage_and_exits_with_1() {
    let data = published();
    let pack = pack(data.path());
    let mut bytes = fs::read(&pack).unwrap();
    bytes[60] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let told = output(data.path(), &["verify", "--full"], b"");
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8(told.stdout).unwrap();
    for part in [
        "packs/pack-",
        "checksum",
        "needed by table task, in-place by Year, partition 2021",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let told = output(data.path(), &["--json", "verify", "--full"], b"");
    assert_eq!(told.status.code(), Some(1));
    let reports: Value = serde_json::from_slice(&told.stdout).unwrap();
    let finding = &reports[0]["findings"][0];
    assert!(finding["file"].as_str().unwrap().starts_with("packs/"));
    // The row in the journal does not need the block.
    let told = output(data.path(), &["dump", "journal"], b"");
    assert!(
        String::from_utf8(told.stdout)
            .unwrap()
            .contains("in the journal")
    );
}

#[test]
fn a_backup_is_restored_into_another_folder() {
    let data = published();
    let file = data.path().join("monday.backup");
    let folder = format!("{}/", data.path().join("monday").display());
    let server = Server::start(data.path());
    let report = &lines(data.path(), &["backup", file.to_str().unwrap()])[0];
    assert_eq!(report["version"], 2);
    run(data.path(), &["backup", &folder]);
    server.kill();
    for backup in [file.to_str().unwrap(), &folder] {
        let other = tempfile::tempdir().unwrap();
        let restored = &lines(other.path(), &["restore", backup])[0];
        assert_eq!(restored["version"], 2);
        let status = &lines(other.path(), &["status"])[0][0];
        assert_eq!(status["lastVersion"], 2);
        assert_eq!(status["links"][0]["activity"], "paused");
        let told = output(other.path(), &["restore", backup], b"");
        assert_eq!(told.status.code(), Some(1));
        let link = status["links"][0]["name"].as_str().unwrap();
        run(other.path(), &["link", "resume", link]);
        ingest(other.path(), 3, "after");
    }
    let told = output(data.path(), &["restore", "no-such-file"], b"");
    assert_eq!(told.status.code(), Some(1));
}

#[test]
fn salvage_keeps_what_is_whole_in_a_new_data_folder() {
    let data = published();
    let pack = pack(data.path());
    let mut bytes = fs::read(&pack).unwrap();
    bytes[60] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    let to = other.path().to_str().unwrap();
    let text = String::from_utf8(run(data.path(), &["salvage", "--to", to])).unwrap();
    let lost = format!("ids {} to {}, 1 row", id(1), id(1));
    for part in ["kept 1 row of table task", &lost, "checksum"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let status = &lines(other.path(), &["status"])[0][0];
    assert_eq!(status["tables"][0]["rows"], 1);
    let told = output(data.path(), &["salvage", "--to", to], b"");
    assert_eq!(told.status.code(), Some(1));
}

#[test]
fn table_alter_adds_and_drops_columns_and_the_lake_follows() {
    let data = published();
    let wider = TASK.replace(
        r#"{"name": "done", "type": "boolean"},"#,
        r#"{"name": "effort", "type": "integer"},"#,
    );
    let schema = data.path().join("wider.json");
    fs::write(&schema, &wider).unwrap();
    let schema = schema.to_str().unwrap();
    let change = &lines(data.path(), &["table", "alter", "task", schema])[0];
    assert_eq!(change["added"], serde_json::json!(["effort"]));
    assert_eq!(change["dropped"], serde_json::json!(["done"]));
    run(data.path(), &["snapshot"]);
    let shown = run(data.path(), &["table", "show", "task"]);
    assert!(
        String::from_utf8(shown)
            .unwrap()
            .contains("boolean, dropped")
    );
    let model = run(
        data.path(),
        &["fs", "cat", "dataverse-contoso-org1/model.json"],
    );
    let model: Value = serde_json::from_slice(&model).unwrap();
    let attributes = model["entities"][0]["attributes"].as_array().unwrap();
    assert_eq!(attributes.last().unwrap()["name"], "effort");
    assert!(attributes.iter().any(|a| a["name"] == "done"));
    fs::write(schema, TASK.replace("boolean", "money")).unwrap();
    let told = output(data.path(), &["table", "alter", "task", schema], b"");
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(
        text.contains("column done cannot change its type"),
        "{text}"
    );
    run(data.path(), &["verify", "--full"]);
}

#[test]
fn dump_shows_journal_segments_catalog_and_blocks() {
    let data = published();
    let check = || {
        let journal = lines(data.path(), &["dump", "journal"]);
        let change = journal.iter().find(|l| l["id"] == id(2)).unwrap();
        assert_eq!(change["operation"], "create");
        assert!(change["cells"].as_str().unwrap().contains("in the journal"));
        assert!(journal.iter().any(|l| l["meta"] == "catalog"));
        let catalog = lines(data.path(), &["dump", "catalog"]);
        assert_eq!(catalog[0]["catalog"]["settings"]["name"], "contoso");
        let block = catalog.iter().find(|l| l["table"] == "task").unwrap();
        assert_eq!(block["firstId"], id(1));
        let (pack, offset) = (block["pack"].to_string(), block["offset"].to_string());
        let rows = lines(data.path(), &["dump", "block", &pack, &offset]);
        assert!(rows[0]["row"].as_str().unwrap().starts_with(&id(1)));
        for segment in lines(data.path(), &["dump", "segments"]) {
            let number = segment["segment"]["number"].to_string();
            let changes = lines(data.path(), &["dump", "segments", &number]);
            assert!(changes[0]["version"].as_u64() >= segment["segment"]["firstVersion"].as_u64());
        }
    };
    check();
    let server = Server::start(data.path());
    run(data.path(), &["status"]);
    check();
    server.kill();
    let told = output(data.path(), &["dump", "segments", "99"], b"");
    assert_eq!(told.status.code(), Some(1));
    let told = output(data.path(), &["dump", "block", "1", "999999"], b"");
    assert!(
        String::from_utf8(told.stderr)
            .unwrap()
            .contains("dump catalog")
    );
    let text = String::from_utf8(run(data.path(), &["dump", "journal"])).unwrap();
    assert!(text.contains("operation create"), "{text}");
}
