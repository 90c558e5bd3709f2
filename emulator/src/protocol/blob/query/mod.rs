//! Query Blob Contents: rows of delimited text or JSON lines, picked by a little SQL.
//!
//! [`token`] and [`sql`] read the query, [`value`] says what it is for a row, [`format`] reads and writes rows, and
//! [`avro`] frames the answer.

mod avro;
mod format;
mod sql;
mod token;
mod value;

use std::io;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::xml::{Element, elements};
use crate::protocol::common::Call;
use crate::protocol::read;
use crate::protocol::reply::{Reply, ReplyBody};
use crate::store::content::ContentReader;

use self::avro::AvroFile;
use self::format::{Delimited, Format, Row, ordinal, read_rows, write_header, write_row};
use self::sql::{Column, Select};
use self::value::{Total, Value, holds, value};

/// The largest query.
const QUERY_MAX_BYTES: u64 = 256 * 1024;
/// The largest result; an answer is prepared in memory.
const RESULT_MAX_BYTES: usize = 256 << 20;
/// Rows of the result that go into one record of the answer.
const DATA_BYTES: usize = 1 << 20;

/// What a request asks for.
struct Query {
    select: Select,
    input: Format,
    output: Format,
}

/// The refusal of a query that cannot be carried out.
fn wrong(reason: impl Into<String>) -> StoreError {
    StoreError::with_message(
        ErrorCode::InvalidInput,
        format!("The query: {}", reason.into()),
    )
}

pub(super) fn run(call: &mut Call<'_>) -> Result<Reply> {
    let body = call.body.read_all(QUERY_MAX_BYTES)?;
    let query = query(&elements(&body)?)?;
    let request = call.request;
    let path = request.path_or_snapshot()?;
    let (account, filesystem) = (&request.account, &request.filesystem);
    let (node, reader) = call
        .store
        .open_node(&request.principal, account, filesystem, &path)?;
    read::check(call, &node.inode)?;
    if node.inode.is_directory() {
        return Err(ErrorCode::ResourceTypeMismatch.into());
    }
    let length = node.inode.length;
    let mut result = ResultRows::default();
    select(&query, reader, &mut result).map_err(|error| failure(error, &result))?;
    let mut reply = Reply::new(200)
        .attributes(&node.inode, request.is_flat, call.store.now_unix_ns())
        .with("content-type", "avro/binary");
    for of_the_blob in ["content-md5", "content-range"] {
        reply.headers.remove(of_the_blob);
    }
    reply.body = ReplyBody::Bytes(result.finish(length));
    Ok(reply)
}

/// What went wrong while the blob was read: its bytes, or what they say.
fn failure(error: io::Error, result: &ResultRows) -> StoreError {
    if result.is_full {
        return wrong(format!(
            "its result is larger than {RESULT_MAX_BYTES} bytes; give it a LIMIT"
        ));
    }
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(error) => wrong(format!(
            "the blob is not what the query says it is: {error}"
        )),
    }
}

/// Rows of the answer, in records.
struct ResultRows {
    file: AvroFile,
    rows: Vec<u8>,
    bytes: usize,
    is_full: bool,
}

impl Default for ResultRows {
    fn default() -> Self {
        Self {
            file: AvroFile::new(),
            rows: Vec::new(),
            bytes: 0,
            is_full: false,
        }
    }
}

impl ResultRows {
    /// Adds a row, with the header above the first.
    fn add(&mut self, format: &Format, row: &[(String, Value)]) -> io::Result<()> {
        if self.bytes == 0 && self.rows.is_empty() {
            write_header(format, row, &mut self.rows)?;
        }
        write_row(format, row, &mut self.rows)?;
        if self.rows.len() >= DATA_BYTES {
            self.cut();
        }
        if self.bytes + self.rows.len() > RESULT_MAX_BYTES {
            self.is_full = true;
            return Err(io::Error::other("the result is too large"));
        }
        Ok(())
    }

    fn cut(&mut self) {
        self.bytes += self.rows.len();
        self.file.data(&self.rows);
        self.rows.clear();
    }

    fn finish(mut self, blob_bytes: u64) -> Vec<u8> {
        if !self.rows.is_empty() {
            self.cut();
        }
        self.file.finish(blob_bytes, blob_bytes)
    }
}

