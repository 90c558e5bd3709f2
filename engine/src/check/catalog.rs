//! The catalog folder: the catalog, the schemas, and what is remembered of published snapshots.

use std::collections::BTreeMap;

use super::Check;
use crate::catalog::{Catalog, FileEntry, read_file};
use crate::schema::TableSchema;

impl Check<'_> {
    /// Reads the catalog and every file that it names; `None` if there is no whole one.
    pub(super) fn catalog(&mut self) -> Option<Catalog> {
        self.report.files += 1;
        let catalog = match self.source.catalog() {
            Ok(catalog) => catalog,
            Err(error) => {
                let file = self.source.catalog_entry().map_or_else(
                    |_| "journal/db".to_owned(),
                    |entry| format!("catalog/{}", entry.file),
                );
                let needed_by = vec!["everything".to_owned()];
                self.finding(file, "the catalog", error.to_string(), needed_by);
                return None;
            }
        };
        for (name, table) in &catalog.tables {
            let needed_by = vec![format!("table {name}")];
            self.schema(name, &table.schema, needed_by);
        }
        for (name, link) in &catalog.links {
            let pending = link.pending.iter().map(|pending| &pending.link.history);
            let mut models: BTreeMap<i64, &FileEntry> = BTreeMap::new();
            for history in pending.chain([&link.history]) {
                models.extend(history.kept.iter().map(|(n, kept)| (*n, &kept.model)));
            }
            for (number, model) in models {
                let needed_by = vec![format!("reading snapshot {number} of link {name}")];
                self.named_file(model, "what model.json was", needed_by);
            }
        }
        Some(catalog)
    }

    fn schema(&mut self, table: &str, entry: &FileEntry, needed_by: Vec<String>) {
        let Some(bytes) = self.named_file(entry, "the schema", needed_by.clone()) else {
            return;
        };
        let parsed = String::from_utf8(bytes)
            .map_err(|error| error.to_string())
            .and_then(|json| TableSchema::from_json(&json).map_err(|error| error.to_string()));
        let rule = match parsed {
            Ok(schema) if schema.name() == table => return,
            Ok(schema) => format!("it is of table {}", schema.name()),
            Err(rule) => rule,
        };
        let file = format!("catalog/{}", entry.file);
        self.finding(file, "the schema", rule, needed_by);
    }

    fn named_file(
        &mut self,
        entry: &FileEntry,
        place: &str,
        needed_by: Vec<String>,
    ) -> Option<Vec<u8>> {
        self.report.files += 1;
        match read_file(&self.source.catalog_folder(), entry) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let file = format!("catalog/{}", entry.file);
                self.finding(file, place, error.to_string(), needed_by);
                None
            }
        }
    }
}
