//! Connections of clients that do not speak as they should.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{PATIENCE, Service};

impl Service {
    /// A connection over which this was said, and nothing more.
    pub(crate) async fn connect_and_say(&self, said: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address()).await.expect("a connection");
        connection.write_all(said.as_bytes()).await.expect("an open connection");
        connection
    }

    /// A connection over which hands were shaken by TLS, and nothing was said after that.
    pub(crate) async fn connect_and_shake_hands(&self, config: ClientConfig) -> TcpStream {
        let mut connection = TcpStream::connect(self.address()).await.expect("a connection");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        loop {
            let mut sending = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut sending).expect("a Vec takes everything");
            }
            connection.write_all(&sending).await.expect("an open connection");
            if !tls.is_handshaking() {
                return connection;
            }
            let mut received = [0; 4096];
            let length = connection.read(&mut received).await.expect("an open connection");
            assert_ne!(length, 0, "the service hung up");
            let mut rest = &received[..length];
            while !rest.is_empty() {
                tls.read_tls(&mut rest).expect("bytes can be read");
                tls.process_new_packets().expect("a handshake");
            }
        }
    }
}

/// Waits until the service hangs up, and returns what it said before.
pub(crate) async fn until_hung_up(mut connection: TcpStream) -> String {
    let mut said = Vec::new();
    let hung_up = timeout(PATIENCE, connection.read_to_end(&mut said)).await;
    // However it ended: what counts is that it did.
    assert!(hung_up.is_ok(), "a connection was kept for {PATIENCE:?}");
    String::from_utf8_lossy(&said).into_owned()
}
