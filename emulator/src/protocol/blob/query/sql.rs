//! The part of the service's SQL that is understood: one SELECT over the blob, with a condition and a limit.
//!
//! ```text
//! SELECT *|expression, … FROM BlobStorage [WHERE condition] [LIMIT rows]
//! ```
//!
//! Expressions are columns (`_2`, `name`, `"Name"`, `a.b` in JSON), texts, numbers, `CAST(… AS INT|FLOAT|STRING)`, and
//! the aggregates COUNT, SUM, AVG, MIN and MAX; conditions compare them, with LIKE, IN, BETWEEN, IS NULL, AND, OR and
//! NOT. A library for SQL would bring a hundred times as much as that.

use crate::protocol::blob::query::token::{Token, tokens};

/// How deep a condition may be nested.
const DEPTH_MAX: usize = 50;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    /// What a row of the answer has; empty is everything.
    pub(super) columns: Vec<Column>,
    pub(super) condition: Option<Expression>,
    pub(super) limit: Option<u64>,
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Value(Expression),
    /// Of `None` for `COUNT(*)`.
    Aggregate(Aggregate, Option<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Sum,
    Average,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Int,
    Float,
    String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// Names with whether they are quoted, and so compared with case.
    Field(Vec<(String, bool)>),
    Text(String),
    Number(f64),
    Null,
    Cast(Box<Expression>, Type),
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`.
    Compare(Box<Expression>, &'static str, Box<Expression>),
    Like(Box<Expression>, Box<Expression>),
    In(Box<Expression>, Vec<Expression>),
    IsNull(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
}

impl Select {
    /// Every name that the query has.
    pub(super) fn names(&self) -> Vec<&[(String, bool)]> {
        let mut names = Vec::new();
        for column in &self.columns {
            match column {
                Column::Value(expression) | Column::Aggregate(_, Some(expression)) => {
                    expression.add_names(&mut names);
                }
                Column::Aggregate(_, None) => {}
            }
        }
        if let Some(condition) = &self.condition {
            condition.add_names(&mut names);
        }
        names
    }
}

impl Expression {
    fn add_names<'e>(&'e self, found: &mut Vec<&'e [(String, bool)]>) {
        match self {
            Self::Field(names) => found.push(names),
            Self::Text(_) | Self::Number(_) | Self::Null => {}
            Self::Cast(inner, _) | Self::IsNull(inner) | Self::Not(inner) => inner.add_names(found),
            Self::Compare(left, _, right)
            | Self::Like(left, right)
            | Self::And(left, right)
            | Self::Or(left, right) => {
                left.add_names(found);
                right.add_names(found);
            }
            Self::In(left, choices) => {
                left.add_names(found);
                choices.iter().for_each(|choice| choice.add_names(found));
            }
        }
    }
}

/// Reads a query; the error says what is not understood.
pub(super) fn parse(text: &str) -> Result<Select, String> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        place: 0,
        depth: 0,
    };
    parser.keyword("SELECT")?;
    let columns = parser.columns()?;
    parser.keyword("FROM")?;
    parser.table()?;
    let condition = match parser.takes("WHERE") {
        true => Some(parser.condition()?),
        false => None,
    };
    let limit = match parser.takes("LIMIT") {
        true => Some(parser.whole_number()?),
        false => None,
    };
    match parser.peek() {
        None => Ok(Select {
            columns,
            condition,
            limit,
        }),
        Some(token) => Err(format!("{token:?} is not understood here")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    place: usize,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.place += 1;
        token
    }

    /// Takes a keyword if it is the next word.
    fn takes(&mut self, keyword: &str) -> bool {
        let is_next =
            matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.place += usize::from(is_next);
        is_next
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.place += usize::from(is_next);
        is_next
    }

    fn keyword(&mut self, keyword: &str) -> Parsed<()> {
        match self.takes(keyword) {
            true => Ok(()),
            false => Err(format!("{keyword} is missing before {:?}", self.peek())),
        }
    }

    fn sign(&mut self, sign: &str) -> Parsed<()> {
        match self.takes_sign(sign) {
            true => Ok(()),
            false => Err(format!("{sign} is missing before {:?}", self.peek())),
        }
    }

    fn whole_number(&mut self) -> Parsed<u64> {
        match self.next() {
            Some(Token::Number(number)) if number >= 0.0 && number.fract() == 0.0 => {
                Ok(number as u64)
            }
            other => Err(format!("{other:?} is no number of rows")),
        }
    }

    /// The blob itself. JSON has descriptors of parts of it, of which the rows themselves are understood.
    fn table(&mut self) -> Parsed<()> {
        self.keyword("BlobStorage")?;
        if self.takes_sign("[") {
            self.sign("*")?;
            self.sign("]")?;
        }
        match self.peek() {
            Some(Token::Sign(".")) => Err("only the rows of the blob are a table here".to_owned()),
            _ => Ok(()),
        }
    }

    fn columns(&mut self) -> Parsed<Vec<Column>> {
        if self.takes_sign("*") {
            return Ok(Vec::new());
        }
        let mut columns = vec![self.column()?];
        while self.takes_sign(",") {
            columns.push(self.column()?);
        }
        let aggregates = columns
            .iter()
            .filter(|column| matches!(column, Column::Aggregate(..)))
            .count();
        match aggregates == 0 || aggregates == columns.len() {
            true => Ok(columns),
            false => Err("aggregates and columns do not go together".to_owned()),
        }
    }

    fn column(&mut self) -> Parsed<Column> {
        let (word, after) = (self.peek(), self.tokens.get(self.place + 1));
        let (Some(Token::Word(word)), Some(Token::Sign("("))) = (word, after) else {
            return self.operand().map(Column::Value);
        };
        let aggregate = match word.to_ascii_uppercase().as_str() {
            "COUNT" => Aggregate::Count,
            "SUM" => Aggregate::Sum,
            "AVG" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            _ => return self.operand().map(Column::Value),
        };
        self.place += 2;
        let of = match aggregate == Aggregate::Count && self.takes_sign("*") {
            true => None,
            false => Some(self.operand()?),
        };
        self.sign(")")?;
        Ok(Column::Aggregate(aggregate, of))
    }

    fn condition(&mut self) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the condition is nested too deeply".to_owned());
        }
        let mut left = self.conjunction()?;
        while self.takes("OR") {
            left = Expression::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Expression> {
        let mut left = self.negation()?;
        while self.takes("AND") {
            left = Expression::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Expression> {
        let mut is_negated = false;
        while self.takes("NOT") {
            is_negated = !is_negated;
        }
        let inner = match self.takes_sign("(") {
            true => {
                let inner = self.condition()?;
                self.sign(")")?;
                inner
            }
            false => self.comparison()?,
        };
        Ok(negated(inner, is_negated))
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        let left = Box::new(self.operand()?);
        if self.takes("IS") {
            let is_negated = self.takes("NOT");
            self.keyword("NULL")?;
            return Ok(negated(Expression::IsNull(left), is_negated));
        }
        let is_negated = self.takes("NOT");
        if self.takes("LIKE") {
            let pattern = Box::new(self.operand()?);
            return Ok(negated(Expression::Like(left, pattern), is_negated));
        }
        if self.takes("IN") {
            self.sign("(")?;
            let mut choices = vec![self.operand()?];
            while self.takes_sign(",") {
                choices.push(self.operand()?);
            }
            self.sign(")")?;
            return Ok(negated(Expression::In(left, choices), is_negated));
        }
        if self.takes("BETWEEN") {
            let low = Box::new(self.operand()?);
            self.keyword("AND")?;
            let high = Box::new(self.operand()?);
            let above = Expression::Compare(left.clone(), ">=", low);
            let below = Expression::Compare(left, "<=", high);
            let between = Expression::And(Box::new(above), Box::new(below));
            return Ok(negated(between, is_negated));
        }
        let comparison = match self.next() {
            Some(Token::Sign("!=")) => "<>",
            Some(Token::Sign(sign @ ("=" | "<>" | "<" | "<=" | ">" | ">="))) => sign,
            other => return Err(format!("{other:?} is no comparison")),
        };
        let right = Box::new(self.operand()?);
        Ok(negated(
            Expression::Compare(left, comparison, right),
            is_negated,
        ))
    }

    fn operand(&mut self) -> Parsed<Expression> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Sign("-")) => match self.next() {
                Some(Token::Number(number)) => Ok(Expression::Number(-number)),
                other => Err(format!("{other:?} has no sign")),
            },
            Some(Token::Quoted(name)) => self.field(name, true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("NULL") => Ok(Expression::Null),
            Some(Token::Word(word)) if matches!(self.peek(), Some(Token::Sign("("))) => {
                self.call(&word)
            }
            Some(Token::Word(word)) => self.field(word, false),
            other => Err(format!("{other:?} is no value")),
        }
    }

    fn field(&mut self, name: String, is_quoted: bool) -> Parsed<Expression> {
        let mut names = vec![(name, is_quoted)];
        while self.takes_sign(".") {
            match self.next() {
                Some(Token::Word(name)) => names.push((name, false)),
                Some(Token::Quoted(name)) => names.push((name, true)),
                other => return Err(format!("{other:?} is no name")),
            }
        }
        Ok(Expression::Field(names))
    }

    fn call(&mut self, function: &str) -> Parsed<Expression> {
        if !function.eq_ignore_ascii_case("CAST") {
            return Err(format!("there is no function {function} here"));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the expression is nested too deeply".to_owned());
        }
        self.sign("(")?;
        let inner = Box::new(self.operand()?);
        self.keyword("AS")?;
        let kind = match self.next() {
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "INT" => Type::Int,
                "FLOAT" => Type::Float,
                "STRING" => Type::String,
                _ => return Err(format!("there is no type {word} here")),
            },
            other => return Err(format!("{other:?} is no type")),
        };
        self.sign(")")?;
        self.depth -= 1;
        Ok(Expression::Cast(inner, kind))
    }
}

fn negated(inner: Expression, is_negated: bool) -> Expression {
    match is_negated {
        true => Expression::Not(Box::new(inner)),
        false => inner,
    }
}
