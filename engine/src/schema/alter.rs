//! From the schema that a table has and the one that is wanted to the one that it gets.
//!
//! Rows that stand in files are never written anew for a change of the schema, so columns keep their
//! places: what is new comes behind, what is gone stays and is null from then on.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Attribute, AttributeType, OptionValue, TableSchema};
use crate::error::{Error, Result};

/// What a change of a table's schema did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaChange {
    /// The table.
    pub table: String,
    /// Columns that are new; they stand behind all others.
    pub added: Vec<String>,
    /// Columns that keep their place and are null from now on.
    pub dropped: Vec<String>,
    /// Columns that were dropped before and are taken again, at their old place.
    pub restored: Vec<String>,
    /// Columns that take more than before.
    pub widened: Vec<String>,
}

/// The schema that a table gets.
///
/// # Errors
/// `InvalidInput` names the column and the way out where the change would break the rows there are.
pub(crate) fn altered(old: &TableSchema, new: &TableSchema) -> Result<(TableSchema, SchemaChange)> {
    let schema = merged(old, new)?;
    let mut change = SchemaChange {
        table: old.name().to_owned(),
        ..SchemaChange::default()
    };
    for (before, after) in old.attributes().iter().zip(schema.attributes()) {
        column(old, before, after, &mut change)?;
    }
    for after in &schema.attributes()[old.attributes().len()..] {
        added(old, after, &mut change)?;
    }
    let keys = [
        (old.primary_key(), schema.primary_key(), "the primary key"),
        (
            old.created_on().unwrap_or(usize::MAX),
            schema.created_on().unwrap_or(usize::MAX),
            "createdon, which decides the partition of every row,",
        ),
    ];
    for (before, after, what) in keys {
        if before != after {
            return Err(refused(old, format!("{what} cannot change")));
        }
    }
    Ok((schema, change))
}

/// The JSON of both put together: the columns of the old one in their order, then what is new.
fn merged(old: &TableSchema, new: &TableSchema) -> Result<TableSchema> {
    if old.name() != new.name() {
        let rule = format!("the new schema is of table {}", new.name());
        return Err(refused(old, rule));
    }
    let parse = |schema: &TableSchema| -> Result<Map<String, Value>> {
        serde_json::from_str(schema.json())
            .map_err(|e| Error::invalid(format!("the schema of table {}: {e}", old.name())))
    };
    let (before, mut after) = (parse(old)?, parse(new)?);
    let wanted = columns(&after);
    let mut result = Vec::new();
    let mut there = BTreeSet::new();
    for column in columns(&before) {
        let name = name_of(&column).to_owned();
        let kept = wanted.iter().find(|c| name_of(c) == name);
        result.push(match kept {
            Some(column) => column.clone(),
            None => dropped(column),
        });
        there.insert(name);
    }
    result.extend(wanted.into_iter().filter(|c| !there.contains(name_of(c))));
    after.insert("columns".to_owned(), Value::Array(result));
    TableSchema::from_json(&Value::Object(after).to_string())
}

fn columns(table: &Map<String, Value>) -> Vec<Value> {
    let columns = table.get("columns").and_then(Value::as_array);
    columns.cloned().unwrap_or_default()
}

fn name_of(column: &Value) -> &str {
    column["name"].as_str().unwrap_or_default()
}

fn dropped(mut column: Value) -> Value {
    if let Value::Object(fields) = &mut column {
        fields.remove("required");
        fields.insert("dropped".to_owned(), Value::Bool(true));
    }
    column
}

fn column(
    old: &TableSchema,
    before: &Attribute,
    after: &Attribute,
    change: &mut SchemaChange,
) -> Result<()> {
    let name = &before.name;
    let refuse = |rule: String| Err(refused(old, format!("column {name} {rule}")));
    if before.name != after.name {
        return refuse(format!("cannot give its place to {}", after.name));
    }
    let position = old.position(name);
    let is_fixed = position == Some(old.primary_key())
        || position == old.created_on()
        || position == old.version_number();
    if after.dropped && is_fixed {
        return refuse("cannot be dropped: every row needs it".to_owned());
    }
    if after.required && !before.required {
        return refuse("cannot become required: rows that are there may be null".to_owned());
    }
    // What belongs to a lookup is told with it.
    let is_told = !matches!(after.kind, AttributeType::EntityType { .. });
    match (before.dropped, after.dropped) {
        (false, true) if is_told => change.dropped.push(name.clone()),
        (true, false) if is_told => change.restored.push(name.clone()),
        _ => {}
    }
    match relation(&before.kind, &after.kind) {
        Relation::Same if before.global_option_set == after.global_option_set => {}
        Relation::Same | Relation::Wider if is_told => change.widened.push(name.clone()),
        Relation::Same | Relation::Wider => {}
        Relation::Narrower => {
            return refuse(format!(
                "cannot go from {} to {}: rows that are there may not fit",
                before.kind, after.kind
            ));
        }
        Relation::Other => {
            return refuse(format!(
                "cannot change its type from {} to {}",
                before.kind, after.kind
            ));
        }
    }
    Ok(())
}

