//! Changing the schema of a table that has rows and writers.

use std::sync::PoisonError;

use super::Environment;
use crate::catalog::FileEntry;
use crate::error::{Error, Result};
use crate::schema::{SchemaChange, TableSchema, altered};

impl Environment {
    /// Gives a table another schema: columns may come, which stand behind all others; columns may go,
    /// which keep their place and are null from then on; texts, ranges, choices and lookups may get
    /// wider. Rows that are there stay as they are, so that they are shorter than new ones.
    ///
    /// A transaction that began before either is committed before, or is refused as a conflict and
    /// sees the new schema when it is sent again.
    ///
    /// # Errors
    /// `NotFound` if there is no such table. `InvalidInput` names the column and the way out where
    /// the change would break the rows there are, or a link.
    pub fn alter_table(&self, wanted: &TableSchema) -> Result<SchemaChange> {
        let inner = &self.inner;
        let _guard = inner.lock_catalog();
        let state = self.state();
        let name = wanted.name();
        let old = state.table(name)?.plan.schema();
        let (schema, change) = altered(old, wanted)?;
        for (link, entry) in &state.catalog.links {
            if !entry.tables.contains_key(name) {
                continue;
            }
            entry.model.check(&schema)?;
            if !schema.change_tracking() {
                return Err(Error::invalid(format!(
                    "table {name} is in the link {link}, which needs change tracking; take it out with `lakestage link tables remove {link} {name}` first"
                )));
            }
        }
        if schema.json() == old.json() {
            return Ok(change);
        }
        let mut catalog = state.catalog.clone();
        let file = format!("table-{name}-{:08}.json", catalog.next_file);
        catalog.next_file += 1;
        let file = inner.store.write(file, schema.json().as_bytes())?;
        if let Some(entry) = catalog.tables.get_mut(name) {
            entry.schema = file;
            for layout in &mut entry.layouts {
                layout.columns = schema.attributes().len();
                layout.version_position = schema.version_number();
            }
        }
        // No commit is sent while the schema changes, so that each is wholly before or behind it.
        let _gate = inner
            .schema_gate
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        inner.replace_catalog(catalog)?;
        Ok(change)
    }

    /// Refuses a transaction that was put together under a schema that a table has no more. The
    /// caller holds the gate.
    pub(super) fn refuse_old_schema(&self, table: &str, schema: &FileEntry) -> Result<()> {
        match self.state().table(table)?.schema == *schema {
            true => Ok(()),
            false => Err(Error::Conflict(format!(
                "the schema of table {table} changed while the transaction was put together; nothing of it was kept, send it again"
            ))),
        }
    }
}
