//! Listings for operators: our grants, the audit, the deliveries.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderName, header},
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use crate::{
    clock, evidence,
    model::{Email, Grant, Name},
    store::{AuditRow, DeliveryRow, GrantCursor, GrantPage, GrantQuery, Page},
    web::{
        answers::{QueryErrors, StoreErrors},
        error::{AppError, query_refused},
        state::AppState,
    },
};

/// Which grants are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GrantFilter {
    /// Only those in force now, whatever `ended` says: what has ended is not in force.
    #[serde(default)]
    #[param(required = false)]
    active: bool,
    /// Past ones as well.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
    /// Only this person's, by the whole address, without regard to case.
    #[param(nullable = false, pattern = "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$", example = "ana@example.com")]
    email: Option<String>,
    /// Only this resource's, by exact name.
    #[param(example = "prod-postgres")]
    resource: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<u32>,
    /// Where the next page begins, as the `Link` header of the page before says.
    #[param(nullable = false, pattern = r"^[0-9]{1,12}\.[0-9]{1,12}$", example = "1767225600.42")]
    after: Option<String>,
}

/// The most entries of a page.
const LARGEST_PAGE: u32 = 500;

/// Which page of a listing is answered.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many entries.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(nullable = false, minimum = 1, example = 42)]
    before: Option<i64>,
}

/// A query, or why it cannot be read.
type QueryResult<T> = Result<Query<T>, QueryRejection>;

/// The parameters of paging, with what each must be.
const PAGING: [(&str, &str); 2] = [LIMIT, ("before", "the \"next\" of the page before")];
const LIMIT: (&str, &str) = ("limit", "a whole number from 1 to 500");
/// Those of the list of grants.
const GRANT_FILTER: [(&str, &str); 6] = [
    ("active", "true or false"),
    ("ended", "true or false"),
    ("email", "a whole e-mail address"),
    ("resource", "the name of a resource"),
    LIMIT,
    AFTER,
];
const AFTER: (&str, &str) = ("after", "as in the Link header of the page before");

/// The limit and the cursor of a listing.
fn paging(query: QueryResult<Paging>) -> Result<(u32, Option<i64>), AppError> {
    let Query(Paging { limit, before }) = query.map_err(|rejection| query_refused(&rejection, &PAGING))?;
    let limit = limit.unwrap_or(100);
    let right = [(1..=LARGEST_PAGE).contains(&limit), before.is_none_or(|before| before > 0)];
    match PAGING.into_iter().zip(right).find(|(_, right)| !right) {
        Some((parameter, _)) => Err(wrong(parameter)),
        None => Ok((limit, before)),
    }
}

fn wrong((name, must): (&str, &str)) -> AppError {
    AppError::BadRequest(format!("{name} must be {must}"))
}

/// The address as the store has it. Text that is no address is refused: nobody has it, and an empty list would look like
/// an answer.
fn whole_address(text: &str) -> Result<String, AppError> {
    let email: Result<Email, _> = text.trim().parse();
    email
        .map(|email| email.to_string())
        .map_err(|error| AppError::BadRequest(format!("email {text:?}: {error}")))
}

/// Grants of this service, current and coming
#[utoipa::path(
    get, path = "/api/grants", operation_id = "listGrants", tag = "operator", params(GrantFilter),
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "The list, by start", body = Vec<Grant>,
            headers(("link" = String, description = "The next page, if there is one: `<...>; rel=\"next\"`"))),
        QueryErrors,
    ),
)]
pub(crate) async fn grants(
    State(state): State<Arc<AppState>>,
    query: QueryResult<GrantFilter>,
) -> Result<(Option<[(HeaderName, String); 1]>, Json<Vec<Grant>>), AppError> {
    let Query(filter) = query.map_err(|rejection| query_refused(&rejection, &GRANT_FILTER))?;
    let GrantFilter { active, ended, email, resource, limit, after } = filter;
    let limit = limit.unwrap_or(LARGEST_PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(wrong(LIMIT));
    }
    let after = after.map(|after| after.parse()).transpose().map_err(|_| wrong(AFTER))?;
    let email = email.map(|text| whole_address(&text)).transpose()?;
    let query = GrantQuery { active, ended, email, resource };
    let GrantPage { items, next } = state.store.grant_page(clock::now(), &query, limit, after).await?;
    let link = next.map(|next| {
        [(header::LINK, format!("<{}>; rel=\"next\"", page(&state.prefix, &query, limit, next)))]
    });
    let names = state.reconciler.names().await;
    Ok((link, Json(items.into_iter().map(|grant| grant.named(&names)).collect())))
}

/// The address of a page of grants.
fn page(prefix: &str, query: &GrantQuery, limit: u32, after: GrantCursor) -> String {
    let GrantQuery { active, ended, email, resource } = query;
    let address = format!("{prefix}/api/grants?");
    let start = address.len();
    let mut parameters = form_urlencoded::Serializer::for_suffix(address, start);
    let flags = [("active", *active), ("ended", *ended)].into_iter().filter(|(_, is_set)| *is_set);
    parameters.extend_pairs(flags.map(|(name, _)| (name, "true")));
    let texts = [("email", email), ("resource", resource)];
    parameters.extend_pairs(texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))));
    parameters.append_pair("limit", &limit.to_string()).append_pair("after", &after.to_string());
    parameters.finish()
}

/// What was decided and done, newest first
#[utoipa::path(
    get, path = "/api/audit", operation_id = "listAudit", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<AuditRow>), QueryErrors),
)]
pub(crate) async fn audit(
    State(state): State<Arc<AppState>>,
    query: QueryResult<Paging>,
) -> Result<Json<Page<AuditRow>>, AppError> {
    let (limit, before) = paging(query)?;
    Ok(Json(state.store.audit_page(limit, before).await?))
}

/// The newest checkpoint of the decision log
#[utoipa::path(
    get, path = "/api/audit/checkpoint", operation_id = "getCheckpoint", tag = "operator",
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "A C2SP tlog-checkpoint, which is a signed note", body = String,
            content_type = "text/plain"),
        StoreErrors,
    ),
)]
pub(crate) async fn checkpoint(State(state): State<Arc<AppState>>) -> Result<String, AppError> {
    match state.evidence.newest(clock::now()).await {
        Ok(newest) => Ok(newest.note),
        Err(evidence::Error::Store(error)) => Err(error.into()),
        Err(error @ evidence::Error::Changed(_)) => Err(AppError::internal(&error)),
    }
}

/// A delivery with what the IDs in it are called.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    #[serde(flatten)]
    delivery: DeliveryRow,
    /// The names of the schedules, escalation policies and services that it asked to look at, by ID, as far as they are
    /// known.
    names: BTreeMap<String, Name>,
}

/// Deliveries and what each led to, newest first
#[utoipa::path(
    get, path = "/api/events", operation_id = "listEvents", tag = "operator", params(Paging),
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The list", body = Page<Event>), QueryErrors),
)]
pub(crate) async fn events(
    State(state): State<Arc<AppState>>,
    query: QueryResult<Paging>,
) -> Result<Json<Page<Event>>, AppError> {
    let (limit, before) = paging(query)?;
    let Page { items, next } = state.store.delivery_page(limit, before).await?;
    let known = state.reconciler.names().await;
    let named = |delivery: DeliveryRow| {
        let ids = delivery.schedules.iter();
        let names = ids.filter_map(|id| Some((id.clone(), known.of_any(id)?.clone()))).collect();
        Event { delivery, names }
    };
    Ok(Json(Page { items: items.into_iter().map(named).collect(), next }))
}
