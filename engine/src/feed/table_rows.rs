//! Every row of a table as of one version, for whoever starts from the state and goes on with the changes.

use uuid::Uuid;

use super::ChangeToken;
use crate::environment::{CurrentRow, Environment};
use crate::error::{Error, Result};
use crate::row::{RowsIn, id_of, split_head};

impl Environment {
    /// Gives each row of a table to `take`, and tells the token behind the last change that they show: the
    /// changes from there on, and these rows, miss nothing. Rows come partition by partition, in the order of
    /// ids within each; a block of them is in memory at a time. What is not in blocks yet is merged first.
    ///
    /// # Errors
    /// Those of `take`; `NotFound` if there is no such table, `Corrupt` if a block is damaged.
    pub fn table_rows<E: From<Error>>(
        &self,
        table: &str,
        mut take: impl FnMut(Uuid, CurrentRow) -> Result<(), E>,
    ) -> Result<ChangeToken, E> {
        let _hold = self.hold_packs();
        let state = self.fold()?;
        let table = state.table(table)?;
        let manifests = state.base.get(&table.id).map_or(&[][..], Vec::as_slice);
        for block in manifests.iter().flat_map(|manifest| &manifest.blocks) {
            let bytes = self.inner.packs.read(&block.extent)?;
            for row in RowsIn::block(bytes.as_ref()) {
                let (Some(id), Some((_, cells))) = (id_of(row), split_head(row)) else {
                    let path = self.inner.packs.path(block.extent.pack);
                    let offset = block.extent.offset;
                    let rule =
                        format!("a row of the block from byte {offset} on has no id or sink times");
                    return Err(Error::corrupt(&path, rule).into());
                };
                take(
                    Uuid::from_u128(id),
                    CurrentRow::new(table.plan.schema(), cells),
                )?;
            }
        }
        Ok(self.token(state.catalog.folded_version))
    }
}
