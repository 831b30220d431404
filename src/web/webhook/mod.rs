//! `POST /webhooks/pagerduty`: `signed.rs` reads and verifies, `receive.rs` stores and answers.

pub(super) mod receive;
pub(super) mod refused;
pub(super) mod secrets;
mod signed;
