//! What an expression is for a row.

use std::cmp::Ordering;

use crate::protocol::blob::query::format::Row;
use crate::protocol::blob::query::sql::{Aggregate, Expression, Type};

/// A value. What cannot be converted is null, and a comparison with null holds never.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// An object or array of JSON, as it stands.
    Json(String),
}

impl Value {
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// As a cell; null is empty.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) | Self::Json(text) => text.clone(),
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            // A number next to a text makes a number of it, as types take precedence in the service's SQL.
            (Self::Number(_), _) | (_, Self::Number(_)) => {
                self.number()?.partial_cmp(&other.number()?)
            }
            _ => Some(self.text().cmp(&other.text())),
        }
    }
}

/// What an operand is for a row.
pub(super) fn value(expression: &Expression, row: &Row) -> Value {
    match expression {
        Expression::Text(text) => Value::Text(text.clone()),
        Expression::Number(number) => Value::Number(*number),
        Expression::Field(names) => row.field(names),
        Expression::Cast(inner, kind) => cast(&value(inner, row), *kind),
        Expression::Null => Value::Null,
        condition => holds(condition, row).map_or(Value::Null, Value::Bool),
    }
}

fn cast(value: &Value, kind: Type) -> Value {
    let number = |number: Option<f64>| number.map_or(Value::Null, Value::Number);
    match (value, kind) {
        (Value::Null, _) => Value::Null,
        (value, Type::String) => Value::Text(value.text()),
        (value, Type::Float) => number(value.number()),
        (Value::Text(text), Type::Int) => number(text.trim().parse::<i64>().ok().map(|n| n as f64)),
        (value, Type::Int) => number(value.number().map(f64::trunc)),
    }
}

/// Whether a condition holds; `None` when nobody knows, because something is null.
pub(super) fn holds(condition: &Expression, row: &Row) -> Option<bool> {
    match condition {
        Expression::Compare(left, comparison, right) => {
            let order = value(left, row).compare(&value(right, row))?;
            Some(match *comparison {
                "=" => order.is_eq(),
                "<>" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        Expression::Like(text, pattern) => match (value(text, row), value(pattern, row)) {
            (Value::Null, _) | (_, Value::Null) => None,
            (text, pattern) => Some(is_like(&text.text(), &pattern.text())),
        },
        Expression::In(left, choices) => {
            let left = value(left, row);
            let mut is_known = left != Value::Null;
            for choice in choices {
                match left.compare(&value(choice, row)) {
                    Some(Ordering::Equal) => return Some(true),
                    Some(_) => {}
                    None => is_known = false,
                }
            }
            is_known.then_some(false)
        }
        Expression::IsNull(inner) => Some(value(inner, row) == Value::Null),
        Expression::And(left, right) => match (holds(left, row), holds(right, row)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (left, right) => left.and(right),
        },
        Expression::Or(left, right) => match (holds(left, row), holds(right, row)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (left, right) => left.and(right),
        },
        Expression::Not(inner) => holds(inner, row).map(|holds| !holds),
        operand => match value(operand, row) {
            Value::Bool(value) => Some(value),
            _ => None,
        },
    }
}

/// `%` is anything, `_` one character. In the time of text times pattern, whatever they are.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some('%') => {
                star = Some((of, at));
                of += 1;
            }
            Some(sign) if *sign == '_' || Some(sign) == text.get(at) => {
                (at, of) = (at + 1, of + 1);
            }
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    (at, of) = (from + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(of..)
        .is_none_or(|rest| rest.iter().all(|sign| *sign == '%'))
}

/// An aggregate over the rows so far.
#[derive(Debug)]
pub(super) struct Total {
    aggregate: Aggregate,
    count: u64,
    sum: f64,
    most: Option<Value>,
}

impl Total {
    pub(super) fn new(aggregate: Aggregate) -> Self {
        Self {
            aggregate,
            count: 0,
            sum: 0.0,
            most: None,
        }
    }

    /// Takes a row's value in; null is left out, and `None` stands for the row itself.
    pub(super) fn add(&mut self, value: Option<Value>) {
        let Some(value) = value else {
            self.count += 1;
            return;
        };
        if value == Value::Null {
            return;
        }
        let wanted = match self.aggregate {
            Aggregate::Min => Ordering::Less,
            _ => Ordering::Greater,
        };
        if self
            .most
            .as_ref()
            .is_none_or(|most| value.compare(most) == Some(wanted))
        {
            self.most = Some(value.clone());
        }
        let adds = matches!(self.aggregate, Aggregate::Sum | Aggregate::Average);
        match value.number() {
            Some(number) => self.sum += number,
            // What is no number is none of a sum.
            None if adds => return,
            None => {}
        }
        self.count += 1;
    }

    pub(super) fn value(self) -> Value {
        match self.aggregate {
            Aggregate::Count => Value::Number(self.count as f64),
            Aggregate::Sum | Aggregate::Average if self.count == 0 => Value::Null,
            Aggregate::Sum => Value::Number(self.sum),
            Aggregate::Average => Value::Number(self.sum / self.count as f64),
            Aggregate::Min | Aggregate::Max => self.most.unwrap_or(Value::Null),
        }
    }
}
