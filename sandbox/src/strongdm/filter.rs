//! The filter language: `field:value` terms that must all match, except that several `id:` mean any of them.

use serde::{Deserialize, Serialize};

/// A filter whose fields are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Patterns of which one must match; empty if there was no `id:`.
    ids: Vec<String>,
    terms: Vec<(String, String)>,
    tags: Vec<(String, Option<String>)>,
    empty: EmptyValue,
}

/// What `field:""` matches: nobody documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyValue {
    MatchesAll,
    MatchesNothing,
}

/// What several `id:` terms mean: strongDM's own tools take them for any of these, and nobody documents it for grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeveralIds {
    /// Any of them.
    #[default]
    AnyOf,
    /// All of them at once, which nothing is.
    AllOf,
    /// The last one.
    Last,
    /// Nothing: the filter is refused.
    Refused,
}

impl Filter {
    /// The filter as it is meant by one who understands several `id:` terms so; none if it is refused.
    pub(crate) fn with_several_ids(mut self, meaning: SeveralIds) -> Option<Self> {
        if self.ids.len() > 1 {
            match meaning {
                SeveralIds::AnyOf => {}
                SeveralIds::AllOf => self.terms.extend(self.ids.drain(..).map(|id| ("id".into(), id))),
                SeveralIds::Last => _ = self.ids.drain(..self.ids.len() - 1),
                SeveralIds::Refused => return None,
            }
        }
        Some(self)
    }

    /// Reads a filter over a list that has these fields, in lower case and without underscores.
    pub(crate) fn parse(text: &str, fields: &[&str], empty: EmptyValue) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let mut filter = Self { ids: Vec::new(), terms: Vec::new(), tags: Vec::new(), empty };
        while !reader.at_end() {
            let field = reader.field()?;
            if matches!(field.as_str(), "tag" | "tags") && fields.contains(&"tags") {
                let key = reader.value(&['='])?;
                let value = if reader.take('=') { Some(reader.value(&[])?) } else { None };
                filter.tags.push((key, value));
            } else if !fields.contains(&field.as_str()) {
                return Err(format!("unknown filter field {field:?}"));
            } else if field == "id" {
                filter.ids.push(reader.value(&[])?);
            } else {
                filter.terms.push((field, reader.value(&[])?));
            }
            reader.end_of_term()?;
        }
        Ok(filter)
    }

    /// Whether a row matches: `values` gives a field's values, `tags` its tags.
    pub(crate) fn matches(&self, values: impl Fn(&str) -> Vec<String>, tags: &[(String, String)]) -> bool {
        let one_of = |pattern: &str, field: &str| {
            if pattern.is_empty() {
                return self.empty == EmptyValue::MatchesAll;
            }
            values(field).iter().any(|value| glob(&pattern.to_lowercase(), &value.to_lowercase()))
        };
        (self.ids.is_empty() || self.ids.iter().any(|id| one_of(id, "id")))
            && self.terms.iter().all(|(field, pattern)| one_of(pattern, field))
            && self.tags.iter().all(|(key, wanted)| {
                tags.iter().any(|(name, value)| {
                    glob(key, name) && wanted.as_ref().is_none_or(|wanted| glob(wanted, value))
                })
            })
    }
}

/// Reads terms from the front of the text.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn at_end(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches(separates);
        self.rest.is_empty()
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn field(&mut self) -> Result<String, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        if field.is_empty() || !self.take(':') {
            return Err(format!("expected a field and a colon at {:?}", format!("{field}{rest}")));
        }
        // Letter case and underscores do not matter.
        Ok(field.replace('_', "").to_ascii_lowercase())
    }

    /// A JSON string, or text up to a separator or one of the `stops`.
    fn value(&mut self, stops: &[char]) -> Result<String, String> {
        if self.rest.starts_with('"') {
            let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
            let value = stream.next().and_then(Result::ok).ok_or("a quoted value is not valid")?;
            self.rest = &self.rest[stream.byte_offset()..];
            return Ok(value);
        }
        let end = self.rest.find(|c: char| separates(c) || stops.contains(&c)).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        if value.is_empty() || value.contains('"') {
            return Err(format!("expected a value at {:?}", self.rest));
        }
        self.rest = rest;
        Ok(value.into())
    }

    fn end_of_term(&self) -> Result<(), String> {
        match self.rest.chars().next() {
            Some(next) if !separates(next) => Err(format!("expected a comma or a blank at {:?}", self.rest)),
            _ => Ok(()),
        }
    }
}

fn separates(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// Whether the text fits the pattern, whose `*` stands for any text; nothing escapes a `*`.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests;
