//! How connections are made, and what each is told first. It is told after it was made and not at its start, since a
//! pooler between us and the server refuses what it does not know there.

use std::{io, str::FromStr, time::Duration};

use sqlx::{
    Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

/// Getting a connection: a healthy server takes milliseconds.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Checking whether a connection is still good; several may have to be tried while getting one.
const CHECK_WITHIN: Duration = Duration::from_millis(500);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Reading and writing.
    Work,
    /// Bringing the schema up to date. Neither waiting for another replica's migration nor a long one is a statement that
    /// hangs.
    Migrate,
    /// Reading alone.
    LookOn,
}

/// Where `url` leads, and how.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    use sqlx::ConnectOptions;
    let options = PgConnectOptions::from_str(url)?;
    let options =
        if matches!(options.get_ssl_mode(), PgSslMode::Prefer) && !names_mode(url) && !is_here(&options) {
            // Without a word about it, the driver would fall back to plain text where somebody in between wants it to.
            options.ssl_mode(PgSslMode::Require)
        } else {
            options
        };
    // No number of ours is a fraction, and poolers do not know this setting.
    Ok(options.application_name("oncall-grants").extra_float_digits(None).disable_statement_logging())
}

fn names_mode(url: &str) -> bool {
    let named = |url: url::Url| url.query_pairs().any(|(key, _)| matches!(&*key, "sslmode" | "ssl-mode"));
    url::Url::parse(url).is_ok_and(named)
}

/// Whether the server is on this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    let is_loopback = |host: &str| host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback(host)
}

/// Tells a new connection what it is for. Fails where the server takes no writes but must.
pub(super) async fn begin(connection: &mut PgConnection, session: Session) -> Result<(), sqlx::Error> {
    // The limit on statements is below that on a call of this module, so that the server's own word arrives.
    let (statement, lock, read_only) = match session {
        Session::Work => ("8s", "5s", None),
        Session::Migrate => ("0", "0", None),
        Session::LookOn => ("8s", "5s", Some("on")),
    };
    // What we answered must be on disk, even where the server by default confirms a commit before it is. A replica that
    // freezes inside a transaction must not keep its locks; and the server finds out within a minute that one is gone.
    let told = sqlx::query(
        "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
           set_config('default_transaction_read_only',
             coalesce($3, current_setting('default_transaction_read_only')), false),
           set_config('synchronous_commit',
             coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false),
           set_config('idle_in_transaction_session_timeout', '10s', false),
           set_config('tcp_keepalives_idle', '20', false), set_config('tcp_keepalives_interval', '10', false),
           set_config('tcp_keepalives_count', '3', false)",
    )
    .bind(statement)
    .bind(lock)
    .bind(read_only);
    let telling = async {
        told.execute(&mut *connection).await?;
        if session == Session::LookOn || takes_writes(connection).await? {
            return Ok(());
        }
        Err(io::Error::other("the server only reads now: it is a standby, or was told to").into())
    };
    timeout(CONNECT_WITHIN, telling).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Whether a connection is still good for `session`. One that leads to a server that was demoted is not: the next one may
/// lead to the server that took its place.
pub(super) async fn check(connection: &mut PgConnection, session: Session) -> Result<bool, sqlx::Error> {
    let asking = async {
        match session {
            Session::LookOn => connection.ping().await.map(|()| true),
            Session::Work | Session::Migrate => takes_writes(connection).await,
        }
    };
    timeout(CHECK_WITHIN, asking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let read_only = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(connection).await?;
    Ok(read_only.try_get::<String, _>(0)? == "off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_another_machine_is_never_silently_in_plain_text() {
        let mode = |url: &str| options(url).unwrap().get_ssl_mode();
        for elsewhere in ["db.example.com", "10.0.0.7:5433", "[2001:db8::1]", "localhost.example.com"] {
            let mode = mode(&format!("postgres://me@{elsewhere}/grants"));
            assert!(matches!(mode, PgSslMode::Require), "{elsewhere}: {mode:?}");
        }
        assert!(matches!(mode("postgres://me@localhost/grants?host=db.example.com"), PgSslMode::Require));
        for here in ["localhost", "127.0.0.1:5433", "[::1]", "%2Frun%2Fpostgresql"] {
            let mode = mode(&format!("postgres://me@{here}/grants"));
            assert!(matches!(mode, PgSslMode::Prefer), "{here}: {mode:?}");
        }
        let asked = |word: &str| mode(&format!("postgres://me@db.example.com/grants?sslmode={word}"));
        assert!(matches!(asked("disable"), PgSslMode::Disable));
        assert!(matches!(asked("prefer"), PgSslMode::Prefer), "somebody decided so");
        assert!(matches!(asked("verify-full"), PgSslMode::VerifyFull));
    }
}
