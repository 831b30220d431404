//! Keys under which there may be several secrets: each alone counts.

use secrecy::{ExposeSecret, SecretString};

use super::{
    Place,
    reader::{Section, Value},
    secret::{Found, HALF_QUOTED, PLACEHOLDER, Setting, bare, is_half_quoted, is_placeholder},
};

impl Section<'_> {
    /// The secrets of an environment variable, separated by commas, or else those listed under `key`; none if neither is
    /// there.
    pub(super) fn secrets(&self, key: &str, variable: &'static str) -> Option<Vec<Setting>> {
        self.given_twice(key);
        match self.environment(key, variable) {
            Found::Given(Setting { place, text }) => {
                let lists: Vec<_> = text.expose_secret().split(',').map(secrets_in).collect();
                if lists.iter().any(Vec::is_empty) {
                    self.reader.report(&place, "holds an empty secret; separate secrets by single commas");
                }
                let secrets = lists.iter().flatten();
                Some(secrets.map(|secret| self.sound_secret(&place, secret.expose_secret())).collect())
            }
            Found::Faulty => Some(Vec::new()),
            Found::Missing => {
                let items = self.get(key)?.list("a secret in quotes").into_iter();
                let secret = |item: Value<'_>| {
                    item.text("a secret in quotes").map(|text| self.sound_secret(&item.place, text))
                };
                Some(items.filter_map(secret).collect())
            }
        }
    }

    /// The same, or else those in the file that `<key>_file` names, one a line, of which there must be one.
    pub(super) fn secrets_or_file(&self, key: &str, variable: &'static str) -> Vec<Setting> {
        if let Some(secrets) = self.secrets(key, variable) {
            return secrets;
        }
        let Found::Given(Setting { place, text }) = self.own_file(key) else { return Vec::new() };
        let secrets = secrets_in(text.expose_secret());
        secrets.iter().map(|secret| self.sound_secret(&place, secret.expose_secret())).collect()
    }

    /// A secret without what cannot be meant; what is wrong with it is reported.
    pub(super) fn sound_secret(&self, place: &Place, secret: &str) -> Setting {
        let secret = bare(secret).trim();
        if secret.is_empty() {
            self.reader.report(place, "must not be empty; write a secret in quotes");
        } else if is_placeholder(secret.as_bytes()) {
            self.reader.report(place, PLACEHOLDER);
        } else if secret.contains(char::is_control) {
            self.reader.report(place, "must be one secret, without line breaks or other control characters");
        } else if is_half_quoted(secret) {
            self.reader.report(place, HALF_QUOTED);
        }
        Setting { place: place.clone(), text: secret.into() }
    }
}

/// The secrets in the text of a file, one a line.
pub fn secrets_in(text: &str) -> Vec<SecretString> {
    let lines = text.lines().map(|line| bare(line.trim()).trim());
    lines.filter(|line| !line.is_empty()).map(SecretString::from).collect()
}
