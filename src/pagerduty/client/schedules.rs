//! Who is on call through one schedule, from the schedule itself. Needed where `GET /oncalls` lists nothing: for schedules
//! in no escalation policy, and to tell an empty schedule from one that does not exist.

use std::collections::BTreeSet;

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    Client,
    operation::Operation,
    pieces::{joined, pieces},
    query_time,
    request::Request,
};
use crate::{
    model::{OnCall, ScheduleId, Thing, UserId, Window},
    pagerduty::{
        Error,
        wire::{FinalLayer, FinalShifts, Id, LayerScheduleBody, RenderedEntry, ShiftScheduleBody, Time},
    },
};

/// The two generations of schedules. Each has its own endpoint, which refuses the other's IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Layers of rotations; at most one user at a time.
    LayerBased,
    /// Rotations and custom shifts; several users at a time.
    ShiftBased,
}

impl Kind {
    fn other(self) -> Self {
        match self {
            Self::LayerBased => Self::ShiftBased,
            Self::ShiftBased => Self::LayerBased,
        }
    }
}

impl Client {
    /// Everyone on call through this schedule at any time in the window, overrides included, sorted and without
    /// duplicates. Shifts are whole. Neither e-mail nor policy nor level is set.
    pub(crate) async fn schedule(&self, id: &ScheduleId, window: Window) -> Result<Vec<OnCall>, Error> {
        let pieces = pieces(window);
        let mut found = BTreeSet::new();
        for piece in &pieces {
            found.extend(self.schedule_in(id, *piece).await?);
        }
        Ok(joined(found, &pieces))
    }

    async fn schedule_in(&self, id: &ScheduleId, window: Window) -> Result<Vec<OnCall>, Error> {
        self.as_either_kind(id, |kind| self.schedule_as(kind, id, window).boxed()).await
    }

    /// Asks for a schedule in the way of the generation that it is of.
    pub(super) async fn as_either_kind<'a, T>(
        &self,
        id: &ScheduleId,
        ask: impl Fn(Kind) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let kinds = || self.shared.kinds.lock();
        let first = kinds().get(id).copied().unwrap_or(Kind::LayerBased);
        let first_refusal = match ask(first).await {
            Err(Error::NotFound(text) | Error::BadRequest(text)) => text,
            result => return result,
        };
        let second = first.other();
        match ask(second).await {
            Ok(answer) => {
                kinds().insert(id.clone(), second);
                Ok(answer)
            }
            Err(Error::NotFound(text) | Error::BadRequest(text)) => {
                kinds().remove(id);
                Err(Error::NotFound(format!("schedule {id}: {first_refusal}; {text}")))
            }
            Err(error) => Err(error),
        }
    }

    async fn schedule_as(&self, kind: Kind, id: &ScheduleId, window: Window) -> Result<Vec<OnCall>, Error> {
        let mut url = match kind {
            Kind::LayerBased => self.url(["schedules", id.as_str()])?,
            Kind::ShiftBased => self.url(["v3", "schedules", id.as_str()])?,
        };
        // Without `overflow` shifts are cut at the window, and a cut looks like the end of a shift.
        url.query_pairs_mut()
            .append_pair("time_zone", "UTC")
            .append_pair("since", &query_time(window.start()))
            .append_pair("until", &query_time(window.end()))
            .append_pair("overflow", "true");
        match kind {
            Kind::LayerBased => {
                let LayerScheduleBody { schedule } =
                    self.fetch(Request::get(Operation::LayerSchedule, url)).await?;
                is_about(id, &schedule.id)?;
                self.tell_name(Thing::Schedule(id.clone()), &schedule.called);
                let entries = &schedule.final_schedule.rendered_schedule_entries;
                entries.iter().filter_map(|entry| entry.user.as_ref()).for_each(|user| self.tell_user(user));
                layer_on_calls(id, schedule.final_schedule)
            }
            Kind::ShiftBased => {
                url.query_pairs_mut().append_pair("include[]", "final_schedule");
                let ShiftScheduleBody { schedule } =
                    self.fetch(Request::get(Operation::ShiftSchedule, url)).await?;
                is_about(id, &schedule.id)?;
                self.tell_name(Thing::Schedule(id.clone()), &schedule.called);
                shift_on_calls(id, schedule.final_schedule)
            }
        }
    }
}

pub(super) fn is_about(asked: &ScheduleId, got: &Id) -> Result<(), Error> {
    if got.0 == asked.as_str() {
        return Ok(());
    }
    Err(Error::Invalid(format!("schedule {asked}: the answer is about another schedule")))
}

fn layer_on_calls(id: &ScheduleId, schedule: FinalLayer) -> Result<Vec<OnCall>, Error> {
    let FinalLayer { rendered_schedule_entries: entries, rendered_coverage_percentage: coverage } = schedule;
    was_computed(id, coverage, entries.len())?;
    let shift = |entry: RenderedEntry| Some(on_call(id, entry.user?.id, entry.start, entry.end));
    Ok(deduplicated(entries.into_iter().filter_map(shift)))
}

fn shift_on_calls(id: &ScheduleId, schedule: FinalShifts) -> Result<Vec<OnCall>, Error> {
    let FinalShifts { computed_shift_assignments: shifts, rendered_coverage_percentage: coverage } = schedule;
    was_computed(id, coverage, shifts.len())?;
    let mut on_calls = Vec::new();
    for shift in shifts {
        match shift.member {
            // An intended gap.
            Some(member) if member.kind == "empty_member" => {}
            None => {}
            Some(member) => {
                let user = member.user_id.ok_or_else(|| {
                    Error::Invalid(format!("schedule {id}: a shift of a member who is not told"))
                })?;
                on_calls.push(on_call(id, user, shift.start_time, shift.end_time));
            }
        }
    }
    Ok(deduplicated(on_calls))
}

/// Refuses a schedule whose shifts PagerDuty did not compute: it does so only for a window, and a null coverage says that it
/// saw none in the request.
fn was_computed(id: &ScheduleId, coverage: Option<f64>, shifts: usize) -> Result<(), Error> {
    if coverage.is_none() && shifts == 0 {
        return Err(Error::Invalid(format!("schedule {id}: its shifts were not computed")));
    }
    Ok(())
}

fn on_call(schedule: &ScheduleId, user: Id, start: Time, end: Time) -> OnCall {
    OnCall {
        user: UserId::from(user.0),
        email: None,
        schedule: Some(schedule.clone()),
        policy: None,
        level: None,
        start: Some(start.0),
        end: Some(end.0),
    }
}

fn deduplicated(on_calls: impl IntoIterator<Item = OnCall>) -> Vec<OnCall> {
    on_calls.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
