//! What the handle, the services and the control API share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use prost_types::Timestamp;
use serde::Serialize;
use tonic::{Code, Status};

use super::filter::Filter;
use super::page::Page;
use super::resource::Resource;
use super::settings::Settings;
use super::{Call, status, v1};
use crate::budget::{Budget, Left};
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog<Call>,
    inner: Mutex<Inner>,
}

/// Rows under numbers that only grow, so that paging stays true while rows come and go.
pub(crate) type Table<T> = BTreeMap<u64, T>;

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) accounts: Table<v1::Account>,
    pub(crate) resources: Table<Resource>,
    pub(crate) roles: Table<v1::Role>,
    /// All grants that ever were.
    pub(crate) grants: Table<Grant>,
    pub(crate) history: Table<v1::AccountGrantHistory>,
    pub(crate) counts: Counts,
    pub(crate) reads: Budget,
    pub(crate) writes: Budget,
    last_number: u64,
}

/// Writes that were carried out over the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Grants made.
    pub creates: usize,
    /// Grants removed.
    pub deletes: usize,
    /// Grants made without an end: access for ever.
    pub standing_grants_created: usize,
}

impl Counts {
    /// Creates and deletes together.
    pub fn writes(&self) -> usize {
        self.creates + self.deletes
    }
}

/// A grant and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Starts with `ag-`.
    pub id: String,
    /// The account.
    pub account_id: String,
    /// The resource.
    pub resource_id: String,
    /// The first instant of access.
    pub start: DateTime<Utc>,
    /// The first instant without; a standing grant has none.
    pub end: Option<DateTime<Utc>>,
    /// JSON text.
    pub access_rule: String,
    /// Set when a workflow made the grant.
    pub access_request_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was removed.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether it is there: neither removed nor ended. It may still be to come.
    pub fn live(&self, now: DateTime<Utc>) -> bool {
        self.deleted_at.is_none() && self.end.is_none_or(|end| now < end)
    }

    /// Whether it gave, gives or (as things stand) will give access at this instant.
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        self.start.max(self.created_at) <= at
            && self.end.is_none_or(|end| at < end)
            && self.deleted_at.is_none_or(|deleted| at < deleted)
    }

    pub(crate) fn message(&self) -> v1::AccountGrant {
        v1::AccountGrant {
            id: self.id.clone(),
            resource_id: self.resource_id.clone(),
            account_id: self.account_id.clone(),
            start_from: Some(stamp(self.start)),
            valid_until: self.end.map(stamp),
            access_rule: self.access_rule.clone(),
            access_request_id: self.access_request_id.clone(),
        }
    }
}

impl Shared {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let inner = Mutex::default();
        Arc::new(Self { clock, faults: Faults::default(), log: CallLog::default(), inner })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the state is held")
    }
}

impl Inner {
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// An ID that looks like the real ones and never returns.
    pub(crate) fn next_id(&mut self, prefix: &str) -> String {
        let mixed = self.next_number().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{prefix}{mixed:016x}")
    }

    pub(crate) fn refuse(&self, code: Code, message: &str) -> Status {
        status::refuse(code, message, self.settings.error_details)
    }

    pub(crate) fn invalid(&self, message: &str) -> Status {
        self.refuse(Code::InvalidArgument, message)
    }

    pub(crate) fn missing(&self) -> Status {
        self.refuse(Code::NotFound, "item not found")
    }

    /// The filter and the page of a list request.
    pub(crate) fn list(
        &self,
        meta: Option<&v1::ListRequestMetadata>,
        filter: &str,
        fields: &[&str],
    ) -> Result<(Filter, Page), Status> {
        let Settings { default_page, max_page, .. } = self.settings;
        let parsed = Filter::parse(filter, fields).map_err(|error| self.invalid(&error))?;
        let page = Page::read(meta, filter, default_page, max_page).map_err(|error| self.invalid(error))?;
        Ok((parsed, page))
    }

    pub(crate) fn account(&self, id: &str) -> Option<&v1::Account> {
        self.accounts.values().find(|account| super::account::id(account) == id)
    }

    pub(crate) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.id() == id)
    }

    /// The grants that are there now.
    pub(crate) fn live(&self, now: DateTime<Utc>) -> impl Iterator<Item = (u64, &Grant)> {
        let rows = self.grants.iter().map(|(number, grant)| (*number, grant));
        rows.filter(move |(_, grant)| grant.live(now))
    }

    pub(crate) fn insert_grant(&mut self, grant: Grant) {
        self.write_history(&grant, grant.created_at);
        let number = self.next_number();
        self.grants.insert(number, grant);
    }

    /// Removes the grants that `chosen` picks among the live ones; answers how many.
    pub(crate) fn remove_grants(&mut self, now: DateTime<Utc>, chosen: impl Fn(&Grant) -> bool) -> usize {
        let picked = self.grants.values_mut().filter(|grant| grant.live(now) && chosen(grant));
        let mut removed = Vec::new();
        for grant in picked {
            grant.deleted_at = Some(now);
            removed.push(grant.clone());
        }
        for grant in &removed {
            self.write_history(grant, now);
        }
        removed.len()
    }

    fn write_history(&mut self, grant: &Grant, at: DateTime<Utc>) {
        let activity_id = self.next_id("ac-");
        let number = self.next_number();
        self.history.insert(
            number,
            v1::AccountGrantHistory {
                activity_id,
                timestamp: Some(stamp(at)),
                account_grant: Some(grant.message()),
                deleted_at: grant.deleted_at.map(stamp),
            },
        );
    }
}

/// The `rate_limit` of an answer.
pub(crate) fn rate_limit(left: Left, bucket: &str) -> v1::RateLimitMetadata {
    v1::RateLimitMetadata {
        limit: left.limit.into(),
        remaining: left.remaining.into(),
        reset_at: Some(stamp(left.reset_at)),
        bucket: bucket.into(),
    }
}

pub(crate) fn stamp(time: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).expect("less than two seconds");
    Timestamp { seconds: time.timestamp(), nanos }
}

/// The time of a message; absent and epoch 0 both mean that it was not given.
pub(crate) fn time(
    stamp: Option<&Timestamp>,
    keep_nanos: bool,
) -> Result<Option<DateTime<Utc>>, &'static str> {
    let Some(Timestamp { seconds, nanos }) = stamp else { return Ok(None) };
    if (*seconds, *nanos) == (0, 0) {
        return Ok(None);
    }
    let nanos = u32::try_from(*nanos).map_err(|_| "invalid timestamp")?;
    let time = DateTime::from_timestamp(*seconds, nanos).ok_or("invalid timestamp")?;
    let cut = |time: DateTime<Utc>| time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time);
    Ok(Some(if keep_nanos { time } else { cut(time) }))
}
