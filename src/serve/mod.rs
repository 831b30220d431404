//! The service: `run.rs` builds its parts, runs them, and stops them in order; `listen.rs` serves the web
//! side; `connections.rs` accepts its connections, `places.rs` and `activity.rs` bound them in number and time.

mod activity;
mod background;
mod checkpoints;
mod connections;
mod handshakes;
mod housekeeping;
mod listen;
mod places;
mod run;
mod stream;

pub use self::{
    listen::{Serving, plain},
    run::{serve, serve_until},
};