/// Goes through the blob once.
fn select(query: &Query, reader: ContentReader, result: &mut ResultRows) -> io::Result<()> {
    let select = &query.select;
    let mut totals: Vec<Total> = select
        .columns
        .iter()
        .filter_map(|column| match column {
            Column::Aggregate(aggregate, _) => Some(Total::new(*aggregate)),
            Column::Value(_) => None,
        })
        .collect();
    let has_totals = !totals.is_empty();
    let mut left = match has_totals {
        true => u64::MAX,
        false => select.limit.unwrap_or(u64::MAX),
    };
    let mut failed = None;
    read_rows(&query.input, reader, |row| {
        if left == 0 {
            return false;
        }
        let is_wanted = select
            .condition
            .as_ref()
            .is_none_or(|condition| holds(condition, &row) == Some(true));
        if !is_wanted {
            return true;
        }
        left -= 1;
        if has_totals {
            add_to(&mut totals, &select.columns, &row);
            return true;
        }
        if let Err(error) = result.add(&query.output, &columns(select, &row)) {
            failed = Some(error);
            return false;
        }
        true
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if has_totals && select.limit != Some(0) {
        let row: Vec<(String, Value)> = totals
            .into_iter()
            .enumerate()
            .map(|(place, total)| (ordinal(place), total.value()))
            .collect();
        result.add(&query.output, &row)?;
    }
    Ok(())
}

fn add_to(totals: &mut [Total], columns: &[Column], row: &Row) {
    for (total, column) in totals.iter_mut().zip(columns) {
        if let Column::Aggregate(_, of) = column {
            total.add(of.as_ref().map(|of| value(of, row)));
        }
    }
}

/// A row of the answer, with the names of its columns.
fn columns(select: &Select, row: &Row) -> Vec<(String, Value)> {
    if select.columns.is_empty() {
        return row.all();
    }
    let columns = select.columns.iter().enumerate();
    columns
        .filter_map(|(place, column)| match column {
            Column::Value(expression) => {
                let name = match expression {
                    sql::Expression::Field(names) => names.last().map(|(name, _)| name.clone()),
                    _ => None,
                };
                let name = name.unwrap_or_else(|| ordinal(place));
                Some((name, value(expression, row)))
            }
            Column::Aggregate(..) => None,
        })
        .collect()
}

/// Reads the request's document.
fn query(found: &[Element]) -> Result<Query> {
    let text = |path: &[&str]| {
        found
            .iter()
            .find(|element| {
                element
                    .path
                    .iter()
                    .skip(1)
                    .map(String::as_str)
                    .eq(path.iter().copied())
            })
            .map(|element| element.text.as_str())
    };
    match text(&["QueryType"]) {
        Some(kind) if kind.eq_ignore_ascii_case("SQL") => {}
        _ => return Err(wrong("its QueryType must be SQL")),
    }
    let expression = text(&["Expression"]).ok_or_else(|| wrong("it has no Expression"))?;
    let select = sql::parse(expression).map_err(wrong)?;
    let input = format(&text, "InputSerialization")?;
    let output = format(&text, "OutputSerialization")?;
    let input = input.unwrap_or_else(|| Format::Delimited(Delimited::default()));
    // What is not said is as what comes in, with no names above it.
    let output = output.unwrap_or_else(|| match &input {
        Format::Delimited(delimited) => Format::Delimited(Delimited {
            has_headers: false,
            ..delimited.clone()
        }),
        json => json.clone(),
    });
    Ok(Query {
        select,
        input,
        output,
    })
}

fn format<'t>(text: &impl Fn(&[&str]) -> Option<&'t str>, side: &str) -> Result<Option<Format>> {
    let Some(kind) = text(&[side, "Format", "Type"]) else {
        return Ok(None);
    };
    match kind.to_ascii_lowercase().as_str() {
        "delimited" => {
            delimited(|name| text(&[side, "Format", "DelimitedTextConfiguration", name]))
                .map(Format::Delimited)
                .map(Some)
        }
        "json" => {
            let separator = text(&[side, "Format", "JsonTextConfiguration", "RecordSeparator"]);
            let separator = separator.filter(|separator| !separator.is_empty());
            Ok(Some(Format::Json {
                separator: separator.unwrap_or("\n").to_owned(),
            }))
        }
        other => Err(StoreError::with_message(
            ErrorCode::NotImplemented,
            format!("The emulator does not query or answer {other}, only delimited text and JSON."),
        )),
    }
}

fn delimited<'t>(text: impl Fn(&str) -> Option<&'t str>) -> Result<Delimited> {
    let usual = Delimited::default();
    let byte = |name: &str| match text(name).map(str::as_bytes) {
        None | Some([]) => Ok(None),
        Some([byte]) => Ok(Some(*byte)),
        Some(_) => Err(wrong(format!("{name} must be one byte here"))),
    };
    let record = text("RecordSeparator").filter(|record| !record.is_empty());
    let record = record.unwrap_or(&usual.record);
    if record.len() > 1 && record != "\r\n" {
        return Err(wrong("RecordSeparator must be one byte here, or CR LF"));
    }
    let headers = text("HasHeaders")
        .or(text("HeadersPresent"))
        .unwrap_or("false");
    Ok(Delimited {
        column: byte("ColumnSeparator")?.unwrap_or(usual.column),
        quote: byte("FieldQuote")?.unwrap_or(usual.quote),
        escape: byte("EscapeChar")?.or(byte("EscapeCharacter")?),
        record: record.to_owned(),
        has_headers: headers.trim().eq_ignore_ascii_case("true"),
    })
}
