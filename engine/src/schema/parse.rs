//! From the JSON form of a table to a checked [`TableSchema`].

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::{
    Attribute, AttributeType, ChoiceKind, DateTimeBehavior, IS_DELETE_COLUMN, LookupKind,
    OptionValue, SYSTEM_COLUMNS, TableSchema,
};
use crate::error::{Error, Result};

/// Dataverse's limit for the text of a memo.
const MEMO_MAX_LENGTH: u32 = 1_048_576;
/// Dataverse's limit for the text of a string.
const STRING_MAX_LENGTH: u32 = 4_000;
/// Columns are addressed by 16 bits, and a SQL table has 1,024 at most.
const COLUMNS_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TableJson {
    #[serde(rename = "$schema", default)]
    _schema: Option<String>,
    name: String,
    #[serde(default)]
    display_name: Option<String>,
    primary_key: String,
    #[serde(default = "yes")]
    change_tracking: bool,
    columns: Vec<ColumnJson>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ColumnJson {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    dropped: bool,
    targets: Option<Vec<String>>,
    options: Option<Vec<OptionJson>>,
    min: Option<i64>,
    max: Option<i64>,
    scale: Option<u32>,
    max_length: Option<u32>,
    behavior: Option<String>,
    global_option_set: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionJson {
    value: i32,
    #[serde(default)]
    label: String,
    state: Option<i32>,
}

pub(super) fn table(json: &str) -> Result<TableSchema> {
    let parsed: TableJson = serde_json::from_str(json)
        .map_err(|e| Error::invalid(format!("the table's JSON does not parse: {e}")))?;
    check_name("table", &parsed.name)?;
    if parsed.columns.len() > COLUMNS_MAX {
        return Err(Error::invalid(format!(
            "table {} has {} columns; at most {COLUMNS_MAX} are allowed",
            parsed.name,
            parsed.columns.len()
        )));
    }
    let mut attributes = Vec::with_capacity(parsed.columns.len() * 2);
    for column in &parsed.columns {
        expand(&parsed.name, column, &mut attributes)?;
    }
    let by_name = index(&parsed.name, &attributes)?;
    let special = Special::find(&parsed, &attributes, &by_name)?;
    Ok(TableSchema {
        display_name: parsed.display_name.unwrap_or_else(|| parsed.name.clone()),
        name: parsed.name,
        change_tracking: parsed.change_tracking,
        primary_key: special.primary_key,
        created_on: special.created_on,
        modified_on: special.modified_on,
        version_number: special.version_number,
        attributes,
        by_name,
        json: json.to_owned(),
    })
}

/// A logical name: what Dataverse allows, which is also safe as a folder's name.
fn check_name(what: &str, name: &str) -> Result<()> {
    let first = name.bytes().next();
    let fine = name.len() <= 128
        && first.is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the {what} name \"{name}\" is not a logical name: lower-case letters, digits and _ only, starting with a letter, 128 at most"
    )))
}

fn expand(table: &str, column: &ColumnJson, attributes: &mut Vec<Attribute>) -> Result<()> {
    check_name("column", &column.name)?;
    let kind = kind(column)
        .map_err(|rule| Error::invalid(format!("table {table}, column {}: {rule}", column.name)))?;
    let pair = match &kind {
        AttributeType::Lookup { targets, .. } => Some(AttributeType::EntityType {
            lookup: attributes.len(),
            targets: targets.clone(),
        }),
        _ => None,
    };
    attributes.push(Attribute {
        name: column.name.clone(),
        kind,
        required: column.required && !column.dropped,
        dropped: column.dropped,
        global_option_set: column.global_option_set.clone(),
    });
    if let Some(kind) = pair {
        attributes.push(Attribute {
            name: format!("{}_entitytype", column.name),
            kind,
            required: false,
            dropped: column.dropped,
            global_option_set: None,
        });
    }
    Ok(())
}

