//! Where a store is: what `[store] url` says.

use std::{path::PathBuf, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The address of a store. Its `Debug` output shows no password.
#[derive(Clone, Debug)]
pub enum Address {
    /// A file of one process alone.
    Sqlite {
        /// The file; a relative path starts at the working directory.
        path: PathBuf,
    },
    /// A server that several replicas share.
    Postgres {
        /// The whole address, which may hold a password.
        url: SecretString,
    },
}

/// What is wrong with an address, to follow its name. Never quotes it, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(&'static str);

const NO_SCHEME: &str = "must start with sqlite: or postgres://";
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

impl Address {
    /// Reads `sqlite:<path>` or `postgres://…`.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(InvalidAddress(NO_SCHEME));
        };
        match scheme {
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            "postgres" | "postgresql" => match Url::parse(text) {
                Ok(address) if rest.starts_with("//") => {
                    check_parameters(&address)?;
                    Ok(Self::Postgres { url: text.into() })
                }
                Ok(_) | Err(_) => Err(InvalidAddress(NO_ADDRESS)),
            },
            _ => Err(InvalidAddress(NO_SCHEME)),
        }
    }

    /// Host and port of the server, if it names one.
    pub fn server(&self) -> Option<(String, u16)> {
        let Self::Postgres { url } = self else { return None };
        let url = Url::parse(url.expose_secret()).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(5432)))
    }
}

/// A file in the working directory.
impl Default for Address {
    fn default() -> Self {
        Self::Sqlite { path: "oncall-grants.db".into() }
    }
}

fn sqlite(path: &str) -> Result<Address, InvalidAddress> {
    if path.is_empty() {
        Err(InvalidAddress(
            "names no file; write a path, such as sqlite:/var/lib/oncall-grants/oncall-grants.db",
        ))
    } else if path == ":memory:" {
        Err(InvalidAddress("must be a file: a store in memory would forget its grants at every restart"))
    } else if path.contains('?') {
        Err(InvalidAddress("takes no parameters; write the path alone, such as sqlite:oncall-grants.db"))
    } else {
        Ok(Address::Sqlite { path: path.into() })
    }
}

/// Whether the driver understands everything after the question mark.
fn check_parameters(address: &Url) -> Result<(), InvalidAddress> {
    let known = |key: &str| PARAMETERS.contains(&key) || key == "options" || key.starts_with("options[");
    if address.query_pairs().any(|(key, _)| !known(&key)) {
        return Err(InvalidAddress(
            "has a parameter that is not known after the ?; known are sslmode, sslrootcert, sslcert, sslkey, host, port, \
             dbname, user, password, application_name and options",
        ));
    }
    let is_mode = |key: &str| matches!(key, "sslmode" | "ssl-mode");
    if address.query_pairs().any(|(key, value)| is_mode(&key) && value.parse::<PgSslMode>().is_err()) {
        return Err(InvalidAddress(
            "has an unknown sslmode; allowed are disable, allow, prefer, require, verify-ca and verify-full",
        ));
    }
    match PgConnectOptions::from_str(address.as_str()) {
        Ok(_) => Ok(()),
        Err(_) if address.query().is_some() => {
            Err(InvalidAddress("has a parameter after the ? whose value makes no sense"))
        }
        Err(_) => Err(InvalidAddress(NO_ADDRESS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_an_address_nor_what_is_wrong_with_it_shows_the_password() {
        let address = Address::parse("postgres://me:hush@db.example.com:5433/grants").unwrap();
        assert!(!format!("{address:?}").contains("hush"), "{address:?}");
        assert_eq!(address.server(), Some(("db.example.com".to_owned(), 5433)));
        let wrong = Address::parse("postgres://me:hush@db.example.com/grants?sslmode=maybe").unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("hush"), "{wrong:?}");
    }
}
