//! What is sealed and not merged yet has a bound, also while merging fails, and many segments are
//! searched as surely as few.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use lakestage_engine::{
    Environment, EnvironmentSettings, ErrorKind, OpenOptions, TableOptions, TableSchema, Value,
    Write,
};
use uuid::Uuid;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "notes", "type": "memo", "maxLength": 10000}]}"#;

fn create(folder: &Path, options: OpenOptions) -> Environment {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let environment = Environment::create_with(folder, settings, options).unwrap();
    let schema = TableSchema::from_json(TASK).unwrap();
    environment
        .create_table(schema, TableOptions::default())
        .unwrap();
    environment
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn write(
    environment: &Environment,
    write: Write,
    number: u128,
    notes: &str,
) -> lakestage_engine::Result<()> {
    let schema = environment.schema("task")?;
    let id = id(number).to_string();
    let values = [
        (schema.require("taskid")?, Value::Text(&id)),
        (schema.require("notes")?, Value::Text(notes)),
    ];
    let mut transaction = environment.transaction();
    transaction.write(write, "task", &values)?;
    transaction.commit().map(drop)
}

#[test]
fn commits_are_refused_while_merging_fails_and_too_much_waits_and_taken_once_it_works() {
    const UNMERGED_BYTES_MAX: u64 = 200_000;
    const WAIT: Duration = Duration::from_secs(60);
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 20_000,
        tail_bytes_max: 40_000,
        unmerged_bytes_max: UNMERGED_BYTES_MAX,
        ..OpenOptions::default()
    };
    let environment = create(folder.path(), options);
    let (packs, away) = (folder.path().join("packs"), folder.path().join("away"));
    std::fs::rename(&packs, &away).unwrap();
    let notes = "n".repeat(5_000);
    let refused = (0..1_000).find_map(|n| {
        let refused = write(&environment, Write::Create, n, &notes).err();
        refused.map(|error| (n, error))
    });
    let Some((taken, error)) = refused else {
        panic!("nothing bounded what waits");
    };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("merging fails") && text.contains("packs"),
        "{text}"
    );
    let status = environment.status().unwrap();
    assert!(status.segment_bytes > 2 * UNMERGED_BYTES_MAX);
    assert!(status.segment_bytes < 3 * UNMERGED_BYTES_MAX);
    // Nothing of the refused commit was kept, and everything before it is there.
    assert!(environment.get("task", id(taken)).unwrap().is_none());
    assert!(environment.get("task", id(taken - 1)).unwrap().is_some());
    std::fs::rename(&away, &packs).unwrap();
    let start = Instant::now();
    while let Err(error) = write(&environment, Write::Create, taken, &notes) {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(start.elapsed() < WAIT, "it does not recover: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
    environment.compact().unwrap();
    assert_eq!(
        environment.status().unwrap().tables[0].rows as u128,
        taken + 1
    );
}

#[test]
fn every_row_is_found_in_many_segments_before_and_after_opening_again() {
    const ROWS: u128 = 600;
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 4_000,
        tail_bytes_max: 8_000,
        ..OpenOptions::default()
    };
    let environment = create(folder.path(), options.clone());
    for number in 0..ROWS {
        write(&environment, Write::Create, number, &"a".repeat(1_000)).unwrap();
    }
    for number in (0..ROWS).step_by(7) {
        write(&environment, Write::Update, number, "later").unwrap();
    }
    assert!(environment.status().unwrap().segments > 64);
    let check = |environment: &Environment| {
        for number in 0..ROWS {
            let row = environment.get("task", id(number)).unwrap().unwrap();
            let is_later = row.cell("notes").unwrap().contains("later");
            assert_eq!(is_later, number % 7 == 0, "row {number}");
            let twice = write(environment, Write::Create, number, "x").unwrap_err();
            assert_eq!(twice.kind(), ErrorKind::InvalidInput, "{twice}");
            assert!(
                environment
                    .get("task", id(ROWS + number))
                    .unwrap()
                    .is_none()
            );
        }
    };
    check(&environment);
    drop(environment);
    check(&Environment::open_with(folder.path(), options).unwrap());
}
