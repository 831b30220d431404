//! A way to a server that can be closed, or swallow everything.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections are dropped.
    Closed,
    /// Connections stay, but nothing passes any more; those from before never recover, and end when it is closed.
    Mute,
}

/// Passes TCP connections on.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// An open one to this server.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new(State::Open);
        let watched = state.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), watched.clone()));
            }
        });
        Self { address, state, task }
    }

    /// An open one to the server of this database, and the address of the database through it.
    pub(crate) async fn to_database(database: &Url) -> (Self, Url) {
        let mut url = database.clone();
        let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        let proxy = Self::to(server).await;
        url.set_host(Some(&proxy.address.ip().to_string())).expect("an address is a host");
        url.set_port(Some(proxy.address.port())).expect("this address may have a port");
        (proxy, url)
    }

    /// Drops all connections and refuses new ones.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Swallows everything from now on.
    pub(crate) fn mute(&self) {
        self.state.send_replace(State::Mute);
    }

    /// Lets new connections pass again.
    pub(crate) fn open(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    let open = *state.borrow() == State::Open;
    let mut server = if open { TcpStream::connect(server).await.ok() } else { None };
    if let Some(server) = &mut server {
        tokio::select! {
            _ = copy_bidirectional(&mut client, server) => return,
            _ = state.wait_for(|state| *state != State::Open) => {}
        }
    }
    if *state.borrow() == State::Mute {
        // Both ends stay open until they give up by themselves.
        let _ = state.wait_for(|state| *state == State::Closed).await;
    }
}
