//! A strongDM that answers what it is told to, over real HTTP/2.
//!
//! It uses tonic's `server` feature, which the sandbox, a development dependency, turns on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, http::HeaderMap, response::IntoResponse};
use bytes::Bytes;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Response, Status};

use crate::strongdm::grpc::codec::RawCodec;

pub(super) enum Reply {
    Say(Vec<u8>),
    Refuse(Status),
    /// Never answers.
    Stall,
}

pub(super) fn say(message: &impl Message) -> Reply {
    Reply::Say(message.encode_to_vec())
}

pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    received: Vec<Received>,
    in_flight: usize,
    most_in_flight: usize,
}

#[derive(Clone)]
pub(super) struct Fake {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let replies = replies.into_iter().collect();
        let fake = Self { url, state: Arc::new(Mutex::new(State { replies, ..State::default() })) };
        let router = Router::new().fallback({
            let fake = fake.clone();
            move |request| async move { fake.answer(request).await }
        });
        tokio::spawn(async { axum::serve(listener, router).await });
        fake
    }

    async fn answer(&self, request: Request) -> impl IntoResponse + use<> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        let service = tower::service_fn(|request: tonic::Request<Bytes>| {
            let received =
                Received { path: path.clone(), headers: headers.clone(), body: request.into_inner() };
            self.reply(received)
        });
        tonic::server::Grpc::new(RawCodec).unary(service, request).await
    }

    async fn reply(&self, received: Received) -> Result<Response<Bytes>, Status> {
        let reply = {
            let mut state = self.state.lock().unwrap();
            state.received.push(received);
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            state.replies.pop_front()
        };
        // Long enough for all requests that may be under way together to meet.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let answer = match reply.expect("no reply left") {
            Reply::Say(bytes) => Ok(Response::new(bytes.into())),
            Reply::Refuse(status) => Err(status),
            Reply::Stall => std::future::pending().await,
        };
        self.state.lock().unwrap().in_flight -= 1;
        answer
    }

    pub(super) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.state.lock().unwrap().most_in_flight
    }
}
