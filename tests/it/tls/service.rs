//! A service that speaks TLS, and the one question that these tests ask it.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Output,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned, pki_types::CertificateDer};
use tempfile::TempDir;

use super::authority::Identity;
use crate::support::{Config, PATIENCE, Service, command, directory};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// A running service in a directory of its own.
pub(crate) struct TlsService {
    pub(crate) process: Service,
    dir: TempDir,
    address: SocketAddr,
}

/// How the `healthcheck` command learns where the service is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It is told.
    Url,
    /// From the configuration, whose `listen` the environment replaces.
    Configuration,
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

/// A directory with a configuration, without upstreams.
fn prepared(identity: &Identity, clients: Option<(&str, &str)>) -> TempDir {
    let dir = directory();
    let mut server = "[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n".to_owned();
    if let Some((authorities, name)) = clients {
        fs::write(dir.path().join("client_ca.pem"), authorities).expect("a writable directory");
        server.push_str("client_ca = \"client_ca.pem\"\n");
        writeln!(server, "client_names = [{name:?}]").expect("a text takes all");
    }
    let config = Config::default().text(NOBODY, NOBODY).replace("[server]\n", &server);
    fs::write(dir.path().join("oncall-grants.toml"), config).expect("a writable directory");
    write(dir.path(), &identity.certificate, &identity.key);
    dir
}

fn write(dir: &Path, certificate: &str, key: &str) {
    fs::write(dir.join("cert.pem"), certificate).expect("a writable directory");
    fs::write(dir.join("key.pem"), key).expect("a writable directory");
}

impl TlsService {
    /// Starts a service with this certificate, that requires one of its clients if their authorities and name are given.
    pub(crate) async fn start(identity: &Identity, clients: Option<(&str, &str)>) -> Self {
        let dir = prepared(identity, clients);
        let process = Service::start(dir.path()).await;
        let address = process.url.strip_prefix("https://").expect("it speaks TLS");
        let address = address.parse().expect("an address");
        Self { process, dir, address }
    }

    /// Starts a service that cannot start.
    pub(crate) fn start_in_vain(identity: &Identity, clients: Option<(&str, &str)>) -> Output {
        let dir = prepared(identity, clients);
        let output = command(dir.path(), &["serve"]).output().expect("the binary can be run");
        assert!(!output.status.success(), "{output:?}");
        output
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
    pub(crate) fn connect_and_wait_for_the_end(&self) {
        let mut tcp = TcpStream::connect(self.address).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
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
    pub(crate) fn is_healthy(&self, place: Place) -> bool {
        let mut command = command(self.dir.path(), &["healthcheck"]);
        let address = self.address.to_string();
        match place {
            Place::Url => command.arg("--url").arg(format!("https://{address}")),
            Place::Configuration => command.env("ONCALL_GRANTS_LISTEN", &address),
            Place::Guess => {
                command.args(["--config", "not-there.toml"]).env("ONCALL_GRANTS_LISTEN", &address)
            }
        };
        command.output().expect("the binary can be run").status.success()
    }
}
