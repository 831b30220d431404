//! `[store]`: where this service remembers.

use secrecy::ExposeSecret;

use super::{
    Store,
    reader::Section,
    secret::{Found, Setting},
};
use crate::store::Address;

pub(super) fn read(section: &Section<'_>) -> Store {
    // Zero would prune what the running pass still needs; a hundred years is as good as for ever.
    let keep = section.time_delta("keep", "90d", "1s"..="36500d");
    let address = match section.setting("url", "ONCALL_GRANTS_STORE_URL").map(Setting::trimmed) {
        Found::Given(Setting { place, text }) => {
            Address::parse(text.expose_secret()).unwrap_or_else(|error| {
                section.reader.report(&place, error.to_string());
                Address::default()
            })
        }
        Found::Faulty | Found::Missing => Address::default(),
    };
    Store { address, keep }
}
