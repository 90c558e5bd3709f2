//! How fast the way to an account may be used, and when.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MINUTES_A_DAY: u16 = 24 * 60;
/// A week and a day: whatever the windows, the way is open by then or never.
const LOOK_AHEAD_MINUTES: i64 = 8 * MINUTES_A_DAY as i64;

/// How fast something may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rate {
    /// Not at all.
    Closed,
    /// At most so many bytes a second.
    Limited(NonZeroU64),
    /// As fast as it goes.
    #[default]
    Full,
}

/// A time of day, on some days of the week, with a rate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// From Monday on; one that begins on such a day holds until it ends, also behind midnight.
    days: [bool; 7],
    from_minute: u16,
    to_minute: u16,
    rate: Rate,
}

/// The way to an account: a rate, and windows with other rates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The rate outside of all windows.
    #[serde(default, skip_serializing_if = "Rate::is_full")]
    pub bandwidth: Rate,
    /// The first window that holds counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Where the windows' times are those of the clocks, by its name in the IANA database; this machine's zone if there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Rate {
    fn is_full(&self) -> bool {
        *self == Rate::Full
    }
}

impl Schedule {
    /// Refuses a time zone that nobody knows, and a way that is never open.
    ///
    /// # Errors
    /// What is wrong, and how it is written.
    pub fn check(&self) -> Result<()> {
        self.zone()?;
        if self.opens(Timestamp::now())?.is_none() {
            bail!("the way to the account would be closed all the time; leave a window open");
        }
        Ok(())
    }

    /// The rate at a time.
    ///
    /// # Errors
    /// When the time zone is not known on this machine any more.
    pub fn rate(&self, now: Timestamp) -> Result<Rate> {
        match self.windows.is_empty() {
            true => Ok(self.bandwidth),
            false => Ok(self.rate_in(&self.zone()?, now)),
        }
    }

    fn rate_in(&self, zone: &TimeZone, now: Timestamp) -> Rate {
        let local = now.to_zoned_datetime(zone.clone());
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let window = self.windows.iter().find(|w| w.holds(day, minute));
        window.map_or(self.bandwidth, |window| window.rate)
    }

    /// When the way is open next: now, later, or never.
    ///
    /// # Errors
    /// As [`rate`](Self::rate).
    pub fn opens(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        if self.rate(now)? != Rate::Closed {
            return Ok(Some(now));
        }
        let zone = self.zone()?;
        let seconds = now.as_second();
        let next_minute = Timestamp::from_second(seconds - seconds.rem_euclid(60))?;
        for minutes in 1..=LOOK_AHEAD_MINUTES {
            let then = next_minute.checked_add(SignedDuration::from_mins(minutes))?;
            if self.rate_in(&zone, then) != Rate::Closed {
                return Ok(Some(then));
            }
        }
        Ok(None)
    }

    /// The lowest limit of all.
    pub(super) fn slowest_bytes_s(&self) -> Option<u64> {
        let windows = self.windows.iter().map(|window| window.rate);
        let limits = windows
            .chain([self.bandwidth])
            .filter_map(|rate| match rate {
                Rate::Limited(bytes_s) => Some(bytes_s.get()),
                Rate::Closed | Rate::Full => None,
            });
        limits.min()
    }

    fn zone(&self) -> Result<TimeZone> {
        match &self.time_zone {
            None => Ok(TimeZone::system()),
            Some(name) => TimeZone::get(name).with_context(|| {
                format!("there is no time zone \"{name}\"; write it as in Europe/Berlin, or UTC")
            }),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bandwidth)?;
        for window in &self.windows {
            write!(f, ", {window}")?;
        }
        match &self.time_zone {
            Some(zone) if !self.windows.is_empty() => write!(f, " in {zone}"),
            _ => Ok(()),
        }
    }
}

