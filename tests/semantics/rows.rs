//! What is taken in, and what is refused.

use lakestage_engine::{Error, ErrorKind, TableSchema, Value, Write};

use crate::world::{World, id};

fn row_error(error: Error) -> lakestage_engine::RowError {
    match error {
        Error::Row(row) => *row,
        other => panic!("not about a row: {other}"),
    }
}

#[test]
fn a_refused_row_names_table_column_value_and_rule() {
    let world = World::new();
    let cells = [
        (
            "taskid",
            Value::Text("00000001-0000-4000-8000-000000000000"),
        ),
        ("subject", Value::Text("longer than twenty characters")),
    ];
    let error = row_error(world.try_put("task", &cells).unwrap_err());
    assert_eq!(error.table, "task");
    assert_eq!(error.column.as_deref(), Some("subject"));
    assert_eq!(
        error.value.as_deref(),
        Some("longer than twenty characters")
    );
    assert!(error.rule.contains("20"), "{}", error.rule);
}

#[test]
fn nothing_of_a_transaction_with_a_refused_row_stays() {
    let world = World::new();
    world.link(&["task"]);
    let schema = world.environment.schema("task").unwrap();
    let (key, done) = (schema.primary_key(), schema.require("done").unwrap());
    let mut transaction = world.environment.transaction();
    let (first, second) = (id(1), id(2));
    transaction
        .write(Write::Create, "task", &[(key, Value::Text(&first))])
        .unwrap();
    let bad = [
        (key, Value::Text(second.as_str())),
        (done, Value::Text("maybe")),
    ];
    transaction.write(Write::Create, "task", &bad).unwrap_err();
    let error = transaction.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    world.snapshot();
    assert!(world.named("task").is_empty());
}

#[test]
fn create_update_and_delete_ask_for_the_row_they_mean() {
    let world = World::new();
    world.task(1, 2021, "one");
    let schema = world.environment.schema("task").unwrap();
    let key = schema.primary_key();
    let (there, missing) = (id(1), id(2));
    let rule = |write: Option<Write>, id: &str| {
        let mut transaction = world.environment.transaction();
        let done = match write {
            Some(write) => transaction.write(write, "task", &[(key, Value::Text(id))]),
            None => transaction.delete("task", Value::Text(id)),
        };
        row_error(done.unwrap_err()).rule
    };
    assert!(rule(Some(Write::Create), &there).contains("exists already"));
    assert!(rule(Some(Write::Update), &missing).contains("no row"));
    assert!(rule(None, &missing).contains("no row"));
}

#[test]
fn an_update_keeps_the_columns_it_does_not_name() {
    let world = World::new();
    world.task(1, 2021, "one");
    world.put("task", &[("taskid", &id(1)), ("notes", "seen")]);
    let row = world.environment.get("task", id(1).parse().unwrap());
    let row = row.unwrap().unwrap();
    assert_eq!(row.cell("subject"), Some("\"one\""));
    assert_eq!(row.cell("notes"), Some("\"seen\""));
}

#[test]
fn createdon_does_not_change() {
    let world = World::new();
    world.task(1, 2021, "one");
    let first = id(1);
    let cells = [
        ("taskid", Value::Text(first.as_str())),
        ("createdon", Value::Text("2022-01-01T00:00:00Z")),
    ];
    let error = row_error(world.try_put("task", &cells).unwrap_err());
    assert_eq!(error.column.as_deref(), Some("createdon"));
}

#[test]
fn two_transactions_cannot_change_one_row_at_once() {
    let world = World::new();
    let schema = world.environment.schema("task").unwrap();
    let (key, first) = (schema.primary_key(), id(1));
    let values = [(key, Value::Text(first.as_str()))];
    let mut one = world.environment.transaction();
    one.write(Write::Upsert, "task", &values).unwrap();
    let mut other = world.environment.transaction();
    let error = other.write(Write::Upsert, "task", &values).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(one);
    let mut third = world.environment.transaction();
    third.write(Write::Upsert, "task", &values).unwrap();
    third.commit().unwrap();
}

#[test]
fn version_numbers_rise_over_all_tables_and_replace_what_is_given() {
    let world = World::new();
    let one = world.put("task", &[("taskid", &id(1)), ("versionnumber", "99")]);
    let two = world.put("member", &[("memberid", &id(1))]);
    let three = world.delete("task", 1);
    assert!(one.last_version < two.first_version);
    assert!(two.last_version < three.first_version);
    let row = world.environment.get("member", id(1).parse().unwrap());
    let version = row.unwrap().unwrap();
    assert_eq!(
        version.cell("versionnumber"),
        Some(&*two.last_version.to_string())
    );
}

#[test]
fn a_schema_that_breaks_a_rule_is_refused_with_the_column() {
    let json = r#"{"name": "t", "primaryKey": "tid", "columns": [
        {"name": "tid", "type": "uniqueidentifier"}, {"name": "a", "type": "text"}]}"#;
    let error = TableSchema::from_json(json).unwrap_err().to_string();
    assert!(
        error.contains("column a") && error.contains("memo"),
        "{error}"
    );
    let json = r#"{"name": "t", "primaryKey": "tid", "columns": [
        {"name": "tid", "type": "uniqueidentifier"}, {"name": "a", "type": "string", "scale": 2}]}"#;
    let error = TableSchema::from_json(json).unwrap_err().to_string();
    assert!(
        error.contains("column a") && error.contains("scale"),
        "{error}"
    );
}