fn kind(column: &ColumnJson) -> Result<AttributeType, String> {
    use AttributeType as T;
    let kind = match column.kind.as_str() {
        "uniqueidentifier" => T::UniqueIdentifier,
        "lookup" => lookup(column, LookupKind::Lookup, &[])?,
        "owner" => lookup(column, LookupKind::Owner, &["systemuser", "team"])?,
        "customer" => lookup(column, LookupKind::Customer, &["account", "contact"])?,
        "choice" => choice(column, ChoiceKind::Choice)?,
        "state" => choice(column, ChoiceKind::State)?,
        "status" => choice(column, ChoiceKind::Status)?,
        "multiselect" => T::MultiSelect {
            options: options(column)?,
        },
        "boolean" => T::Boolean,
        "integer" => integer(column)?,
        "bigint" => T::BigInt,
        "decimal" => T::Decimal {
            scale: scale(column, 2, 10)?,
        },
        "money" => T::Money {
            scale: scale(column, 4, 4)?,
        },
        "double" => T::Double {
            scale: scale(column, 5, 5)?,
        },
        "datetime" => T::DateTime {
            behavior: behavior(column)?,
        },
        "string" => T::String {
            max_length: length(column, 100, STRING_MAX_LENGTH)?,
        },
        "memo" => T::Memo {
            max_length: length(column, 2_000, MEMO_MAX_LENGTH)?,
        },
        other => {
            return Err(format!(
                "the type \"{other}\" is unknown; the types are uniqueidentifier, lookup, owner, customer, choice, state, status, multiselect, boolean, integer, bigint, decimal, money, double, datetime, string and memo"
            ));
        }
    };
    refuse_foreign_settings(column)?;
    if let Some(name) = &column.global_option_set {
        check_name("global option set", name).map_err(|e| e.to_string())?;
    }
    Ok(kind)
}

/// A setting that the type has no use for is a mistake, not a comment.
fn refuse_foreign_settings(column: &ColumnJson) -> Result<(), String> {
    let kind = column.kind.as_str();
    let set = [
        (
            "targets",
            column.targets.is_some(),
            &["lookup", "owner", "customer"][..],
        ),
        (
            "options",
            column.options.is_some(),
            &["choice", "state", "status", "multiselect"],
        ),
        ("min", column.min.is_some(), &["integer"]),
        ("max", column.max.is_some(), &["integer"]),
        (
            "scale",
            column.scale.is_some(),
            &["decimal", "money", "double"],
        ),
        (
            "maxLength",
            column.max_length.is_some(),
            &["string", "memo"],
        ),
        ("behavior", column.behavior.is_some(), &["datetime"]),
        (
            "globalOptionSet",
            column.global_option_set.is_some(),
            &["choice", "multiselect"],
        ),
    ];
    for (name, present, kinds) in set {
        if present && !kinds.contains(&kind) {
            return Err(format!("\"{name}\" has no meaning for the type {kind}"));
        }
    }
    Ok(())
}

fn lookup(
    column: &ColumnJson,
    kind: LookupKind,
    default: &[&str],
) -> Result<AttributeType, String> {
    let targets = match &column.targets {
        Some(targets) => targets.clone(),
        None => default.iter().map(|s| s.to_string()).collect(),
    };
    if targets.is_empty() {
        return Err("a lookup needs \"targets\", the tables it may point to".into());
    }
    Ok(AttributeType::Lookup { kind, targets })
}

fn options(column: &ColumnJson) -> Result<Vec<OptionValue>, String> {
    let mut seen = HashSet::new();
    let mut options = Vec::new();
    for option in column.options.iter().flatten() {
        if !seen.insert(option.value) {
            return Err(format!("the option {} stands twice", option.value));
        }
        options.push(OptionValue {
            value: option.value,
            label: option.label.clone(),
            state: option.state,
        });
    }
    Ok(options)
}

fn choice(column: &ColumnJson, kind: ChoiceKind) -> Result<AttributeType, String> {
    let options = options(column)?;
    if kind != ChoiceKind::Status && options.iter().any(|o| o.state.is_some()) {
        return Err("only the options of a status have a \"state\"".into());
    }
    Ok(AttributeType::Choice { kind, options })
}

fn integer(column: &ColumnJson) -> Result<AttributeType, String> {
    let bound = |value: Option<i64>, default: i32| match value {
        None => Ok(default),
        Some(value) => i32::try_from(value)
            .map_err(|_| format!("{value} is outside the 32 bits of an integer; use bigint")),
    };
    let min = bound(column.min, i32::MIN)?;
    let max = bound(column.max, i32::MAX)?;
    if min > max {
        return Err(format!("min {min} is above max {max}"));
    }
    Ok(AttributeType::Integer { min, max })
}

fn scale(column: &ColumnJson, default: u32, max: u32) -> Result<u32, String> {
    let scale = column.scale.unwrap_or(default);
    if scale > max {
        return Err(format!(
            "scale {scale} is above {max}, the limit of {}",
            column.kind
        ));
    }
    Ok(scale)
}

fn length(column: &ColumnJson, default: u32, max: u32) -> Result<u32, String> {
    let length = column.max_length.unwrap_or(default);
    if length == 0 || length > max {
        return Err(format!(
            "maxLength {length} is outside 1 to {max}, the limits of {}",
            column.kind
        ));
    }
    Ok(length)
}

