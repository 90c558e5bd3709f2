//! A value on its way in, and how each attribute type checks it and writes it as a CSV cell.
//!
//! The dialect is the service's: texts and date-times stand in quotes, everything else is bare, and
//! null is an empty bare cell.

mod datetime;
mod number;
mod text;

pub use datetime::{DateTimeFormat, write_us_time};
pub(crate) use datetime::{from_civil, parse_ticks, render_created_on, to_civil};
pub use number::unscaled_decimal;
pub(crate) use text::write_quoted;

use uuid::Uuid;

use crate::clock::Ticks;
use crate::schema::{AttributeType, OptionValue};

/// A value as a reader of rows found it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// Text, which every type knows how to read. Empty text means null, as in Dataverse.
    Text(&'a str),
    /// An integer.
    Integer(i64),
    /// The digits of a number, exact however many they are.
    Number(&'a str),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// An exact decimal: `unscaled` × 10^-`scale`.
    Decimal {
        /// The digits.
        unscaled: i128,
        /// How many of them stand after the point.
        scale: i8,
    },
    /// A moment, in ticks of 100 ns since the Unix epoch.
    Moment(Ticks),
    /// A wall-clock time without a zone, in ticks of 100 ns since 1970-01-01T00:00:00.
    WallTime(Ticks),
    /// Several integers, for a multi-select choice.
    Integers(&'a [i64]),
}

impl Value<'_> {
    /// Whether nothing is stored for it: null, or empty text.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Text(""))
    }

    /// The value as an error message shows it.
    pub fn shown(&self) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Text(text) | Value::Number(text) => (*text).to_owned(),
            Value::Integer(n) => n.to_string(),
            Value::Float(n) => n.to_string(),
            Value::Boolean(b) => b.to_string(),
            Value::Decimal { unscaled, scale } => format!("{unscaled}e-{scale}"),
            Value::Moment(ticks) => format!("{}Z", to_civil(*ticks)),
            Value::WallTime(ticks) => to_civil(*ticks).to_string(),
            Value::Integers(list) => format!("{list:?}"),
        }
    }
}

/// Checks a value against its type and appends its cell to `cells`; null appends nothing.
///
/// # Errors
/// The rule that the value breaks, in words.
pub(crate) fn render(
    kind: &AttributeType,
    value: Value<'_>,
    format: DateTimeFormat,
    cells: &mut Vec<u8>,
) -> Result<(), String> {
    use AttributeType as T;
    if value.is_null() {
        return Ok(());
    }
    match kind {
        T::UniqueIdentifier | T::Lookup { .. } => {
            let id = parse_id(value)?;
            cells.extend_from_slice(
                id.hyphenated()
                    .encode_lower(&mut Uuid::encode_buffer())
                    .as_bytes(),
            );
            Ok(())
        }
        T::EntityType { targets, .. } => entity_type(value, targets, cells),
        T::Choice { options, .. } => {
            let chosen = number::integer(value, i32::MIN.into(), i32::MAX.into())?;
            check_option(options, chosen)?;
            number::write_integer(chosen, cells);
            Ok(())
        }
        T::MultiSelect { options } => multi_select(value, options, cells),
        T::Boolean => {
            let word: &[u8] = if boolean(value)? { b"True" } else { b"False" };
            cells.extend_from_slice(word);
            Ok(())
        }
        T::Integer { min, max } => {
            let n = number::integer(value, (*min).into(), (*max).into())?;
            number::write_integer(n, cells);
            Ok(())
        }
        T::BigInt => {
            let n = number::integer(value, i64::MIN, i64::MAX)?;
            number::write_integer(n, cells);
            Ok(())
        }
        T::Decimal { scale } => number::decimal(value, *scale, &number::DECIMAL_LIMIT, cells),
        T::Money { scale } => number::decimal(value, *scale, &number::MONEY_LIMIT, cells),
        T::Double { scale } => number::double(value, *scale, cells),
        T::DateTime { behavior } => datetime::render(value, *behavior, format, cells),
        T::String { max_length } => text::render(value, *max_length, false, cells),
        T::Memo { max_length } => text::render(value, *max_length, true, cells),
    }
}

/// Reads a GUID: hyphenated, in braces or as 32 digits, in either case.
pub(crate) fn parse_id(value: Value<'_>) -> Result<Uuid, String> {
    let rule = "must be a GUID such as 8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b";
    match value {
        Value::Text(text) => Uuid::try_parse(text).map_err(|_| rule.to_owned()),
        _ => Err(rule.into()),
    }
}

