//! A transaction: row changes of any tables, all or nothing.

use std::sync::{Arc, PoisonError};

use ahash::{HashMap, HashMapExt as _};
use uuid::Uuid;

use super::lookup::Stored;
use super::quota::Amount;
use super::{Environment, Table};
use crate::clock::Ticks;
use crate::error::{Error, Result, RowError};
use crate::journal::{
    BackPressure, Chain, CommitRequest, CommitTicket, Operation, Receipt, Record,
};
use crate::locks::HeldRows;
use crate::row::Scratch;
use crate::value::{Value, parse_id};

/// A transaction's changes are held in memory until it commits; larger loads take several.
const TRANSACTION_BYTES_MAX: usize = 256 << 20;

/// What a row is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Fails if the row exists.
    Create,
    /// Fails if the row does not exist; columns that are not given stay as they are.
    Update,
    /// Creates the row, or updates it.
    Upsert,
}

/// A transaction that is being put together.
///
/// Once any of its changes was refused it can only be dropped: nothing of it stays. It holds the
/// rows that it changes until it is dropped or committed.
pub struct Transaction {
    environment: Environment,
    payload: Vec<u8>,
    rows: u32,
    /// How many of its changes put a row.
    puts: u64,
    /// How many of these rows are new.
    new_rows: u64,
    /// Where the transaction's own last change of a row stands in the payload.
    own: HashMap<(u16, u128), usize>,
    held: HeldRows,
    tables: HashMap<String, Arc<Table>>,
    scratch: Scratch,
    now: Ticks,
    refused: bool,
    pressure: BackPressure,
    chain: Option<Chain>,
}

impl Transaction {
    pub(super) fn new(environment: Environment) -> Self {
        Transaction {
            held: HeldRows::none(environment.inner.locks.clone()),
            now: environment.inner.clock.now_ticks(),
            pressure: environment.inner.pressure,
            environment,
            payload: Vec::new(),
            rows: 0,
            puts: 0,
            new_rows: 0,
            own: HashMap::new(),
            tables: HashMap::new(),
            scratch: Scratch::default(),
            refused: false,
            chain: None,
        }
    }

    /// How many row changes it holds.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Has it refused if one of the chain's commits that was sent before it fails.
    pub(crate) fn join(&mut self, chain: &Chain) {
        self.chain = Some(chain.clone());
    }

