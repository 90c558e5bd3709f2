//! Strings and memos.

use super::Value;

pub(super) fn render(
    value: Value<'_>,
    max_length: u32,
    memo: bool,
    cells: &mut Vec<u8>,
) -> Result<(), String> {
    let Value::Text(text) = value else {
        return Err("must be text".into());
    };
    // Every character is at most as many UTF-16 units as bytes, so most texts need no count.
    if text.len() > max_length as usize {
        let length = text.encode_utf16().count();
        if length > max_length as usize {
            let what = if memo { "memo" } else { "string" };
            return Err(format!(
                "is {length} UTF-16 units long; this {what} holds {max_length} at most"
            ));
        }
    }
    if text.contains('\0') {
        return Err("must not contain U+0000".into());
    }
    write_quoted(text, cells);
    Ok(())
}

/// Appends a text in quotes, with the quotes inside it doubled.
pub(crate) fn write_quoted(text: &str, cells: &mut Vec<u8>) {
    cells.reserve(text.len() + 2);
    cells.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for quote in memchr::memchr_iter(b'"', bytes) {
        cells.extend_from_slice(&bytes[start..=quote]);
        cells.push(b'"');
        start = quote + 1;
    }
    cells.extend_from_slice(&bytes[start..]);
    cells.push(b'"');
}
