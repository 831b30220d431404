//! Who is on call, from `GET /oncalls`: one list for both kinds of schedules, direct targets and levels.

use std::collections::BTreeSet;

use reqwest::Url;
use tracing::warn;

use super::{
    Client,
    list::{END_OF_LIST, Reading},
    pieces::{joined, pieces},
    query_time,
};
use crate::{
    model::{OnCall, PolicyId, ScheduleId, Source, Thing, UserId, Window},
    pagerduty::{
        Error,
        wire::{OnCallEntry, OnCallPage},
    },
};

/// This many IDs make a URL of under 2 kB, which every proxy lets through. Whoever asks for more makes several requests.
pub(crate) const IDS_AT_ONCE: usize = 50;
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
        // Nobody is on call through a service itself; and a request that names nothing would list everybody.
        let of: BTreeSet<&Source> =
            of.iter().filter(|source| !matches!(source, Source::Service(_))).collect();
        // PagerDuty lists only what matches both if a request names schedules and policies.
        let (schedules, policies): (Vec<_>, Vec<_>) =
            of.into_iter().partition(|source| matches!(source, Source::Schedule(_)));
        let mut chunks: Vec<&[&Source]> = Vec::new();
        chunks.extend(schedules.chunks(IDS_AT_ONCE));
        chunks.extend(policies.chunks(IDS_AT_ONCE));

        let mut found = BTreeSet::new();
        while let Some(chunk) = chunks.pop() {
            let url = self.on_calls_url(chunk, window)?;
            match self.read_consistent::<OnCallPage>(&url).await? {
                Reading::Whole(entries) => {
                    self.tell_names(&entries);
                    found.extend(on_calls_of(chunk, entries));
                }
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

    fn tell_names(&self, entries: &[OnCallEntry]) {
        for OnCallEntry { escalation_policy, schedule, user, .. } in entries {
            if let Some(policy) = escalation_policy {
                self.tell_reference(|id| Thing::Policy(id.into()), policy);
            }
            if let Some(schedule) = schedule {
                self.tell_reference(|id| Thing::Schedule(id.into()), schedule);
            }
            if let Some(user) = user {
                self.tell_user(user);
            }
        }
    }

    fn on_calls_url(&self, of: &[&Source], window: Window) -> Result<Url, Error> {
        let mut url = self.url(["oncalls"])?;
        let mut query = url.query_pairs_mut();
        for source in of {
            match source {
                Source::Schedule(id) => query.append_pair("schedule_ids[]", id.as_str()),
                Source::Policy(id) => query.append_pair("escalation_policy_ids[]", id.as_str()),
                Source::Service(_) => continue,
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
