//! Rows from JSON lines: one object a line, its keys the columns.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Columns, OnRow, RowIn, Target};
use crate::error::{Error, Result};
use crate::value::Value;

const BUFFER_BYTES: usize = 1 << 20;

pub(super) fn read(
    columns: &Columns<'_>,
    input: &mut dyn Read,
    on_row: &mut OnRow<'_>,
) -> Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut line = String::new();
    for number in 1u64.. {
        line.clear();
        let read = reader
            .read_line(&mut line)
            .map_err(|e| Error::invalid(format!("line {number}: {e}")))?;
        if read == 0 {
            break;
        }
        let text = line.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            row(columns, text, number, on_row)?;
        }
    }
    Ok(())
}

fn row(columns: &Columns<'_>, text: &str, number: u64, on_row: &mut OnRow<'_>) -> Result<()> {
    let wrong =
        |e: serde_json::Error| Error::invalid(format!("line {number} is not a JSON object: {e}"));
    let Object(members) = serde_json::from_str(text).map_err(wrong)?;
    let mut cells = Vec::with_capacity(members.len());
    for (name, raw) in &members {
        let cell = Cell::of(raw.get()).ok_or_else(|| {
            Error::invalid(format!(
                "line {number}, column {name}: a value is text, a number, true, false, null or a list of integers"
            ))
        })?;
        let target = columns
            .target(name)
            .map_err(|e| Error::invalid(format!("line {number}: {e}")))?;
        cells.push((target, cell));
    }
    let mut values = Vec::with_capacity(cells.len());
    let mut operation = None;
    for (target, cell) in &cells {
        match (target, cell.value()) {
            (Target::Attribute(position), value) => values.push((*position, value)),
            (Target::Operation, Value::Text(text)) => operation = Some(text),
            (Target::Operation, value) => {
                let shown = value.shown();
                return Err(Error::invalid(format!(
                    "line {number}: \"@op\" is {shown}, not text"
                )));
            }
            (Target::Ignored, _) => {}
        }
    }
    on_row(&RowIn {
        values: &values,
        operation,
    })
}

/// A value, owning what the text of the line does not hold as it is.
enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    /// The digits as they stand, so that a decimal stays exact.
    Number(&'a str),
    Boolean(bool),
    Integers(Vec<i64>),
}

impl<'a> Cell<'a> {
    fn of(raw: &'a str) -> Option<Self> {
        Some(match raw.as_bytes().first()? {
            b'n' => Cell::Null,
            b't' => Cell::Boolean(true),
            b'f' => Cell::Boolean(false),
            b'"' => Cell::Text(serde_json::from_str::<Borrowed<'_>>(raw).ok()?.0),
            b'[' => Cell::Integers(serde_json::from_str(raw).ok()?),
            b'{' => return None,
            _ => Cell::Number(raw),
        })
    }

    fn value(&self) -> Value<'_> {
        match self {
            Cell::Null => Value::Null,
            Cell::Text(text) => Value::Text(text),
            Cell::Boolean(b) => Value::Boolean(*b),
            Cell::Integers(list) => Value::Integers(list),
            Cell::Number(digits) => match digits.parse() {
                Ok(integer) => Value::Integer(integer),
                // What is not an integer is a decimal or a float; both read digits best.
                Err(_) => Value::Number(digits),
            },
        }
    }
}

/// A string that borrows from the input where it has no escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object in their order.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Borrowed(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
