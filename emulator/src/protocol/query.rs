//! The query of a URL. Names are compared without case, as the service does.

use percent_encoding::percent_decode_str;

/// The parameters of shared access signatures.
const SIGNATURE: [&str; 30] = [
    "rscc", "rscd", "rsce", "rscl", "rsct", "saoid", "scid", "sdd", "sduoid", "se", "ses", "si",
    "sig", "sip", "skdutid", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr",
    "srt", "ss", "st", "suoid", "sv", "srh",
];

/// Parameters in their order; names in lower case, values decoded. A plus is a space, as in forms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    /// The same with a plus taken for itself, which some clients sign; empty where there is none.
    literal: Vec<(String, String)>,
}

fn parameters(text: &str, decode: impl Fn(&str) -> String) -> Vec<(String, String)> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name).to_ascii_lowercase(), decode(value)))
        .collect()
}

fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self {
            parameters: parameters(text, |part| percent_decoded(&part.replace('+', " "))),
            literal: match text.contains('+') {
                true => parameters(text, percent_decoded),
                false => Vec::new(),
            },
        }
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

    /// The readings of the query that a signature may be over: the parameters in their order.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &[(String, String)]> {
        let literal = Some(&self.literal[..]).filter(|literal| !literal.is_empty());
        [&self.parameters[..]].into_iter().chain(literal)
    }

    /// Only what belongs to a shared access signature.
    pub(crate) fn signature(&self) -> Self {
        let own = |(name, _): &&(String, String)| SIGNATURE.contains(&name.as_str());
        Self {
            parameters: self.parameters.iter().filter(own).cloned().collect(),
            literal: Vec::new(),
        }
    }

    /// Takes over another query's shared access signature.
    pub(crate) fn take_signature(&mut self, other: &Self) {
        self.parameters.extend(other.signature().parameters);
    }

    /// As [`Query::get`], with a plus taken for itself: for base64, whose alphabet has it and no space.
    pub(crate) fn get_base64(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.replace(' ', "+"))
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
        let query = Query::parse("prefix=a+b%2Bc&sig=x+y");
        assert_eq!(query.get("prefix"), Some("a b+c"));
        assert_eq!(query.get_base64("sig").as_deref(), Some("x+y"));
        let readings: Vec<&str> = query.readings().map(|all| &*all[0].1).collect();
        assert_eq!(readings, ["a b+c", "a+b+c"]);
    }
}
