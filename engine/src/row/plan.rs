//! From the values of a row to its cells, checked against every rule of its table.

use std::ops::Range;
use std::sync::Arc;

use super::cells::{Cells, created_ticks};
use crate::clock::Ticks;
use crate::error::RowError;
use crate::schema::{AttributeType, ChoiceKind, DateTimeBehavior, OptionValue, TableSchema};
use crate::value::{DateTimeFormat, Value, parse_ticks, render, render_created_on, write_quoted};

/// A row's cells after the three system columns, joined by commas, without a line end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RenderedRow {
    /// The cells. The cell of `versionnumber` is empty: the version is known at the commit only.
    pub bytes: Vec<u8>,
    /// Where in `bytes` the version belongs.
    pub version_offset: Option<u32>,
    /// `createdon`, where the table has it.
    pub created: Option<Ticks>,
}

/// What stands in a cell.
#[derive(Clone)]
enum Cell {
    Null,
    /// Newly rendered, a range of the scratch buffer.
    New(Range<usize>),
    /// Taken over from the current row.
    Old(Range<usize>),
}

/// What rendering needs, kept from row to row.
#[derive(Default)]
pub(crate) struct Scratch {
    text: Vec<u8>,
    cells: Vec<Cell>,
    is_given: Vec<bool>,
}

/// How the rows of one table are checked and rendered.
pub(crate) struct RowPlan {
    schema: Arc<TableSchema>,
    format: DateTimeFormat,
    /// (lookup, its entity type, the tables it may point to)
    pairs: Vec<(usize, usize, Vec<String>)>,
    state: Option<usize>,
    status: Option<(usize, Vec<OptionValue>)>,
    required: Vec<usize>,
    /// Whether a column left the table and is null.
    dropped: Vec<bool>,
}

impl RowPlan {
    pub(crate) fn new(schema: Arc<TableSchema>, format: DateTimeFormat) -> Self {
        let mut plan = RowPlan {
            format,
            pairs: Vec::new(),
            state: None,
            status: None,
            required: Vec::new(),
            dropped: schema.attributes().iter().map(|a| a.dropped).collect(),
            schema: schema.clone(),
        };
        for (position, attribute) in schema.attributes().iter().enumerate() {
            if attribute.required {
                plan.required.push(position);
            }
            match &attribute.kind {
                AttributeType::EntityType { lookup, targets } => {
                    plan.pairs.push((*lookup, position, targets.clone()));
                }
                AttributeType::Choice {
                    kind: ChoiceKind::State,
                    ..
                } => plan.state = Some(position),
                AttributeType::Choice {
                    kind: ChoiceKind::Status,
                    options,
                } => plan.status = Some((position, options.clone())),
                _ => {}
            }
        }
        plan
    }

    pub(crate) fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Checks and renders a row. `current` holds the cells of the row as it is now, from which the
    /// columns that are not given are taken over; without it the row is new.
    pub(crate) fn render(
        &self,
        given: &[(usize, Value<'_>)],
        current: Option<&[u8]>,
        now: Ticks,
        scratch: &mut Scratch,
    ) -> Result<RenderedRow, Box<RowError>> {
        let columns = self.schema.attributes().len();
        let Scratch {
            text,
            cells,
            is_given,
        } = scratch;
        text.clear();
        cells.clear();
        cells.resize(columns, Cell::Null);
        is_given.clear();
        is_given.resize(columns, false);
        let mut draft = Draft {
            plan: self,
            scratch: text,
            current: current.unwrap_or_default(),
            cells,
        };
        if current.is_some() {
            draft.take_over();
        }
        for (position, value) in given {
            if std::mem::replace(&mut is_given[*position], true) {
                return Err(draft.wrong(*position, *value, "is given twice in one row"));
            }
            if Some(*position) == self.schema.created_on() {
                continue;
            }
            if self.dropped[*position] && !value.is_null() {
                let rule = "was dropped from the table; leave the column out, or take it up again with `lakestage table alter`";
                return Err(draft.wrong(*position, *value, rule));
            }
            draft.set(*position, *value)?;
        }
        let created = draft.created_on(given, current.is_some(), now)?;
        if let Some(modified_on) = self.schema.modified_on()
            && !is_given[modified_on]
            && !self.dropped[modified_on]
        {
            draft.set(modified_on, Value::Moment(now))?;
        }
        for (lookup, entity, targets) in &self.pairs {
            draft.pair(*lookup, *entity, targets, is_given)?;
        }
        draft.check_status()?;
        draft.check_required()?;
        Ok(draft.join(created))
    }
}

/// A row while it is put together.
struct Draft<'a> {
    plan: &'a RowPlan,
    scratch: &'a mut Vec<u8>,
    current: &'a [u8],
    cells: &'a mut Vec<Cell>,
}

impl Draft<'_> {
    fn take_over(&mut self) {
        // A row from before a column was added is shorter; what it lacks is null.
        let cells = self.cells.iter_mut().zip(&self.plan.dropped);
        for ((cell, dropped), range) in cells.zip(Cells::of(self.current)) {
            if !range.is_empty() && !dropped {
                *cell = Cell::Old(range);
            }
        }
    }

