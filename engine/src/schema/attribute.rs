//! One attribute of a table and its type.

use std::fmt;

/// A column of a table, as it stands in the CSV.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The logical name, lower case.
    pub name: String,
    /// The type with its limits.
    pub kind: AttributeType,
    /// A row without a value here is refused.
    pub required: bool,
    /// It is no longer part of the table, keeps its place in the CSV and is null from now on.
    pub dropped: bool,
    /// The name of the choice that several tables share, for a choice that is one.
    pub global_option_set: Option<String>,
}

/// A Dataverse attribute type with its limits.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeType {
    /// A GUID.
    UniqueIdentifier,
    /// A GUID that points to a row of another table.
    Lookup {
        /// Which of the three sorts.
        kind: LookupKind,
        /// The tables it may point to.
        targets: Vec<String>,
    },
    /// The logical name of the table that a lookup points to; made from the lookup, never declared.
    EntityType {
        /// The place of the lookup.
        lookup: usize,
        /// The tables it may point to.
        targets: Vec<String>,
    },
    /// One of a set of integers.
    Choice {
        /// Which of the three sorts.
        kind: ChoiceKind,
        /// The allowed values; empty allows any 32-bit integer.
        options: Vec<OptionValue>,
    },
    /// Several of a set of integers.
    MultiSelect {
        /// The allowed values; empty allows any 32-bit integer.
        options: Vec<OptionValue>,
    },
    /// True or false.
    Boolean,
    /// A 32-bit integer.
    Integer {
        /// The least value.
        min: i32,
        /// The greatest value.
        max: i32,
    },
    /// A 64-bit integer.
    BigInt,
    /// An exact decimal within ±100,000,000,000.
    Decimal {
        /// Digits after the point, 0 to 10.
        scale: u32,
    },
    /// An exact amount of money within ±922,337,203,685,477.5807.
    Money {
        /// Digits after the point, 0 to 4.
        scale: u32,
    },
    /// A floating-point number within ±100,000,000,000, rounded to its scale.
    Double {
        /// Digits after the point, 0 to 5.
        scale: u32,
    },
    /// A point in time, or a date.
    DateTime {
        /// How the zone is meant.
        behavior: DateTimeBehavior,
    },
    /// A line of text.
    String {
        /// The longest value, in UTF-16 units.
        max_length: u32,
    },
    /// Text of any number of lines.
    Memo {
        /// The longest value, in UTF-16 units.
        max_length: u32,
    },
}

/// The sorts of lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// Points to one or several tables.
    Lookup,
    /// Points to a user or a team.
    Owner,
    /// Points to an account or a contact.
    Customer,
}

/// The sorts of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceKind {
    /// An ordinary choice.
    Choice,
    /// `statecode`.
    State,
    /// `statuscode`, whose options belong to a state each.
    Status,
}

/// One value of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionValue {
    /// The stored value.
    pub value: i32,
    /// The label that people see.
    pub label: String,
    /// The state that a status belongs to.
    pub state: Option<i32>,
}

/// How the zone of a date-time is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateTimeBehavior {
    /// A moment; stored and written in UTC.
    UserLocal,
    /// A date; written with the time 00:00:00 and no zone.
    DateOnly,
    /// A wall-clock time; written as it came, with no zone.
    TimeZoneIndependent,
}

impl fmt::Display for AttributeType {
    /// The type as a schema file names it, with its limits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UniqueIdentifier => f.write_str("uniqueidentifier"),
            Self::Lookup { kind, targets } => {
                let name = match kind {
                    LookupKind::Lookup => "lookup",
                    LookupKind::Owner => "owner",
                    LookupKind::Customer => "customer",
                };
                write!(f, "{name} to {}", targets.join(", "))
            }
            Self::EntityType { .. } => f.write_str("table of the lookup before it"),
            Self::Choice { kind, options } => {
                let name = match kind {
                    ChoiceKind::Choice => "choice",
                    ChoiceKind::State => "state",
                    ChoiceKind::Status => "status",
                };
                write!(f, "{name}{}", Options(options))
            }
            Self::MultiSelect { options } => write!(f, "multiselect{}", Options(options)),
            Self::Boolean => f.write_str("boolean"),
            Self::Integer { min, max } => write!(f, "integer {min} to {max}"),
            Self::BigInt => f.write_str("bigint"),
            Self::Decimal { scale } => write!(f, "decimal, {scale} digits after the point"),
            Self::Money { scale } => write!(f, "money, {scale} digits after the point"),
            Self::Double { scale } => write!(f, "double, {scale} digits after the point"),
            Self::DateTime { behavior } => f.write_str(match behavior {
                DateTimeBehavior::UserLocal => "datetime",
                DateTimeBehavior::DateOnly => "datetime, date only",
                DateTimeBehavior::TimeZoneIndependent => "datetime, independent of zones",
            }),
            Self::String { max_length } => write!(f, "string of {max_length}"),
            Self::Memo { max_length } => write!(f, "memo of {max_length}"),
        }
    }
}

/// The values of a choice.
struct Options<'a>(&'a [OptionValue]);

impl fmt::Display for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, option) in self.0.iter().enumerate() {
            let before = if place == 0 { ": " } else { ", " };
            write!(f, "{before}{} {}", option.value, option.label)?;
        }
        Ok(())
    }
}
