//! The words of an expression.

/// A word with what it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or keyword.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    Number(f64),
    Sign(&'static str),
}

/// Longest first.
const SIGNS: [&str; 15] = [
    "<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", "[", "]", ",", "*", ".", "-",
];

/// Cuts a query into words; the error says what cannot be read.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\'' | '"' => quoted(rest, first)?,
            _ if first.is_ascii_digit() => number(rest)?,
            _ if first.is_alphanumeric() || first == '_' => word(rest),
            _ => sign(rest)?,
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

/// Up to the closing quote; a doubled one stands for itself.
fn quoted(text: &str, quote: char) -> Result<(Token, &str), String> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((place, character)) = characters.next() {
        if character != quote {
            content.push(character);
            continue;
        }
        if characters.peek().is_some_and(|(_, next)| *next == quote) {
            characters.next();
            content.push(quote);
            continue;
        }
        let token = match quote {
            '"' => Token::Quoted(content),
            _ => Token::Text(content),
        };
        return Ok((token, text.get(place + 1..).unwrap_or_default()));
    }
    Err(format!("the quote at {text:?} is not closed"))
}

fn cut(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text
        .find(|character| !belongs(character))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let (digits, rest) = cut(text, |c| c.is_ascii_alphanumeric() || c == '.');
    let number = digits
        .parse()
        .map_err(|_| format!("{digits:?} is no number"))?;
    Ok((Token::Number(number), rest))
}

fn word(text: &str) -> (Token, &str) {
    let (word, rest) = cut(text, |c| c.is_alphanumeric() || c == '_');
    (Token::Word(word.to_owned()), rest)
}

fn sign(text: &str) -> Result<(Token, &str), String> {
    SIGNS
        .iter()
        .find_map(|sign| Some((Token::Sign(sign), text.strip_prefix(sign)?)))
        .ok_or_else(|| format!("what begins with {text:?} is not understood here"))
}