fn behavior(column: &ColumnJson) -> Result<DateTimeBehavior, String> {
    match column.behavior.as_deref() {
        None | Some("userLocal") => Ok(DateTimeBehavior::UserLocal),
        Some("dateOnly") => Ok(DateTimeBehavior::DateOnly),
        Some("timeZoneIndependent") => Ok(DateTimeBehavior::TimeZoneIndependent),
        Some(other) => Err(format!(
            "the behavior \"{other}\" is unknown; it is userLocal, dateOnly or timeZoneIndependent"
        )),
    }
}

fn index(table: &str, attributes: &[Attribute]) -> Result<HashMap<String, usize>> {
    let mut by_name = HashMap::with_capacity(attributes.len());
    for (position, attribute) in attributes.iter().enumerate() {
        let reserved = SYSTEM_COLUMNS
            .iter()
            .chain([&IS_DELETE_COLUMN])
            .any(|name| name.eq_ignore_ascii_case(&attribute.name));
        if reserved {
            return Err(Error::invalid(format!(
                "table {table}: the column \"{}\" is the engine's own",
                attribute.name
            )));
        }
        if by_name.insert(attribute.name.clone(), position).is_some() {
            return Err(Error::invalid(format!(
                "table {table}: the column \"{}\" stands twice (a lookup x makes x and x_entitytype)",
                attribute.name
            )));
        }
    }
    Ok(by_name)
}

/// The columns that mean something to the engine.
struct Special {
    primary_key: usize,
    created_on: Option<usize>,
    modified_on: Option<usize>,
    version_number: Option<usize>,
}

impl Special {
    fn find(
        table: &TableJson,
        attributes: &[Attribute],
        by_name: &HashMap<String, usize>,
    ) -> Result<Self> {
        let typed = |name: &str, fits: fn(&AttributeType) -> bool, wanted: &str| {
            let Some(&position) = by_name.get(name) else {
                return Ok(None);
            };
            if fits(&attributes[position].kind) {
                return Ok(Some(position));
            }
            Err(Error::invalid(format!(
                "table {}: the column {name} must be of type {wanted}",
                table.name
            )))
        };
        let moment = |kind: &AttributeType| {
            matches!(
                kind,
                AttributeType::DateTime {
                    behavior: DateTimeBehavior::UserLocal
                }
            )
        };
        let key = |kind: &AttributeType| matches!(kind, AttributeType::UniqueIdentifier);
        let Some(primary_key) = typed(&table.primary_key, key, "uniqueidentifier")? else {
            return Err(Error::invalid(format!(
                "table {}: the primary key \"{}\" is none of its columns",
                table.name, table.primary_key
            )));
        };
        Ok(Special {
            primary_key,
            created_on: typed("createdon", moment, "datetime, userLocal")?,
            modified_on: typed("modifiedon", moment, "datetime, userLocal")?,
            version_number: typed(
                "versionnumber",
                |kind| matches!(kind, AttributeType::BigInt),
                "bigint",
            )?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(columns: &str) -> Result<TableSchema> {
        table(&format!(
            r#"{{"name":"t","primaryKey":"tid","columns":[{{"name":"tid","type":"uniqueidentifier"}},{columns}]}}"#
        ))
    }

    #[test]
    fn a_lookup_becomes_a_pair() {
        let schema = parse(r#"{"name":"ownerid","type":"owner"}"#).unwrap();
        let names: Vec<_> = schema
            .attributes()
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        assert_eq!(names, ["tid", "ownerid", "ownerid_entitytype"]);
    }

    #[test]
    fn mistakes_name_the_column_and_the_rule() {
        for (columns, part) in [
            (r#"{"name":"A","type":"string"}"#, "logical name"),
            (
                r#"{"name":"a","type":"text"}"#,
                "the type \"text\" is unknown",
            ),
            (r#"{"name":"a","type":"lookup"}"#, "targets"),
            (
                r#"{"name":"a","type":"money","scale":5}"#,
                "scale 5 is above 4",
            ),
            (
                r#"{"name":"a","type":"string","scale":5}"#,
                "has no meaning",
            ),
            (
                r#"{"name":"a","type":"string"},{"name":"a","type":"memo"}"#,
                "stands twice",
            ),
            (
                r#"{"name":"createdon","type":"string"}"#,
                "must be of type datetime",
            ),
            (r#"{"name":"isdelete","type":"boolean"}"#, "engine's own"),
            (
                r#"{"name":"a","type":"integer","min":3,"max":2}"#,
                "min 3 is above max 2",
            ),
            (
                r#"{"name":"a","type":"string","length":5}"#,
                "unknown field",
            ),
        ] {
            let message = parse(columns).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
