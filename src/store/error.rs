//! Why the store could not be opened, or could not do what it was asked, in words that carry no password.

use std::path::{Path, PathBuf};

use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

/// Why the store could not do what it was asked. The text tells what the database said, since a log line shows no
/// sources; it is not for callers of the API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[error("the store failed: {}", words(.0))]
    Database(sqlx::Error),
    /// The database cannot be reached, or cannot work now: its disk is full, it is about to stop, or it only reads.
    #[error("the store cannot be used now: {}", words(.0))]
    Unavailable(sqlx::Error),
    /// The database took too long.
    #[error("the store did not answer in time")]
    Slow,
    /// A stored value is not what this version writes.
    #[error("the store holds a {what} that this version cannot read: {value:?}")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
        /// How the value begins.
        value: String,
    },
    /// More deliveries are waiting for the disk than may.
    #[error("too many deliveries are waiting for the disk")]
    Busy,
    /// A delivery could not be written together with others; the log says why.
    #[error("deliveries cannot be written now")]
    NotWritten,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Sqlx;
        match &error {
            Sqlx::Io(_)
            | Sqlx::Protocol(_)
            | Sqlx::Tls(_)
            | Sqlx::PoolTimedOut
            | Sqlx::PoolClosed
            | Sqlx::WorkerCrashed => Self::Unavailable(error),
            Sqlx::Database(refused) if is_outage(&**refused) => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// How much of a value that cannot be read is shown.
const SHOWN: usize = 80;

impl Error {
    pub(super) fn corrupt(what: &'static str, value: &str) -> Self {
        Self::Corrupt { what, value: value.chars().take(SHOWN).collect() }
    }

    /// Whether the same may well succeed in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::NotWritten | Self::Slow | Self::Unavailable(_) => true,
            Self::Database(_) | Self::Corrupt { .. } => false,
        }
    }
}

/// What a database said. Its library repeats each cause in what it is the cause of, so what contains the next text
/// adds nothing; and a pool that could not connect says only that it waited.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(sqlx::Error::PoolTimedOut) = error.downcast_ref() {
        return "no connection in time: the server is down or refuses, or all connections are busy"
            .to_owned();
    }
    if let Some(sqlx::Error::Tls(reason)) = error.downcast_ref()
        && reason.to_string() == "server does not support TLS"
    {
        return "the server takes no TLS, without which nothing is sent to another machine; give it a certificate, or, \
                where the network between is private, add ?sslmode=disable to store.url"
            .to_owned();
    }
    let chain = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    let adds = |(at, text): &(usize, &String)| texts.get(at + 1).is_none_or(|next| !text.contains(next));
    let told: Vec<&str> = texts.iter().enumerate().filter(adds).map(|(_, text)| text.as_str()).collect();
    told.join(": ")
}

/// Whether the database may well take the same in a while.
fn is_outage(refused: &dyn DatabaseError) -> bool {
    let Some(code) = refused.code() else { return false };
    match refused.try_downcast_ref::<PgDatabaseError>() {
        Some(refused) => {
            let ends_connection = matches!(refused.severity(), PgSeverity::Fatal | PgSeverity::Panic);
            ends_connection || is_outage_of_postgres(&code)
        }
        None => code.parse().is_ok_and(is_outage_of_sqlite),
    }
}

/// PostgreSQL's codes for a lost connection, full disks and too many connections, a server that starts or stops or only
/// reads, disks that fail, and a lock or statement that took too long.
fn is_outage_of_postgres(code: &str) -> bool {
    ["08", "53", "57P0", "58"].iter().any(|class| code.starts_with(class))
        || ["25006", "40001", "40P01", "55P03", "57014"].contains(&code)
}

/// SQLite's codes for a file in use, too little memory, a file system that only reads, a disk that fails or is full, and a
/// file that cannot be opened. The lowest byte tells the kind, the others which call failed.
fn is_outage_of_sqlite(code: u32) -> bool {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const NO_MEMORY: u32 = 7;
    const READ_ONLY: u32 = 8;
    const DISK_FAILED: u32 = 10;
    const DISK_FULL: u32 = 13;
    const CANNOT_OPEN: u32 = 14;
    matches!(code & 0xff, BUSY | LOCKED | NO_MEMORY | READ_ONLY | DISK_FAILED | DISK_FULL | CANNOT_OPEN)
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the file.
    #[error("{0} is in use by another oncall-grants process")]
    InUse(PathBuf),
    /// The lock file or the directory is not accessible.
    #[error("cannot open the lock file {path}{}", missing_directory(path, source))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("cannot open the store {place}: {}", words(reason))]
    Database {
        /// The file, or the server and database.
        place: String,
        /// What the database said.
        reason: sqlx::Error,
    },
    /// A later version has changed the schema, and this one cannot live with that.
    #[error(
        "the store {place} belongs to a later version of oncall-grants: its schema is at step {step}, and this version \
         knows the steps up to {known}; run the later version, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The file, or the server and database.
        place: String,
        /// A step that this version does not know.
        step: i64,
        /// The last one that it knows.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the store {place} up to date: {}", words(reason))]
    Migration {
        /// The file, or the server and database.
        place: String,
        /// What went wrong.
        reason: sqlx::migrate::MigrateError,
    },
}

/// The system does not say which part of a path is missing.
fn missing_directory(path: &Path, error: &std::io::Error) -> String {
    match path.parent() {
        Some(directory) if error.kind() == std::io::ErrorKind::NotFound => {
            format!(", because there is no directory {}", directory.display())
        }
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_said_is_told_once() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(words(&sqlx::Error::Io(refused())), "connection refused");
        let nested = sqlx::Error::Configuration(Box::new(sqlx::Error::Configuration("unknown value".into())));
        assert_eq!(words(&nested), "unknown value");
        let unreachable = Error::from(sqlx::Error::PoolTimedOut);
        assert!(unreachable.may_pass() && !unreachable.to_string().contains("pool"), "{unreachable}");
    }
}
