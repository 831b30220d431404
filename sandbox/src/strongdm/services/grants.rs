//! The service of grants.

use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Code, Request, Response, Status};

use super::api::{Api, rate_limit};
use crate::strongdm::grant::{self, Grant};
use crate::strongdm::rate_limit::Bucket;
use crate::strongdm::settings::SecondGrant;
use crate::strongdm::state::State;
use crate::strongdm::{access_rule, account, timestamp, v1};

/// How far a start may lie in the past when a past start is refused, since clocks differ.
const PAST_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

#[tonic::async_trait]
impl v1::account_grants_server::AccountGrants for Api {
    async fn create(
        &self,
        request: Request<v1::AccountGrantCreateRequest>,
    ) -> Result<Response<v1::AccountGrantCreateResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Writes);
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        let wanted = request.into_inner().account_grant.ok_or_else(|| state.invalid("no account grant"))?;
        let asked = wanted.clone();
        let grant = checked(&state, wanted, now)?;
        state.counts.creates += 1;
        state.counts.standing_grants_created +=
            usize::from(timestamp::read(asked.valid_until.as_ref()).is_ok_and(|end| end.is_none()));
        let mut answer = state.organization.add_grant(grant).message();
        if state.settings.answer_as_asked {
            (answer.start_from, answer.valid_until) = (asked.start_from, asked.valid_until);
            answer.access_rule = asked.access_rule;
        }
        Ok(Response::new(v1::AccountGrantCreateResponse {
            meta: Some(v1::CreateResponseMetadata {}),
            account_grant: Some(answer),
            rate_limit,
        }))
    }

    async fn get(
        &self,
        request: Request<v1::AccountGrantGetRequest>,
    ) -> Result<Response<v1::AccountGrantGetResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let state = self.0.lock();
        let id = &request.get_ref().id;
        let found = state.organization.live(self.0.clock.now()).find(|(_, grant)| grant.id == *id);
        let (_, grant) = found.ok_or_else(|| state.not_found())?;
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
        let rate_limit = rate_limit(&request, Bucket::Writes);
        let id = &request.get_ref().id;
        let mut state = self.0.lock();
        if state.organization.remove_grants(self.0.clock.now(), |grant| grant.id == *id) == 0 {
            return Err(state.not_found());
        }
        state.counts.deletes += 1;
        let meta = Some(v1::DeleteResponseMetadata {});
        Ok(Response::new(v1::AccountGrantDeleteResponse { meta, rate_limit }))
    }

    async fn list(
        &self,
        request: Request<v1::AccountGrantListRequest>,
    ) -> Result<Response<v1::AccountGrantListResponse>, Status> {
        let rate_limit = rate_limit(&request, Bucket::Reads);
        let request = request.into_inner();
        let state = self.0.lock();
        let (filter, page) = state.list(request.meta.as_ref(), &request.filter, &grant::FIELDS)?;
        let (now, all) = (self.0.clock.now(), state.organization.grants.iter());
        let is_listed =
            |grant: &Grant| grant.live(now) || state.settings.list_ended && grant.deleted_at.is_none();
        let rows = all.map(|(number, grant)| (*number, grant)).filter(|(_, grant)| is_listed(grant));
        let rows = rows.filter(|(_, grant)| filter.matches(|field| grant.values(field), &[]));
        let (account_grants, meta) = page.take(rows.map(|(number, grant)| (number, grant.message())));
        Ok(Response::new(v1::AccountGrantListResponse { meta: Some(meta), account_grants, rate_limit }))
    }
}

/// The grant that a request asks for, still without an ID, if it may be made.
fn checked(state: &State, wanted: v1::AccountGrant, now: DateTime<Utc>) -> Result<Grant, Status> {
    let (settings, organization) = (&state.settings, &state.organization);
    let account = organization.account(&wanted.account_id).ok_or_else(|| state.not_found())?;
    organization.resource(&wanted.resource_id).ok_or_else(|| state.not_found())?;
    if settings.refuse_suspended && account::suspended(account) {
        return Err(state.invalid("account is suspended"));
    }
    let (start, end) = checked_window(state, &wanted, now)?;
    let access_rule =
        access_rule::stored(&wanted.access_rule, &settings.stored_groups, settings.privileges_need)
            .map_err(|error| state.invalid(error))?;
    let grant = Grant {
        id: String::new(),
        account_id: wanted.account_id,
        resource_id: wanted.resource_id,
        start,
        end,
        access_rule,
        access_request_id: String::new(),
        created_at: now,
        deleted_at: None,
    };
    let blocks = |other: &Grant| match settings.second_grant {
        SecondGrant::TakesAll => false,
        SecondGrant::RefusesAny => true,
        SecondGrant::RefusesOverlapping => grant.overlaps(other),
        SecondGrant::RefusesTouching => grant.touches(other),
    };
    let mut same = organization
        .live(now)
        .filter(|(_, other)| other.account_id == grant.account_id && other.resource_id == grant.resource_id);
    if same.any(|(_, other)| blocks(other)) {
        return Err(state.refuse(Code::AlreadyExists, "item already exists"));
    }
    Ok(grant)
}

/// The start and the end that are stored for what a request asks for; a grant without a start begins now.
fn checked_window(
    state: &State,
    wanted: &v1::AccountGrant,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), Status> {
    let read = |stamp| {
        let time = timestamp::read(stamp).map_err(|error| state.invalid(error))?;
        Ok::<_, Status>(if state.settings.keep_nanos { time } else { time.map(timestamp::cut_to_micros) })
    };
    let start = read(wanted.start_from.as_ref())?;
    if state.settings.refuse_past_start && start.is_some_and(|start| start < now - PAST_TOLERANCE) {
        return Err(state.invalid("start_from is in the past"));
    }
    let start = state.settings.stored_start.of(start.unwrap_or(now), now);
    let end = state.settings.stored_end.of(read(wanted.valid_until.as_ref())?, start, now);
    if end.is_some_and(|end| end <= start || end <= now) {
        return Err(state.invalid("valid_until must be after start_from and in the future"));
    }
    Ok((start, end))
}
