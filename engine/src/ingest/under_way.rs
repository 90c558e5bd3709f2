//! Commits of an ingest that were sent and are not known to be durable.
//!
//! A disk that is waited for after each commit rests while the next one is parsed, checked and rendered; so does the
//! processor while the disk works. With a few commits on their way neither does.

use std::collections::VecDeque;

use crate::environment::Transaction;
use crate::error::Result;
use crate::journal::{Chain, CommitTicket};

/// At most so many commits are under way…
const COMMITS_MAX: usize = 8;
/// …with so many bytes together, unless one alone is larger.
const BYTES_MAX: usize = 32 << 20;

/// Commits in the order in which they were sent, which is that in which they become durable.
#[derive(Default)]
pub(super) struct UnderWay {
    sent: VecDeque<Sent>,
    bytes: usize,
    chain: Chain,
}

struct Sent {
    ticket: CommitTicket,
    rows: u64,
    rows_done: u64,
    bytes: usize,
}

/// A commit that is durable.
pub(super) struct Settled {
    /// Row changes in it.
    pub rows: u64,
    /// Rows of the input that are done with it.
    pub rows_done: u64,
    pub last_version: u64,
}

impl UnderWay {
    /// Whether a transaction may be sent before another is settled.
    pub(super) fn has_room(&self, transaction: &Transaction) -> bool {
        let bytes = self.bytes + transaction.bytes();
        self.sent.is_empty() || (self.sent.len() < COMMITS_MAX && bytes <= BYTES_MAX)
    }

    /// Sends a transaction that ends with a row of the input.
    pub(super) fn send(&mut self, mut transaction: Transaction, rows_done: u64) -> Result<()> {
        transaction.join(&self.chain);
        let (rows, bytes) = (u64::from(transaction.rows()), transaction.bytes());
        let ticket = transaction.commit_later()?;
        self.bytes += bytes;
        self.sent.push_back(Sent {
            ticket,
            rows,
            rows_done,
            bytes,
        });
        Ok(())
    }

    /// Waits for the oldest; `None` if there is none.
    pub(super) fn wait(&mut self) -> Result<Option<Settled>> {
        let Some(sent) = self.sent.pop_front() else {
            return Ok(None);
        };
        self.bytes -= sent.bytes;
        let receipt = sent.ticket.wait()?;
        Ok(Some(Settled {
            rows: sent.rows,
            rows_done: sent.rows_done,
            last_version: receipt.last_version,
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        Environment, EnvironmentSettings, ErrorKind, Ingest, IngestFormat, IngestOptions,
        TableOptions, TableSchema, Value, Write,
    };

    const TASK: &str = r#"{"name": "task", "primaryKey": "taskid", "columns": [
        {"name": "taskid", "type": "uniqueidentifier"},
        {"name": "subject", "type": "string", "maxLength": 100}]}"#;

    fn environment(folder: &Path) -> Environment {
        let settings = EnvironmentSettings::new("contoso", "org1");
        let environment = Environment::create(&folder.join("environment"), settings).unwrap();
        let schema = TableSchema::from_json(TASK).unwrap();
        environment
            .create_table(schema, TableOptions::default())
            .unwrap();
        environment
    }

    fn id(number: u64) -> String {
        format!("00000000-0000-4000-8000-{number:012}")
    }

    #[test]
    fn what_was_sent_before_a_refused_row_is_counted_in_order_and_nothing_behind_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path());
        let options = IngestOptions {
            rows_per_commit: 3,
            ..IngestOptions::default()
        };
        let ingest = Ingest::into_table(&environment, "task", options).unwrap();
        // Each third row is that of the commit before, which is still on its way.
        let rows = (0..100).map(|n| match n {
            80 => "no id,x\n".to_owned(),
            n if n % 3 == 0 && n > 0 => format!("{},again {n}\n", id(n - 3)),
            n => format!("{},new\n", id(n)),
        });
        let text: String = std::iter::once("taskid,subject\n".to_owned())
            .chain(rows)
            .collect();
        let mut told = Vec::new();
        let mut note = |p: &crate::IngestProgress| told.push((p.rows_done, p.last_version));
        let error = ingest.run(IngestFormat::Csv, &mut text.as_bytes(), &mut note);
        assert!(error.unwrap_err().to_string().contains("81"));
        let expected: Vec<_> = (1..=26).map(|n| (n * 3, n * 3)).collect();
        assert_eq!(told, expected);
        let mut changes = environment.changes("task", None).unwrap();
        let mut seen = 0;
        while let Some(batch) = changes.next().unwrap() {
            seen += batch.len();
        }
        assert_eq!(seen, 78);
    }

    #[test]
    fn no_commit_is_kept_behind_one_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path());
        let subject = environment.schema("task").unwrap();
        let key = subject.require("taskid").unwrap();
        let transaction = |number| {
            let mut transaction = environment.transaction();
            let id = id(number);
            let row = [(key, Value::Text(&id))];
            transaction.write(Write::Create, "task", &row).unwrap();
            transaction
        };
        let mut under_way = UnderWay::default();
        under_way.send(transaction(1), 1).unwrap();
        assert_eq!(under_way.wait().unwrap().unwrap().last_version, 1);
        under_way.chain.break_off();
        under_way.send(transaction(2), 2).unwrap();
        let refused = under_way.wait().map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        // Others are not of the chain, and the row that was refused is free again.
        assert_eq!(transaction(2).commit().unwrap().last_version, 2);
    }
}
