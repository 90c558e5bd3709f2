//! The columns of a Delta table, and how the cells of a row become their values.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use lakestage_engine::{
    AttributeType, CurrentRow, DateTimeBehavior, TableSchema, unscaled_decimal,
};
use serde_json::{Value, json};

use super::DeltaError;

/// Digits that a decimal of Delta has at most; wide enough for every value of every type.
const DECIMAL_PRECISION: u8 = 38;
const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

/// The cells of a row, in the order of the columns, as CSV has them.
pub(super) struct Row(Box<[Box<str>]>);

impl Row {
    pub(super) fn of(row: &CurrentRow) -> Self {
        Row(row.cells().map(|(_, cell)| cell.into()).collect())
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let cells = self.0.iter();
        cells.map(|cell| cell.len() + size_of::<Box<str>>()).sum()
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Long,
    Boolean,
    Decimal { scale: u8 },
    Timestamp,
    WallTime,
    Date,
}

impl Kind {
    fn of(kind: &AttributeType) -> Self {
        use AttributeType as T;
        match kind {
            T::UniqueIdentifier
            | T::Lookup { .. }
            | T::EntityType { .. }
            | T::MultiSelect { .. }
            | T::String { .. }
            | T::Memo { .. } => Kind::Text,
            T::Choice { .. } | T::Integer { .. } | T::BigInt => Kind::Long,
            T::Boolean => Kind::Boolean,
            T::Decimal { scale } | T::Money { scale } | T::Double { scale } => Kind::Decimal {
                scale: *scale as u8,
            },
            T::DateTime { behavior } => match behavior {
                DateTimeBehavior::UserLocal => Kind::Timestamp,
                DateTimeBehavior::TimeZoneIndependent => Kind::WallTime,
                DateTimeBehavior::DateOnly => Kind::Date,
            },
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Boolean => DataType::Boolean,
            Kind::Decimal { scale } => DataType::Decimal128(DECIMAL_PRECISION, scale as i8),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::WallTime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Date => DataType::Date32,
        }
    }

    /// The name of the type in Delta's schema.
    fn delta_name(self) -> String {
        match self {
            Kind::Text => "string".to_owned(),
            Kind::Long => "long".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Decimal { scale } => format!("decimal({DECIMAL_PRECISION},{scale})"),
            Kind::Timestamp => "timestamp".to_owned(),
            Kind::WallTime => "timestamp_ntz".to_owned(),
            Kind::Date => "date".to_owned(),
        }
    }
}

/// The columns of a table: those of its schema, in their order.
pub(super) struct Columns {
    kinds: Vec<Kind>,
    /// The place of the primary key.
    pub key: usize,
    pub schema: SchemaRef,
}

impl Columns {
    pub(super) fn of(table: &TableSchema) -> Self {
        let key = table.primary_key();
        let attributes = table.attributes();
        let kinds: Vec<Kind> = attributes.iter().map(|a| Kind::of(&a.kind)).collect();
        let fields = attributes.iter().zip(&kinds).enumerate();
        let fields: Vec<Field> = fields
            .map(|(at, (a, kind))| Field::new(&a.name, kind.data_type(), at != key))
            .collect();
        Columns {
            kinds,
            key,
            schema: Arc::new(Schema::new(fields)),
        }
    }

    pub(super) fn key_name(&self) -> &str {
        self.schema.field(self.key).name()
    }

    /// Whether a column needs the table feature `timestampNtz`.
    pub(super) fn have_wall_times(&self) -> bool {
        self.kinds.contains(&Kind::WallTime)
    }

    /// The fields as `schemaString` has them.
    pub(super) fn fields(&self) -> Vec<Value> {
        let fields = self.schema.fields().iter().zip(&self.kinds);
        fields
            .map(|(field, kind)| {
                json!({
                    "name": field.name(),
                    "type": kind.delta_name(),
                    "nullable": field.is_nullable(),
                    "metadata": {},
                })
            })
            .collect()
    }

