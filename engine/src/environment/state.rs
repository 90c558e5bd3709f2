//! The catalog, with what it names at hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::block::{Manifest, Packs};
use crate::catalog::{Catalog, CatalogStore, FileEntry};
use crate::compaction::Granularity;
use crate::error::{Error, Result};
use crate::row::RowPlan;
use crate::schema::TableSchema;

/// One moment of an environment; it never changes, a new one takes its place.
pub(crate) struct State {
    pub catalog: Catalog,
    pub tables: BTreeMap<String, Arc<Table>>,
    /// The partitions of each table's base layout.
    pub base: HashMap<u16, Vec<Arc<Manifest>>>,
}

/// A table, ready to take rows.
pub(crate) struct Table {
    pub id: u16,
    pub plan: RowPlan,
    /// The file of its schema, which tells one schema from the next.
    pub schema: FileEntry,
}

impl State {
    pub(crate) fn load(catalog: Catalog, store: &CatalogStore, packs: &Packs) -> Result<Self> {
        let mut tables = BTreeMap::new();
        let mut base = HashMap::new();
        for (name, entry) in &catalog.tables {
            let json = String::from_utf8(store.read(&entry.schema)?)
                .map_err(|e| Error::invalid(format!("the schema of table {name}: {e}")))?;
            let schema = Arc::new(TableSchema::from_json(&json)?);
            let table = Table {
                id: entry.id,
                schema: entry.schema.clone(),
                plan: RowPlan::new(schema, catalog.settings.date_time_format),
            };
            tables.insert(name.clone(), Arc::new(table));
            let layout = entry.layouts.first();
            let manifests = layout
                .iter()
                .flat_map(|layout| layout.partitions.values())
                .map(|partition| packs.manifest(&partition.manifest))
                .collect::<Result<Vec<_>>>()?;
            base.insert(entry.id, manifests);
        }
        Ok(State {
            catalog,
            tables,
            base,
        })
    }

    /// How the base layout of a table is partitioned.
    pub(crate) fn base_granularity(&self, table: u16) -> Granularity {
        let mut entries = self.catalog.tables.values();
        let base = entries
            .find(|entry| entry.id == table)
            .and_then(|entry| entry.layouts.first());
        base.map_or_else(Granularity::default, |base| base.layout.granularity)
    }

    pub(crate) fn table(&self, name: &str) -> Result<&Arc<Table>> {
        self.tables.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            Error::NotFound {
                what: "table",
                name: name.to_owned(),
                hint: if names.is_empty() {
                    "; the environment has no tables yet".into()
                } else {
                    format!("; the tables are {}", names.join(", "))
                },
            }
        })
    }
}
