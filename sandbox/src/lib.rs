//! Stand-ins for PagerDuty and strongDM that speak the real wire formats.
//!
//! * [`pagerduty::PagerDuty`] serves the REST API and signs and delivers v3 webhooks.
//! * [`strongdm::StrongDm`] serves the gRPC API and verifies the signature of every request.
//! * [`faults::Faults`], on both, makes chosen calls fail, wait, break or lose their answer.
//! * [`clock::Clock`], on both, lets a test move time.
//! * [`world::seed`] fills both with a small world, for the demo and for tests.
//!
//! Nothing here shares code with the service: what both sides would misunderstand together, no test
//! could find. Where the documentation is silent a setting chooses among the plausible behaviours.

mod budget;
pub mod calls;
pub mod clock;
mod control;
mod crypto;
pub mod faults;
pub mod pagerduty;
pub mod server;
pub mod strongdm;
pub mod world;