impl Window {
    fn holds(&self, day: usize, minute: u16) -> bool {
        let yesterday = (day + 6) % 7;
        if self.from_minute < self.to_minute {
            return self.days[day] && (self.from_minute..self.to_minute).contains(&minute);
        }
        (self.days[day] && minute >= self.from_minute)
            || (self.days[yesterday] && minute < self.to_minute)
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(text: &str) -> Result<usize, String> {
    let found = DAYS.iter().position(|name| *name == text);
    found.ok_or_else(|| format!("\"{text}\" is no day: write mon, tue, wed, thu, fri, sat or sun"))
}

/// `mon-fri,sun`; nothing is every day.
fn days(text: &str) -> Result<[bool; 7], String> {
    if text.is_empty() {
        return Ok([true; 7]);
    }
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

fn minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("\"{text}\" is no time of day: write 22:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let is_short = hour.len() <= 2 && minute.len() == 2;
    let (hour, minute): (u16, u16) = match (hour.parse(), minute.parse()) {
        (Ok(hour), Ok(minute)) if is_short => (hour, minute),
        _ => return Err(wrong()),
    };
    let at = hour * 60 + minute;
    if minute > 59 || at > MINUTES_A_DAY {
        return Err(wrong());
    }
    Ok(at)
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is no window: write 22:00-06:00=full or mon-fri 08:00-18:00=closed")
        };
        let (when, rate) = text.split_once('=').ok_or_else(wrong)?;
        let (day_names, hours) = when.trim().rsplit_once(' ').unwrap_or(("", when.trim()));
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        let (from_minute, to_minute) = (minute(from)?, minute(to)?);
        if from_minute == to_minute || from_minute == MINUTES_A_DAY {
            return Err(wrong());
        }
        Ok(Window {
            days: days(&day_names.trim().to_ascii_lowercase())?,
            from_minute,
            to_minute,
            rate: rate.trim().parse()?,
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let names = DAYS.iter().zip(self.days).filter(|(_, is_in)| *is_in);
            let names: Vec<&str> = names.map(|(name, _)| *name).collect();
            write!(f, "{} ", names.join(","))?;
        }
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let (from, to) = (clock(self.from_minute), clock(self.to_minute));
        write!(f, "{from}-{to}={}", self.rate)
    }
}

/// Bytes a second of a unit.
const UNITS: [(&str, f64); 9] = [
    ("GiB/s", (1u64 << 30) as f64),
    ("MiB/s", (1u64 << 20) as f64),
    ("KiB/s", 1024.0),
    ("MB/s", 1e6),
    ("kB/s", 1e3),
    ("Gbit/s", 1e9 / 8.0),
    ("Mbit/s", 1e6 / 8.0),
    ("kbit/s", 1e3 / 8.0),
    ("B/s", 1.0),
];

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => return Ok(Rate::Full),
            "closed" => return Ok(Rate::Closed),
            _ => {}
        }
        let wrong = || {
            format!(
                "\"{text}\" is no bandwidth: write full, closed, or a number with a unit, such as 512KiB/s, 2MB/s or 10Mbit/s"
            )
        };
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
        let (unit, bytes) = unit.ok_or_else(wrong)?;
        let number: f64 = text[..text.len() - unit.len()]
            .trim()
            .parse()
            .map_err(|_| wrong())?;
        let bytes_s = number * bytes;
        if !(1.0..=1e15).contains(&bytes_s) {
            return Err(wrong());
        }
        NonZeroU64::new(bytes_s as u64)
            .map(Rate::Limited)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Closed => f.write_str("closed"),
            Rate::Full => f.write_str("full"),
            Rate::Limited(bytes_s) => {
                let bytes_s = bytes_s.get();
                let exact = |unit: u64| bytes_s.is_multiple_of(unit).then(|| bytes_s / unit);
                match (exact(1 << 20), exact(1 << 10)) {
                    (Some(mib), _) => write!(f, "{mib}MiB/s"),
                    (_, Some(kib)) => write!(f, "{kib}KiB/s"),
                    _ => write!(f, "{bytes_s}B/s"),
                }
            }
        }
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Rate, Window);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn schedule(bandwidth: &str, windows: &[&str], zone: &str) -> Schedule {
        Schedule {
            bandwidth: bandwidth.parse().unwrap(),
            windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
            time_zone: Some(zone.to_owned()),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_bandwidth_has_a_unit() {
        let bytes_s = |text: &str| match text.parse() {
            Ok(Rate::Limited(bytes_s)) => bytes_s.get(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(bytes_s("512KiB/s"), 512 << 10);
        assert_eq!(bytes_s("1.5MB/s"), 1_500_000);
        assert_eq!(bytes_s("10Mbit/s"), 1_250_000);
        assert_eq!(bytes_s("300 B/s"), 300);
        for wrong in [
            "",
            "5",
            "0B/s",
            "-1MiB/s",
            "5 parsecs",
            "NaNB/s",
            "infB/s",
            "5KiB",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows_read_back_as_they_were_written() {
        for text in [
            "22:00-06:00=full",
            "mon,tue,fri 08:00-18:30=closed",
            "sat,sun 00:00-24:00=2MiB/s",
        ] {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
        }
        let window: Window = "Fri-Mon 9:00-10:00=1KiB/s".parse().unwrap();
        assert_eq!(window.to_string(), "mon,fri,sat,sun 09:00-10:00=1KiB/s");
        for wrong in [
            "",
            "22:00",
            "22:00-06:00",
            "22:00-22:00=full",
            "25:00-26:00=full",
            "8:60-9:00=full",
            "24:00-01:00=full",
            "foo 08:00-09:00=full",
            "08:00-09:00=fast",
            "8-9=full",
        ] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_window_that_holds_counts() {
        let schedule = schedule(
            "1MiB/s",
            &["mon-fri 12:00-13:00=full", "mon-fri 08:00-18:00=closed"],
            "UTC",
        );
        let rate = |text| schedule.rate(at(text)).unwrap();
        // A Wednesday.
        assert_eq!(rate("2026-11-25T07:59:59Z"), "1MiB/s".parse().unwrap());
        assert_eq!(rate("2026-11-25T08:00:00Z"), Rate::Closed);
        assert_eq!(rate("2026-11-25T12:30:00Z"), Rate::Full);
        assert_eq!(rate("2026-11-25T18:00:00Z"), "1MiB/s".parse().unwrap());
        assert_eq!(rate("2026-11-28T10:00:00Z"), "1MiB/s".parse().unwrap());
        let opens = schedule.opens(at("2026-11-25T08:00:30Z")).unwrap();
        assert_eq!(opens, Some(at("2026-11-25T12:00:00Z")));
    }

    #[test]
    fn a_window_goes_on_behind_midnight() {
        let schedule = schedule("closed", &["fri 22:00-06:00=full"], "UTC");
        let rate = |text| schedule.rate(at(text)).unwrap();
        assert_eq!(rate("2026-11-27T21:59:00Z"), Rate::Closed);
        assert_eq!(rate("2026-11-27T23:00:00Z"), Rate::Full);
        assert_eq!(rate("2026-11-28T05:59:00Z"), Rate::Full);
        assert_eq!(rate("2026-11-28T06:00:00Z"), Rate::Closed);
        assert_eq!(rate("2026-11-28T22:30:00Z"), Rate::Closed);
        let opens = schedule.opens(at("2026-11-28T06:00:00Z")).unwrap();
        assert_eq!(opens, Some(at("2026-12-04T22:00:00Z")));
    }

    #[test]
    fn times_are_those_of_the_zone_on_both_sides_of_summer() {
        let schedule = schedule("closed", &["02:00-04:00=full"], "Europe/Berlin");
        assert_eq!(
            schedule.rate(at("2026-07-01T00:30:00Z")).unwrap(),
            Rate::Full
        );
        assert_eq!(
            schedule.rate(at("2026-12-01T00:30:00Z")).unwrap(),
            Rate::Closed
        );
        assert_eq!(
            schedule.rate(at("2026-12-01T01:30:00Z")).unwrap(),
            Rate::Full
        );
    }

    #[test]
    fn a_way_that_never_opens_and_an_unknown_zone_are_refused() {
        let never = schedule("closed", &[], "UTC").check().unwrap_err();
        assert!(never.to_string().contains("all the time"), "{never}");
        let zone = schedule("full", &[], "Mars/Olympus").check().unwrap_err();
        assert!(zone.to_string().contains("Mars/Olympus"), "{zone}");
    }
}
