//! The service: `run.rs` builds its parts, runs them, and stops them in order; `listen.rs` accepts connections.

mod background;
mod connections;
mod handshakes;
mod housekeeping;
mod listen;
mod run;

pub use self::{
    listen::{Serving, plain},
    run::{serve, serve_until},
};
