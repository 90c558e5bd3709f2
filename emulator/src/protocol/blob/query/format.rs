//! Rows as they stand in a blob and in an answer: delimited text, or JSON lines.

use std::io::{self, BufRead, BufReader, Read};

use crate::protocol::blob::query::value::Value;

/// How rows are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Delimited(Delimited),
    Json { separator: String },
}

/// Delimited text; what is not said is as in CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delimited {
    pub(super) column: u8,
    pub(super) quote: u8,
    pub(super) escape: Option<u8>,
    pub(super) record: String,
    pub(super) has_headers: bool,
}

impl Default for Delimited {
    fn default() -> Self {
        Self {
            column: b',',
            quote: b'"',
            escape: None,
            record: "\n".to_owned(),
            has_headers: false,
        }
    }
}

/// A row of a blob.
#[derive(Debug)]
pub(super) enum Row {
    /// Cells, and their names where there is a header.
    Cells(csv::StringRecord, csv::StringRecord),
    Json(serde_json::Value),
}

impl Row {
    /// The field of that name; null where there is none.
    pub(super) fn field(&self, names: &[(String, bool)]) -> Value {
        match self {
            Self::Cells(cells, header) => match names {
                [(name, is_quoted)] => cell(cells, header, name, *is_quoted),
                _ => Value::Null,
            },
            Self::Json(object) => {
                let mut value = object;
                for (name, is_quoted) in names {
                    match member(value, name, *is_quoted) {
                        Some(inner) => value = inner,
                        None => return Value::Null,
                    }
                }
                of_json(value)
            }
        }
    }

    /// Everything, with its names.
    pub(super) fn all(&self) -> Vec<(String, Value)> {
        match self {
            Self::Cells(cells, header) => cells
                .iter()
                .enumerate()
                .map(|(place, cell)| {
                    let name = header.get(place).map(str::to_owned);
                    let name = name.unwrap_or_else(|| ordinal(place));
                    (name, Value::Text(cell.to_owned()))
                })
                .collect(),
            Self::Json(serde_json::Value::Object(members)) => members
                .iter()
                .map(|(name, value)| (name.clone(), of_json(value)))
                .collect(),
            Self::Json(value) => vec![(ordinal(0), of_json(value))],
        }
    }
}

/// The name of a column that has none.
pub(super) fn ordinal(place: usize) -> String {
    format!("_{}", place + 1)
}

fn is_named(known: &str, name: &str, is_quoted: bool) -> bool {
    match is_quoted {
        true => known == name,
        false => known.eq_ignore_ascii_case(name),
    }
}

fn cell(
    cells: &csv::StringRecord,
    header: &csv::StringRecord,
    name: &str,
    is_quoted: bool,
) -> Value {
    let named = header
        .iter()
        .position(|known| is_named(known, name, is_quoted));
    let place = named.or_else(|| {
        let number: usize = name.strip_prefix('_')?.parse().ok()?;
        number.checked_sub(1)
    });
    place
        .and_then(|place| cells.get(place))
        .map_or(Value::Null, |cell| Value::Text(cell.to_owned()))
}

fn member<'v>(
    object: &'v serde_json::Value,
    name: &str,
    is_quoted: bool,
) -> Option<&'v serde_json::Value> {
    let members = object.as_object()?;
    members
        .iter()
        .find(|(known, _)| is_named(known, name, is_quoted))
        .map(|(_, value)| value)
}

fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Null, Value::Number),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        nested => Value::Json(nested.to_string()),
    }
}

/// Hands the rows of a blob to `take`, until it wants no more.
pub(super) fn read_rows(
    format: &Format,
    source: impl Read,
    take: impl FnMut(Row) -> bool,
) -> io::Result<()> {
    match format {
        Format::Delimited(delimited) => read_delimited(delimited, source, take),
        Format::Json { separator } => read_json(separator, source, take),
    }
}

fn read_delimited(
    format: &Delimited,
    source: impl Read,
    mut take: impl FnMut(Row) -> bool,
) -> io::Result<()> {
    let terminator = match format.record.as_bytes() {
        [b'\n'] | [b'\r', b'\n'] => csv::Terminator::CRLF,
        [byte, ..] => csv::Terminator::Any(*byte),
        [] => csv::Terminator::CRLF,
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(format.column)
        .quote(format.quote)
        .escape(format.escape)
        .terminator(terminator)
        .flexible(true)
        .has_headers(false)
        .from_reader(source);
    let mut bytes = csv::ByteRecord::new();
    let mut header = csv::StringRecord::new();
    let mut awaits_header = format.has_headers;
    while reader.read_byte_record(&mut bytes)? {
        let cells = csv::StringRecord::from_byte_record_lossy(bytes.clone());
        if std::mem::take(&mut awaits_header) {
            header = cells;
            continue;
        }
        if !take(Row::Cells(cells, header.clone())) {
            break;
        }
    }
    Ok(())
}

fn read_json(
    separator: &str,
    source: impl Read,
    mut take: impl FnMut(Row) -> bool,
) -> io::Result<()> {
    let end = separator.bytes().last().unwrap_or(b'\n');
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    while source.read_until(end, &mut line)? > 0 {
        let text = line.strip_suffix(separator.as_bytes()).unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            let value = serde_json::from_slice(text).map_err(io::Error::other)?;
            if !take(Row::Json(value)) {
                break;
            }
        }
        line.clear();
    }
    Ok(())
}

/// Writes a row of the answer.
pub(super) fn write_row(
    format: &Format,
    row: &[(String, Value)],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match format {
        Format::Delimited(delimited) => {
            write_cells(delimited, row.iter().map(|(_, value)| value.text()), out)
        }
        Format::Json { separator } => {
            let object: serde_json::Map<String, serde_json::Value> = row
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)))
                .collect();
            serde_json::to_writer(&mut *out, &object)?;
            out.extend_from_slice(separator.as_bytes());
            Ok(())
        }
    }
}

/// Writes the names above the rows, where the format has them.
pub(super) fn write_header(
    format: &Format,
    row: &[(String, Value)],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match format {
        Format::Delimited(delimited) if delimited.has_headers => {
            write_cells(delimited, row.iter().map(|(name, _)| name.clone()), out)
        }
        _ => Ok(()),
    }
}

fn write_cells(
    format: &Delimited,
    cells: impl Iterator<Item = String>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut builder = csv::WriterBuilder::new();
    builder.delimiter(format.column).quote(format.quote);
    if let Some(escape) = format.escape {
        builder.double_quote(false).escape(escape);
    }
    // Its own end of a record is taken off, because it has one byte.
    let mut writer = builder
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    writer.write_record(cells)?;
    let mut line = writer
        .into_inner()
        .map_err(|e| io::Error::other(e.to_string()))?;
    line.pop();
    out.extend_from_slice(&line);
    out.extend_from_slice(format.record.as_bytes());
    Ok(())
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            (*number as i64).into()
        }
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}
