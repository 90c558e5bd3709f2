//! What the demo tells: lines for a person, one JSON object an event for a script.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli::console::Console;

/// Where the demo tells what it does.
pub(super) struct Story<'c> {
    pub console: &'c dyn Console,
    pub json: bool,
}

impl Story<'_> {
    /// Tells one thing: `text` for a person, `event` with its `facts` for a script.
    pub(super) fn tell(&self, event: &str, facts: Value, text: &str) -> Result<()> {
        if !self.json {
            return Ok(self.console.write(format!("{text}\n").as_bytes())?);
        }
        let mut object = Map::new();
        object.insert("event".to_owned(), json!(event));
        if let Value::Object(facts) = facts {
            object.extend(facts);
        }
        self.line(&Value::Object(object))
    }

    /// Writes one JSON line.
    pub(super) fn line(&self, value: &Value) -> Result<()> {
        Ok(self.console.write(format!("{value}\n").as_bytes())?)
    }

    /// A heading; scripts need none.
    pub(super) fn heading(&self, text: &str) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => Ok(self.console.write(format!("\n{text}\n").as_bytes())?),
        }
    }
}
