//! Rows as they stand in a blob and in an answer: delimited text, or JSON lines.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use crate::protocol::blob::query::avro::RowError;
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

/// A row of a blob, and where it begins there.
#[derive(Debug)]
pub(super) struct PlacedRow {
    pub(super) row: Row,
    pub(super) position: u64,
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

    /// Whether the row ends before the column of that name, which its header or its number says to be there.
    pub(super) fn lacks(&self, names: &[(String, bool)]) -> bool {
        match (self, names) {
            (Self::Cells(cells, header), [(name, is_quoted)]) => {
                place_of(header, name, *is_quoted).is_some_and(|place| place >= cells.len())
            }
            _ => false,
        }
    }

    /// Whether there is a field of that name, be it null. Text has a cell for every column.
    pub(super) fn has(&self, names: &[(String, bool)]) -> bool {
        let Self::Json(object) = self else {
            return true;
        };
        let mut value = Some(object);
        for (name, is_quoted) in names {
            value = value.and_then(|inner| member(inner, name, *is_quoted));
        }
        value.is_some()
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

fn place_of(header: &csv::StringRecord, name: &str, is_quoted: bool) -> Option<usize> {
    let named = header
        .iter()
        .position(|known| is_named(known, name, is_quoted));
    named.or_else(|| {
        let number: usize = name.strip_prefix('_')?.parse().ok()?;
        number.checked_sub(1)
    })
}

fn cell(
    cells: &csv::StringRecord,
    header: &csv::StringRecord,
    name: &str,
    is_quoted: bool,
) -> Value {
    place_of(header, name, is_quoted)
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

/// Why rows could be read no further.
#[derive(Debug)]
pub(super) enum Broken {
    Read(io::Error),
    /// The row that begins there is not what the format says.
    Row(RowError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Hands the rows of a blob to `take`, until it wants no more.
pub(super) fn read_rows(
    format: &Format,
    source: impl Read,
    take: impl FnMut(PlacedRow) -> bool,
) -> Result<(), Broken> {
    match format {
        Format::Delimited(delimited) => read_delimited(delimited, source, take),
        Format::Json { separator } => read_json(separator, source, take),
    }
}

/// Notes whether the first line ends with CR LF: the reader counts the LF to the next row, and places should not.
struct LineEnds<R> {
    source: R,
    before: u8,
    is_crlf: Rc<Cell<Option<bool>>>,
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        if self.is_crlf.get().is_none() {
            for byte in buffer.iter().take(length) {
                if *byte == b'\n' {
                    self.is_crlf.set(Some(self.before == b'\r'));
                    break;
                }
                self.before = *byte;
            }
        }
        Ok(length)
    }
}

fn read_delimited(
    format: &Delimited,
    source: impl Read,
    mut take: impl FnMut(PlacedRow) -> bool,
) -> Result<(), Broken> {
    let terminator = match format.record.as_bytes() {
        [b'\n'] | [b'\r', b'\n'] => csv::Terminator::CRLF,
        [byte, ..] => csv::Terminator::Any(*byte),
        [] => csv::Terminator::CRLF,
    };
    let is_crlf = Rc::new(Cell::new(None));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(format.column)
        .quote(format.quote)
        .escape(format.escape)
        .terminator(terminator)
        .flexible(true)
        .has_headers(false)
        .from_reader(LineEnds {
            source,
            before: 0,
            is_crlf: Rc::clone(&is_crlf),
        });
    let mut bytes = csv::ByteRecord::new();
    let mut header = csv::StringRecord::new();
    let mut awaits_header = format.has_headers;
    while reader
        .read_byte_record(&mut bytes)
        .map_err(io::Error::from)?
    {
        let cells = csv::StringRecord::from_byte_record_lossy(bytes.clone());
        if std::mem::take(&mut awaits_header) {
            header = cells;
            continue;
        }
        let mut position = bytes.position().map_or(0, csv::Position::byte);
        if position > 0 && is_crlf.get() == Some(true) {
            position += 1;
        }
        let row = Row::Cells(cells, header.clone());
        if !take(PlacedRow { row, position }) {
            break;
        }
    }
    Ok(())
}

/// Several values may stand between two separators.
fn read_json(
    separator: &str,
    source: impl Read,
    mut take: impl FnMut(PlacedRow) -> bool,
) -> Result<(), Broken> {
    let end = separator.bytes().last().unwrap_or(b'\n');
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    let mut position = 0;
    loop {
        line.clear();
        let read = source.read_until(end, &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(separator.as_bytes()).unwrap_or(&line);
        let values = serde_json::Deserializer::from_slice(text).into_iter();
        for value in values {
            let row = Row::Json(value.map_err(|error| broken_json(&error, text, position))?);
            if !take(PlacedRow { row, position }) {
                return Ok(());
            }
        }
        position += read as u64;
    }
}

/// What the service says of JSON that it cannot read: what stands where, by bytes of the row.
fn broken_json(error: &serde_json::Error, text: &[u8], position: u64) -> Broken {
    let above = text
        .split(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1));
    let above: usize = above.map(|line| line.len() + 1).sum();
    let at = (above + error.column()).saturating_sub(1);
    let found = match text.get(at).filter(|_| !error.is_eof()) {
        Some(byte) => format!("Unexpected token '{}'", char::from(*byte).escape_default()),
        None => "Unexpected end".to_owned(),
    };
    let expected = match error.to_string().starts_with("key must be a string") {
        true => " Expecting token '\"'. ",
        false => "",
    };
    Broken::Row(RowError {
        is_fatal: true,
        name: "ParseError",
        description: format!("{found} at [byte: {at}].{expected}"),
        position,
    })
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
