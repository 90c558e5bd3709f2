//! The columns of an Arrow batch as values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit};
use uuid::Uuid;

use super::{Columns, OnRow, RowIn, Target};
use crate::clock::TICKS_PER_SECOND;
use crate::error::{Error, Result};
use crate::value::Value;

const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;

/// A column, in one of the few types that values come from.
enum Column {
    Null,
    Text(StringArray),
    Integer(Int64Array),
    Float(Float64Array),
    Boolean(BooleanArray),
    Decimal(Decimal128Array, i8),
    /// Ticks, and whether the column has a zone.
    Time(Int64Array, bool),
}

/// The columns of a batch with the attributes they belong to.
pub(super) struct BatchColumns {
    columns: Vec<(Target, Column)>,
    rows: usize,
}

impl BatchColumns {
    pub(super) fn of(columns: &Columns<'_>, batch: &RecordBatch) -> Result<Self> {
        let schema = batch.schema();
        let targets = columns.targets(schema.fields().iter().map(|f| f.name().as_str()))?;
        let mut bound = Vec::with_capacity(targets.len());
        for ((target, array), field) in targets
            .into_iter()
            .zip(batch.columns())
            .zip(schema.fields())
        {
            if target != Target::Ignored {
                bound.push((target, column(field.name(), array)?));
            }
        }
        Ok(BatchColumns {
            columns: bound,
            rows: batch.num_rows(),
        })
    }

    pub(super) fn for_each(&self, on_row: &mut OnRow<'_>) -> Result<()> {
        for row in 0..self.rows {
            let mut values = Vec::with_capacity(self.columns.len());
            let mut operation = None;
            for (target, column) in &self.columns {
                match (target, column.value(row)) {
                    (Target::Attribute(position), value) => values.push((*position, value)),
                    (_, Value::Text(text)) => operation = Some(text),
                    _ => {}
                }
            }
            on_row(&RowIn {
                values: &values,
                operation,
            })?;
        }
        Ok(())
    }
}

impl Column {
    fn value(&self, row: usize) -> Value<'_> {
        match self {
            Column::Null => Value::Null,
            Column::Text(a) if a.is_valid(row) => Value::Text(a.value(row)),
            Column::Integer(a) if a.is_valid(row) => Value::Integer(a.value(row)),
            Column::Float(a) if a.is_valid(row) => Value::Float(a.value(row)),
            Column::Boolean(a) if a.is_valid(row) => Value::Boolean(a.value(row)),
            Column::Decimal(a, scale) if a.is_valid(row) => Value::Decimal {
                unscaled: a.value(row),
                scale: *scale,
            },
            Column::Time(a, true) if a.is_valid(row) => Value::Moment(a.value(row)),
            Column::Time(a, false) if a.is_valid(row) => Value::WallTime(a.value(row)),
            _ => Value::Null,
        }
    }
}

fn column(name: &str, array: &ArrayRef) -> Result<Column> {
    use DataType as D;
    let to = |kind: &DataType| {
        cast(array, kind).map_err(|e| Error::invalid(format!("the column \"{name}\": {e}")))
    };
    Ok(match array.data_type() {
        D::Null => Column::Null,
        D::Utf8 | D::LargeUtf8 | D::Utf8View => Column::Text(to(&D::Utf8)?.as_string().clone()),
        D::Dictionary(_, values) => return column(name, &to(values)?),
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 => {
            Column::Integer(to(&D::Int64)?.as_primitive::<Int64Type>().clone())
        }
        // May not fit 64 signed bits; as text it is checked like any other number.
        D::UInt64 => Column::Text(to(&D::Utf8)?.as_string().clone()),
        D::Float16 | D::Float32 | D::Float64 => {
            Column::Float(to(&D::Float64)?.as_primitive::<Float64Type>().clone())
        }
        D::Boolean => Column::Boolean(array.as_boolean().clone()),
        D::Decimal128(_, scale) => {
            Column::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)
        }
        D::Timestamp(unit, zone) => Column::Time(ticks(array, *unit, &to)?, zone.is_some()),
        D::Date32 => {
            let days = cast(&to(&D::Int32)?, &D::Int64).map_err(|e| wrong(name, &e.to_string()))?;
            let ticks = days
                .as_primitive::<Int64Type>()
                .unary(|days| days.saturating_mul(TICKS_PER_DAY));
            Column::Time(ticks, false)
        }
        D::Date64 => {
            let ms = to(&D::Int64)?;
            let ticks = ms
                .as_primitive::<Int64Type>()
                .unary(|ms| ms.saturating_mul(TICKS_PER_SECOND / 1_000));
            Column::Time(ticks, false)
        }
        D::FixedSizeBinary(16) => Column::Text(ids(array.as_fixed_size_binary())),
        D::List(_) | D::LargeList(_) => Column::Text(lists(name, array)?),
        other => {
            return Err(wrong(
                name,
                &format!("the Arrow type {other} has no counterpart"),
            ));
        }
    })
}

fn wrong(name: &str, detail: &str) -> Error {
    Error::invalid(format!("the column \"{name}\": {detail}"))
}

fn ticks(
    array: &ArrayRef,
    unit: TimeUnit,
    to: &dyn Fn(&DataType) -> Result<Arc<dyn Array>>,
) -> Result<Int64Array> {
    debug_assert!(matches!(array.data_type(), DataType::Timestamp(..)));
    let raw = to(&DataType::Int64)?;
    let raw = raw.as_primitive::<Int64Type>();
    Ok(match unit {
        TimeUnit::Second => raw.unary(|n| n.saturating_mul(TICKS_PER_SECOND)),
        TimeUnit::Millisecond => raw.unary(|n| n.saturating_mul(TICKS_PER_SECOND / 1_000)),
        TimeUnit::Microsecond => raw.unary(|n| n.saturating_mul(TICKS_PER_SECOND / 1_000_000)),
        TimeUnit::Nanosecond => raw.unary(|n| n.div_euclid(100)),
    })
}

/// GUIDs in their 16 bytes, most significant first, as text.
fn ids(array: &FixedSizeBinaryArray) -> StringArray {
    array
        .iter()
        .map(|bytes| {
            let id = Uuid::from_slice(bytes?).ok()?;
            Some(id.hyphenated().to_string())
        })
        .collect()
}

/// Lists of integers as a multi-select choice is written.
fn lists(name: &str, array: &ArrayRef) -> Result<StringArray> {
    let list_type = DataType::new_list(DataType::Int64, true);
    let lists = cast(array, &list_type).map_err(|e| wrong(name, &e.to_string()))?;
    let texts = lists.as_list::<i32>().iter().map(|list| {
        let list = list?;
        let numbers = list.as_primitive::<Int64Type>().iter().flatten();
        let texts: Vec<String> = numbers.map(|n| n.to_string()).collect();
        Some(texts.join(";"))
    });
    Ok(texts.collect())
}
