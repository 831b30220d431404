//! `[store]`: where this service remembers.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
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

const NO_ADDRESS: &str = "is no valid address; write postgres://user:password@host:port/database, with special \
                          characters of the password percent-encoded";

/// The parameters that the driver knows, by all their names. Others it would pass over in silence, and with them the
/// protection that a mistyped one was meant to give.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "statement-cache-capacity",
];

/// Whether the driver understands everything after the question mark.
fn parameters(address: &Url) -> Result<(), &'static str> {
    let known = |key: &str| PARAMETERS.contains(&key) || key == "options" || key.starts_with("options[");
    if address.query_pairs().any(|(key, _)| !known(&key)) {
        return Err(
            "has a parameter that is not known after the ?; known are sslmode, sslrootcert, sslcert, sslkey, \
                    host, port, dbname, user, password, application_name and options",
        );
    }
    let is_mode = |key: &str| matches!(key, "sslmode" | "ssl-mode");
    if address.query_pairs().any(|(key, value)| is_mode(&key) && value.parse::<PgSslMode>().is_err()) {
        return Err(
            "has an unknown sslmode; allowed are disable, allow, prefer, require, verify-ca and verify-full",
        );
    }
    match PgConnectOptions::from_str(address.as_str()) {
        Ok(_) => Ok(()),
        Err(_) if address.query().is_some() => Err("has a parameter after the ? whose value makes no sense"),
        Err(_) => Err(NO_ADDRESS),
    }
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
        "postgres" | "postgresql" => match Url::parse(url) {
            Ok(address) if rest.starts_with("//") => parameters(&address).map(|()| StoreKind::Postgres),
            Ok(_) | Err(_) => Err(NO_ADDRESS),
        },
        _ => Err("must start with sqlite: or postgres://"),
    }
}
