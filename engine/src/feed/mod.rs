//! The change feed: every change of a table once, in the order of versions, by following tokens.

mod batch;
mod changes;
mod consumer;
mod holders;
mod retention;
mod table_rows;
mod token;

pub use batch::{ChangeBatch, ChangeOperation, RowChange, change_columns};
pub use changes::Changes;
pub use consumer::{ConsumerStatus, NewConsumer};
pub(crate) use holders::Holders;
pub use retention::Retention;
pub use token::ChangeToken;
