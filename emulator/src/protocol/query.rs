//! The query of a URL. Names are compared without case, as the service does.

use percent_encoding::percent_decode_str;

/// Parameters in their order; names in lower case, values decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let parameters = text
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (decode(name).to_ascii_lowercase(), decode(value)))
            .collect();
        Self { parameters }
    }

    /// The first value of that name, which is given in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_some_and(|given| given.eq_ignore_ascii_case(value))
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_values_are_decoded() {
        let query = Query::parse("maxResults=5&prefix=a%2Fb%20c&recursive");
        assert_eq!(query.get("maxresults"), Some("5"));
        assert_eq!(query.get("prefix"), Some("a/b c"));
        assert!(query.has("recursive") && !query.has("marker"));
    }
}
