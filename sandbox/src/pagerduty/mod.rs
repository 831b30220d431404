//! A stand-in PagerDuty: the REST API that on-call tools read, and v3 webhooks that it signs and delivers.
//!
//! This file is the handle that tests hold. [`Account`] is the data behind it, `rest` serves the data, `webhook` and
//! `deliver` tell of changes, and `control` lets people change it with curl.

mod account;
mod control;
mod deliver;
mod identity;
mod incident;
mod json;
mod on_calls;
mod render;
mod request;
mod rest;
mod schedule;
mod settings;
mod state;
mod team;
mod time;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::faults::Faults;
use crate::server::Server;
use state::Shared;

pub use account::{Account, Policy, Service, Target, User};
pub use identity::{AccessToken, OAuthApp};
pub use incident::{
    Acknowledgement, Acknowledger, Assignment, Change, Incident, IncidentHandle, NewIncident, Responder,
    Visibility,
};
pub use request::Request;
pub use schedule::{Generation, Override, Schedule, Shift};
pub use settings::{Ability, ApiToken, Retries, Settings};
pub use team::{Member, Priority, Team};
pub use webhook::{Answer, Delivery, Endpoint, Event, Outcome, Scope, Subscription, sign};

/// A running stand-in. Clones are the same one; the last of them stops it.
#[derive(Clone, Debug)]
pub struct PagerDuty {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

/// What both stand-ins have.
impl PagerDuty {
    /// Starts an empty account; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, clock: Clock) -> Result<Self> {
        let shared = Shared::new(clock);
        let router = rest::router(&shared).merge(control::router(&shared));
        let server = Server::start(addr, router).await.with_context(|| format!("cannot listen on {addr}"))?;
        Ok(Self { shared, server: Arc::new(server) })
    }

    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// The server underneath, to cut its connections, stop and restart it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The faults. A call is named `GET /oncalls`; its facts are the decoded query.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Reads or changes the settings.
    pub fn configure<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(&mut self.shared.lock().settings)
    }

    /// The REST requests since the last [`clear_requests`](Self::clear_requests).
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.all()
    }

    /// Forgets the requests and the maximum in flight.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// The largest number of REST requests under way at once.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }
}

/// The account.
///
/// # Panics
///
/// What changes a user or a schedule by ID panics if there is none.
impl PagerDuty {
    /// Reads or changes everything that the account holds.
    pub fn edit<R>(&self, change: impl FnOnce(&mut Account) -> R) -> R {
        change(&mut self.shared.lock().account)
    }

    /// Adds a user, or replaces the one of the same ID, in its place.
    pub fn add_user(&self, user: User) {
        self.edit(|account| account.put_user(user));
    }

    /// Deletes a user; schedules and policies keep the reference.
    pub fn delete_user(&self, id: &str) {
        let now = self.shared.clock.now();
        self.edit(|account| account.user_mut(id).expect("a known user").deleted_at = Some(now));
    }

    /// Gives a user another login address, or none.
    pub fn set_email(&self, id: &str, email: Option<&str>) {
        self.edit(|account| account.user_mut(id).expect("a known user").email = email.map(Into::into));
    }

    /// Adds a schedule, or replaces the one of the same ID, in its place.
    pub fn put_schedule(&self, schedule: Schedule) {
        self.edit(|account| account.put_schedule(schedule));
    }

    /// Deletes a schedule; policies that name it keep the dead reference.
    pub fn delete_schedule(&self, id: &str) {
        self.edit(|account| account.schedules.retain(|schedule| schedule.id != id));
    }

    /// Makes a layer-based schedule a shift-based one, which keeps its ID and who is on call when.
    pub fn upgrade_schedule(&self, id: &str) {
        self.edit_schedule(id, render::upgrade);
    }

    /// Replaces all shifts of a schedule.
    pub fn set_shifts(&self, schedule: &str, shifts: Vec<Shift>) {
        self.edit_schedule(schedule, |schedule| schedule.shifts = shifts);
    }

    /// Adds one shift.
    pub fn add_shift(&self, schedule: &str, shift: Shift) {
        self.edit_schedule(schedule, |schedule| schedule.shifts.push(shift));
    }

