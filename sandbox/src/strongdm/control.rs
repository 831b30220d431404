//! The control API of the stand-in, for people with curl; on a port of its own.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource::ResourceKind;
use super::settings::Settings;
use super::state::Shared;
use super::{StrongDm, account};

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
    /// Ended and removed grants too.
    #[serde(default)]
    all: bool,
}

/// The grants with the names of their account and resource.
async fn grants(State(shared): Handle, Query(which): Query<Which>) -> Json<Value> {
    let now = shared.clock.now();
    let inner = shared.lock();
    let shown = inner.grants.values().filter(|grant| which.all || grant.live(now));
    let rows = shown.map(|grant| {
        let mut row = json!(grant);
        row["account"] = json!(inner.account(&grant.account_id).map(account::label));
        row["resource"] = json!(inner.resource(&grant.resource_id).map(super::resource::Resource::name));
        row["in_force"] = json!(grant.covers(now));
        row
    });
    Json(rows.collect())
}

async fn delete_grant(State(shared): Handle, Path(id): Path<String>) -> StatusCode {
    let now = shared.clock.now();
    found(shared.lock().remove_grants(now, |grant| grant.id == id) > 0)
}

async fn list_accounts(State(shared): Handle) -> Json<Value> {
    let inner = shared.lock();
    let rows = inner.accounts.values().map(|account| {
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
    Json(json!({"id": StrongDm::add_user_in(&shared, &new.email)}))
}

async fn delete_account(State(shared): Handle, Path(email): Path<String>) -> StatusCode {
    found(StrongDm::remove_account_in(&shared, &email))
}

async fn list_resources(State(shared): Handle) -> Json<Value> {
    let inner = shared.lock();
    let rows = inner.resources.values().map(|resource| {
        json!({
            "id": resource.id(),
            "name": resource.name(),
            "type": resource.values("type"),
            "tags": resource.tags().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
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
    tags: std::collections::BTreeMap<String, String>,
}

async fn add_resource(State(shared): Handle, Json(new): Json<NewResource>) -> Json<Value> {
    let tags = new.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>();
    Json(json!({"id": StrongDm::add_resource_in(&shared, new.kind, &new.name, &tags)}))
}

async fn delete_resource(State(shared): Handle, Path(name): Path<String>) -> StatusCode {
    found(StrongDm::remove_resource_in(&shared, &name))
}

async fn calls(State(shared): Handle) -> Json<Value> {
    let counts = shared.lock().counts;
    let (calls, max) = (shared.log.all(), shared.log.max_in_flight());
    Json(json!({"calls": calls, "max_in_flight": max, "counts": counts}))
}

async fn forget_calls(State(shared): Handle) -> StatusCode {
    shared.log.clear();
    shared.lock().counts = super::Counts::default();
    StatusCode::NO_CONTENT
}

async fn settings(State(shared): Handle) -> Json<Settings> {
    Json(shared.lock().settings.clone())
}

/// Replaces all settings but the keys; what is left out falls back to its default.
async fn put_settings(State(shared): Handle, Json(mut settings): Json<Settings>) -> StatusCode {
    let mut inner = shared.lock();
    settings.keys = std::mem::take(&mut inner.settings.keys);
    inner.settings = settings;
    StatusCode::NO_CONTENT
}

fn found(found: bool) -> StatusCode {
    if found { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
