//! Rows as Arrow: a stream in IPC form with the columns that the request describes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;

use crate::error::Result;
use crate::protocol::blob::query::value::Value;
use crate::protocol::blob::query::wrong;
use crate::protocol::blob::xml::Element;

/// Columns that an answer may have.
const FIELDS_MAX: usize = 1_000;

/// The columns that `OutputSerialization` describes.
pub(super) fn schema(found: &[Element], side: &str) -> Result<Arc<Schema>> {
    let at = [side, "Format", "ArrowConfiguration", "Schema", "Field"];
    let mut fields = Vec::new();
    let (mut kind, mut name, mut precision, mut scale) = (None, None, None, None);
    for element in found {
        let path = element.path.get(1..).unwrap_or_default();
        let Some(within) = path
            .get(at.len()..)
            .filter(|_| path.iter().zip(at).all(|(a, b)| a == b))
        else {
            continue;
        };
        let text = element.text.trim().to_owned();
        match within {
            [inner] if inner == "Type" => kind = Some(text),
            [inner] if inner == "Name" => name = Some(text),
            [inner] if inner == "Precision" => precision = Some(text),
            [inner] if inner == "Scale" => scale = Some(text),
            [] => {
                let kind = kind.take().ok_or_else(|| wrong("a Field has no Type"))?;
                let kind = data_type(&kind, precision.take(), scale.take())?;
                let place = fields.len() + 1;
                let name = name.take().filter(|name| !name.is_empty());
                fields.push(Field::new(
                    name.unwrap_or_else(|| format!("_{place}")),
                    kind,
                    true,
                ));
            }
            _ => {
                return Err(wrong(format!(
                    "{} is not understood in a Field",
                    element.name()
                )));
            }
        }
    }
    match fields.len() {
        0 => Err(wrong("an answer as Arrow needs the fields of its Schema")),
        1..=FIELDS_MAX => Ok(Arc::new(Schema::new(fields))),
        _ => Err(wrong(format!("an answer has at most {FIELDS_MAX} fields"))),
    }
}

fn data_type(kind: &str, precision: Option<String>, scale: Option<String>) -> Result<DataType> {
    Ok(match kind.to_ascii_lowercase().as_str() {
        "bool" => DataType::Boolean,
        "int64" => DataType::Int64,
        "timestamp[ms]" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "string" => DataType::Utf8,
        "double" => DataType::Float64,
        "decimal" => {
            let precision = precision.and_then(|text| text.parse().ok()).unwrap_or(0);
            let scale: i8 = scale.map_or(Ok(0), |text| text.parse()).unwrap_or(-1);
            let fits = (1..=DECIMAL128_MAX_PRECISION).contains(&precision)
                && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
            if !fits {
                return Err(wrong(
                    "a decimal needs a Precision up to 38 and a Scale within it",
                ));
            }
            DataType::Decimal128(precision, scale)
        }
        other => return Err(wrong(format!("there is no type {other} of Arrow here"))),
    })
}

/// A stream on its way: what was written since the last [`ArrowRows::take`] is a part of it.
pub(super) struct ArrowRows {
    writer: StreamWriter<Vec<u8>>,
    schema: Arc<Schema>,
    rows: Vec<Vec<Value>>,
}

impl ArrowRows {
    pub(super) fn new(schema: &Arc<Schema>) -> std::result::Result<Self, ArrowError> {
        Ok(Self {
            writer: StreamWriter::try_new(Vec::new(), schema)?,
            schema: Arc::clone(schema),
            rows: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The bytes that are ready, with every row so far.
    pub(super) fn take(&mut self) -> std::result::Result<Vec<u8>, ArrowError> {
        if !self.rows.is_empty() {
            let columns = self
                .schema
                .fields()
                .iter()
                .enumerate()
                .map(|(place, field)| {
                    let cells = self.rows.iter().map(|row| row.get(place));
                    column(field.data_type(), cells)
                });
            let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, ArrowError>>()?;
            self.writer
                .write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
            self.rows.clear();
        }
        Ok(std::mem::take(self.writer.get_mut()))
    }

    /// What is left, with the end of the stream.
    pub(super) fn finish(&mut self) -> std::result::Result<Vec<u8>, ArrowError> {
        let mut bytes = self.take()?;
        self.writer.finish()?;
        bytes.append(self.writer.get_mut());
        Ok(bytes)
    }
}

/// The cells of one column; what cannot be converted is null.
fn column<'v>(
    kind: &DataType,
    cells: impl Iterator<Item = Option<&'v Value>>,
) -> std::result::Result<ArrayRef, ArrowError> {
    let cells = cells.map(|cell| cell.filter(|cell| **cell != Value::Null));
    Ok(match kind {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::new();
            cells.for_each(|cell| builder.append_option(cell.and_then(boolean)));
            Arc::new(builder.finish())
        }
        DataType::Int64 => {
            let mut builder = Int64Builder::new();
            cells.for_each(|cell| builder.append_option(cell.and_then(integer)));
            Arc::new(builder.finish())
        }
        DataType::Float64 => {
            let mut builder = Float64Builder::new();
            cells.for_each(|cell| builder.append_option(cell.and_then(Value::number)));
            Arc::new(builder.finish())
        }
        DataType::Timestamp(..) => {
            let mut builder = TimestampMillisecondBuilder::new();
            cells.for_each(|cell| builder.append_option(cell.and_then(time_ms)));
            Arc::new(builder.finish())
        }
        DataType::Decimal128(precision, scale) => {
            let mut builder =
                Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?;
            let scale = scale.unsigned_abs();
            cells
                .for_each(|cell| builder.append_option(cell.and_then(|cell| decimal(cell, scale))));
            Arc::new(builder.finish())
        }
        _ => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| builder.append_option(cell.map(Value::text)));
            Arc::new(builder.finish())
        }
    })
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        other => other.text().trim().to_ascii_lowercase().parse().ok(),
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.text().trim().parse().ok()
}

fn time_ms(value: &Value) -> Option<i64> {
    let time: jiff::Timestamp = value.text().trim().parse().ok()?;
    Some(time.as_millisecond())
}

/// A number in units of the scale. One without a point is taken for such units as it stands, which is what the service
/// was recorded to do.
fn decimal(value: &Value, scale: u8) -> Option<i128> {
    let text = value.text();
    let text = text.trim();
    let Some((whole, fraction)) = text.split_once('.') else {
        return text.parse().ok();
    };
    let scale = usize::from(scale);
    if fraction.len() > scale || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_in_units_of_their_scale() {
        let units = |text: &str| decimal(&Value::Text(text.to_owned()), 2);
        assert_eq!(units("400"), Some(400));
        assert_eq!(units("-4.5"), Some(-450));
        assert_eq!(units(" 4.50 "), Some(450));
        assert_eq!(units("4.505"), None);
        assert_eq!(units("4.-5"), None);
        assert_eq!(units("four"), None);
    }
}
