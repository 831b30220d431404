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
//! * **Its data.** [`pagerduty::PagerDuty`] has users, teams, schedules of both generations, escalation policies,
//!   services, priorities, incidents and webhook subscriptions. [`strongdm::StrongDm`] has accounts, resources, roles
//!   and grants, and knows who had access when. [`world::seed`] fills both with a small world.
//! * **Faults.** [`faults::Faults`], on both, makes chosen calls fail, wait, break, or lose their answer after the work
//!   was done. A [`faults::Gate`] holds calls until the test releases them.
//! * **Settings.** [`pagerduty::Settings`] and [`strongdm::Settings`] hold the accepted keys and their permissions, the
//!   rate limits, and one choice for each question that the documentation leaves open, such as
//!   [`strongdm::SecondGrant`].
//! * **Incidents.** [`open_incident`](pagerduty::PagerDuty::open_incident) opens one,
//!   [`incident`](pagerduty::PagerDuty::incident) changes it. Each change returns the event that tells of it; what is
//!   not delivered or emitted, nobody hears of. [`lag`](pagerduty::PagerDuty::lag) makes REST late.
//! * **Credentials.** PagerDuty accepts keys ([`pagerduty::ApiToken`]) and the tokens that its OAuth app
//!   ([`pagerduty::OAuthApp`]) gets at `/oauth/token`, each with the scopes that it was given.
//! * **Time.** One [`clock::Clock`] serves both; moving it ends shifts and grants.
//! * **The network.** [`server::Server`] cuts connections, stops and restarts.
//! * **Webhooks.** PagerDuty signs and delivers v3 events, once (`deliver`) or through subscriptions, with retries
//!   (`emit`).
//! * **Notices.** [`notices::Receiver`] takes what the service tells others, checks signatures, and fails as its faults say.
//!
//! Both record the calls that they receive and the largest number of calls under way at once. strongDM verifies the
//! signature of every request.
//!
//! # By hand
//!
//! `cargo run -p sandbox` starts both on fixed ports with the seeded world, and prints their keys and curl lines. Under
//! `/_sandbox/` it serves a control API, without a key. What is marked with *d* takes `"deliver": true` and then sends the
//! webhook that tells of it as well.
//!
//! | PagerDuty | does |
//! | --- | --- |
//! | `GET`, `PUT world` | the whole account |
//! | `POST users`, `DELETE users/{id}`, `POST teams` | adds or replaces a user, or a team with its members |
//! | `PUT schedules/{id}/shifts`, `POST swap` *d* | changes who is on call |
//! | `GET incidents` | all of them as they are |
//! | `POST incidents` *d* | opens one: `{"incident": {"service": "PSPAY01", "urgency": "low", "assignees": ["PA1NAL7"]}}`; further keys are those of [`pagerduty::NewIncident`] |
//! | `POST incidents/{id}` *d* | what happens to it: `{"change": "escalate"}`, `{"change": {"acknowledge": "PA1NAL7"}, "by": …, "at": …}`; the changes are those of [`pagerduty::Change`] |
//! | `DELETE incidents/{id}`, `PUT incidents/{id}/visibility` | deletes it, or shows it as `"shown"`, `"unlisted"` or `"denied"` |
//! | `PUT lag`, `DELETE lag` | makes REST show the incidents as they are now for `{"secs": 10}`, or until it is deleted |
//! | `PUT endpoint`, `POST webhook`, `POST emit`, `GET deliveries` | sends any webhook: once to the endpoint, or to the subscriptions |
//! | `GET`, `PUT settings` | all but keys and secrets |
//! | `GET`, `DELETE requests` | what the service asked |
//!
//! strongDM has `accounts`, `resources` and `grants`; both have `faults` and `clock`.
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
pub mod notices;
pub mod pagerduty;
pub mod server;
pub mod strongdm;
pub mod world;
