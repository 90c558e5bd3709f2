//! Query Blob Contents: rows of delimited text or JSON lines, picked by a little SQL.
//!
//! [`token`] and [`sql`] read the query, [`value`] says what it is for a row, [`format`] and [`arrow`] read and write
//! rows, and [`avro`] frames the answer, which [`result`] gathers. What is wrong with a row is told in the answer, as the
//! service does; what is wrong with the query is a refusal.

mod arrow;
mod avro;
mod format;
mod result;
mod sql;
mod token;
mod value;

use std::io;

use crate::error::{ErrorCode, Result, StoreError};
use crate::protocol::blob::xml::{Element, elements};
use crate::protocol::common::Call;
use crate::protocol::customer_key;
use crate::protocol::read;
use crate::protocol::reply::{Reply, ReplyBody};
use crate::store::content::ContentReader;

use self::arrow::ArrowRows;
use self::avro::RowError;
use self::format::{Broken, Delimited, Format, PlacedRow, Row, ordinal, read_rows};
use self::result::{Output, RESULT_MAX_BYTES, ResultRows};
use self::sql::{Column, Select};
use self::value::{Total, Value, holds, value};

/// The largest query.
const QUERY_MAX_BYTES: u64 = 256 * 1024;
/// From this version on the service says what JSON it could not read.
const VERSION_OF_PARSE_ERRORS: &str = "2020-02-10";

/// What a request asks for.
struct Query {
    select: Select,
    input: Format,
    output: Output,
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
    let Query {
        select,
        input,
        output,
    } = query(&elements(&body)?)?;
    let request = call.request;
    let path = request.path_or_snapshot()?;
    let (account, filesystem) = (&request.account, &request.filesystem);
    let (node, mut reader) =
        call.store
            .open_node(&request.principal, account, filesystem, &path)?;
    read::check(call, &node.inode)?;
    reader.set_customer_key(customer_key::of(request)?);
    if node.inode.is_directory() {
        return Err(ErrorCode::ResourceTypeMismatch.into());
    }
    let length = node.inode.length;
    let mut result = ResultRows::new(output);
    match pick(&select, &input, reader, &mut result) {
        Ok(()) => {}
        Err(Broken::Row(error)) => {
            let error = as_told(error, &request.version);
            result.error(error).map_err(StoreError::Source)?;
        }
        Err(Broken::Read(error)) => return Err(failure(error, &result)),
    }
    let mut reply = Reply::new(200)
        .attributes(&node.inode, request.is_flat, call.store.now_unix_ns())
        .with("x-ms-server-encrypted", "false")
        .with("content-type", "avro/binary");
    for of_the_blob in ["content-md5", "content-range"] {
        reply.headers.remove(of_the_blob);
    }
    reply.body = ReplyBody::Bytes(result.finish(length).map_err(StoreError::Source)?);
    Ok(reply)
}

/// An error that ends the reading, as the version has it.
fn as_told(error: RowError, version: &str) -> RowError {
    match version < VERSION_OF_PARSE_ERRORS {
        true => RowError {
            name: "InternalError",
            description: "Internal parse exception.".to_owned(),
            ..error
        },
        false => error,
    }
}

/// What went wrong while the blob was read.
fn failure(error: io::Error, result: &ResultRows) -> StoreError {
    if result.is_full {
        return wrong(format!(
            "its result is larger than {RESULT_MAX_BYTES} bytes; give it a LIMIT"
        ));
    }
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(error) => wrong(format!("the blob cannot be read: {error}")),
    }
}

/// Goes through the blob once.
fn pick(
    select: &Select,
    input: &Format,
    reader: ContentReader,
    result: &mut ResultRows,
) -> Result<(), Broken> {
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
    let names = select.names();
    let mut failed = None;
    read_rows(input, reader, |PlacedRow { row, position }| {
        if left == 0 {
            return false;
        }
        if names.iter().any(|name| row.lacks(name)) {
            failed = result.error(short_row(position)).err();
            return failed.is_none();
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
        failed = result.add(columns(select, &row)).err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if has_totals && select.limit != Some(0) {
        let row: Vec<(String, Value)> = totals
            .into_iter()
            .enumerate()
            .map(|(place, total)| (ordinal(place), total.value()))
            .collect();
        result.add(row)?;
    }
    Ok(())
}

/// A row that ends before a column that is asked for is left out, and told.
fn short_row(position: u64) -> RowError {
    RowError {
        is_fatal: false,
        name: "InvalidColumnOrdinal",
        description: "Column ordinal does not exist in row.".to_owned(),
        position,
    }
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
            // What an object does not have is not in the answer either.
            Column::Value(sql::Expression::Field(names)) if !row.has(names) => None,
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
    let kind = text(&["OutputSerialization", "Format", "Type"]);
    let output = match kind.is_some_and(|kind| kind.eq_ignore_ascii_case("arrow")) {
        true => {
            let schema = arrow::schema(found, "OutputSerialization")?;
            let columns = select.columns.len();
            if columns > 0 && columns != schema.fields().len() {
                return Err(wrong(format!(
                    "it selects {columns} columns and describes {}",
                    schema.fields().len()
                )));
            }
            let rows = ArrowRows::new(&schema).map_err(|e| wrong(e.to_string()))?;
            Some(Output::Arrow(Box::new(rows)))
        }
        false => format(&text, "OutputSerialization")?.map(Output::Text),
    };
    let input = input.unwrap_or_else(|| Format::Delimited(Delimited::default()));
    // What is not said is as what comes in, with no names above it.
    let output = output.unwrap_or_else(|| {
        Output::Text(match &input {
            Format::Delimited(delimited) => Format::Delimited(Delimited {
                has_headers: false,
                ..delimited.clone()
            }),
            json => json.clone(),
        })
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
            format!(
                "The emulator does not query or answer {other}, only delimited text and JSON, and Arrow in answers."
            ),
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
