//! The control API, for people with curl: on a port of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account;
use super::resource::{Resource, ResourceKind};
use super::settings::Settings;
use super::state::{Counts, Shared};

type Handle = State<Arc<Shared>>;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/_sandbox/grants", get(grants))
        .route("/_sandbox/grants/{id}", delete(delete_grant))
        .route("/_sandbox/accounts", get(list_accounts).post(add_account))
        .route("/_sandbox/accounts/{email}", delete(delete_account))
        .route("/_sandbox/resources", get(list_resources).post(add_resource))
        .route("/_sandbox/resources/{name}", delete(delete_resource))
        .route("/_sandbox/calls", get(calls).delete(forget_calls))
        .route("/_sandbox/settings", get(settings).put(put_settings))
        .with_state(Arc::clone(shared))
        .merge(crate::control::routes(shared.faults.clone(), shared.clock.clone()))
}

#[derive(Deserialize)]
struct Which {
    /// Shows ended and removed grants as well.
    #[serde(default)]
    all: bool,
}

/// The grants with the names of their account and resource.
async fn grants(State(shared): Handle, Query(which): Query<Which>) -> Json<Value> {
    let now = shared.clock.now();
    let organization = &shared.lock().organization;
    let shown = organization.grants.values().filter(|grant| which.all || grant.live(now));
    let rows = shown.map(|grant| {
        let mut row = json!(grant);
        row["account"] = json!(organization.account(&grant.account_id).map(account::label));
        row["resource"] = json!(organization.resource(&grant.resource_id).map(Resource::name));
        row["in_force"] = json!(grant.covers(now));
        row
    });
    Json(rows.collect())
}

async fn delete_grant(State(shared): Handle, Path(id): Path<String>) -> StatusCode {
    let now = shared.clock.now();
    found(shared.lock().organization.remove_grants(now, |grant| grant.id == id) > 0)
}

async fn list_accounts(State(shared): Handle) -> Json<Value> {
    let organization = &shared.lock().organization;
    let rows = organization.accounts.values().map(|account| {
        json!({
            "id": account::id(account),
            "name": account::label(account),
            "type": account::values(account, "type"),
            "suspended": account::suspended(account),
        })
    });
    Json(rows.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
}

async fn add_account(State(shared): Handle, Json(new): Json<NewAccount>) -> Json<Value> {
    Json(json!({"id": shared.lock().organization.add_user(&new.email, shared.clock.now())}))
}

async fn delete_account(State(shared): Handle, Path(email): Path<String>) -> StatusCode {
    found(shared.lock().organization.remove_account(&email, shared.clock.now()))
}

async fn list_resources(State(shared): Handle) -> Json<Value> {
    let organization = &shared.lock().organization;
    let rows = organization.resources.values().map(|resource| {
        json!({
            "id": resource.id(),
            "name": resource.name(),
            "type": resource.values("type"),
            "tags": resource.tags().into_iter().collect::<BTreeMap<_, _>>(),
        })
    });
    Json(rows.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewResource {
    name: String,
    kind: ResourceKind,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

async fn add_resource(State(shared): Handle, Json(new): Json<NewResource>) -> Json<Value> {
    let tags = new.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>();
    Json(json!({"id": shared.lock().organization.add_resource(new.kind, &new.name, &tags)}))
}

async fn delete_resource(State(shared): Handle, Path(name): Path<String>) -> StatusCode {
    found(shared.lock().organization.remove_resource(&name, shared.clock.now()))
}

async fn calls(State(shared): Handle) -> Json<Value> {
    let counts = shared.lock().counts;
    let (calls, max) = (shared.log.all(), shared.log.max_in_flight());
    Json(json!({"calls": calls, "max_in_flight": max, "counts": counts}))
}

async fn forget_calls(State(shared): Handle) -> StatusCode {
    shared.log.clear();
    shared.lock().counts = Counts::default();
    StatusCode::NO_CONTENT
}

async fn settings(State(shared): Handle) -> Json<Settings> {
    Json(shared.lock().settings.clone())
}

/// Replaces all settings but the keys. A setting that is left out gets its default.
async fn put_settings(State(shared): Handle, Json(mut settings): Json<Settings>) -> StatusCode {
    let mut state = shared.lock();
    settings.keys = std::mem::take(&mut state.settings.keys);
    state.settings = settings;
    StatusCode::NO_CONTENT
}

fn found(found: bool) -> StatusCode {
    if found { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
