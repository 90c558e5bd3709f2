//! What a table looks like: its attributes, their types and their order in the CSV.

mod alter;
mod attribute;
mod parse;

use std::collections::HashMap;

pub use alter::SchemaChange;
pub(crate) use alter::altered;
pub use attribute::{
    Attribute, AttributeType, ChoiceKind, DateTimeBehavior, LookupKind, OptionValue,
};

use crate::error::{Error, Result};

/// The columns that the engine itself puts before all others.
pub const SYSTEM_COLUMNS: [&str; 3] = ["Id", "SinkCreatedOn", "SinkModifiedOn"];

/// The column that append-only files end with.
pub const IS_DELETE_COLUMN: &str = "IsDelete";

/// A table, checked. It is read from the JSON form that `fixtures/table.schema.json` describes.
#[derive(Debug, Clone)]
pub struct TableSchema {
    name: String,
    display_name: String,
    change_tracking: bool,
    attributes: Vec<Attribute>,
    by_name: HashMap<String, usize>,
    primary_key: usize,
    created_on: Option<usize>,
    modified_on: Option<usize>,
    version_number: Option<usize>,
    json: String,
}

impl TableSchema {
    /// Reads a table from its JSON form.
    ///
    /// # Errors
    /// `InvalidInput` names the column and the rule that is broken.
    pub fn from_json(json: &str) -> Result<Self> {
        parse::table(json)
    }

    /// The logical name, lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that people see.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Whether change tracking is on. Only such a table can be linked to a lake.
    pub fn change_tracking(&self) -> bool {
        self.change_tracking
    }

    /// The attributes in the order of the CSV, without the system columns. A lookup `x` stands as
    /// `x` and `x_entitytype`.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// How many columns the CSV of an in-place table has, the system columns included.
    pub fn csv_columns(&self) -> usize {
        SYSTEM_COLUMNS.len() + self.attributes.len()
    }

    /// The place of an attribute in [`attributes`](Self::attributes).
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The place of the primary key.
    pub fn primary_key(&self) -> usize {
        self.primary_key
    }

    /// The place of `createdon`, which decides the partition. A table without it is append-only.
    pub fn created_on(&self) -> Option<usize> {
        self.created_on
    }

    /// The place of `modifiedon`.
    pub fn modified_on(&self) -> Option<usize> {
        self.modified_on
    }

    /// The place of `versionnumber`, which the engine fills.
    pub fn version_number(&self) -> Option<usize> {
        self.version_number
    }

    /// The JSON it was read from.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The place of an attribute, or an error that names the nearest one.
    pub fn require(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| {
            let hint = match self.nearest(name) {
                Some(near) => format!(" Did you mean \"{near}\"?"),
                None => format!(
                    " `lakestage table show {}` lists its columns; ingest can leave one out with --ignore-column",
                    self.name
                ),
            };
            Error::invalid(format!(
                "table {} has no column \"{name}\".{hint}",
                self.name
            ))
        })
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_lowercase();
        if let Some(position) = self.position(&wanted) {
            return Some(&self.attributes[position].name);
        }
        self.attributes
            .iter()
            .map(|a| (edit_distance(&wanted, &a.name), a.name.as_str()))
            .min()
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, name)| name)
    }
}

/// How many single-character edits lie between two names.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(edit_distance("name", "name"), 0);
        assert_eq!(edit_distance("nmae", "name"), 2);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
