//! A column of a random type, and random values of it with the cells they must become.
//!
//! How a cell looks is worked out here from the rules of the reference, not by the engine's code.

use super::dice::Dice;

/// What one column of a row is given, and what it must become once the CSV is parsed.
pub struct Cell {
    pub column: String,
    pub given: String,
    pub stored: String,
}

#[derive(Debug)]
pub struct Column {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    UniqueIdentifier,
    Lookup,
    Owner,
    Customer,
    Choice,
    MultiSelect,
    Boolean,
    Integer,
    BigInt,
    Decimal(u32),
    Money(u32),
    Double(u32),
    UserLocal,
    DateOnly,
    TimeZoneIndependent,
    String,
    Memo,
}

const CHOICES: [i32; 4] = [-1, 0, 7, 100_000_000];
const PIECES: [&str; 16] = [
    "a", "Zoë", "\"", "\"\"", ",", "\n", "\r\n", "\r", "'", ";", "😀", "שלום", "\u{202e}", "0042",
    "\\", " ",
];

impl Column {
    pub fn random(number: u64, dice: &mut Dice) -> Self {
        let kind = match dice.below(17) {
            0 => Kind::UniqueIdentifier,
            1 => Kind::Lookup,
            2 => Kind::Owner,
            3 => Kind::Customer,
            4 => Kind::Choice,
            5 => Kind::MultiSelect,
            6 => Kind::Boolean,
            7 => Kind::Integer,
            8 => Kind::BigInt,
            9 => Kind::Decimal(dice.below(11) as u32),
            10 => Kind::Money(dice.below(5) as u32),
            11 => Kind::Double(dice.below(6) as u32),
            12 => Kind::UserLocal,
            13 => Kind::DateOnly,
            14 => Kind::TimeZoneIndependent,
            15 => Kind::String,
            _ => Kind::Memo,
        };
        Column {
            name: format!("c{number}"),
            kind,
        }
    }

