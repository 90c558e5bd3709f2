//! Conditions on index tags, `"name" = 'value' AND …`, as `x-ms-if-tags` has them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A comparison of one tag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    name: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What tags must be: one of several lists of comparisons, all of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFilter {
    alternatives: Vec<Vec<Comparison>>,
}

impl TagFilter {
    /// Reads a condition, `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut alternatives = vec![Vec::new()];
        loop {
            let comparison = comparison(&mut rest)?;
            alternatives.last_mut()?.push(comparison);
            rest = rest.trim_start();
            if rest.is_empty() {
                return Some(Self { alternatives });
            }
            let (word, after) = rest.split_once(char::is_whitespace)?;
            match word.to_ascii_uppercase().as_str() {
                "AND" => {}
                "OR" => alternatives.push(Vec::new()),
                _ => return None,
            }
            rest = after.trim_start();
        }
    }

    /// Whether tags are so. A tag that is not there equals nothing and differs from everything.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        let holds = |comparison: &Comparison| {
            let order = tags
                .get(&comparison.name)
                .map(|value| value.as_str().cmp(&comparison.value));
            match comparison.operator {
                Operator::Equal => order == Some(Ordering::Equal),
                Operator::NotEqual => order != Some(Ordering::Equal),
                Operator::Less => order == Some(Ordering::Less),
                Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
                Operator::Greater => order == Some(Ordering::Greater),
                Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            }
        };
        self.alternatives
            .iter()
            .any(|comparisons| comparisons.iter().all(holds))
    }
}

fn comparison(rest: &mut &str) -> Option<Comparison> {
    let name = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (name, after) = quoted.split_once('"')?;
            *rest = after;
            name
        }
        None => {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            let (name, after) = rest.split_at(end);
            *rest = after;
            name
        }
    };
    *rest = rest.trim_start();
    let operators = [
        ("<>", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("=", Operator::Equal),
    ];
    let (operator, after) = operators
        .iter()
        .find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)))?;
    let (value, after) = after.trim_start().strip_prefix('\'')?.split_once('\'')?;
    *rest = after;
    (!name.is_empty()).then(|| Comparison {
        name: name.to_owned(),
        operator,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn conditions_on_tags_compare_as_they_say() {
        let tags = [("tag 1", "b"), ("two", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (text, expected) in [
            ("\"tag 1\"='b'", true),
            ("\"tag 1\" = 'b' AND two <> '2'", false),
            ("\"tag 1\"='x' OR two>='2'", true),
            ("two < '2'", false),
            ("missing <> 'x'", true),
            ("missing = ''", false),
        ] {
            let filter = TagFilter::parse(text).unwrap();
            assert_eq!(filter.matches(&tags), expected, "{text}");
        }
        for wrong in [
            "",
            "two",
            "two='2",
            "two='2' XOR a='b'",
            "='2'",
            "two='2' AND",
        ] {
            assert_eq!(TagFilter::parse(wrong), None, "{wrong}");
        }
    }
}
