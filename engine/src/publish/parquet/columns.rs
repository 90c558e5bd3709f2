//! The columns of a Parquet file, and how the cells of CSV become their values.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Decimal128Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::clock::TICKS_PER_SECOND;
use crate::schema::{
    Attribute, AttributeType, DateTimeBehavior, IS_DELETE_COLUMN, SYSTEM_COLUMNS, TableSchema,
};
use crate::value::{Value, from_civil, parse_ticks, unscaled_decimal};

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const TICKS_PER_MICROSECOND: i64 = TICKS_PER_SECOND / MICROSECONDS_PER_SECOND;
/// Digits before the point of the largest decimal and the largest amount of money.
const DECIMAL_DIGITS: u32 = 12;
const MONEY_DIGITS: u32 = 15;
const PRECISION_MAX: u32 = 38;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// `SinkCreatedOn` and `SinkModifiedOn`.
    SinkTime,
    Moment,
    WallTime,
}

impl Kind {
    fn of(attribute: &Attribute, precision: u32) -> Self {
        use AttributeType as T;
        let decimal = |digits: u32, scale: u32| Kind::Decimal {
            // Wide enough for every value that the type takes, whatever model.json says.
            precision: precision.max(digits + scale).min(PRECISION_MAX) as u8,
            scale: scale as i8,
        };
        match &attribute.kind {
            T::UniqueIdentifier
            | T::Lookup { .. }
            | T::EntityType { .. }
            | T::MultiSelect { .. }
            | T::String { .. }
            | T::Memo { .. } => Kind::Text,
            T::Choice { .. } | T::Integer { .. } | T::BigInt => Kind::Integer,
            T::Boolean => Kind::Boolean,
            T::Decimal { scale } | T::Double { scale } => decimal(DECIMAL_DIGITS, *scale),
            T::Money { scale } => decimal(MONEY_DIGITS, *scale),
            T::DateTime {
                behavior: DateTimeBehavior::UserLocal,
            } => Kind::Moment,
            T::DateTime { .. } => Kind::WallTime,
        }
    }

    fn data_type(self) -> DataType {
        let utc = || Some(Arc::from("UTC"));
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Integer => DataType::Int64,
            Kind::Boolean => DataType::Boolean,
            Kind::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Kind::SinkTime | Kind::Moment => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            Kind::WallTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

/// The columns of a table, the system columns first, as they stand in its rows.
pub(super) struct Columns {
    kinds: Vec<Kind>,
    pub schema: Arc<Schema>,
}

impl Columns {
    /// `is_delete` tells behind how many attributes `IsDelete` stands.
    pub(super) fn of(table: &TableSchema, is_delete: Option<usize>, precision: u32) -> Self {
        let [id, created, modified] = SYSTEM_COLUMNS;
        let mut columns = vec![
            (id, Kind::Text),
            (created, Kind::SinkTime),
            (modified, Kind::SinkTime),
        ];
        for attribute in table.attributes() {
            columns.push((&attribute.name, Kind::of(attribute, precision)));
        }
        if let Some(position) = is_delete {
            let place = (SYSTEM_COLUMNS.len() + position).min(columns.len());
            columns.insert(place, (IS_DELETE_COLUMN, Kind::Boolean));
        }
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.data_type(), *name != id))
            .collect();
        Columns {
            kinds: columns.into_iter().map(|(_, kind)| kind).collect(),
            schema: Arc::new(Schema::new(fields)),
        }
    }

    pub(super) fn builders(&self) -> Vec<Builder> {
        self.kinds.iter().map(|kind| Builder::new(*kind)).collect()
    }
}

/// Collects the values of one column.
pub(super) enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Decimal(Decimal128Builder, u32),
    Time(TimestampMicrosecondBuilder, TimeForm),
}

/// How the times of a column are written in CSV.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    Sink,
    Iso(DateTimeBehavior),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        let times = || TimestampMicrosecondBuilder::new().with_data_type(kind.data_type());
        match kind {
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::Decimal { scale, .. } => Builder::Decimal(
                Decimal128Builder::new().with_data_type(kind.data_type()),
                u32::from(scale.unsigned_abs()),
            ),
            Kind::SinkTime => Builder::Time(times(), TimeForm::Sink),
            Kind::Moment => Builder::Time(times(), TimeForm::Iso(DateTimeBehavior::UserLocal)),
            Kind::WallTime => Builder::Time(
                times(),
                TimeForm::Iso(DateTimeBehavior::TimeZoneIndependent),
            ),
        }
    }

    /// Adds a cell as CSV has it, without its quotes; an empty one is null. `None` if it is no value of the column.
    pub(super) fn push(&mut self, cell: &str) -> Option<()> {
        let is_null = cell.is_empty();
        match self {
            Builder::Text(builder) if is_null => builder.append_null(),
            Builder::Text(builder) => builder.append_value(cell),
            Builder::Integer(builder) if is_null => builder.append_null(),
            Builder::Integer(builder) => builder.append_value(cell.parse().ok()?),
            Builder::Boolean(builder) if is_null => builder.append_null(),
            Builder::Boolean(builder) => builder.append_value(match cell {
                "True" => true,
                "False" => false,
                _ => return None,
            }),
            Builder::Decimal(builder, _) if is_null => builder.append_null(),
            Builder::Decimal(builder, scale) => {
                builder.append_value(unscaled_decimal(cell, *scale)?)
            }
            Builder::Time(builder, _) if is_null => builder.append_null(),
            Builder::Time(builder, TimeForm::Sink) => builder.append_value(us_time(cell)?),
            Builder::Time(builder, TimeForm::Iso(behavior)) => {
                let ticks = parse_ticks(Value::Text(cell), *behavior).ok()?;
                // The last of seven digits is finer than what readers of Parquet take.
                builder.append_value(ticks.div_euclid(TICKS_PER_MICROSECOND));
            }
        }
        Some(())
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => ArrayBuilder::finish(builder),
            Builder::Integer(builder) => ArrayBuilder::finish(builder),
            Builder::Boolean(builder) => ArrayBuilder::finish(builder),
            Builder::Decimal(builder, _) => ArrayBuilder::finish(builder),
            Builder::Time(builder, _) => ArrayBuilder::finish(builder),
        }
    }
}

/// Microseconds since 1970 of a time such as `11/14/2023 10:13:20 PM`.
fn us_time(cell: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%m/%d/%Y %I:%M:%S %p", cell).ok()?;
    Some(from_civil(time).div_euclid(TICKS_PER_MICROSECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_values() {
        let at = Some(1_700_000_000_000_000);
        assert_eq!(us_time("11/14/2023 10:13:20 PM"), at);
        assert_eq!(us_time("1/1/1970 12:00:00 AM"), Some(0));
        assert_eq!(us_time("2023-11-14"), None);
    }
}