    /// The rows as Arrow. A row from before a column was added ends before it, and is null there.
    pub(super) fn batch<'r>(
        &self,
        rows: impl Iterator<Item = &'r Row> + Clone,
    ) -> Result<RecordBatch, DeltaError> {
        let mut arrays = Vec::with_capacity(self.kinds.len());
        for (at, kind) in self.kinds.iter().enumerate() {
            let cells = rows.clone().map(|row| row.0.get(at).map_or("", |c| &**c));
            let array = kind.array(cells).map_err(|cell| {
                let column = self.schema.field(at).name();
                DeltaError::Refused(format!(
                    "column {column} cannot be {cell}; look for damage with `lakestage verify --full`"
                ))
            })?;
            arrays.push(array);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)
    }
}

impl Kind {
    /// The values of cells; the cell that is none is the error.
    fn array<'c>(self, cells: impl Iterator<Item = &'c str>) -> Result<ArrayRef, String> {
        /// Fills a builder; an empty cell is null.
        macro_rules! fill {
            ($builder:expr, $value:expr) => {{
                let mut builder = $builder;
                for cell in cells {
                    match cell {
                        "" => builder.append_null(),
                        _ => builder.append_value($value(cell).ok_or_else(|| cell.to_owned())?),
                    }
                }
                Arc::new(builder.finish()) as ArrayRef
            }};
        }
        let kind = self.data_type();
        Ok(match self {
            Kind::Text => fill!(StringBuilder::new(), |c| Some(unquoted(c))),
            Kind::Long => fill!(Int64Builder::new(), |c: &str| c.parse().ok()),
            Kind::Boolean => fill!(BooleanBuilder::new(), |c| match c {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            }),
            Kind::Decimal { scale } => {
                let builder = Decimal128Builder::new().with_data_type(kind);
                fill!(builder, |c| unscaled_decimal(c, u32::from(scale)))
            }
            Kind::Timestamp | Kind::WallTime => {
                let builder = TimestampMicrosecondBuilder::new().with_data_type(kind);
                fill!(builder, microseconds)
            }
            Kind::Date => fill!(Date32Builder::new(), days),
        })
    }
}

/// Text without its quotes.
pub(super) fn unquoted(cell: &str) -> Cow<'_, str> {
    match cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
        Some(text) if text.contains('"') => Cow::Owned(text.replace("\"\"", "\"")),
        Some(text) => Cow::Borrowed(text),
        None => Cow::Borrowed(cell),
    }
}

fn civil(cell: &str) -> Option<jiff::civil::DateTime> {
    let text = unquoted(cell);
    // `createdon` is written with its offset.
    let without_zone = text.strip_suffix('Z').or(text.strip_suffix("+00:00"));
    without_zone.unwrap_or(&text).parse().ok()
}

/// Microseconds since 1970. The last of seven digits is finer than Delta's times.
fn microseconds(cell: &str) -> Option<i64> {
    let time = jiff::tz::Offset::UTC.to_timestamp(civil(cell)?).ok()?;
    let microseconds = time.as_nanosecond().div_euclid(NANOSECONDS_PER_MICROSECOND);
    i64::try_from(microseconds).ok()
}

/// Days since 1970.
fn days(cell: &str) -> Option<i32> {
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = civil(cell)?.date().since((jiff::Unit::Day, epoch)).ok()?;
    Some(days.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_values() {
        assert_eq!(unquoted("\"a \"\"b\"\"\""), "a \"b\"");
        assert_eq!(unquoted("\"\"\"\""), "\"");
        assert_eq!(unquoted("True"), "True");
        let at = |cell| microseconds(cell);
        assert_eq!(at("\"1970-01-01T00:00:00.0000019Z\""), Some(1));
        assert_eq!(at("\"1970-01-01T00:00:01.0000000+00:00\""), Some(1_000_000));
        assert_eq!(at("\"1969-12-31T23:59:59.9999999Z\""), Some(-1));
        assert_eq!(at("\"1753-01-01T00:00:00\""), Some(-6_847_804_800_000_000));
        assert_eq!(at("\"x\""), None);
        assert_eq!(days("\"1970-01-02T00:00:00.0000000\""), Some(1));
        assert_eq!(days("\"1753-01-01T00:00:00\""), Some(-79_257));
    }
}
