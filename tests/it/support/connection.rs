//! Connections of clients that do not speak as they should.

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
}

/// Waits until the service hangs up, and returns what it said before.
pub(crate) async fn until_hung_up(mut connection: TcpStream) -> String {
    let mut said = Vec::new();
    let hung_up = timeout(PATIENCE, connection.read_to_end(&mut said)).await;
    // However it ended: what counts is that it did.
    assert!(hung_up.is_ok(), "a connection was kept for {PATIENCE:?}");
    String::from_utf8_lossy(&said).into_owned()
}
