//! `<table>-EntityMetadata.json`: a table's columns in Dataverse's own terms, with the labels of its choices.

use serde::Serialize;
use uuid::Uuid;

use super::labels::{GlobalOptionLabel, Labels, OptionLabel, StateLabel, StatusLabel, Target};
use crate::environment::{State, Table};
use crate::error::{Error, Result};
use crate::link::LinkEntry;
use crate::schema::{Attribute, AttributeType, ChoiceKind, LookupKind};
use crate::value::to_civil;

/// The version of a column's metadata; a column that is there does not change its type.
const VERSION: u64 = 1;

/// Arrays by the names that readers ask for; `OptionSet` has a capital S here and not in the CSV form.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EntityMetadata<'a> {
    attribute_metadata: Vec<AttributeMetadata<'a>>,
    option_set_metadata: Vec<OptionLabel<'a>>,
    global_option_set_metadata: Vec<GlobalOptionLabel<'a>>,
    state_metadata: Vec<StateLabel<'a>>,
    status_metadata: Vec<StatusLabel<'a>>,
    target_metadata: Vec<Target<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeMetadata<'a> {
    id: usize,
    entity_name: &'a str,
    attribute_name: &'a str,
    attribute_type: &'static str,
    attribute_type_code: u8,
    version: u64,
    timestamp: String,
    metadata_id: Uuid,
    precision: Option<u32>,
    max_length: Option<u32>,
}

pub(super) fn render(state: &State, link: &LinkEntry, table: &Table) -> Result<Vec<u8>> {
    let schema = table.plan.schema();
    let name = schema.name();
    let created = state.catalog.tables.get(name).map_or(0, |t| t.created);
    let timestamp = to_civil(created).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let attributes = schema.attributes().iter().enumerate();
    let attribute_metadata = attributes.map(|(place, attribute)| {
        let (attribute_type, attribute_type_code) = dataverse_type(&attribute.kind);
        AttributeMetadata {
            id: place + 1,
            entity_name: name,
            attribute_name: &attribute.name,
            attribute_type,
            attribute_type_code,
            version: VERSION,
            timestamp: timestamp.clone(),
            metadata_id: metadata_id(name, attribute),
            precision: precision(&attribute.kind),
            max_length: max_length(&attribute.kind),
        }
    });
    let labels = Labels::of(state, table, link.model.label_language_code);
    let metadata = EntityMetadata {
        attribute_metadata: attribute_metadata.collect(),
        option_set_metadata: labels.options,
        global_option_set_metadata: labels.global_options,
        state_metadata: labels.states,
        status_metadata: labels.statuses,
        target_metadata: labels.targets,
    };
    serde_json::to_vec_pretty(&metadata).map_err(|e| {
        Error::invalid(format!(
            "the metadata of table {name} cannot be written: {e}"
        ))
    })
}

/// The same for a column of the same name in whatever environment, so that the same log gives the same bytes.
fn metadata_id(table: &str, attribute: &Attribute) -> Uuid {
    let name = format!("{table}/{}", attribute.name);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// `AttributeTypeCode` of Dataverse by name and number. A multi-select choice has none of its own: by number it is virtual.
fn dataverse_type(kind: &AttributeType) -> (&'static str, u8) {
    use AttributeType as T;
    match kind {
        T::Boolean => ("Boolean", 0),
        T::Lookup { kind, .. } => match kind {
            LookupKind::Customer => ("Customer", 1),
            LookupKind::Lookup => ("Lookup", 6),
            LookupKind::Owner => ("Owner", 9),
        },
        T::DateTime { .. } => ("DateTime", 2),
        T::Decimal { .. } => ("Decimal", 3),
        T::Double { .. } => ("Double", 4),
        T::Integer { .. } => ("Integer", 5),
        T::Memo { .. } => ("Memo", 7),
        T::Money { .. } => ("Money", 8),
        T::Choice { kind, .. } => match kind {
            ChoiceKind::Choice => ("Picklist", 11),
            ChoiceKind::State => ("State", 12),
            ChoiceKind::Status => ("Status", 13),
        },
        T::String { .. } => ("String", 14),
        T::UniqueIdentifier => ("Uniqueidentifier", 15),
        T::MultiSelect { .. } => ("MultiSelectPicklist", 17),
        T::BigInt => ("BigInt", 18),
        T::EntityType { .. } => ("EntityName", 20),
    }
}

fn precision(kind: &AttributeType) -> Option<u32> {
    use AttributeType as T;
    match kind {
        T::Decimal { scale } | T::Money { scale } | T::Double { scale } => Some(*scale),
        _ => None,
    }
}

fn max_length(kind: &AttributeType) -> Option<u32> {
    use AttributeType as T;
    match kind {
        T::String { max_length } | T::Memo { max_length } => Some(*max_length),
        _ => None,
    }
}
