//! Integers, exact decimals and floating-point numbers.

use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::Value;

/// Dataverse's range of a decimal, both ways.
pub(super) const DECIMAL_LIMIT: Decimal = Decimal::from_parts(1_215_752_192, 23, 0, false, 0);
/// Dataverse's range of money, both ways: what SQL's `money` holds, made symmetric.
pub(super) const MONEY_LIMIT: Decimal = Decimal::from_parts(u32::MAX, 0x7fff_ffff, 0, false, 4);
/// Dataverse's range of a double, both ways.
const DOUBLE_LIMIT: f64 = 100_000_000_000.0;

/// The digits of a decimal of a CSV cell, as a whole number of units of the scale; `None` if it is no decimal, or a finer
/// one.
#[must_use]
pub fn unscaled_decimal(cell: &str, scale: u32) -> Option<i128> {
    let mut decimal = Decimal::from_str_exact(cell).ok()?;
    if decimal.scale() > scale {
        return None;
    }
    decimal.rescale(scale);
    // Where there is no room for all digits, fewer stand behind the point.
    (decimal.scale() == scale).then(|| decimal.mantissa())
}

pub(super) fn integer(value: Value<'_>, min: i64, max: i64) -> Result<i64, String> {
    let n = match value {
        Value::Integer(n) => n,
        Value::Text(text) => text
            .parse()
            .map_err(|_| format!("must be an integer from {min} to {max}"))?,
        // JSON knows only one sort of number; 3.0 is as good as 3.
        Value::Number(digits) => from_text(digits)
            .filter(Decimal::is_integer)
            .and_then(|n| n.to_i64())
            .ok_or_else(|| format!("must be an integer from {min} to {max}"))?,
        Value::Float(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => n as i64,
        _ => return Err(format!("must be an integer from {min} to {max}")),
    };
    if n < min || n > max {
        return Err(format!("must lie within {min} to {max}"));
    }
    Ok(n)
}

pub(super) fn write_integer(n: i64, cells: &mut Vec<u8>) {
    cells.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

pub(super) fn decimal(
    value: Value<'_>,
    scale: u32,
    limit: &Decimal,
    cells: &mut Vec<u8>,
) -> Result<(), String> {
    let rule = || "must be a decimal number such as -1234.5".to_owned();
    let parsed = match value {
        Value::Integer(n) => Decimal::from(n),
        Value::Text(text) | Value::Number(text) => from_text(text).ok_or_else(rule)?,
        // The shortest text of a float is the decimal that was meant.
        Value::Float(n) => from_text(&n.to_string()).ok_or_else(rule)?,
        Value::Decimal { unscaled, scale } => u32::try_from(scale)
            .ok()
            .and_then(|scale| Decimal::try_from_i128_with_scale(unscaled, scale).ok())
            .ok_or_else(rule)?,
        _ => return Err(rule()),
    };
    let exact = parsed.normalize();
    if exact.scale() > scale {
        return Err(format!("must have {scale} digits after the point at most"));
    }
    if exact.abs() > *limit {
        return Err(format!("must lie within ±{limit}"));
    }
    write_decimal(exact, cells);
    Ok(())
}

fn from_text(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) {
        return Decimal::from_scientific(text).ok();
    }
    // Underscores are Rust's habit, not a number format.
    if text.contains('_') {
        return None;
    }
    Decimal::from_str_exact(text).ok().or_else(|| {
        // More digits than fit are rounded by this reader, so only accept it when nothing is lost.
        Decimal::from_str(text)
            .ok()
            .filter(|_| text.trim_end_matches('0').len() <= 28)
    })
}

fn write_decimal(exact: Decimal, cells: &mut Vec<u8>) {
    if exact.is_zero() {
        cells.push(b'0');
        return;
    }
    use std::io::Write;
    // Writing to a vector does not fail.
    let _ = write!(cells, "{exact}");
}

pub(super) fn double(value: Value<'_>, scale: u32, cells: &mut Vec<u8>) -> Result<(), String> {
    use std::io::Write;
    let rule = || "must be a finite number".to_owned();
    let n = match value {
        Value::Float(n) => n,
        Value::Integer(n) => n as f64,
        Value::Text(text) | Value::Number(text) => text.parse().map_err(|_| rule())?,
        Value::Decimal { unscaled, scale } => unscaled as f64 / 10f64.powi(scale.into()),
        _ => return Err(rule()),
    };
    if !n.is_finite() {
        return Err(rule());
    }
    if n.abs() > DOUBLE_LIMIT {
        return Err(format!("must lie within ±{DOUBLE_LIMIT}"));
    }
    let start = cells.len();
    let _ = write!(cells, "{n:.*}", scale as usize);
    if scale > 0 {
        while cells.last() == Some(&b'0') {
            cells.pop();
        }
        if cells.last() == Some(&b'.') {
            cells.pop();
        }
    }
    if &cells[start..] == b"-0" {
        cells.truncate(start);
        cells.push(b'0');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unscaled_decimal;

    #[test]
    fn a_decimal_is_a_number_of_units_of_its_scale() {
        assert_eq!(unscaled_decimal("-12.5", 4), Some(-125_000));
        assert_eq!(unscaled_decimal("7", 0), Some(7));
        assert_eq!(unscaled_decimal("0.0000000001", 10), Some(1));
        let largest = unscaled_decimal("922337203685477.5807", 10);
        assert_eq!(largest, Some(9_223_372_036_854_775_807_000_000));
        assert_eq!(unscaled_decimal("0.123", 2), None);
        assert_eq!(unscaled_decimal("x", 2), None);
        assert_eq!(unscaled_decimal("", 2), None);
    }
}
