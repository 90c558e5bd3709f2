//! What commands print: text for people, JSON for scripts.

use std::fmt::Write as _;

use anyhow::Result;
use lakestage_engine as engine;
use serde::Serialize;
use serde_json::{Value, json};

use super::console::Console;

/// Prints a value as JSON, or as the text that people read.
pub(crate) fn print<T: Serialize>(
    console: &dyn Console,
    as_json: bool,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<()> {
    let mut line = match as_json {
        true => serde_json::to_string(value)?,
        false => text(value),
    };
    if !line.is_empty() && !line.ends_with('\n') {
        line.push('\n');
    }
    Ok(console.write(line.as_bytes())?)
}

/// An error as the last thing a command says.
pub(crate) fn error_text(error: &anyhow::Error, as_json: bool) -> String {
    if !as_json {
        return format!("error: {error:#}");
    }
    let mut body = json!({ "message": format!("{error:#}") });
    if let Some(cause) = error.downcast_ref::<engine::Error>() {
        body["kind"] = json!(format!("{:?}", cause.kind()));
        if let engine::Error::Row(row) = cause {
            body["table"] = json!(row.table);
            body["row"] = json!(row.row);
            body["column"] = json!(row.column);
            body["value"] = json!(row.value);
            body["rule"] = json!(row.rule);
        }
    }
    Value::to_string(&json!({ "error": body }))
}

/// Bytes as people say them.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1_000.0;
        unit += 1;
    }
    match amount < 10.0 {
        true => format!("{amount:.1} {}", UNITS[unit]),
        false => format!("{amount:.0} {}", UNITS[unit]),
    }
}

/// A count with its thousands apart.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {one}{end}", count_text(count))
}

/// A length of time as a person says it.
pub(crate) fn duration_text(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes} min {rest} s"),
        (hours, minutes) if hours < 48 => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{} days", hours / 24),
    }
}

/// Unix seconds as a UTC time.
pub(crate) fn time_text(unix_s: i64) -> String {
    match jiff::Timestamp::from_second(unix_s) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => unix_s.to_string(),
    }
}

/// How a column of a [`TextTable`] is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines of columns.
#[derive(Debug, Default)]
pub(crate) struct TextTable {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(crate) fn new(header: &[(&str, Align)]) -> Self {
        TextTable {
            columns: header.iter().map(|(_, align)| *align).collect(),
            rows: vec![header.iter().map(|(name, _)| (*name).to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, each behind `indent`.
    pub(crate) fn text(&self, indent: &str) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for ((cell, align), width) in row.iter().zip(&self.columns).zip(&widths) {
                // Writing to a string cannot fail.
                let _ = match align {
                    Align::Left => write!(line, "{cell:<width$}  "),
                    Align::Right => write!(line, "{cell:>width$}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count_text(0), "0");
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!(bytes_text(999), "999 B");
        assert_eq!(bytes_text(1_500), "1.5 kB");
        assert_eq!(bytes_text(999_999), "1.0 MB");
        assert_eq!(bytes_text(12_300_000_000), "12 GB");
        assert_eq!(time_text(0), "1970-01-01 00:00:00Z");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = TextTable::new(&[("name", Align::Left), ("rows", Align::Right)]);
        table.row(vec!["account".into(), "1,200".into()]);
        assert_eq!(table.text(" "), " name      rows\n account  1,200\n");
    }
}
