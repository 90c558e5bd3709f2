//! What choices, states, statuses and lookups of a table mean, gathered once for both forms of the metadata.

use serde::Serialize;

use super::key_of;
use crate::environment::{State, Table};
use crate::schema::{AttributeType, ChoiceKind, OptionValue};

/// The label of an option. Fields and their order are those of the JSON form.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OptionLabel<'a> {
    pub entity_name: &'a str,
    pub option_set_name: &'a str,
    pub option: i32,
    #[serde(flatten)]
    pub label: Label<'a>,
}

/// The label of an option of a choice that several tables share.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GlobalOptionLabel<'a> {
    pub option_set_name: &'a str,
    pub option: i32,
    #[serde(flatten)]
    pub label: Label<'a>,
    pub global_option_set_name: &'a str,
    pub entity_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StateLabel<'a> {
    pub entity_name: &'a str,
    pub state: i32,
    #[serde(flatten)]
    pub label: Label<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StatusLabel<'a> {
    pub entity_name: &'a str,
    pub state: i32,
    pub status: i32,
    #[serde(flatten)]
    pub label: Label<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target<'a> {
    pub entity_name: &'a str,
    pub attribute_name: &'a str,
    pub referenced_entity: &'a str,
    pub referenced_attribute: String,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Label<'a> {
    /// False, as the service writes it by default.
    pub is_user_localized_label: bool,
    pub localized_label_language_code: u32,
    pub localized_label: &'a str,
}

/// Everything that one table's columns mean.
#[derive(Default)]
pub(super) struct Labels<'a> {
    pub options: Vec<OptionLabel<'a>>,
    pub global_options: Vec<GlobalOptionLabel<'a>>,
    pub states: Vec<StateLabel<'a>>,
    pub statuses: Vec<StatusLabel<'a>>,
    pub targets: Vec<Target<'a>>,
}

impl<'a> Labels<'a> {
    pub(super) fn of(state: &State, table: &'a Table, language_code: u32) -> Self {
        let schema = table.plan.schema();
        let mut labels = Labels::default();
        for attribute in schema.attributes() {
            let column = Column {
                table: schema.name(),
                name: &attribute.name,
                global: attribute.global_option_set.as_deref(),
                language_code,
            };
            match &attribute.kind {
                AttributeType::Choice { kind, options } => labels.choice(&column, *kind, options),
                AttributeType::MultiSelect { options } => {
                    labels.choice(&column, ChoiceKind::Choice, options);
                }
                AttributeType::Lookup { targets, .. } => {
                    labels.targets.extend(targets.iter().map(|target| Target {
                        entity_name: column.table,
                        attribute_name: column.name,
                        referenced_entity: target,
                        referenced_attribute: key_of(state, target),
                    }));
                }
                _ => {}
            }
        }
        labels
    }

    fn choice(&mut self, column: &Column<'a>, kind: ChoiceKind, options: &'a [OptionValue]) {
        for option in options {
            let label = Label {
                is_user_localized_label: false,
                localized_label_language_code: column.language_code,
                localized_label: &option.label,
            };
            match (kind, column.global) {
                (ChoiceKind::State, _) => self.states.push(StateLabel {
                    entity_name: column.table,
                    state: option.value,
                    label,
                }),
                (ChoiceKind::Status, _) => self.statuses.push(StatusLabel {
                    entity_name: column.table,
                    state: option.state.unwrap_or_default(),
                    status: option.value,
                    label,
                }),
                (ChoiceKind::Choice, None) => self.options.push(OptionLabel {
                    entity_name: column.table,
                    option_set_name: column.name,
                    option: option.value,
                    label,
                }),
                (ChoiceKind::Choice, Some(global)) => self.global_options.push(GlobalOptionLabel {
                    option_set_name: column.name,
                    option: option.value,
                    label,
                    global_option_set_name: global,
                    entity_name: column.table,
                }),
            }
        }
    }
}

struct Column<'a> {
    table: &'a str,
    name: &'a str,
    global: Option<&'a str>,
    language_code: u32,
}
