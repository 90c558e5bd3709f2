//! What no public source settles about `model.json`: a setting each, with its default.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::schema::{AttributeType, TableSchema};

/// The widest precision that readers accept.
const PRECISION_MAX: u32 = 38;

/// How `model.json` says what no public source settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelSettings {
    /// The digits of every decimal, 1 to 38; the scale is the column's own.
    pub decimal_precision: u32,
    /// What partitions are called.
    pub partition_names: PartitionNames,
    /// Whether partitions finer than a year have `Athena:PartitionMonth`, and `Athena:PartitionDay` where they are
    /// finer than a month, beside `Athena:PartitionYear`.
    pub month_annotation: bool,
    /// The language of the labels in the metadata, as Windows numbers them; 1033 is English.
    pub label_language_code: u32,
}

/// What a partition is called in the root `model.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartitionNames {
    /// As the partition, such as `2024`.
    #[default]
    Partition,
    /// As the snapshot file without its ending, such as `2024_1700000000`.
    File,
}

impl Default for ModelSettings {
    fn default() -> Self {
        ModelSettings {
            decimal_precision: PRECISION_MAX,
            partition_names: PartitionNames::default(),
            month_annotation: true,
            label_language_code: 1_033,
        }
    }
}

impl ModelSettings {
    /// Refuses a precision that readers could not take for the table's columns.
    pub(crate) fn check(&self, schema: &TableSchema) -> Result<()> {
        let precision = self.decimal_precision;
        if !(1..=PRECISION_MAX).contains(&precision) {
            return Err(Error::invalid(format!(
                "a decimal precision of {precision} is not possible: 1 to {PRECISION_MAX} are"
            )));
        }
        use AttributeType as T;
        for attribute in schema.attributes() {
            if let T::Decimal { scale } | T::Money { scale } | T::Double { scale } = attribute.kind
                && scale > precision
            {
                return Err(Error::invalid(format!(
                    "table {}, column {}: its scale is {scale}, more than the decimal precision of {precision} leaves room for",
                    schema.name(),
                    attribute.name
                )));
            }
        }
        Ok(())
    }
}
