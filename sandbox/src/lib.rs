//! Stand-ins for PagerDuty and strongDM that speak the real wire formats.
//!
//! Nothing here shares code with the service: what both sides would misunderstand together, no test could find. Where
//! the vendors' documentation is silent, a setting chooses among the plausible behaviours.
//!
//! # In a test
//!
//! ```
//! use sandbox::{clock::Clock, faults::{Action, Fault}, pagerduty::PagerDuty, strongdm::StrongDm, world};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let clock = Clock::new();
//! let any_port = "127.0.0.1:0".parse()?;
//! let pagerduty = PagerDuty::start(any_port, clock.clone()).await?;
//! let strongdm = StrongDm::start(any_port, clock.clone()).await?;
//! world::seed(&pagerduty, &strongdm, clock.now());
//! // Point the service at `pagerduty.url()` and `strongdm.url()`, with the credentials in `world`. Then change things:
//! pagerduty.swap_shift(world::SCHEDULE, world::CEM, clock.now());
//! strongdm.faults().add(Fault::on("AccountGrants.Create", Action::Cut).after_work());
//! // And look what became of it:
//! assert!(strongdm.grants_of("cem@example.com", "prod-postgres").is_empty());
//! assert_eq!(strongdm.counts().creates, 0);
//! # Ok(())
//! # }
//! ```
//!
//! Every handle is cheap to clone; the server stops with the last clone.
//!
//! # What a stand-in can be told to do
//!
//! * **Its data.** [`pagerduty::PagerDuty`] has users, schedules of both generations, escalation policies, services and
//!   webhook subscriptions. [`strongdm::StrongDm`] has accounts, resources, roles and grants, and knows who had access
//!   when. [`world::seed`] fills both with a small world.
//! * **Faults.** [`faults::Faults`], on both, makes chosen calls fail, wait, break, or lose their answer after the work
//!   was done. A [`faults::Gate`] holds calls until the test releases them.
//! * **Settings.** [`pagerduty::Settings`] and [`strongdm::Settings`] hold the accepted keys and their permissions, the
//!   rate limits, and one choice for each question that the documentation leaves open, such as
//!   [`strongdm::SecondGrant`].
//! * **Time.** One [`clock::Clock`] serves both; moving it ends shifts and grants.
//! * **The network.** [`server::Server`] cuts connections, stops and restarts.
//! * **Webhooks.** PagerDuty signs and delivers v3 events, once (`deliver`) or through subscriptions, with retries
//!   (`emit`).
//!
//! Both record the calls that they receive and the largest number of calls under way at once. strongDM verifies the
//! signature of every request.
//!
//! # By hand
//!
//! `cargo run -p sandbox` starts both on fixed ports with the seeded world, and prints their keys and curl lines. Under
//! `/_sandbox/` it serves a control API to change shifts, send webhooks, list grants, inject faults and move the clock.
//!
//! # The map
//!
//! | module | has |
//! | --- | --- |
//! | [`pagerduty`] | the handle; below it the account, the REST API (`rest`), webhooks (`webhook`, `deliver`), the control API |
//! | [`strongdm`] | the handle; below it the organization, the gRPC services (`services`), the control API |
//! | [`faults`], [`clock`], [`server`] | what both stand on |
//! | `calls`, `budget`, `control` | the call log, rate limits, and the part of the control API that both share |
//! | [`world`] | the seeded world, with IDs and credentials to name in tests |
//!
//! The two stand-ins do not import each other, and no file imports in a circle; `tests/it/architecture.rs` keeps it so.

mod budget;
mod calls;
pub mod clock;
mod control;
mod credentials;
mod crypto;
pub mod faults;
pub mod pagerduty;
pub mod server;
pub mod strongdm;
pub mod world;
