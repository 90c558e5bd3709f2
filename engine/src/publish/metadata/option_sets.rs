//! `OptionsetMetadata/*.csv`: what numbers and ids mean, for all tables of a link, in the dialect of the data.

use super::labels::{Label, Labels};
use super::{MetadataFile, OPTION_SET_FOLDER};
use crate::environment::{State, Table};
use crate::link::LinkEntry;
use crate::value::write_quoted;

/// A CSV file under construction; the columns stand in the order that readers expect.
struct Csv {
    bytes: Vec<u8>,
    line_end: &'static [u8],
}

impl Csv {
    fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            write_quoted(text, &mut self.bytes);
        }
        self.bytes.push(b',');
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        self.bytes
            .extend_from_slice(buffer.format(number).as_bytes());
        self.bytes.push(b',');
        self
    }

    fn label(&mut self, label: &Label<'_>) -> &mut Self {
        let word: &[u8] = match label.is_user_localized_label {
            true => b"True,",
            false => b"False,",
        };
        self.bytes.extend_from_slice(word);
        self.number(label.localized_label_language_code.into())
            .text(label.localized_label)
    }

    /// Ends the row: the comma behind its last cell goes.
    fn end(&mut self) {
        self.bytes.pop();
        self.bytes.extend_from_slice(self.line_end);
    }

    fn file(self, name: &str) -> MetadataFile {
        MetadataFile {
            path: format!("{OPTION_SET_FOLDER}/{name}.csv"),
            bytes: self.bytes,
            content_type: "text/csv",
        }
    }
}

pub(super) fn files(state: &State, link: &LinkEntry, tables: &[&Table]) -> Vec<MetadataFile> {
    let line_end = state.catalog.settings.line_end.bytes();
    let new = || Csv {
        bytes: Vec::new(),
        line_end,
    };
    let (mut options, mut globals) = (new(), new());
    let (mut states, mut statuses, mut targets) = (new(), new(), new());
    for table in tables {
        let labels = Labels::of(state, table, link.model.label_language_code);
        for row in &labels.options {
            options.text(row.entity_name).text(row.option_set_name);
            options.number(row.option.into()).label(&row.label).end();
        }
        for row in &labels.global_options {
            globals.text(row.option_set_name).number(row.option.into());
            globals.label(&row.label).text(row.global_option_set_name);
            globals.text(row.entity_name).end();
        }
        for row in &labels.states {
            states.text(row.entity_name).number(row.state.into());
            states.label(&row.label).end();
        }
        for row in &labels.statuses {
            statuses.text(row.entity_name).number(row.state.into());
            statuses.number(row.status.into()).label(&row.label).end();
        }
        for row in &labels.targets {
            targets.text(row.entity_name).text(row.attribute_name);
            targets.text(row.referenced_entity);
            targets.text(&row.referenced_attribute).end();
        }
    }
    vec![
        options.file("OptionsetMetadata"),
        globals.file("GlobalOptionsetMetadata"),
        states.file("StateMetadata"),
        statuses.file("StatusMetadata"),
        targets.file("TargetMetadata"),
    ]
}
