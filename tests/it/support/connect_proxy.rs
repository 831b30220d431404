//! A stand-in for the HTTP proxy of a company: it leads to the stand-ins behind names that no DNS knows, and remembers
//! everything that it could read.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{Identity, tls_server::TlsEnd};

/// Answers CONNECT for the names that it knows.
pub(crate) struct ConnectProxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// A name, its certificate, the protocol to speak, and the address of the plain server behind it.
pub(crate) struct Behind<'a> {
    pub(crate) name: &'a str,
    pub(crate) identity: &'a Identity,
    pub(crate) protocol: &'a str,
    pub(crate) url: String,
}

impl ConnectProxy {
    pub(crate) async fn to(servers: &[Behind<'_>]) -> Self {
        let route = |server: &Behind<'_>| TlsEnd::before(&server.url, server.identity, server.protocol);
        let routes: Arc<BTreeMap<String, TlsEnd>> =
            Arc::new(servers.iter().map(|server| (server.name.to_owned(), route(server))).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&routes), Arc::clone(&heads)));
            }
        });
        Self { address, seen, task }
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic while it is held").clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    routes: Arc<BTreeMap<String, TlsEnd>>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.lock().expect("no panic while it is held").push(head.clone());
    let name = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(':').next()).unwrap_or_default();
    let Some(route) = routes.get(name) else {
        client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        return None;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    route.pass(client).await
}
