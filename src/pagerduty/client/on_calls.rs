//! Who is on call, from `GET /oncalls`: one list for both kinds of schedules, direct targets and levels.

use std::collections::BTreeSet;

use reqwest::Url;
use tracing::warn;

use super::{
    Client,
    operation::Operation,
    pieces::{joined, pieces},
    query_time,
    request::Request,
};
use crate::{
    model::{OnCall, PolicyId, ScheduleId, Source, UserId, Window},
    pagerduty::{
        Error,
        wire::{OnCallEntry, OnCallPage},
    },
};

/// This many IDs make a URL of under 2 kB, which every proxy lets through. Whoever asks for more makes several requests.
pub(crate) const IDS_AT_ONCE: usize = 50;
const PAGE: u64 = 100;
/// What is asked for instead, if PagerDuty does not manage such a page in its own time.
const SMALLER_PAGES: [u64; 2] = [25, 5];
/// PagerDuty refuses to list entries beyond this one.
const END_OF_LIST: u64 = 10_000;
/// How often a list is read that changes between its pages.
const READINGS: usize = 3;

/// How reading a list ended.
enum Reading {
    Whole(Vec<OnCallEntry>),
    /// It changed between two pages, or has fewer entries than it says: one may be missing.
    Changed,
    /// It has more entries than PagerDuty lists.
    TooLong,
}

impl Client {
    /// Everyone on call through any of these schedules and policies at any time in the window, sorted and without
    /// duplicates. Shifts are whole, also where they reach out of the window.
    ///
    /// PagerDuty lists nothing for IDs that it does not know, nor for a schedule in no escalation policy: see
    /// [`Client::schedule`] and [`Client::policy`] before trusting an empty answer.
    pub(crate) async fn on_calls(&self, of: &[Source], window: Window) -> Result<Vec<OnCall>, Error> {
        let pieces = pieces(window);
        let mut found = BTreeSet::new();
        for piece in &pieces {
            found.extend(self.on_calls_in(of, *piece).await?);
        }
        Ok(joined(found, &pieces))
    }

    async fn on_calls_in(&self, of: &[Source], window: Window) -> Result<BTreeSet<OnCall>, Error> {
        let of: BTreeSet<&Source> = of.iter().collect();
        // PagerDuty lists only what matches both if a request names schedules and policies.
        let (schedules, policies): (Vec<_>, Vec<_>) =
            of.into_iter().partition(|source| matches!(source, Source::Schedule(_)));
        let mut chunks: Vec<&[&Source]> = Vec::new();
        chunks.extend(schedules.chunks(IDS_AT_ONCE));
        chunks.extend(policies.chunks(IDS_AT_ONCE));

        let mut found = BTreeSet::new();
        while let Some(chunk) = chunks.pop() {
            let url = self.on_calls_url(chunk, window)?;
            match self.read_consistent(&url).await? {
                Reading::Whole(entries) => found.extend(on_calls_of(chunk, entries)),
                Reading::TooLong if chunk.len() > 1 => {
                    let (left, right) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([left, right]);
                }
                Reading::TooLong => {
                    let of = chunk.iter().map(ToString::to_string).collect::<String>();
                    return Err(Error::Invalid(format!(
                        "{of} has over {END_OF_LIST} on-calls in the window"
                    )));
                }
                Reading::Changed => {
                    let text = "entries are missing in the list of on-calls, or it kept changing";
                    return Err(Error::Invalid(text.to_owned()));
                }
            }
        }
        Ok(found)
    }

    fn on_calls_url(&self, of: &[&Source], window: Window) -> Result<Url, Error> {
        let mut url = self.url(["oncalls"])?;
        let mut query = url.query_pairs_mut();
        for source in of {
            match source {
                Source::Schedule(id) => query.append_pair("schedule_ids[]", id.as_str()),
                Source::Policy(id) => query.append_pair("escalation_policy_ids[]", id.as_str()),
            };
        }
        query
            .append_pair("include[]", "users")
            .append_pair("time_zone", "UTC")
            .append_pair("since", &query_time(window.start()))
            .append_pair("until", &query_time(window.end()))
            .append_pair("total", "true");
        drop(query);
        Ok(url)
    }

    async fn read_consistent(&self, url: &Url) -> Result<Reading, Error> {
        for _ in 1..READINGS {
            match self.read_once(url).await? {
                Reading::Changed => {}
                reading => return Ok(reading),
            }
        }
        self.read_once(url).await
    }

    async fn read_once(&self, url: &Url) -> Result<Reading, Error> {
        let mut entries: Vec<OnCallEntry> = Vec::new();
        let mut first_total = None;
        // The last entry that came is asked for again: where it stands no more, the list moved under us.
        let mut repeated: Option<OnCallEntry> = None;
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
            let request = Request::get(Operation::OnCalls, page_of(limit)).or_less(smaller);
            let OnCallPage { mut oncalls, page } = self.fetch(request).await?;
            page.check(offset, oncalls.len())?;
            // What was too much once is not asked for again.
            limit = page.limit.unwrap_or(limit).clamp(1, limit);
            if entries.is_empty() {
                first_total = page.total;
            } else if page.total != first_total
                || repeated.as_ref().is_some_and(|last| oncalls.first() != Some(last))
            {
                return Ok(Reading::Changed);
            }
            // By what came, not by what was asked for: PagerDuty may send smaller pages.
            let received = oncalls.len();
            entries.extend(oncalls.drain(usize::from(repeated.is_some()).min(received)..));
            if !page.more {
                let is_whole = page.total.is_none_or(|total| total == entries.len() as u64);
                return Ok(if is_whole { Reading::Whole(entries) } else { Reading::Changed });
            }
            // Pages of one entry would never come any further.
            repeated = entries.last().filter(|_| received > 1).cloned();
        }
    }
}

/// The entries of the schedules and policies that were asked for. Others are dropped: no rule names their source.
fn on_calls_of(asked: &[&Source], entries: Vec<OnCallEntry>) -> Vec<OnCall> {
    let total = entries.len();
    let on_calls: Vec<OnCall> = entries.into_iter().filter_map(on_call).collect();
    let without_user = total - on_calls.len();
    let asked: BTreeSet<&Source> = asked.iter().copied().collect();
    let is_asked_for = |on_call: &OnCall| {
        let schedule = on_call.schedule.clone().map(Source::Schedule);
        let policy = on_call.policy.clone().map(Source::Policy);
        [schedule, policy].into_iter().flatten().any(|source| asked.contains(&source))
    };
    let kept: Vec<OnCall> = on_calls.into_iter().filter(is_asked_for).collect();
    let not_asked_for = total - without_user - kept.len();
    if without_user + not_asked_for > 0 {
        warn!(without_user, not_asked_for, "PagerDuty listed on-calls that nobody can be given access for");
    }
    kept
}

/// None if the entry has no user: nobody is on call then.
fn on_call(entry: OnCallEntry) -> Option<OnCall> {
    let OnCallEntry { escalation_policy, escalation_level, schedule, user, start, end } = entry;
    let user = user?;
    Some(OnCall {
        user: UserId::from(user.id.0),
        email: user.email.filter(|email| !email.is_empty()),
        schedule: schedule.map(|schedule| ScheduleId::from(schedule.id.0)),
        policy: escalation_policy.map(|policy| PolicyId::from(policy.id.0)),
        level: escalation_level,
        start: start.map(|time| time.0),
        end: end.map(|time| time.0),
    })
}
