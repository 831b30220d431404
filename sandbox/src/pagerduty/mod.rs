//! A stand-in PagerDuty: the REST API that on-call tools read, and v3 webhooks that it signs and delivers.

mod account;
mod control;
mod render;
mod rest;
mod settings;
mod state;
mod time;
pub mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::server::Server;
use state::Shared;

pub use account::{ApiToken, Generation, Override, Policy, Schedule, Service, Shift, Target, User, World};
pub use settings::{Retries, Settings};
pub use webhook::subscription::{Delivery, Outcome, Subscription};
pub use webhook::{Answer, Endpoint, Event, sign};

/// A running stand-in; clones are the same one, and the last to go closes it.
#[derive(Clone, Debug)]
pub struct PagerDuty {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

/// One REST request that arrived, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// The path alone.
    pub path: String,
    /// The query, decoded: `schedule_ids[]=PI7DH85&time_zone=UTC`.
    pub query: String,
    /// When it arrived, by the stand-in's clock.
    pub at: DateTime<Utc>,
    /// The number of its connection.
    pub connection: u64,
    /// All headers but `Authorization`.
    pub headers: BTreeMap<String, String>,
    /// What it was answered; nothing while it is under way or if its connection was dropped.
    pub status: Option<u16>,
}

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

    /// The server underneath: cut its connections, stop it, start it again.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The faults; calls are named `GET /oncalls`, the facts are the decoded query.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The REST requests since the last clearing.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.all()
    }

    /// Forgets the requests and the maximum in flight.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// How many REST requests were under way at once, at most.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }

    /// Looks at, or changes, everything that the account holds.
    pub fn edit<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        change(&mut self.shared.lock().world)
    }

    /// Looks at, or changes, the settings.
    pub fn configure<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(&mut self.shared.lock().settings)
    }

    /// Adds a user.
    pub fn add_user(&self, user: User) {
        self.edit(|world| world.users.push(user));
    }

    /// Deletes a user, who stays as a reference in shifts and policies.
    pub fn delete_user(&self, id: &str) {
        let now = self.shared.clock.now();
        self.edit(|world| {
            let user = world.users.iter_mut().find(|user| user.id == id).expect("a known user");
            user.deleted_at = Some(now);
        });
    }

    /// Gives a user another mail address, or none.
    pub fn set_email(&self, id: &str, email: Option<&str>) {
        self.edit(|world| {
            let user = world.users.iter_mut().find(|user| user.id == id).expect("a known user");
            user.email = email.map(Into::into);
        });
    }

    /// Adds a schedule, or replaces the one of the same ID, in its place.
    pub fn put_schedule(&self, schedule: Schedule) {
        self.edit(|world| match world.schedule_mut(&schedule.id) {
            Some(known) => *known = schedule,
            None => world.schedules.push(schedule),
        });
    }

    /// Replaces all shifts of a schedule.
    pub fn set_shifts(&self, schedule: &str, shifts: Vec<Shift>) {
        self.edit(|world| world.schedule_mut(schedule).expect("a known schedule").shifts = shifts);
    }

    /// Adds one shift.
    pub fn add_shift(&self, schedule: &str, shift: Shift) {
        self.edit(|world| world.schedule_mut(schedule).expect("a known schedule").shifts.push(shift));
    }

    /// Puts a person over `[start, end)` of a layer-based schedule; answers the override's ID.
    pub fn add_override(
        &self,
        schedule: &str,
        user: &str,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> String {
        let mut inner = self.shared.lock();
        let id = inner.next_id("PO");
        let over = Override { id: id.clone(), user: user.into(), start, end };
        inner.world.schedule_mut(schedule).expect("a known schedule").overrides.push(over);
        id
    }

    /// Removes an override.
    pub fn remove_override(&self, schedule: &str, id: &str) {
        self.edit(|world| {
            world.schedule_mut(schedule).expect("a known schedule").overrides.retain(|over| over.id != id);
        });
    }

    /// Deletes a schedule; policies that name it keep the dead reference.
    pub fn delete_schedule(&self, id: &str) {
        self.edit(|world| world.schedules.retain(|schedule| schedule.id != id));
    }

    /// Makes a layer-based schedule a shift-based one, which keeps its ID and who is on call when.
    pub fn upgrade_schedule(&self, id: &str) {
        self.edit(|world| {
            let schedule = world.schedule_mut(id).expect("a known schedule");
            schedule.shifts = render::final_entries(schedule);
            schedule.overrides.clear();
            schedule.generation = Generation::Shifts;
        });
    }

    /// Adds a policy, or replaces the one of the same ID, in its place.
    pub fn put_policy(&self, policy: Policy) {
        self.edit(|world| match world.policies.iter_mut().find(|known| known.id == policy.id) {
            Some(known) => *known = policy,
            None => world.policies.push(policy),
        });
    }

    /// Deletes a policy.
    pub fn delete_policy(&self, id: &str) {
        self.edit(|world| world.policies.retain(|policy| policy.id != id));
    }

    /// Adds a service.
    pub fn add_service(&self, service: Service) {
        self.edit(|world| world.services.push(service));
    }

    /// Gives what is left of the shift that runs at `at` to another person; answers the new shift.
    pub fn swap_shift(&self, schedule: &str, user: &str, at: DateTime<Utc>) -> Option<Shift> {
        Self::swap_in(&self.shared, schedule, user, at)
    }

    /// The subscriptions as they are now.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.shared.lock().subscriptions.clone()
    }

    /// Every attempt to deliver to a subscription.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().deliveries.clone()
    }

    /// Queues the event for the subscriptions that want it; answers how many took it.
    pub fn emit(&self, event: &Event) -> usize {
        webhook::subscription::emit(&self.shared, event)
    }

    /// Where [`deliver`](Self::deliver) posts to.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.shared.lock().endpoint = Some(endpoint);
    }

    /// Replaces the HTTP client of all deliveries, for receivers with a certificate of their own.
    pub fn set_http_client(&self, client: reqwest::Client) {
        self.shared.lock().client = client;
    }

    /// Posts the event to the endpoint, once, and answers what the receiver said.
    pub async fn deliver(&self, event: &Event) -> Result<Answer> {
        Self::deliver_in(&self.shared, event).await
    }

    /// Posts any bytes, once: another endpoint, a repeated `webhook_id`, a body that is no event.
    pub async fn deliver_bytes(
        &self,
        endpoint: &Endpoint,
        body: impl Into<Bytes>,
        webhook_id: &str,
    ) -> Result<Answer> {
        post(&self.shared, endpoint, body.into(), webhook_id).await
    }

    async fn deliver_in(shared: &Shared, event: &Event) -> Result<Answer> {
        let endpoint = shared.lock().endpoint.clone().context("no endpoint was set")?;
        post(shared, &endpoint, event.body(), &uuid::Uuid::now_v7().to_string()).await
    }

    fn swap_in(shared: &Shared, id: &str, user: &str, at: DateTime<Utc>) -> Option<Shift> {
        let mut inner = shared.lock();
        let over_id = inner.next_id("PO");
        let at = at.trunc_subsecs(0);
        let schedule = inner.world.schedule_mut(id)?;
        let running = render::final_entries(schedule)
            .into_iter()
            .find(|shift| shift.user.is_some() && shift.covers(at))?;
        let swapped = Shift { user: Some(user.into()), start: at, end: running.end };
        match (schedule.generation, running.end) {
            (Generation::Layers, Some(end)) => {
                schedule.overrides.push(Override { id: over_id, user: user.into(), start: at, end });
            }
            // An override must end, so an endless shift is changed itself.
            (Generation::Layers | Generation::Shifts, _) => {
                if let Some(shift) = schedule.shifts.iter_mut().find(|shift| **shift == running) {
                    shift.end = Some(at);
                }
                schedule.shifts.push(swapped.clone());
            }
        }
        Some(swapped)
    }
}

async fn post(shared: &Shared, endpoint: &Endpoint, body: Bytes, webhook_id: &str) -> Result<Answer> {
    let client = shared.lock().client.clone();
    let timeout = Duration::from_secs(30);
    let answer = webhook::post(&client, endpoint, body, webhook_id, timeout).await;
    answer.with_context(|| format!("cannot deliver to {}", endpoint.url))
}
