//! PostgreSQL for tests: one private server per test binary, one database per test.
//!
//! `TEST_POSTGRES_URL` names a server to use instead, with a user that may create databases.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use url::Url;

/// Making a cluster and starting it takes a second or two; a busy machine may need more.
const START_WITHIN: Duration = Duration::from_mins(2);

/// Makes a cluster in a directory of its own and serves it until its standard input ends, which it does when the test
/// binary ends, however that happens.
const SCRIPT: &str = r#"
bin=$1 port=$2
trap '' INT TERM
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
"$bin/initdb" -D data -U app -A trust -E UTF8 --no-locale --no-sync >log 2>&1 || { cat log >&2; exit 1; }
cat >>data/postgresql.conf <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
fsync = off
max_connections = 300
END
"$bin/postgres" -D data >>log 2>&1 &
server=$!
while read -r _; do :; done
"$bin/pg_ctl" -D data -s -m immediate stop
wait "$server"
"#;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Where databases can be made.
struct Server {
    url: Url,
    /// Keeps the private server alive.
    private: Option<(Child, ChildStdin)>,
}

impl Server {
    fn start() -> Self {
        if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
            let url =
                url.parse().expect("TEST_POSTGRES_URL is an address: postgres://user@host:port/database");
            return Self { url, private: None };
        }
        let port = free_port();
        let mut command = unprivileged(SCRIPT);
        let mut child = command.arg(binaries()).arg(port.to_string()).spawn().expect("a shell can be run");
        let stdin = child.stdin.take().expect("a pipe");
        let url = format!("postgres://app@127.0.0.1:{port}/postgres").parse().expect("an address");
        Self { url, private: Some((child, stdin)) }
    }
}

/// A script that runs until its standard input ends, as the user of PostgreSQL if this is root: its programs refuse to
/// work for root.
pub(crate) fn unprivileged(script: &str) -> Command {
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|itself| std::os::unix::fs::MetadataExt::uid(&itself) == 0);
    let mut command = if root { Command::new("runuser") } else { Command::new("sh") };
    if root {
        command.args(["-u", "postgres", "--", "sh"]);
    }
    command.args(["-c", script, "sh"]);
    // The directory of the tests may be closed to that user.
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

/// The newest version that Debian's packages left here.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/initdb").exists())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let newest = newest.expect(
        "these tests need PostgreSQL: install Debian's package postgresql, or name a server in TEST_POSTGRES_URL",
    );
    newest.path().join("bin")
}

/// A port of this machine that stays free until it is listened on: the kernel hands out only those above it, for
/// connections and to whoever listens on port 0, and no two callers get the same.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 10_000..32_000;
    // Test binaries that run at the same time begin at different places.
    let first = std::process::id().wrapping_mul(1009);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start)).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// An empty database of its own; dropped at the end.
pub(crate) struct Database {
    pub(crate) url: Url,
}

impl Database {
    /// Makes one; the first call in a binary waits for the server.
    pub(crate) async fn create() -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncall_grants_test_{}_{number}", std::process::id());
        let mut connection = admin().await;
        let create = format!("CREATE DATABASE {name}");
        sqlx::query(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .expect("the right to make databases");
        let mut url = SERVER.url.clone();
        url.set_path(&name);
        Self { url }
    }

    /// A connection to it, to look or to meddle.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.url.as_str()).await.expect("the database can be reached")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if SERVER.private.is_some() {
            return;
        }
        let name = self.url.path().trim_start_matches('/').to_owned();
        // A test may be unwinding, and its runtime with it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
                let _ = sqlx::query(drop).execute(&mut admin().await).await;
            });
        });
        let _ = dropping.join();
    }
}

async fn admin() -> PgConnection {
    let options: PgConnectOptions = SERVER.url.as_str().parse().expect("an address of PostgreSQL");
    let began = Instant::now();
    loop {
        match options.connect().await {
            Ok(connection) => return connection,
            Err(error) => assert!(began.elapsed() < START_WITHIN, "PostgreSQL does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
