//! Date-times in their three behaviours, and the service's forms of them.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};

use super::Value;
use crate::clock::{TICKS_PER_SECOND, Ticks};
use crate::schema::DateTimeBehavior;

const EPOCH: DateTime = Date::constant(1970, 1, 1).at(0, 0, 0, 0);
/// The first moment that Dataverse stores.
const EARLIEST: DateTime = Date::constant(1753, 1, 1).at(0, 0, 0, 0);
/// The last moment that Dataverse stores.
const LATEST: DateTime = Date::constant(9999, 12, 30).at(23, 59, 59, 999_999_900);
const RULE: &str = "must be an ISO 8601 date or date-time such as 2021-06-25T16:21:12Z";

/// How date-times other than `createdon` are written. Both forms have been seen; the longer is what
/// today's exports hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DateTimeFormat {
    /// `2021-06-25T16:21:12.0000000Z`.
    #[default]
    Ticks,
    /// `2021-06-25T16:21:12Z`; fractions are cut off.
    Seconds,
}

pub(super) fn render(
    value: Value<'_>,
    behavior: DateTimeBehavior,
    format: DateTimeFormat,
    cells: &mut Vec<u8>,
) -> Result<(), String> {
    let ticks = parse_ticks(value, behavior)?;
    cells.push(b'"');
    write_iso(ticks, format, cells);
    if behavior == DateTimeBehavior::UserLocal {
        cells.push(b'Z');
    }
    cells.push(b'"');
    Ok(())
}

/// Appends the cell of `createdon`: always seven digits, always `+00:00`.
pub(crate) fn render_created_on(ticks: Ticks, cells: &mut Vec<u8>) {
    cells.push(b'"');
    write_iso(ticks, DateTimeFormat::Ticks, cells);
    cells.extend_from_slice(b"+00:00\"");
}

/// Reads a value as ticks of 100 ns since 1970-01-01T00:00:00, in UTC or on the wall clock as the
/// behaviour says.
pub(crate) fn parse_ticks(value: Value<'_>, behavior: DateTimeBehavior) -> Result<Ticks, String> {
    let civil = match (value, behavior) {
        (Value::Moment(_), DateTimeBehavior::TimeZoneIndependent) => {
            return Err("has no zone of its own: send a wall-clock time".into());
        }
        (Value::Moment(ticks) | Value::WallTime(ticks), _) => to_civil(ticks),
        (Value::Text(text), _) => parse_text(text, behavior)?,
        _ => return Err(RULE.into()),
    };
    if civil < EARLIEST || civil > LATEST {
        return Err("must lie within 1753-01-01 and 9999-12-30T23:59:59".into());
    }
    if behavior == DateTimeBehavior::DateOnly && civil.time() != jiff::civil::Time::midnight() {
        return Err("is a date only: it must have no time, or 00:00:00".into());
    }
    Ok(from_civil(civil))
}

fn parse_text(text: &str, behavior: DateTimeBehavior) -> Result<DateTime, String> {
    let pieces = Pieces::parse(text).map_err(|_| RULE.to_owned())?;
    if pieces.time_zone_annotation().is_some() {
        return Err(RULE.into());
    }
    let time = pieces.time().unwrap_or(jiff::civil::Time::midnight());
    let local = pieces.date().to_datetime(time);
    let Some(offset) = pieces.to_numeric_offset() else {
        return Ok(local);
    };
    if behavior != DateTimeBehavior::UserLocal && offset.seconds() != 0 {
        return Err("has no zone of its own: leave the offset out".into());
    }
    local
        .checked_sub(SignedDuration::from_secs(offset.seconds().into()))
        .map_err(|_| RULE.into())
}

pub(crate) fn from_civil(civil: DateTime) -> Ticks {
    let since = civil.duration_since(EPOCH);
    since.as_secs() * TICKS_PER_SECOND + i64::from(since.subsec_nanos()) / 100
}

/// Ticks as a calendar date and time. Ticks come from this module or from a clock, so that they are
/// always within the calendar; what is not is shown as its nearest end.
pub(crate) fn to_civil(ticks: Ticks) -> DateTime {
    let seconds = ticks.div_euclid(TICKS_PER_SECOND);
    let nanos = ticks.rem_euclid(TICKS_PER_SECOND) as i32 * 100;
    EPOCH.saturating_add(SignedDuration::new(seconds, nanos))
}

fn write_iso(ticks: Ticks, format: DateTimeFormat, cells: &mut Vec<u8>) {
    let civil = to_civil(ticks);
    digits(civil.year() as u32, 4, cells);
    cells.push(b'-');
    digits(civil.month() as u32, 2, cells);
    cells.push(b'-');
    digits(civil.day() as u32, 2, cells);
    cells.push(b'T');
    digits(civil.hour() as u32, 2, cells);
    cells.push(b':');
    digits(civil.minute() as u32, 2, cells);
    cells.push(b':');
    digits(civil.second() as u32, 2, cells);
    if format == DateTimeFormat::Ticks {
        cells.push(b'.');
        digits(civil.subsec_nanosecond() as u32 / 100, 7, cells);
    }
}

/// Appends the form of `SinkCreatedOn`, `SinkModifiedOn` and the sync times of `model.json`:
/// `M/d/yyyy h:mm:ss tt`, in UTC.
pub fn write_us_time(ticks: Ticks, out: &mut Vec<u8>) {
    let civil = to_civil(ticks);
    let hour = civil.hour() as u32;
    number(civil.month() as u32, out);
    out.push(b'/');
    number(civil.day() as u32, out);
    out.push(b'/');
    digits(civil.year() as u32, 4, out);
    out.push(b' ');
    number(
        if hour.is_multiple_of(12) {
            12
        } else {
            hour % 12
        },
        out,
    );
    out.push(b':');
    digits(civil.minute() as u32, 2, out);
    out.push(b':');
    digits(civil.second() as u32, 2, out);
    out.extend_from_slice(if hour < 12 { b" AM" } else { b" PM" });
}

fn number(n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn digits(mut n: u32, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn us_times_have_no_leading_zeros_and_twelve_hours() {
        for (iso, us) in [
            ("2021-06-28T16:34:35", "6/28/2021 4:34:35 PM"),
            ("2021-01-02T00:00:09", "1/2/2021 12:00:09 AM"),
            ("2021-12-31T12:59:59", "12/31/2021 12:59:59 PM"),
        ] {
            let ticks = parse_ticks(Value::Text(iso), DateTimeBehavior::UserLocal).unwrap();
            let mut out = Vec::new();
            write_us_time(ticks, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), us);
        }
    }

    #[test]
    fn iso_times_agree_with_jiff() {
        let mut ticks = from_civil(EARLIEST);
        let last = from_civil(LATEST);
        // A step with no common factor with a day, so that every hour, month and digit comes by.
        while ticks < last {
            let mut out = Vec::new();
            write_iso(ticks, DateTimeFormat::Ticks, &mut out);
            let expected = format!("{:.7}", to_civil(ticks));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(from_civil(to_civil(ticks)), ticks);
            ticks += 9_876_543_211_234_567;
        }
    }
}