    /// Bytes of these changes.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// Adds a row. `values` names columns by their place in the schema's attributes.
    ///
    /// # Errors
    /// `Row` names the column, the value and the rule; `Conflict` if another transaction is
    /// changing the row. After any error nothing of the transaction can be committed.
    pub fn write(
        &mut self,
        write: Write,
        table: &str,
        values: &[(usize, Value<'_>)],
    ) -> Result<()> {
        let done = self.try_write(write, table, values);
        self.refused |= done.is_err();
        done
    }

    /// Adds the deletion of a row.
    ///
    /// # Errors
    /// `Row` if there is no such row; otherwise as [`write`](Self::write).
    pub fn delete(&mut self, table: &str, id: Value<'_>) -> Result<()> {
        let done = self.try_delete(table, id);
        self.refused |= done.is_err();
        done
    }

    /// Chooses what happens if the queue is full, instead of what the environment was opened with.
    pub fn set_back_pressure(&mut self, pressure: BackPressure) {
        self.pressure = pressure;
    }

    /// Commits. When this returns `Ok`, everything in the transaction survives a power cut, unless
    /// the environment was opened to promise less.
    ///
    /// # Errors
    /// `InvalidInput` if a change was refused or the transaction is empty; `Busy` if the queue was
    /// full; `Poisoned`, `Full` or `Io` if it could not be made durable. It is then in the journal
    /// whole or not at all.
    pub fn commit(self) -> Result<Receipt> {
        self.commit_later()?.wait()
    }

    /// Sends the transaction on its way and returns at once, so that one producer may have many
    /// commits in flight. They become durable in the order in which they were sent.
    ///
    /// Until a commit is durable nobody reads its rows, and it holds them: whoever changes one of
    /// them next, this producer included, waits until it is, and then reads what it became. Neither
    /// needs the ticket.
    ///
    /// # Errors
    /// `InvalidInput` if a change was refused or the transaction is empty; `Busy` if the queue was
    /// full, or if too much waits to be merged into blocks because merging fails; `OverQuota` if it would exceed the
    /// environment's quota; `Conflict` if the schema of one of its
    /// tables changed meanwhile.
    pub fn commit_later(self) -> Result<CommitTicket> {
        if self.refused {
            return Err(Error::invalid(
                "a row of the transaction was refused, so nothing of it is kept",
            ));
        }
        if self.rows == 0 {
            return Err(Error::invalid("the transaction is empty"));
        }
        let counters = self.environment.inner.counters.clone();
        let sent = self.send();
        if let Err(error) = &sent {
            tracing::debug!(%error, "a commit was refused");
            counters.refused(error);
        }
        sent
    }

    fn send(self) -> Result<CommitTicket> {
        let environment = self.environment;
        environment.bound_unmerged()?;
        let reserved = match self.puts {
            0 => None,
            _ => environment.reserve(Amount {
                bytes: self.payload.len() as u64,
                rows: self.new_rows,
            })?,
        };
        let request = CommitRequest {
            payload: self.payload,
            rows: self.rows,
            held: self.held,
            reserved,
            chain: self.chain,
        };
        let gate = environment.inner.schema_gate.read();
        let _gate = gate.unwrap_or_else(PoisonError::into_inner);
        for (name, table) in &self.tables {
            environment.refuse_old_schema(name, &table.schema)?;
        }
        environment.inner.committer.send(request, self.pressure)
    }

    fn try_write(
        &mut self,
        write: Write,
        table: &str,
        values: &[(usize, Value<'_>)],
    ) -> Result<()> {
        let table = self.table(table)?;
        let schema = table.plan.schema();
        let key = schema.primary_key();
        let id = values
            .iter()
            .find(|(position, value)| *position == key && !value.is_null())
            .map(|(_, value)| *value);
        let id = self.id(&table, id)?;
        let stored = self.current(&table, id)?;
        let exists = stored.is_some();
        let wrong = |rule: &str| {
            let error = RowError::new(schema.name(), rule)
                .column(&schema.attributes()[key].name)
                .value(&Uuid::from_u128(id).to_string());
            Error::from(Box::new(error))
        };
        match write {
            Write::Create if exists => return Err(wrong("a row with this id exists already")),
            Write::Update if !exists => return Err(wrong("there is no row with this id")),
            _ => {}
        }
        let current = stored.as_ref().map(|row| &row.cells[..]);
        let row = table
            .plan
            .render(values, current, self.now, &mut self.scratch)?;
        self.add(&Record {
            table: table.id,
            id,
            created: row.created,
            operation: Operation::Put {
                existed: exists,
                cells: &row.bytes,
                version_offset: row.version_offset,
            },
        })
    }

    fn try_delete(&mut self, table: &str, id: Value<'_>) -> Result<()> {
        let table = self.table(table)?;
        let given = (!id.is_null()).then_some(id);
        let id = self.id(&table, given)?;
        let Some(stored) = self.current(&table, id)? else {
            let schema = table.plan.schema();
            let error = RowError::new(schema.name(), "there is no row with this id")
                .column(&schema.attributes()[schema.primary_key()].name)
                .value(&Uuid::from_u128(id).to_string());
            return Err(Box::new(error).into());
        };
        self.add(&Record {
            table: table.id,
            id,
            created: stored.created,
            operation: Operation::Delete,
        })
    }

    fn table(&mut self, name: &str) -> Result<Arc<Table>> {
        if let Some(table) = self.tables.get(name) {
            return Ok(table.clone());
        }
        let table = self.environment.state().table(name)?.clone();
        self.tables.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// Reads the id and takes the row, so that nobody else changes it meanwhile.
    fn id(&mut self, table: &Table, value: Option<Value<'_>>) -> Result<u128> {
        let schema = table.plan.schema();
        let key = &schema.attributes()[schema.primary_key()].name;
        let wrong = |rule: String| RowError::new(schema.name(), rule).column(key);
        let Some(value) = value else {
            return Err(Box::new(wrong("the row has no id".into())).into());
        };
        let id = parse_id(value)
            .map_err(|rule| Box::new(wrong(rule).value(&value.shown())))?
            .as_u128();
        self.held.take(table.id, id)?;
        Ok(id)
    }

    fn current(&self, table: &Table, id: u128) -> Result<Option<Stored>> {
        let own = self.own.get(&(table.id, id));
        let own = own.and_then(|at| Record::decode(&self.payload, *at));
        match own {
            None => self.environment.stored(table, id),
            Some((record, _)) => Ok(match record.operation {
                Operation::Delete => None,
                Operation::Put { cells, .. } => Some(Stored {
                    cells: cells.to_vec(),
                    created: record.created,
                }),
            }),
        }
    }

    fn add(&mut self, record: &Record<'_>) -> Result<()> {
        let at = self.payload.len();
        record.encode(&mut self.payload);
        if self.payload.len() > TRANSACTION_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the transaction is larger than {TRANSACTION_BYTES_MAX} bytes; commit in smaller steps"
            )));
        }
        self.own.insert((record.table, record.id), at);
        self.rows += 1;
        if let Operation::Put { existed, .. } = record.operation {
            self.puts += 1;
            self.new_rows += u64::from(!existed);
        }
        Ok(())
    }
}
