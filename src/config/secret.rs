//! Settings that may come from the environment, the file itself, or a file of their own.

use secrecy::{ExposeSecret, SecretString};

use super::{
    Place,
    reader::{Reader, Section, Value},
};

/// A text and where it came from.
pub(super) struct Setting {
    /// Where mistakes in it are reported.
    pub(super) place: Place,
    /// The text; not blank.
    pub(super) text: SecretString,
}

/// What looking for a setting gave.
pub(super) enum Found<T> {
    /// It is there.
    Given(T),
    /// It is there and wrong, which has been reported.
    Faulty,
    /// It is not there.
    Missing,
}

impl<T> Found<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Found::Given(given) => Found::Given(change(given)),
            Found::Faulty => Found::Faulty,
            Found::Missing => Found::Missing,
        }
    }

    fn or_else(self, next: impl FnOnce() -> Found<T>) -> Found<T> {
        match self {
            Found::Missing => next(),
            Found::Given(_) | Found::Faulty => self,
        }
    }
}

impl Section<'_> {
    /// The text under `key`: the environment wins, then the file itself, then the file that `<key>_file` names.
    pub(super) fn setting(&self, key: &str, variable: &'static str) -> Found<Setting> {
        let both = self.given_twice(key);
        let found =
            self.environment(key, variable).or_else(|| self.inline(key)).or_else(|| self.own_file(key));
        if both { Found::Faulty } else { found }
    }

    /// The same without an environment variable.
    pub(super) fn setting_of_file(&self, key: &str) -> Found<Setting> {
        let both = self.given_twice(key);
        let found = self.inline(key).or_else(|| self.own_file(key));
        if both { Found::Faulty } else { found }
    }

    /// The same for one that there must be; none if that was reported.
    pub(super) fn required(&self, key: &str, variable: &'static str) -> Option<Setting> {
        match self.setting(key, variable) {
            Found::Given(setting) => Some(setting),
            Found::Faulty => None,
            Found::Missing => {
                self.missing(
                    key,
                    format!("is missing; give it here, as {key}_file (a path) or as {variable}"),
                );
                None
            }
        }
    }

    /// Reports a value and its `_file` together, whatever the environment says.
    pub(super) fn given_twice(&self, key: &str) -> bool {
        let file_key = format!("{key}_file");
        let (Some(_), Some(file)) = (self.get(key), self.get(&file_key)) else { return false };
        file.mistake(format!("{key} and {file_key} are both given; keep one of them"));
        true
    }

    /// The text of an environment variable.
    pub(super) fn environment(&self, key: &str, variable: &'static str) -> Found<Setting> {
        let Some(text) = (self.reader.env)(variable) else { return Found::Missing };
        let place = Place::Variable { name: variable, key: self.path_of(key) };
        sound(self.reader, place, &text, "is set but empty; give it a value or unset it")
    }

    /// The text of the file that `<key>_file` names, without its trailing newline.
    pub(super) fn own_file(&self, key: &str) -> Found<Setting> {
        let Some(value) = self.get(&format!("{key}_file")) else { return Found::Missing };
        let Some(path) = value.text("the path of a file") else { return Found::Faulty };
        let Some(content) = value.file(path) else { return Found::Faulty };
        let Some(mut text) = value.utf8(content) else { return Found::Faulty };
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).len());
        text.truncate(line.unwrap_or(text.len()));
        sound(self.reader, value.place, &text, "the file is empty")
    }

    fn inline(&self, key: &str) -> Found<Setting> {
        let Some(value) = self.get(key) else { return Found::Missing };
        match value.text("text in quotes") {
            Some(text) => sound(self.reader, value.place, text, "must not be empty"),
            None => Found::Faulty,
        }
    }
}

impl Setting {
    /// The text without surrounding white space.
    pub(super) fn trimmed(mut self) -> Self {
        self.text = self.text.expose_secret().trim().into();
        self
    }

    /// The text, which must fit into an HTTP header.
    pub(super) fn header_text(self, reader: &Reader<'_>) -> SecretString {
        let text = self.text.expose_secret();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            reader.report(&self.place, "must be visible ASCII characters without blanks or line breaks");
        } else if is_half_quoted(text) {
            reader.report(&self.place, HALF_QUOTED);
        }
        self.text
    }
}

impl Value<'_> {
    /// The content of the file that the value names as text; none if it is none, which is reported.
    pub(super) fn utf8(&self, content: Vec<u8>) -> Option<String> {
        // The error would carry the bytes.
        String::from_utf8(content).map_err(|_| self.mistake("the file is not UTF-8 text")).ok()
    }
}

/// Whether this stands in the example for a secret. Everybody knows it, so that it protects nothing.
pub fn is_placeholder(secret: &[u8]) -> bool {
    secret.starts_with(b"replace-with-")
}

/// What is said of one.
pub(super) const PLACEHOLDER: &str = "is still the placeholder of the example; put your own in its place";

/// A text without what cannot be meant: the mark that some editors put before all text, and quotes around it, which a
/// shell removes but Docker's `--env-file` keeps.
pub(super) fn bare(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}');
    let inside = |quote: char| text.trim().strip_prefix(quote)?.strip_suffix(quote);
    QUOTES
        .into_iter()
        .find_map(|quote| inside(quote).filter(|inside| !inside.contains(quote)))
        .unwrap_or(text)
}

const QUOTES: [char; 2] = ['"', '\''];

/// Whether there is a quote at one end only.
pub(super) fn is_half_quoted(text: &str) -> bool {
    text.starts_with(QUOTES) || text.ends_with(QUOTES)
}

/// What is said of such a text.
pub(super) const HALF_QUOTED: &str = "has a quote at its beginning or end; a secret has none";

/// A text that is neither blank, which `empty` tells of, nor a placeholder.
fn sound(reader: &Reader<'_>, place: Place, text: &str, empty: &str) -> Found<Setting> {
    let text = bare(text);
    if text.trim().is_empty() {
        reader.report(&place, empty);
        return Found::Faulty;
    }
    if is_placeholder(text.as_bytes()) {
        reader.report(&place, PLACEHOLDER);
        return Found::Faulty;
    }
    Found::Given(Setting { place, text: text.into() })
}
