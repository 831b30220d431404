//! What the handle, the services and the control API share.

use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tonic::{Code, Status};

use super::call::Call;
use super::filter::{EmptyValue, Filter};
use super::organization::Organization;
use super::page::Page;
use super::settings::Settings;
use super::{status, v1};
use crate::budget::Budget;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

/// One stand-in.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog<Call>,
    state: Mutex<State>,
}

/// What changes with calls, tests and people.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) organization: Organization,
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    pub(super) reads: Budget,
    pub(super) writes: Budget,
}

/// What was written over the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Grants made.
    pub creates: usize,
    /// Grants removed.
    pub deletes: usize,
    /// Grants made for requests without an end: access for ever.
    pub standing_grants_created: usize,
}

impl Counts {
    /// Creates and deletes together.
    pub fn writes(&self) -> usize {
        self.creates + self.deletes
    }
}

impl Shared {
    /// An empty organization.
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { clock, faults: Faults::default(), log: CallLog::default(), state })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the state is held")
    }
}

impl State {
    /// An error, with details if the settings say so.
    pub(super) fn refuse(&self, code: Code, message: &str) -> Status {
        if self.settings.error_details { status::detailed(code, message) } else { Status::new(code, message) }
    }

    pub(super) fn invalid(&self, message: &str) -> Status {
        self.refuse(Code::InvalidArgument, message)
    }

    pub(super) fn not_found(&self) -> Status {
        self.refuse(Code::NotFound, "item not found")
    }

    /// The filter and the page that a list request asks for.
    pub(super) fn list(
        &self,
        meta: Option<&v1::ListRequestMetadata>,
        filter: &str,
        fields: &[&str],
    ) -> Result<(Filter, Page), Status> {
        let Settings { default_page, max_page, empty_value_matches_all, several_ids, .. } = self.settings;
        let empty = if empty_value_matches_all { EmptyValue::MatchesAll } else { EmptyValue::MatchesNothing };
        let parsed = Filter::parse(filter, fields, empty).map_err(|error| self.invalid(&error))?;
        let parsed =
            parsed.with_several_ids(several_ids).ok_or_else(|| self.invalid("several terms for id"))?;
        let asked = meta.map_or(0, |meta| usize::try_from(meta.limit).unwrap_or(0));
        if self.settings.refuse_large_pages && asked > max_page {
            return Err(self.invalid("limit is too large"));
        }
        let page = Page::read(meta, filter, default_page, max_page).map_err(|error| self.invalid(error))?;
        Ok((parsed, page))
    }
}