    /// Overrides a layer-based schedule with a user over `[start, end)`; returns the ID of the override.
    pub fn add_override(
        &self,
        schedule: &str,
        user: &str,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> String {
        let id = self.shared.lock().next_id("PO");
        let over = Override { id: id.clone(), user: user.into(), start, end };
        self.edit_schedule(schedule, |schedule| schedule.overrides.push(over));
        id
    }

    /// Removes an override.
    pub fn remove_override(&self, schedule: &str, id: &str) {
        self.edit_schedule(schedule, |schedule| schedule.overrides.retain(|over| over.id != id));
    }

    /// Gives what is left of the shift that runs at `at` to another user; returns the new shift.
    ///
    /// Nothing if there is no such schedule, or nobody is on call in it.
    pub fn swap_shift(&self, schedule: &str, user: &str, at: DateTime<Utc>) -> Option<Shift> {
        self.shared.lock().swap_shift(schedule, user, at)
    }

    /// Adds a policy, or replaces the one of the same ID, in its place.
    pub fn put_policy(&self, policy: Policy) {
        self.edit(|account| account.put_policy(policy));
    }

    /// Deletes a policy.
    pub fn delete_policy(&self, id: &str) {
        self.edit(|account| account.policies.retain(|policy| policy.id != id));
    }

    /// Adds a service.
    pub fn add_service(&self, service: Service) {
        self.edit(|account| account.services.push(service));
    }

    /// Adds a team, or replaces the one of the same ID, in its place.
    pub fn put_team(&self, team: Team) {
        self.edit(|account| account.put_team(team));
    }

    /// Replaces the list of priorities; the most severe comes first.
    pub fn set_priorities(&self, priorities: Vec<Priority>) {
        self.edit(|account| account.priorities = priorities);
    }

    fn edit_schedule(&self, id: &str, change: impl FnOnce(&mut Schedule)) {
        self.edit(|account| change(account.schedule_mut(id).expect("a known schedule")));
    }
}

/// The identity service. It has the address of the REST API, and [`Settings::oauth`] is the app that it knows.
impl PagerDuty {
    /// The tokens that the app got, the oldest first.
    pub fn access_tokens(&self) -> Vec<AccessToken> {
        self.shared.lock().access_tokens.clone()
    }

    /// Ends the life of every token: REST answers 401 to them.
    pub fn expire_access_tokens(&self) {
        let now = self.shared.clock.now();
        self.shared.lock().access_tokens.iter_mut().for_each(|token| token.expires_at = now);
    }
}

/// Incidents.
impl PagerDuty {
    /// Opens an incident; returns its ID and the event that tells of it, which nobody hears of unless it is passed to
    /// [`deliver`](Self::deliver) or [`emit`](Self::emit).
    ///
    /// # Panics
    ///
    /// If its service, its priority or an assignee does not exist.
    pub fn open_incident(&self, incident: NewIncident) -> (String, Event) {
        let now = self.shared.clock.now();
        let opened = incident.open(&mut self.shared.lock().account, now);
        opened.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The incident of this ID, to look at it and to change it.
    pub fn incident<'a>(&'a self, id: &'a str) -> IncidentHandle<'a> {
        IncidentHandle::new(&self.shared, id)
    }

    /// Makes REST show the incidents as they are now, whatever happens to them, until [`catch_up`](Self::catch_up).
    pub fn lag(&self) {
        self.shared.lock().lag_until(None);
    }

    /// The same for so long by the clock.
    pub fn lag_for(&self, time: TimeDelta) {
        let until = self.shared.clock.now() + time;
        self.shared.lock().lag_until(Some(until));
    }

    /// Makes REST show the incidents as they are.
    pub fn catch_up(&self) {
        self.shared.lock().catch_up();
    }
}

/// Webhooks.
impl PagerDuty {
    /// Sets where [`deliver`](Self::deliver) posts to.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.shared.lock().endpoint = Some(endpoint);
    }

    /// Posts the event to the endpoint, once; returns the receiver's answer.
    pub async fn deliver(&self, event: &Event) -> Result<Answer> {
        deliver::once(&self.shared, event).await
    }

    /// Posts any bytes, once: to another endpoint, under a repeated `webhook_id`, or with a body that is no event.
    pub async fn deliver_bytes(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        webhook_id: &str,
    ) -> Result<Answer> {
        deliver::post(&self.shared, endpoint, body.into(), webhook_id).await
    }

    /// Queues the event for the subscriptions that ask for it; returns how many took it.
    pub fn emit(&self, event: &Event) -> usize {
        deliver::emit(&self.shared, event)
    }

    /// The subscriptions as they are now.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.shared.lock().subscriptions.clone()
    }

    /// Every attempt to deliver to a subscription.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().deliveries.clone()
    }
}
