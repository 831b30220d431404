//! The real `pgbouncer`, with what it does by default: pooling by session, and refusing what it does not know.

use std::process::Child;

use tokio::net::TcpStream;
use url::Url;

use super::{Database, free_port, postgres::unprivileged, wait_until};

/// Serves from a directory of its own until its standard input ends.
const SCRIPT: &str = r#"
PATH=$PATH:/usr/sbin
trap '' INT TERM
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
printf '%s\n' "$1" >pgbouncer.ini
printf '"%s" "%s"\n' "$2" "$3" >users.txt
pgbouncer -q pgbouncer.ini &
server=$!
while read -r _; do :; done
kill -KILL "$server"
wait "$server"
"#;

/// A pooler before one database; it ends with this.
pub(crate) struct PgBouncer {
    /// The database through the pooler.
    pub(crate) url: Url,
    child: Child,
}

impl PgBouncer {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// If there is none on this machine.
    pub(crate) async fn before(database: &Database) -> Self {
        let port = free_port();
        let server = &database.url;
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = users.txt",
            server.host_str().expect("a host"),
            server.port().unwrap_or(5432),
        );
        let mut command = unprivileged(SCRIPT);
        command.args([&settings, server.username(), server.password().unwrap_or_default()]);
        let mut child = command.spawn().expect("a shell can be run");
        wait_until("PgBouncer listens; if it is not there, install Debian's package pgbouncer", async || {
            assert!(child.try_wait().expect("a child can be asked").is_none(), "PgBouncer ended");
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        let mut url = server.clone();
        url.set_host(Some("127.0.0.1")).expect("an address is a host");
        url.set_port(Some(port)).expect("this address may have a port");
        Self { url, child }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
