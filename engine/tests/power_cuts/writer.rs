//! The process that writes until the power is cut.

use std::path::Path;
use std::thread;
use std::time::Duration;

use lakestage_engine::{
    Durability, Environment, EnvironmentSettings, FileFormat, FileOptions, FolderLake,
    LinkTableOptions, NewConsumer, NewLink, OpenOptions, Result, TableOptions, TableSchema, Value,
    Write,
};

pub const FOLDER_VARIABLE: &str = "LAKESTAGE_TEST_DISK";
/// Whether commits are not synced.
pub const WEAKER_VARIABLE: &str = "LAKESTAGE_TEST_WEAKER";
pub const THREADS: u64 = 3;
pub const CONSUMER: &str = "reader";
pub const FILESYSTEM: &str = "dataverse-contoso-org1";
/// The lake with Parquet files.
const TYPED: &str = "folder:typed";
/// A row is deleted so many commits after its creation.
const LIVES_COMMITS: u64 = 5;
const SEGMENT_BYTES: usize = 256 << 10;

const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
    {"name": "taskid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "thread", "type": "integer"},
    {"name": "number", "type": "integer"},
    {"name": "notes", "type": "memo", "maxLength": 100000},
    {"name": "versionnumber", "type": "bigint"}]}"#;
const COUNTER: &str = r#"{"name": "counter", "primaryKey": "counterid", "columns": [
    {"name": "counterid", "type": "uniqueidentifier"},
    {"name": "createdon", "type": "datetime"},
    {"name": "thread", "type": "integer"},
    {"name": "number", "type": "integer"}]}"#;

/// Each row's thread and the number of its commit stand in its id.
pub fn id(thread: u64, number: u64, place: u64) -> String {
    format!("{thread:08x}-0000-4000-{:04x}-{number:012x}", place)
}

/// How many rows a commit creates in `task`.
pub fn created(number: u64) -> u64 {
    1 + number % 7
}

/// How many changes a commit has: those, a delete, and its counter.
pub fn changes(number: u64) -> u64 {
    created(number) + u64::from(number > LIVES_COMMITS) + 1
}

pub fn open(folder: &Path) -> Result<Environment> {
    let durability = match std::env::var_os(WEAKER_VARIABLE) {
        Some(_) => Durability::LostOnPowerCut,
        None => Durability::Synced,
    };
    let options = OpenOptions {
        durability,
        segment_bytes: SEGMENT_BYTES,
        ..OpenOptions::default()
    };
    Environment::open_with(&folder.join("environment"), options)
}

pub fn lake(folder: &Path) -> FolderLake {
    lake_at(folder, "folder:lake")
}

/// The lake of a link by its address.
pub fn lake_at(folder: &Path, address: &str) -> FolderLake {
    let (_, name) = address.split_once(':').unwrap();
    FolderLake::new(&folder.join(name), FILESYSTEM)
}

pub fn set_up(folder: &Path) {
    let settings = EnvironmentSettings::new("contoso", "org1");
    let environment = Environment::create(&folder.join("environment"), settings).unwrap();
    for schema in [TASK, COUNTER] {
        let schema = TableSchema::from_json(schema).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
    }
    let tables = ["task", "counter"].map(LinkTableOptions::of).to_vec();
    let endpoint = "https://contoso.dfs.core.windows.net:443";
    let new = NewLink::new("lake", "folder:lake", endpoint, tables);
    environment.create_link(&lake(folder), &new).unwrap();
    // Parquet meets the same failures, but is made anew in whole: of a large table none would be done before the next cut.
    let counter = vec![LinkTableOptions::of("counter")];
    let typed = NewLink {
        files: FileOptions {
            format: FileFormat::Parquet,
            ..FileOptions::default()
        },
        ..NewLink::new("typed", TYPED, endpoint, counter)
    };
    environment
        .create_link(&lake_at(folder, TYPED), &typed)
        .unwrap();
    environment
        .create_consumer(&NewConsumer::new(CONSUMER, "task"))
        .unwrap();
}

/// The last commit of a thread that is there.
pub fn last_number(environment: &Environment, thread: u64) -> Result<u64> {
    let counter = environment.get("counter", id(thread, 0, 0).parse().unwrap())?;
    let number = counter.and_then(|row| row.cell("number").map(|cell| cell.parse().unwrap()));
    Ok(number.unwrap_or(0))
}

/// Writes, says what was acknowledged, and ends when nothing can be written any more.
pub fn write(folder: &Path) {
    let environment = open(folder).unwrap();
    thread::scope(|scope| {
        for thread in 1..=THREADS {
            let environment = environment.clone();
            scope.spawn(move || {
                let last = last_number(&environment, thread).unwrap();
                for number in last + 1.. {
                    if commit(&environment, thread, number).is_err() {
                        return;
                    }
                }
            });
        }
        scope.spawn(|| publish(&environment, folder));
        scope.spawn(|| consume(&environment));
    });
}

fn notes(number: u64, place: u64) -> String {
    // Now and then a commit of many frames, and one that goes to sled in several pieces.
    let length = match (number % 11, number % 41) {
        (_, 0) => 100_000,
        (0, _) => 20_000,
        _ => 100,
    };
    format!("{number}-{place}-{}", "n".repeat(length - 50))
}

fn commit(environment: &Environment, thread: u64, number: u64) -> Result<()> {
    let place = |table: &str, column: &str| environment.schema(table)?.require(column);
    let (own, is) = (Value::Integer(thread as i64), Value::Integer(number as i64));
    let mut transaction = environment.transaction();
    for row in 0..created(number) {
        let (id, notes) = (id(thread, number, row), notes(number, row));
        let created = format!("202{}-05-05T00:00:00Z", (number + row) % 3);
        let values = [
            (place("task", "taskid")?, Value::Text(&id)),
            (place("task", "createdon")?, Value::Text(&created)),
            (place("task", "thread")?, own),
            (place("task", "number")?, is),
            (place("task", "notes")?, Value::Text(&notes)),
        ];
        transaction.write(Write::Create, "task", &values)?;
    }
    if number > LIVES_COMMITS {
        let old = id(thread, number - LIVES_COMMITS, 0);
        transaction.delete("task", Value::Text(&old))?;
    }
    let counter = id(thread, 0, 0);
    let values = [
        (place("counter", "counterid")?, Value::Text(&counter)),
        (place("counter", "thread")?, own),
        (place("counter", "number")?, is),
    ];
    transaction.write(Write::Upsert, "counter", &values)?;
    let receipt = transaction.commit()?;
    println!(
        "acknowledged {thread} {number} {} {}",
        receipt.first_version, receipt.last_version
    );
    Ok(())
}

fn publish(environment: &Environment, folder: &Path) {
    while let Ok(report) = environment.snapshot("lake", &lake(folder)) {
        println!("published {}", report.version);
        if environment
            .snapshot("typed", &lake_at(folder, TYPED))
            .is_err()
        {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn consume(environment: &Environment) {
    let Ok(mut changes) = environment.changes_for(CONSUMER) else {
        return;
    };
    while let Ok(next) = changes.next() {
        let Some(token) = next.and_then(|batch| batch.token()) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        if environment.acknowledge(CONSUMER, &token).is_err() {
            return;
        }
        println!("consumed {}", token.version());
    }
}