fn entity_type(value: Value<'_>, targets: &[String], cells: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Text(name) if targets.iter().any(|t| t == name) => {
            write_quoted(name, cells);
            Ok(())
        }
        _ => Err(format!(
            "must be one of the lookup's tables: {}",
            targets.join(", ")
        )),
    }
}

fn check_option(options: &[OptionValue], chosen: i64) -> Result<(), String> {
    if options.is_empty() || options.iter().any(|o| i64::from(o.value) == chosen) {
        return Ok(());
    }
    const SHOWN: usize = 12;
    let mut shown: Vec<String> = options
        .iter()
        .take(SHOWN)
        .map(|o| format!("{} ({})", o.value, o.label))
        .collect();
    if options.len() > SHOWN {
        shown.push(format!("and {} more", options.len() - SHOWN));
    }
    Err(format!("must be one of the options {}", shown.join(", ")))
}

fn multi_select(
    value: Value<'_>,
    options: &[OptionValue],
    cells: &mut Vec<u8>,
) -> Result<(), String> {
    let parsed: Vec<i64>;
    let chosen: &[i64] = match value {
        Value::Integers(list) => list,
        Value::Integer(one) => {
            parsed = vec![one];
            &parsed
        }
        Value::Text(text) => {
            parsed = text
                .split(';')
                .map(|part| {
                    number::integer(Value::Text(part.trim()), i32::MIN.into(), i32::MAX.into())
                })
                .collect::<Result<_, _>>()
                .map_err(|_| "must be integers separated by ;".to_owned())?;
            &parsed
        }
        _ => return Err("must be integers separated by ;".into()),
    };
    if chosen.is_empty() {
        return Ok(());
    }
    cells.push(b'"');
    for (i, option) in chosen.iter().enumerate() {
        if chosen[..i].contains(option) {
            return Err(format!("names the option {option} twice"));
        }
        if i32::try_from(*option).is_err() {
            return Err(format!("the option {option} is outside 32 bits"));
        }
        check_option(options, *option)?;
        if i > 0 {
            cells.push(b';');
        }
        number::write_integer(*option, cells);
    }
    cells.push(b'"');
    Ok(())
}

