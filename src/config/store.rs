//! `[store]`: where this service remembers.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Store, StoreKind,
    reader::Section,
    secret::{Found, Setting},
};

const DEFAULT_URL: &str = "sqlite:oncall-grants.db";

pub(super) fn read(section: &Section<'_>) -> Store {
    // Zero would prune what the running pass still needs; a hundred years is as good as for ever.
    let keep = section.time_delta("keep", "90d", "1s"..="36500d");
    let (url, kind) = match section.setting("url", "ONCALL_GRANTS_STORE_URL").map(Setting::trimmed) {
        Found::Given(Setting { place, text }) => {
            let kind =
                store_kind(text.expose_secret()).map_err(|message| section.reader.report(&place, message));
            (text, kind.ok())
        }
        Found::Faulty | Found::Missing => (SecretString::from(DEFAULT_URL), None),
    };
    let kind = kind.unwrap_or_else(|| StoreKind::Sqlite { path: "oncall-grants.db".into() });
    Store { url, kind, keep }
}

/// What the address of a store is about; a message never quotes it, since it may hold a password.
pub fn store_kind(url: &str) -> Result<StoreKind, &'static str> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err("must start with sqlite: or postgres://");
    };
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() {
                Err("names no file; write a path, such as sqlite:/var/lib/oncall-grants/oncall-grants.db")
            } else if path == ":memory:" {
                Err("must be a file: a store in memory would forget its grants at every restart")
            } else if path.contains('?') {
                Err("takes no parameters; write the path alone, such as sqlite:oncall-grants.db")
            } else {
                Ok(StoreKind::Sqlite { path: path.into() })
            }
        }
        "postgres" | "postgresql" if rest.starts_with("//") && Url::parse(url).is_ok() => {
            Ok(StoreKind::Postgres)
        }
        "postgres" | "postgresql" => Err(
            "is no valid address; write postgres://user:password@host:port/database, with special characters \
                 of the password percent-encoded",
        ),
        _ => Err("must start with sqlite: or postgres://"),
    }
}
