//! The service of grants.

use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Code, Request, Response, Status};

use super::{Api, limit};
use crate::strongdm::settings::SecondGrant;
use crate::strongdm::state::{Grant, Inner, time};
use crate::strongdm::{account, v1};

/// How far a start may lie in the past where a past start is refused: clocks differ.
const PAST_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// The fields that a list of grants can be filtered by.
pub(crate) const FIELDS: [&str; 3] = ["id", "accountid", "resourceid"];

#[tonic::async_trait]
impl v1::account_grants_server::AccountGrants for Api {
    async fn create(
        &self,
        request: Request<v1::AccountGrantCreateRequest>,
    ) -> Result<Response<v1::AccountGrantCreateResponse>, Status> {
        let rate_limit = limit(&request, "writes");
        let now = self.0.clock.now();
        let mut inner = self.0.lock();
        let wanted = request.into_inner().account_grant.ok_or_else(|| inner.invalid("no account grant"))?;
        let grant = checked(&inner, wanted, now)?;
        let grant = Grant { id: inner.next_id("ag-"), ..grant };
        inner.counts.creates += 1;
        inner.counts.standing_grants_created += usize::from(grant.end.is_none());
        inner.insert_grant(grant.clone());
        Ok(Response::new(v1::AccountGrantCreateResponse {
            meta: Some(v1::CreateResponseMetadata {}),
            account_grant: Some(grant.message()),
            rate_limit,
        }))
    }

    async fn get(
        &self,
        request: Request<v1::AccountGrantGetRequest>,
    ) -> Result<Response<v1::AccountGrantGetResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let inner = self.0.lock();
        let id = &request.get_ref().id;
        let found = inner.live(self.0.clock.now()).find(|(_, grant)| grant.id == *id);
        let (_, grant) = found.ok_or_else(|| inner.missing())?;
        Ok(Response::new(v1::AccountGrantGetResponse {
            meta: Some(v1::GetResponseMetadata {}),
            account_grant: Some(grant.message()),
            rate_limit,
        }))
    }

    async fn delete(
        &self,
        request: Request<v1::AccountGrantDeleteRequest>,
    ) -> Result<Response<v1::AccountGrantDeleteResponse>, Status> {
        let rate_limit = limit(&request, "writes");
        let id = &request.get_ref().id;
        let mut inner = self.0.lock();
        if inner.remove_grants(self.0.clock.now(), |grant| grant.id == *id) == 0 {
            return Err(inner.missing());
        }
        inner.counts.deletes += 1;
        let meta = Some(v1::DeleteResponseMetadata {});
        Ok(Response::new(v1::AccountGrantDeleteResponse { meta, rate_limit }))
    }

    async fn list(
        &self,
        request: Request<v1::AccountGrantListRequest>,
    ) -> Result<Response<v1::AccountGrantListResponse>, Status> {
        let rate_limit = limit(&request, "reads");
        let request = request.into_inner();
        let inner = self.0.lock();
        let (filter, page) = inner.list(request.meta.as_ref(), &request.filter, &FIELDS)?;
        let empty = inner.settings.empty_value_matches_all;
        let rows = inner.live(self.0.clock.now()).filter(|(_, grant)| {
            let values = |field: &str| match field {
                "id" => vec![grant.id.clone()],
                "accountid" => vec![grant.account_id.clone()],
                _ => vec![grant.resource_id.clone()],
            };
            filter.matches(empty, values, &[])
        });
        let (account_grants, meta) = page.take(rows.map(|(number, grant)| (number, grant.message())));
        Ok(Response::new(v1::AccountGrantListResponse { meta: Some(meta), account_grants, rate_limit }))
    }
}

/// The grant that the request asks for, without an ID, if it may be made.
fn checked(inner: &Inner, wanted: v1::AccountGrant, now: DateTime<Utc>) -> Result<Grant, Status> {
    let settings = &inner.settings;
    let account = inner.account(&wanted.account_id).ok_or_else(|| inner.missing())?;
    inner.resource(&wanted.resource_id).ok_or_else(|| inner.missing())?;
    if settings.refuse_suspended && account::suspended(account) {
        return Err(inner.invalid("account is suspended"));
    }
    let read = |stamp| time(stamp, settings.keep_nanos).map_err(|error| inner.invalid(error));
    let start = read(wanted.start_from.as_ref())?;
    if settings.refuse_past_start && start.is_some_and(|start| start < now - PAST_TOLERANCE) {
        return Err(inner.invalid("start_from is in the past"));
    }
    let start = start.unwrap_or(now);
    let end = read(wanted.valid_until.as_ref())?;
    if end.is_some_and(|end| end <= start || end <= now) {
        return Err(inner.invalid("valid_until must be after start_from and in the future"));
    }
    let rule = if wanted.access_rule.is_empty() { "{}".into() } else { wanted.access_rule };
    if !serde_json::from_str(&rule).is_ok_and(|rule: serde_json::Value| rule.is_object()) {
        return Err(inner.invalid("access_rule is not valid"));
    }
    let grant = Grant {
        id: String::new(),
        account_id: wanted.account_id,
        resource_id: wanted.resource_id,
        start,
        end,
        access_rule: rule,
        access_request_id: String::new(),
        created_at: now,
        deleted_at: None,
    };
    let blocks = |other: &Grant| match settings.second_grant {
        SecondGrant::TakesAll => false,
        SecondGrant::RefusesAny => true,
        SecondGrant::RefusesOverlapping => {
            grant.end.is_none_or(|end| other.start < end) && other.end.is_none_or(|end| grant.start < end)
        }
    };
    let mut same = inner
        .live(now)
        .filter(|(_, other)| other.account_id == grant.account_id && other.resource_id == grant.resource_id);
    if same.any(|(_, other)| blocks(other)) {
        return Err(inner.refuse(Code::AlreadyExists, "item already exists"));
    }
    Ok(grant)
}
