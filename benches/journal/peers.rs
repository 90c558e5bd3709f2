//! Other embedded stores, each with the same rows in commits that survive a power cut.

use std::path::Path;

use fjall::{Database as FjallDatabase, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Database, TableDefinition};
use rusqlite::{Connection, params};

use crate::environment::ROW_BYTES;

const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
/// What a row has beside its id.
const VALUE: [u8; ROW_BYTES - 36] = [b'n'; ROW_BYTES - 36];

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn new(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE task (id TEXT PRIMARY KEY, cells BLOB) WITHOUT ROWID;",
            )
            .unwrap();
        Sqlite(connection)
    }

    pub fn commit(&mut self, ids: &[String]) {
        let transaction = self.0.transaction().unwrap();
        {
            let mut insert = transaction
                .prepare("INSERT INTO task VALUES (?1, ?2)")
                .unwrap();
            for id in ids {
                insert.execute(params![id, &VALUE[..]]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

pub struct Redb(Database);

impl Redb {
    pub fn new(path: &Path) -> Self {
        Redb(Database::create(path).unwrap())
    }

    /// A commit of redb is synced unless it is told otherwise.
    pub fn commit(&self, ids: &[String]) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut rows = transaction.open_table(ROWS).unwrap();
            for id in ids {
                rows.insert(id.as_str(), &VALUE[..]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

pub struct Fjall {
    database: FjallDatabase,
    rows: Keyspace,
}

impl Fjall {
    pub fn new(path: &Path) -> Self {
        let database = FjallDatabase::builder(path).open().unwrap();
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .unwrap();
        Fjall { database, rows }
    }

    pub fn commit(&self, ids: &[String]) {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for id in ids {
            batch.insert(&self.rows, id.as_bytes(), &VALUE[..]);
        }
        batch.commit().unwrap();
    }
}