    /// The column in a table's schema file.
    pub fn json(&self) -> String {
        let options = CHOICES.map(|value| format!(r#"{{"value":{value},"label":"o{value}"}}"#));
        let options = options.join(",");
        let rest = match &self.kind {
            Kind::UniqueIdentifier => r#""uniqueidentifier""#.to_owned(),
            Kind::Lookup => r#""lookup","targets":["account","contact"]"#.to_owned(),
            Kind::Owner => r#""owner""#.to_owned(),
            Kind::Customer => r#""customer""#.to_owned(),
            Kind::Choice => format!(r#""choice","options":[{options}]"#),
            Kind::MultiSelect => format!(r#""multiselect","options":[{options}]"#),
            Kind::Boolean => r#""boolean""#.to_owned(),
            Kind::Integer => r#""integer""#.to_owned(),
            Kind::BigInt => r#""bigint""#.to_owned(),
            Kind::Decimal(scale) => format!(r#""decimal","scale":{scale}"#),
            Kind::Money(scale) => format!(r#""money","scale":{scale}"#),
            Kind::Double(scale) => format!(r#""double","scale":{scale}"#),
            Kind::UserLocal => r#""datetime""#.to_owned(),
            Kind::DateOnly => r#""datetime","behavior":"dateOnly""#.to_owned(),
            Kind::TimeZoneIndependent => {
                r#""datetime","behavior":"timeZoneIndependent""#.to_owned()
            }
            Kind::String => r#""string","maxLength":400"#.to_owned(),
            Kind::Memo => r#""memo","maxLength":1048576"#.to_owned(),
        };
        format!(r#"{{"name":"{}","type":{rest}}}"#, self.name)
    }

    /// The columns that it is in the lake.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.clone()];
        if self.targets().is_some() {
            names.push(format!("{}_entitytype", self.name));
        }
        names
    }

    fn targets(&self) -> Option<[&'static str; 2]> {
        match self.kind {
            Kind::Lookup | Kind::Customer => Some(["account", "contact"]),
            Kind::Owner => Some(["systemuser", "team"]),
            _ => None,
        }
    }

    /// A random value: one cell, or two for a lookup. One in six is null.
    pub fn cells(&self, dice: &mut Dice) -> Vec<Cell> {
        let is_null = dice.below(6) == 0;
        let (given, stored) = match is_null {
            true => (String::new(), String::new()),
            false => self.value(dice),
        };
        let mut cells = vec![Cell {
            column: self.name.clone(),
            given,
            stored,
        }];
        if let Some(targets) = self.targets() {
            let target = if is_null { "" } else { dice.pick(&targets) };
            cells.push(Cell {
                column: format!("{}_entitytype", self.name),
                given: target.to_owned(),
                stored: target.to_owned(),
            });
        }
        cells
    }

    /// A value as it is given, and its cell.
    fn value(&self, dice: &mut Dice) -> (String, String) {
        let same = |text: String| (text.clone(), text);
        match &self.kind {
            Kind::UniqueIdentifier | Kind::Lookup | Kind::Owner | Kind::Customer => guid(dice),
            Kind::Choice => same(dice.pick(&CHOICES).to_string()),
            Kind::MultiSelect => {
                let chosen = CHOICES.iter().filter(|_| dice.below(2) == 0);
                let chosen: Vec<String> = chosen.map(i32::to_string).collect();
                same(chosen.join(";"))
            }
            Kind::Boolean => {
                let given = *dice.pick(&["true", "false", "True", "False", "1", "0"]);
                let stored = match given {
                    "true" | "True" | "1" => "True",
                    _ => "False",
                };
                (given.to_owned(), stored.to_owned())
            }
            Kind::Integer => same(extreme(dice, i32::MIN.into(), i32::MAX.into()).to_string()),
            Kind::BigInt => same(extreme(dice, i64::MIN, i64::MAX).to_string()),
            Kind::Decimal(scale) => decimal(dice, 100_000_000_000, *scale),
            Kind::Money(scale) => decimal(dice, 922_337_203_685_477, *scale),
            Kind::Double(scale) => decimal(dice, 1_000_000_000, *scale),
            Kind::UserLocal => user_local(dice),
            Kind::DateOnly => {
                let date = date(dice);
                (date.clone(), format!("{date}T00:00:00.0000000"))
            }
            Kind::TimeZoneIndependent => {
                let (date, time) = (date(dice), time(dice));
                (format!("{date}T{time}"), format!("{date}T{time}.0000000"))
            }
            Kind::String => same(text(dice, 40)),
            Kind::Memo => {
                // Now and then long enough for blocks of their own.
                let pieces = if dice.below(20) == 0 { 60_000 } else { 60 };
                same(text(dice, pieces))
            }
        }
    }
}

fn guid(dice: &mut Dice) -> (String, String) {
    let (a, b) = (dice.next(), dice.next());
    let stored = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    );
    let given = match dice.below(4) {
        0 => stored.to_uppercase(),
        1 => format!("{{{stored}}}"),
        2 => stored.replace('-', ""),
        _ => stored.clone(),
    };
    (given, stored)
}

/// A number of the range, often at one of its ends.
fn extreme(dice: &mut Dice, min: i64, max: i64) -> i64 {
    match dice.below(6) {
        0 => min,
        1 => max,
        2 => 0,
        3 => (dice.next() as i64 % 1_000).clamp(min, max),
        _ => (dice.next() as i64).clamp(min, max),
    }
}

/// Whole and fractional digits; the cell has no zeros at the end.
fn decimal(dice: &mut Dice, whole_max: u64, scale: u32) -> (String, String) {
    let whole = match dice.below(4) {
        0 => whole_max - 1,
        1 => 0,
        _ => dice.below(whole_max),
    };
    let digits: String = (0..scale)
        .map(|_| char::from(b'0' + dice.below(10) as u8))
        .collect();
    let is_zero = whole == 0 && digits.chars().all(|digit| digit == '0');
    let sign = if !is_zero && dice.below(2) == 0 {
        "-"
    } else {
        ""
    };
    let given = match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{digits}"),
    };
    let stored = match given.contains('.') {
        true => given.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => given.clone(),
    };
    (given, stored)
}

fn date(dice: &mut Dice) -> String {
    let year = *dice.pick(&[1753, 1900, 1970, 2000, 2024, 9998]);
    format!(
        "{year:04}-{:02}-{:02}",
        1 + dice.below(12),
        1 + dice.below(28)
    )
}

fn time(dice: &mut Dice) -> String {
    let (hour, minute, second) = (dice.below(24), dice.below(60), dice.below(60));
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// A moment with a zone; the cell is in UTC. The hours stay within the day, so that no date has to be counted.
fn user_local(dice: &mut Dice) -> (String, String) {
    let date = date(dice);
    let hour = 6 + dice.below(12);
    let offset = dice.below(11) as i64 - 5;
    let fraction = dice.below(10_000_000);
    let utc = hour as i64 - offset;
    let sign = if offset < 0 { '-' } else { '+' };
    let given = format!(
        "{date}T{hour:02}:30:15.{fraction:07}{sign}{:02}:00",
        offset.abs()
    );
    (given, format!("{date}T{utc:02}:30:15.{fraction:07}Z"))
}

fn text(dice: &mut Dice, pieces: u64) -> String {
    let count = dice.below(pieces);
    (0..count).map(|_| *dice.pick(&PIECES)).collect()
}
