//! Writing and reading small XML documents.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::{ErrorCode, Result};
use crate::protocol::reply::escape;

/// A document on its way.
#[derive(Default)]
pub(super) struct XmlText(String);

impl XmlText {
    pub(super) fn open(&mut self, name: &str) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        self
    }

    pub(super) fn close(&mut self, name: &str) -> &mut Self {
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// An element that holds text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        match text.is_empty() {
            true => self.0.push_str(&format!("<{name} />")),
            false => self
                .0
                .push_str(&format!("<{name}>{}</{name}>", escape(text))),
        }
        self
    }

    /// Text that is escaped already.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// A start tag with attributes.
    pub(super) fn open_with(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.0.push_str(&format!("<{name}"));
        for (attribute, value) in attributes {
            self.0
                .push_str(&format!(" {attribute}=\"{}\"", escape(value)));
        }
        self.0.push('>');
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// An element with its text, and the names of those around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub path: Vec<String>,
    pub text: String,
}

impl Element {
    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// The elements of a document, each at its end.
pub(super) fn elements(document: &[u8]) -> Result<Vec<Element>> {
    let wrong = || ErrorCode::InvalidXmlDocument;
    let text = std::str::from_utf8(document).map_err(|_| wrong())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    let close = |open: &mut Vec<(String, String)>, found: &mut Vec<Element>| {
        let path = open.iter().map(|(name, _)| name.clone()).collect();
        if let Some((_, text)) = open.pop() {
            found.push(Element { path, text });
        }
    };
    loop {
        match reader.read_event().map_err(|_| wrong())? {
            Event::Start(start) => open.push((start.name().as_ref().to_owned(), String::new())),
            Event::Empty(start) => {
                open.push((start.name().as_ref().to_owned(), String::new()));
                close(&mut open, &mut found);
            }
            Event::End(_) => close(&mut open, &mut found),
            Event::Text(part) => {
                let part = part.xml10_content();
                if let Some((_, text)) = open.last_mut() {
                    text.push_str(&part);
                }
            }
            Event::CData(part) => {
                let part = part.xml10_content();
                if let Some((_, text)) = open.last_mut() {
                    text.push_str(&part);
                }
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(|_| wrong())? {
                    Some(character) => character.to_string(),
                    None => {
                        let name: &str = &reference;
                        quick_xml::escape::resolve_xml_entity(name)
                            .ok_or_else(wrong)?
                            .to_owned()
                    }
                };
                if let Some((_, text)) = open.last_mut() {
                    text.push_str(&character);
                }
            }
            Event::Eof if open.is_empty() && !found.is_empty() => return Ok(found),
            Event::Eof => return Err(wrong().into()),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_its_entities() {
        let found = elements(b"<?xml version=\"1.0\"?><a><b>x &amp; &#x41;</b><c/></a>").unwrap();
        assert_eq!(found[0].path, ["a", "b"]);
        assert_eq!(found[0].text, "x & A");
        assert_eq!(found[1].name(), "c");
        assert!(elements(b"<a><b></a>").is_err());
        assert!(elements(b"").is_err());
    }
}