fn boolean(value: Value<'_>) -> Result<bool, String> {
    match value {
        Value::Boolean(b) => Ok(b),
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Text(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(false),
        _ => Err("must be true or false (or 1 or 0)".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::schema::DateTimeBehavior;

    fn cell(kind: &AttributeType, value: Value<'_>) -> Result<String, String> {
        let mut cells = Vec::new();
        render(kind, value, DateTimeFormat::Ticks, &mut cells)?;
        Ok(String::from_utf8(cells).unwrap())
    }

    #[test]
    fn every_type_writes_the_services_cell() {
        use AttributeType as T;
        let options = vec![
            OptionValue {
                value: 1,
                label: "One".into(),
                state: None,
            },
            OptionValue {
                value: 3,
                label: "Three".into(),
                state: None,
            },
        ];
        let moment = |behavior| T::DateTime { behavior };
        let cases = [
            (
                T::UniqueIdentifier,
                Value::Text("{8F14E45F-CEEA-4672-A1B0-3C1D2E4F5A6B}"),
                "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b",
            ),
            (
                T::MultiSelect {
                    options: options.clone(),
                },
                Value::Text("1;3"),
                "\"1;3\"",
            ),
            (T::MultiSelect { options }, Value::Integers(&[3]), "\"3\""),
            (T::Boolean, Value::Text("TRUE"), "True"),
            (T::Boolean, Value::Integer(0), "False"),
            (
                T::Integer {
                    min: i32::MIN,
                    max: i32::MAX,
                },
                Value::Text("-2147483648"),
                "-2147483648",
            ),
            (T::BigInt, Value::Integer(i64::MAX), "9223372036854775807"),
            (
                T::Decimal { scale: 10 },
                Value::Text("-99999999999.0000000001"),
                "-99999999999.0000000001",
            ),
            (T::Decimal { scale: 2 }, Value::Float(0.1), "0.1"),
            (T::Decimal { scale: 2 }, Value::Text("1.50"), "1.5"),
            (T::Decimal { scale: 2 }, Value::Text("-0.00"), "0"),
            (T::Decimal { scale: 2 }, Value::Text("1e3"), "1000"),
            (
                T::Money { scale: 4 },
                Value::Text("922337203685477.5807"),
                "922337203685477.5807",
            ),
            (
                T::Money { scale: 4 },
                Value::Decimal {
                    unscaled: -15000,
                    scale: 4,
                },
                "-1.5",
            ),
            (T::Double { scale: 5 }, Value::Float(0.1 + 0.2), "0.3"),
            (T::Double { scale: 5 }, Value::Text("-0.000001"), "0"),
            (
                T::String { max_length: 20 },
                Value::Text("say \"hi\",\nnow"),
                "\"say \"\"hi\"\",\nnow\"",
            ),
            (T::String { max_length: 5 }, Value::Text(""), ""),
            (T::String { max_length: 5 }, Value::Null, ""),
            (
                moment(DateTimeBehavior::UserLocal),
                Value::Text("2021-06-25T18:21:12+02:00"),
                "\"2021-06-25T16:21:12.0000000Z\"",
            ),
            (
                moment(DateTimeBehavior::UserLocal),
                Value::Text("9999-12-30T23:59:59Z"),
                "\"9999-12-30T23:59:59.0000000Z\"",
            ),
            (
                moment(DateTimeBehavior::UserLocal),
                Value::Text("1753-01-01"),
                "\"1753-01-01T00:00:00.0000000Z\"",
            ),
            (
                moment(DateTimeBehavior::DateOnly),
                Value::Text("2025-02-15"),
                "\"2025-02-15T00:00:00.0000000\"",
            ),
            (
                moment(DateTimeBehavior::TimeZoneIndependent),
                Value::Text("2025-02-15T08:30:00.1234567"),
                "\"2025-02-15T08:30:00.1234567\"",
            ),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(
                cell(&kind, value).as_deref(),
                Ok(expected),
                "{kind:?} {value:?}"
            );
        }
    }

    #[test]
    fn every_type_refuses_what_breaks_its_rule() {
        use AttributeType as T;
        let options = vec![OptionValue {
            value: 1,
            label: "One".into(),
            state: None,
        }];
        let date = |behavior| T::DateTime { behavior };
        let cases = [
            (T::UniqueIdentifier, Value::Text("12"), "GUID"),
            (
                T::Choice {
                    kind: crate::schema::ChoiceKind::Choice,
                    options: options.clone(),
                },
                Value::Integer(2),
                "1 (One)",
            ),
            (T::MultiSelect { options }, Value::Text("1;1"), "twice"),
            (
                T::EntityType {
                    lookup: 0,
                    targets: vec!["team".into()],
                },
                Value::Text("account"),
                "team",
            ),
            (T::Boolean, Value::Text("maybe"), "true or false"),
            (
                T::Integer { min: 0, max: 100 },
                Value::Integer(101),
                "0 to 100",
            ),
            (T::BigInt, Value::Text("9223372036854775808"), "integer"),
            (T::Decimal { scale: 2 }, Value::Text("1.005"), "2 digits"),
            (
                T::Decimal { scale: 2 },
                Value::Text("100000000000.01"),
                "100000000000",
            ),
            (
                T::Money { scale: 4 },
                Value::Text("922337203685477.5808"),
                "922337203685477.5807",
            ),
            (T::Double { scale: 5 }, Value::Float(f64::NAN), "finite"),
            (T::String { max_length: 3 }, Value::Text("😀😀"), "3"),
            (T::String { max_length: 9 }, Value::Text("a\0b"), "U+0000"),
            (T::String { max_length: 9 }, Value::Integer(1), "text"),
            (
                date(DateTimeBehavior::UserLocal),
                Value::Text("1752-12-31T23:59:59Z"),
                "1753",
            ),
            (
                date(DateTimeBehavior::UserLocal),
                Value::Text("2021-02-30"),
                "ISO 8601",
            ),
            (
                date(DateTimeBehavior::DateOnly),
                Value::Text("2021-02-03T04:00:00"),
                "no time",
            ),
            (
                date(DateTimeBehavior::TimeZoneIndependent),
                Value::Text("2021-02-03T04:00:00+02:00"),
                "no zone",
            ),
        ];
        for (kind, value, part) in cases {
            let rule = cell(&kind, value).unwrap_err();
            assert!(rule.contains(part), "{kind:?} {value:?}: {rule}");
        }
    }
}
