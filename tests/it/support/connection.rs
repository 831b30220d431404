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

/// Waits until the service hangs up, whatever it says before.
pub(crate) async fn until_hung_up(mut connection: TcpStream) {
    let hung_up = timeout(PATIENCE, connection.read_to_end(&mut Vec::new())).await;
    assert!(hung_up.is_ok(), "a connection without a request was kept for {PATIENCE:?}");
}