fn added(old: &TableSchema, after: &Attribute, change: &mut SchemaChange) -> Result<()> {
    let refuse = |rule: &str| {
        Err(refused(
            old,
            format!("the new column {} {rule}", after.name),
        ))
    };
    if after.required {
        return refuse("cannot be required: rows that are there have no value for it");
    }
    if after.dropped {
        return refuse("cannot begin as a dropped one");
    }
    if !matches!(after.kind, AttributeType::EntityType { .. }) {
        change.added.push(after.name.clone());
    }
    Ok(())
}

fn refused(table: &TableSchema, rule: impl std::fmt::Display) -> Error {
    Error::invalid(format!(
        "table {}: {rule}. As in the service such a change needs a table of a new name, or a new column beside the old one; a link shows the new table once it was added with `lakestage link tables add` and the old one was taken out with `lakestage link tables remove`",
        table.name()
    ))
}

/// What values a type takes beside another.
enum Relation {
    Same,
    Wider,
    Narrower,
    Other,
}

fn relation(before: &AttributeType, after: &AttributeType) -> Relation {
    use AttributeType as T;
    if before == after {
        return Relation::Same;
    }
    let is_wider = match (before, after) {
        (T::String { max_length: old }, T::String { max_length: new })
        | (T::Memo { max_length: old }, T::Memo { max_length: new }) => old <= new,
        (
            T::Integer { min, max },
            T::Integer {
                min: low,
                max: high,
            },
        ) => low <= min && max <= high,
        (
            T::Choice { kind, options },
            T::Choice {
                kind: k,
                options: new,
            },
        ) if kind == k => takes_all(options, new),
        (T::MultiSelect { options }, T::MultiSelect { options: new }) => takes_all(options, new),
        (
            T::Lookup { kind, targets },
            T::Lookup {
                kind: k,
                targets: new,
            },
        ) if kind == k => targets.iter().all(|target| new.contains(target)),
        (
            T::EntityType { lookup, targets },
            T::EntityType {
                lookup: l,
                targets: new,
            },
        ) if lookup == l => targets.iter().all(|target| new.contains(target)),
        _ => return Relation::Other,
    };
    match is_wider {
        true => Relation::Wider,
        false => Relation::Narrower,
    }
}

/// Whether every option is still there, in its state; a label may change. No options at all allow
/// every number.
fn takes_all(before: &[OptionValue], after: &[OptionValue]) -> bool {
    let has = |old: &OptionValue| {
        let mut options = after.iter();
        options.any(|new| new.value == old.value && new.state == old.state)
    };
    after.is_empty() || !before.is_empty() && before.iter().all(has)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn table(columns: &str) -> TableSchema {
        let fixed =
            r#"{"name":"tid","type":"uniqueidentifier"},{"name":"createdon","type":"datetime"}"#;
        TableSchema::from_json(&format!(
            r#"{{"name":"t","primaryKey":"tid","columns":[{fixed}{columns}]}}"#
        ))
        .unwrap()
    }

    const OLD: &str = r#",{"name":"a","type":"string","maxLength":10},{"name":"c","type":"choice","options":[{"value":1}]},{"name":"p","type":"lookup","targets":["t"]}"#;

    #[test]
    fn columns_keep_their_places_and_new_ones_come_behind() {
        let new = table(
            r#",{"name":"new","type":"boolean"},{"name":"c","type":"choice","options":[{"value":1},{"value":2}]},{"name":"a","type":"string","maxLength":20}"#,
        );
        let (schema, change) = altered(&table(OLD), &new).unwrap();
        let names: Vec<&str> = schema
            .attributes()
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["tid", "createdon", "a", "c", "p", "p_entitytype", "new"]
        );
        assert_eq!(change.added, ["new"]);
        assert_eq!(change.dropped, ["p"]);
        assert_eq!(change.widened, ["a", "c"]);
        assert!(schema.attributes()[4].dropped && schema.attributes()[5].dropped);
        let narrowed = altered(&schema, &table(OLD)).unwrap_err().to_string();
        assert!(narrowed.contains("may not fit"), "{narrowed}");
        let back = OLD
            .replace(":10}", ":20}")
            .replace("1}]", "1},{\"value\":2}]");
        let (_, change) = altered(&schema, &table(&back)).unwrap();
        assert_eq!(change.restored, ["p"]);
        assert_eq!(change.dropped, ["new"]);
    }

    #[test]
    fn what_would_break_rows_is_refused_with_the_way_out() {
        for (new, part) in [
            (
                OLD.replace("\"string\",\"maxLength\":10", "\"bigint\""),
                "cannot change its type",
            ),
            (OLD.replace(":10}", ":9}"), "may not fit"),
            (OLD.replace("{\"value\":1}", "{\"value\":2}"), "may not fit"),
            (
                OLD.replace(":10}", ":10,\"required\":true}"),
                "cannot become required",
            ),
            (
                format!("{OLD},{}", r#"{"name":"n","type":"money","required":true}"#),
                "cannot be required",
            ),
        ] {
            let message = altered(&table(OLD), &table(&new)).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains("link tables remove"), "{message}");
        }
        let no_date = r#"{"name":"t","primaryKey":"tid","columns":[{"name":"tid","type":"uniqueidentifier"}]}"#;
        let no_date = TableSchema::from_json(no_date).unwrap();
        assert!(altered(&table(OLD), &no_date).is_err());
        assert!(altered(&no_date, &table(OLD)).is_err());
    }
}
