//! Lists that change while they are read. Offset pages are no snapshot: a row that goes away moves all later ones, so
//! that one of them may be in no page. Pages overlap by a row, which shows that.

use std::mem;

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::{Client, operation::Operation, request::Request};
use crate::pagerduty::{
    Error,
    wire::{IncidentPage, OnCallEntry, OnCallPage, Page},
};

const PAGE: u64 = 100;
/// What is asked for instead, if PagerDuty does not manage such a page in its own time.
const SMALLER_PAGES: [u64; 2] = [25, 5];
/// PagerDuty refuses to list entries beyond this one.
pub(super) const END_OF_LIST: u64 = 10_000;
/// How often a list is read that changes between its pages.
const READINGS: usize = 3;

/// How reading a list ended.
pub(super) enum Reading<E> {
    Whole(Vec<E>),
    /// It changed between two pages, or has fewer entries than it says: one may be missing.
    Changed,
    /// It has more entries than PagerDuty lists.
    TooLong,
}

/// A page of a list.
pub(super) trait ListPage: DeserializeOwned {
    type Entry: Clone;

    const OPERATION: Operation;
    /// New entries come at the end, so that a list which grows while it is read lacks none of the others.
    const GROWS_AT_ITS_END: bool;

    fn take_entries(&mut self) -> Vec<Self::Entry>;

    fn page(&self) -> &Page;

    fn is_same(one: &Self::Entry, other: &Self::Entry) -> bool;
}

impl ListPage for OnCallPage {
    type Entry = OnCallEntry;

    const OPERATION: Operation = Operation::OnCalls;
    const GROWS_AT_ITS_END: bool = false;

    fn take_entries(&mut self) -> Vec<OnCallEntry> {
        mem::take(&mut self.oncalls)
    }

    fn page(&self) -> &Page {
        &self.page
    }

    fn is_same(one: &OnCallEntry, other: &OnCallEntry) -> bool {
        one == other
    }
}

impl ListPage for IncidentPage {
    type Entry = serde_json::Value;

    const OPERATION: Operation = Operation::ListIncidents;
    const GROWS_AT_ITS_END: bool = true;

    fn take_entries(&mut self) -> Vec<Self::Entry> {
        mem::take(&mut self.incidents)
    }

    fn page(&self) -> &Page {
        &self.page
    }

    // Somebody may acknowledge it meanwhile.
    fn is_same(one: &Self::Entry, other: &Self::Entry) -> bool {
        one["id"] == other["id"]
    }
}

impl Client {
    /// Reads the list at `url`, which asks for the total; again, if it changes meanwhile.
    pub(super) async fn read_consistent<L: ListPage>(&self, url: &Url) -> Result<Reading<L::Entry>, Error> {
        for _ in 1..READINGS {
            match self.read_once::<L>(url).await? {
                Reading::Changed => {}
                reading => return Ok(reading),
            }
        }
        self.read_once::<L>(url).await
    }

    async fn read_once<L: ListPage>(&self, url: &Url) -> Result<Reading<L::Entry>, Error> {
        let mut entries: Vec<L::Entry> = Vec::new();
        let mut total = None;
        // The last entry that came is asked for again: where it stands no more, the list moved under us.
        let mut repeated: Option<L::Entry> = None;
        let mut limit = PAGE;
        loop {
            let offset = (entries.len() - usize::from(repeated.is_some())) as u64;
            if offset >= END_OF_LIST {
                return Ok(Reading::TooLong);
            }
            let page_of = |limit: u64| {
                let mut url = url.clone();
                url.query_pairs_mut()
                    .append_pair("limit", &limit.min(END_OF_LIST - offset).to_string())
                    .append_pair("offset", &offset.to_string());
                url
            };
            let smaller = SMALLER_PAGES.into_iter().filter(|less| *less < limit).map(page_of).collect();
            let request = Request::get(L::OPERATION, page_of(limit)).or_less(smaller);
            let mut answer: L = self.fetch(request).await?;
            let mut received = answer.take_entries();
            let page = answer.page();
            page.check(offset, received.len())?;
            // What was too much once is not asked for again.
            limit = page.limit.unwrap_or(limit).clamp(1, limit);
            let is_first = entries.is_empty();
            let has_moved = |last: &L::Entry| !received.first().is_some_and(|first| L::is_same(first, last));
            if !is_first
                && (page.total != total && !L::GROWS_AT_ITS_END || repeated.as_ref().is_some_and(has_moved))
            {
                return Ok(Reading::Changed);
            }
            total = page.total;
            // By what came, not by what was asked for: PagerDuty may send smaller pages.
            let count = received.len();
            entries.extend(received.drain(usize::from(repeated.is_some()).min(count)..));
            if !page.more {
                let is_whole = page.total.is_none_or(|total| total == entries.len() as u64);
                return Ok(if is_whole { Reading::Whole(entries) } else { Reading::Changed });
            }
            // Pages of one entry would never come any further.
            repeated = entries.last().filter(|_| count > 1).cloned();
        }
    }
}