    fn set(&mut self, position: usize, value: Value<'_>) -> Result<(), Box<RowError>> {
        let start = self.scratch.len();
        let kind = &self.plan.schema.attributes()[position].kind;
        render(kind, value, self.plan.format, self.scratch)
            .map_err(|rule| self.wrong(position, value, rule))?;
        self.cells[position] = if self.scratch.len() == start {
            Cell::Null
        } else {
            Cell::New(start..self.scratch.len())
        };
        Ok(())
    }

    fn text(&self, position: usize) -> &[u8] {
        match &self.cells[position] {
            Cell::Null => b"",
            Cell::New(range) => &self.scratch[range.clone()],
            Cell::Old(range) => &self.current[range.clone()],
        }
    }

    fn is_null(&self, position: usize) -> bool {
        matches!(self.cells[position], Cell::Null)
    }

    /// `createdon` is set when the row is created and never again: it decides the partition.
    fn created_on(
        &mut self,
        given: &[(usize, Value<'_>)],
        exists: bool,
        now: Ticks,
    ) -> Result<Option<Ticks>, Box<RowError>> {
        let Some(position) = self.plan.schema.created_on() else {
            return Ok(None);
        };
        let value = given
            .iter()
            .find(|(p, v)| *p == position && !v.is_null())
            .map(|(_, v)| *v);
        let asked = match value {
            None => None,
            Some(value) => Some(
                parse_ticks(value, DateTimeBehavior::UserLocal)
                    .map_err(|rule| self.wrong(position, value, rule))?,
            ),
        };
        let stored = exists.then(|| created_ticks(self.text(position))).flatten();
        let ticks = match (stored, asked) {
            (Some(stored), Some(asked)) if stored != asked => {
                let mut now_stored = Vec::new();
                render_created_on(stored, &mut now_stored);
                let rule = format!(
                    "is fixed when the row is created; it is {}",
                    String::from_utf8_lossy(&now_stored)
                );
                return Err(self.wrong(position, value.unwrap_or(Value::Null), rule));
            }
            (Some(stored), _) => return Ok(Some(stored)),
            (None, Some(asked)) => asked,
            (None, None) => now,
        };
        let start = self.scratch.len();
        render_created_on(ticks, self.scratch);
        self.cells[position] = Cell::New(start..self.scratch.len());
        Ok(Some(ticks))
    }

    /// A lookup and its entity type are both there or both null.
    fn pair(
        &mut self,
        lookup: usize,
        entity: usize,
        targets: &[String],
        is_given: &[bool],
    ) -> Result<(), Box<RowError>> {
        if self.is_null(lookup) {
            if is_given[entity] && !self.is_null(entity) {
                let rule = format!(
                    "is given, but its lookup {} is null",
                    self.plan.schema.attributes()[lookup].name
                );
                return Err(self.wrong_cell(entity, rule));
            }
            self.cells[entity] = Cell::Null;
            return Ok(());
        }
        if is_given[lookup] && (!is_given[entity] || self.is_null(entity)) || self.is_null(entity) {
            let [only] = targets else {
                let rule = format!(
                    "may point to {}: say which in {}",
                    targets.join(", "),
                    self.plan.schema.attributes()[entity].name
                );
                return Err(self.wrong_cell(lookup, rule));
            };
            let start = self.scratch.len();
            write_quoted(only, self.scratch);
            self.cells[entity] = Cell::New(start..self.scratch.len());
        }
        Ok(())
    }

    /// A status belongs to the state that the row is in.
    fn check_status(&self) -> Result<(), Box<RowError>> {
        let (Some(state), Some((status, options))) = (self.plan.state, &self.plan.status) else {
            return Ok(());
        };
        let number = |position| -> Option<i32> {
            std::str::from_utf8(self.text(position)).ok()?.parse().ok()
        };
        let (Some(in_state), Some(in_status)) = (number(state), number(*status)) else {
            return Ok(());
        };
        match options.iter().find(|o| o.value == in_status) {
            Some(OptionValue {
                state: Some(belongs_to),
                label,
                ..
            }) if *belongs_to != in_state => {
                let rule = format!(
                    "the status {in_status} ({label}) belongs to the state {belongs_to}, but the row's state is {in_state}"
                );
                Err(self.wrong_cell(*status, rule))
            }
            _ => Ok(()),
        }
    }

    fn check_required(&self) -> Result<(), Box<RowError>> {
        match self.plan.required.iter().find(|p| self.is_null(**p)) {
            Some(position) => Err(self.wrong(*position, Value::Null, "is required")),
            None => Ok(()),
        }
    }

    fn join(&self, created: Option<Ticks>) -> RenderedRow {
        let length = self.scratch.len() + self.current.len() + self.cells.len();
        let mut bytes = Vec::with_capacity(length);
        let mut version_offset = None;
        for position in 0..self.cells.len() {
            if position > 0 {
                bytes.push(b',');
            }
            if Some(position) == self.plan.schema.version_number() {
                version_offset = Some(bytes.len() as u32);
            } else {
                bytes.extend_from_slice(self.text(position));
            }
        }
        RenderedRow {
            bytes,
            version_offset,
            created,
        }
    }

    fn wrong(&self, position: usize, value: Value<'_>, rule: impl Into<String>) -> Box<RowError> {
        Box::new(
            RowError::new(self.plan.schema.name(), rule)
                .column(&self.plan.schema.attributes()[position].name)
                .value(&value.shown()),
        )
    }

    fn wrong_cell(&self, position: usize, rule: impl Into<String>) -> Box<RowError> {
        let text = String::from_utf8_lossy(self.text(position)).into_owned();
        self.wrong(position, Value::Text(text.trim_matches('"')), rule)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::TICKS_PER_SECOND;

    fn plan() -> RowPlan {
        let schema = TableSchema::from_json(
            r#"{"name":"t","primaryKey":"tid","columns":[
            {"name":"statecode","type":"state","options":[{"value":0},{"value":1}]},
            {"name":"statuscode","type":"status","options":[{"value":1,"label":"Open","state":0},{"value":2,"label":"Won","state":1}]},
            {"name":"ownerid","type":"owner"},{"name":"parentid","type":"lookup","targets":["t"]},
            {"name":"versionnumber","type":"bigint"},{"name":"createdon","type":"datetime"},
            {"name":"name","type":"string","required":true},{"name":"tid","type":"uniqueidentifier"}]}"#,
        )
        .unwrap();
        RowPlan::new(Arc::new(schema), DateTimeFormat::Ticks)
    }

    const ID: &str = "8f14e45f-ceea-4672-a1b0-3c1d2e4f5a6b";

    fn render(given: &[(&str, Value<'_>)], current: Option<&[u8]>) -> Result<String, String> {
        let plan = plan();
        let given: Vec<_> = given
            .iter()
            .map(|(name, value)| (plan.schema.position(name).unwrap(), *value))
            .collect();
        plan.render(&given, current, TICKS_PER_SECOND, &mut Scratch::default())
            .map(|row| String::from_utf8(row.bytes).unwrap())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_new_row_is_completed() {
        let row = render(
            &[
                ("tid", Value::Text(ID)),
                ("name", Value::Text("a")),
                ("parentid", Value::Text(ID)),
            ],
            None,
        );
        assert_eq!(
            row.unwrap(),
            format!(",,,,{ID},\"t\",,\"1970-01-01T00:00:01.0000000+00:00\",\"a\",{ID}")
        );
    }

    #[test]
    fn an_update_keeps_what_is_not_given() {
        let current =
            format!("0,1,{ID},\"team\",,,77,\"2020-01-01T00:00:00.0000000+00:00\",\"a\",{ID}");
        let row = render(&[("name", Value::Text("b"))], Some(current.as_bytes())).unwrap();
        assert_eq!(row, current.replace("\"a\"", "\"b\"").replace("77", ""));
        let cleared = render(&[("ownerid", Value::Null)], Some(current.as_bytes())).unwrap();
        assert!(cleared.starts_with("0,1,,,,,,"), "{cleared}");
    }

    #[test]
    fn rules_across_columns_are_checked() {
        let name = ("name", Value::Text("a"));
        let current = format!(",,,,,,,\"2020-01-01T00:00:00.0000000+00:00\",\"a\",{ID}");
        for (given, current, part) in [
            (vec![], None, "column name, value \"null\": is required"),
            (
                vec![name, ("ownerid", Value::Text(ID))],
                None,
                "systemuser, team: say which",
            ),
            (
                vec![name, ("ownerid_entitytype", Value::Text("team"))],
                None,
                "lookup ownerid is null",
            ),
            (
                vec![
                    name,
                    ("statecode", Value::Integer(0)),
                    ("statuscode", Value::Integer(2)),
                ],
                None,
                "belongs to the state 1",
            ),
            (
                vec![("createdon", Value::Text("2021-01-01"))],
                Some(current.as_bytes()),
                "fixed when the row is created",
            ),
            (vec![name, name], None, "given twice"),
        ] {
            let message = render(&given, current).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
