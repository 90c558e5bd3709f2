//! `lakestage changes`

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lakestage_engine::{
    ChangeBatch, ChangeOperation, ChangeToken, Changes, Environment, NewConsumer, RowChange,
    TICKS_PER_SECOND,
};
use serde_json::{Map, Value, json};

use super::arrow_changes::ArrowChanges;
use super::environment::EnvironmentArg;
use super::run::Session;

/// How often a follower looks whether its reader is still there.
const FOLLOW_LOOK_MS: u64 = 500;

/// Show the changes of a table, oldest first.
///
/// Each change comes once, in the order of versions; a deleted row comes as a tombstone. The token behind the last
/// change goes on from there. As JSON lines a line {"token": …} ends each batch; as an Arrow stream the token is noted
/// on standard error at the end.
///
/// A consumer has a name, and its place is kept: each run goes on where the last one ended, and what it has not read
/// stays until it has, or until it is silent for longer than --expires-after-hours.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage changes account\n  \
lakestage changes account --token lsc1-0c3f…-1200\n  \
lakestage changes account --consumer warehouse --follow\n  \
lakestage changes account --format arrow > changes.arrows")]
pub(crate) struct ChangesArgs {
    /// The table
    table: String,

    /// Start behind this token instead of before the first change
    #[arg(long)]
    token: Option<String>,

    /// Read as this consumer; it is added where there is none of that name
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,

    /// Hours of silence after which a new consumer keeps nothing any more
    #[arg(
        long,
        value_name = "HOURS",
        default_value_t = 168,
        requires = "consumer"
    )]
    expires_after_hours: u64,

    /// Wait for what comes, without end
    #[arg(long)]
    follow: bool,

    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a change
    Jsonl,
    /// An Arrow IPC stream
    Arrow,
}

pub(crate) fn run(args: &ChangesArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let mut changes = args.open(&environment)?;
    let mut output = Output::new(args.format, session)?;
    loop {
        while let Some(batch) = changes.next()? {
            output.batch(&batch)?;
            if let Some(consumer) = &args.consumer {
                environment.acknowledge(consumer, &changes.token())?;
            }
        }
        if !args.follow {
            break;
        }
        while !changes.wait(Duration::from_millis(FOLLOW_LOOK_MS)) {
            session.console.check()?;
        }
    }
    if let Some(consumer) = &args.consumer {
        // It was heard of, even if there was nothing for it.
        environment.acknowledge(consumer, &changes.token())?;
    }
    output.end(&changes.token())
}

impl ChangesArgs {
    fn open(&self, environment: &Environment) -> Result<Changes> {
        let token = self.token.as_deref().map(str::parse).transpose()?;
        let Some(name) = &self.consumer else {
            return Ok(environment.changes(&self.table, token.as_ref())?);
        };
        let known = environment
            .consumers()
            .into_iter()
            .find(|c| c.name == *name);
        match known {
            None => {
                let mut new = NewConsumer::new(name, &self.table);
                new.start = token;
                new.expires_after_s = self.expires_after_hours.saturating_mul(3_600);
                environment.create_consumer(&new)?;
            }
            Some(known) if known.table != self.table => bail!(
                "the consumer \"{name}\" reads table {}; give another one to table {}",
                known.table,
                self.table
            ),
            Some(known) if token.is_some() => bail!(
                "the consumer \"{name}\" goes on from its own token, {}; leave --token out",
                known.token
            ),
            Some(_) => {}
        }
        Ok(environment.changes_for(name)?)
    }
}

struct Output<'s> {
    session: &'s Session<'s>,
    arrow: Option<ArrowChanges>,
}

impl<'s> Output<'s> {
    fn new(format: Format, session: &'s Session<'s>) -> Result<Self> {
        let arrow = match format {
            Format::Jsonl => None,
            Format::Arrow => Some(ArrowChanges::begin()?),
        };
        Ok(Output { session, arrow })
    }

    fn batch(&mut self, batch: &ChangeBatch) -> Result<()> {
        let bytes = match &mut self.arrow {
            Some(arrow) => arrow.batch(batch)?,
            None => {
                let mut lines = Vec::new();
                for change in batch.rows() {
                    serde_json::to_writer(&mut lines, &json_of(&change?))?;
                    lines.push(b'\n');
                }
                if let Some(token) = batch.token() {
                    lines.extend_from_slice(token_line(&token).as_bytes());
                }
                lines
            }
        };
        Ok(self.session.console.write(&bytes)?)
    }

    fn end(&mut self, token: &ChangeToken) -> Result<()> {
        let Some(arrow) = &mut self.arrow else {
            return Ok(self.session.console.write(token_line(token).as_bytes())?);
        };
        self.session.console.write(&arrow.end()?)?;
        self.session.console.note(&format!("next token: {token}"));
        Ok(())
    }
}

fn token_line(token: &ChangeToken) -> String {
    format!("{}\n", json!({ "token": token.to_string() }))
}

fn json_of(change: &RowChange) -> Value {
    let operation = match change.operation {
        ChangeOperation::Create => "create",
        ChangeOperation::Update => "update",
        ChangeOperation::Delete => "delete",
    };
    let row = change.row.as_ref().map(|row| {
        row.cells()
            .map(|(column, cell)| (column.to_owned(), json_of_cell(cell)))
            .collect::<Map<_, _>>()
    });
    json!({
        "version": change.version,
        "operation": operation,
        "id": change.id.to_string(),
        "committed": time_of(change.committed),
        "endsCommit": change.ends_commit,
        "row": row,
    })
}

/// A time with seven digits behind the point, as the ticks have.
fn time_of(ticks: i64) -> String {
    let seconds = ticks.div_euclid(TICKS_PER_SECOND);
    let rest = ticks.rem_euclid(TICKS_PER_SECOND);
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => format!("{}.{rest:07}Z", time.strftime("%Y-%m-%dT%H:%M:%S")),
        Err(_) => ticks.to_string(),
    }
}

/// Text loses its quotes, whole numbers and booleans are such, and decimals stay text, so that no digit is lost.
fn json_of_cell(cell: &str) -> Value {
    if let Some(text) = cell.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return Value::from(text.replace("\"\"", "\""));
    }
    match cell {
        "" => Value::Null,
        "True" => Value::from(true),
        "False" => Value::from(false),
        bare => bare
            .parse::<i64>()
            .map_or_else(|_| Value::from(bare), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_the_json_that_they_mean() {
        assert_eq!(json_of_cell(""), Value::Null);
        assert_eq!(json_of_cell("\"a \"\"b\"\"\""), json!("a \"b\""));
        assert_eq!(json_of_cell("True"), json!(true));
        assert_eq!(json_of_cell("\"True\""), json!("True"));
        assert_eq!(json_of_cell("42"), json!(42));
        assert_eq!(json_of_cell("12.50"), json!("12.50"));
        assert_eq!(time_of(15_000_001), "1970-01-01T00:00:01.5000001Z");
    }
}
