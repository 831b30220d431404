//! The real binary with TLS as a child process, and the one question that these tests ask.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned, pki_types::CertificateDer};
use tempfile::TempDir;

use super::authority::Identity;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running service; dropping it kills it.
pub(crate) struct Service {
    child: Child,
    dir: TempDir,
    log: Arc<Mutex<String>>,
    address: SocketAddr,
}

/// How the `healthcheck` command learns where the service is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// It is told.
    AtUrl,
    /// From the configuration, whose `listen` the environment replaces.
    AtConfiguration,
    /// There is no configuration to read.
    Guess,
}

/// What a question led to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) version: ProtocolVersion,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) text: String,
}

/// Waits until `look` finds something.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory with a configuration; the upstreams are a port where nobody listens.
fn prepared(identity: &Identity, clients: Option<(&str, &str)>) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let server = clients.map_or_else(String::new, |(authorities, name)| {
        fs::write(dir.path().join("client_ca.pem"), authorities).expect("a writable directory");
        format!("client_ca = \"client_ca.pem\"\nclient_names = [{name:?}]")
    });
    let config = format!(
        r#"[server]
listen = "127.0.0.1:0"
admin_token = "admin-token-of-the-tests"
tls_cert = "cert.pem"
tls_key = "key.pem"
{server}
[pagerduty]
api_url = "http://127.0.0.1:9"
token = "pagerduty-token-of-the-tests"
[strongdm]
api_url = "http://127.0.0.1:9"
access_key = "auth-0000000000000000"
secret_key = "c2VjcmV0LWtleS1vZi10aGUtdGVzdHM="
[[rules]]
name = "payments"
schedules = ["PAYPRIM"]
resources = ["prod-postgres"]
"#
    );
    fs::write(dir.path().join("oncall-grants.toml"), config).expect("a writable directory");
    write(dir.path(), &identity.certificate, &identity.key);
    dir
}

fn write(dir: &Path, certificate: &str, key: &str) {
    fs::write(dir.join("cert.pem"), certificate).expect("a writable directory");
    fs::write(dir.join("key.pem"), key).expect("a writable directory");
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncall-grants"));
    command.current_dir(dir).env_clear().args(["serve", "--log-format", "text"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Service {
    pub(crate) fn start(identity: &Identity, clients: Option<(&str, &str)>) -> Self {
        let dir = prepared(identity, clients);
        let mut child = command(dir.path()).spawn().expect("the binary can be run");
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    let mut log = log.lock().expect("no panic while it is held");
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let address = "127.0.0.1:0".parse().expect("an address");
        let mut service = Self { child, dir, log, address };
        let said = service.wait_for_log("serving on https://");
        let (_, rest) = said.split_once("https://").expect("it was looked for");
        let address = rest.split_whitespace().next().expect("an address");
        service.address = address.parse().expect("an address");
        service
    }

    /// Starts a service that cannot start; what it says.
    pub(crate) fn start_in_vain(identity: &Identity, clients: Option<(&str, &str)>) -> String {
        let dir = prepared(identity, clients);
        let output = command(dir.path()).output().expect("the binary can be run");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Asks for a page.
    pub(crate) fn get(&self, path: &str, client: ClientConfig) -> io::Result<Answer> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let name = "localhost".try_into().expect("a name");
        let client = ClientConnection::new(Arc::new(client), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(client, tcp);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        match stream.read_to_string(&mut text) {
            // Some servers hang up without saying goodbye once all is said.
            Err(error) if text.is_empty() || error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(error);
            }
            Ok(_) | Err(_) => {}
        }
        let shown = stream.conn.peer_certificates().expect("a server shows its certificate");
        Ok(Answer {
            version: stream.conn.protocol_version().expect("the handshake is over"),
            certificate: shown[0].clone().into_owned(),
            text,
        })
    }

    /// Says nothing until the other side hangs up.
    pub(crate) fn connect_and_wait_for_the_end(&self, patience: Duration) {
        let mut tcp = TcpStream::connect(self.address).expect("it listens");
        tcp.set_read_timeout(Some(patience)).expect("a timeout");
        let read = tcp.read(&mut [0; 1]);
        assert!(
            matches!(&read, Ok(0)) || read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
        );
    }

    /// Replaces the certificate and its key.
    pub(crate) fn write(&self, identity: &Identity) {
        self.write_pem(&identity.certificate, &identity.key);
    }

    pub(crate) fn write_pem(&self, certificate: &str, key: &str) {
        write(self.dir.path(), certificate, key);
    }

    pub(crate) fn remove_key(&self) {
        fs::remove_file(self.dir.path().join("key.pem")).expect("it is there");
    }

    pub(crate) fn write_client_ca(&self, pem: &str) {
        fs::write(self.dir.path().join("client_ca.pem"), pem).expect("a writable directory");
    }

    /// What the `healthcheck` command says.
    pub(crate) fn is_healthy(&self, look: Look) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncall-grants"));
        command.env_clear().current_dir(self.dir.path()).arg("healthcheck");
        let address = self.address.to_string();
        match look {
            Look::AtUrl => command.arg("--url").arg(format!("https://{address}")),
            Look::AtConfiguration => command.env("ONCALL_GRANTS_LISTEN", &address),
            Look::Guess => command.args(["--config", "not-there.toml"]).env("ONCALL_GRANTS_LISTEN", &address),
        };
        command.output().expect("the binary can be run").status.success()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while it is held").clone()
    }

    pub(crate) fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for a line with this text.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        wait_until(&format!("a log line with {text:?}"), || {
            let log = self.log.lock().expect("no panic while it is held");
            log.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}
