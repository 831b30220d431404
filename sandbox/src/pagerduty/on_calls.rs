//! Who is on call in the whole account: what `GET /oncalls` is made of.

use chrono::{DateTime, TimeDelta, Utc};

use super::account::{Account, Policy, Target};
use super::render::{Range, unbroken};
use super::schedule::Schedule;

/// `/oncalls` computes shifts this far into the future and no further.
const HORIZON: TimeDelta = TimeDelta::days(90);

/// One entry of `/oncalls`: a user, for one level of one policy.
#[derive(Clone, Debug)]
pub(crate) struct OnCall<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) level: usize,
    pub(crate) schedule: Option<&'a Schedule>,
    pub(crate) user: String,
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) end: Option<DateTime<Utc>>,
}

/// Every on-call of the account in the range: policy by policy, level by level, then by start.
pub(crate) fn on_calls(account: &Account, now: DateTime<Utc>, range: Range) -> Vec<OnCall<'_>> {
    let mut found = Vec::new();
    for policy in &account.policies {
        for (index, targets) in policy.levels.iter().enumerate() {
            for target in targets {
                let line = |schedule, user, start, end| OnCall {
                    policy,
                    level: index + 1,
                    schedule,
                    user,
                    start,
                    end,
                };
                match target {
                    Target::User(user) => found.push(line(None, user.clone(), None, None)),
                    Target::Schedule(id) => {
                        let Some(schedule) = account.schedule(id) else { continue };
                        let shifts = unbroken(schedule);
                        let visible =
                            shifts.into_iter().filter(|s| range.overlaps(s) && s.start < now + HORIZON);
                        found.extend(visible.filter_map(|shift| {
                            Some(line(Some(schedule), shift.user?, Some(shift.start), shift.end))
                        }));
                    }
                }
            }
        }
    }
    found
}

/// Everybody on call at this time at the first level of a policy, from `level` on, that has somebody, with that level.
pub(crate) fn first_on_call(
    account: &Account,
    policy: &str,
    level: usize,
    at: DateTime<Utc>,
) -> Option<(usize, Vec<String>)> {
    let mut found = on_calls(account, at, Range { since: at, until: at });
    found.retain(|on_call| on_call.policy.id == policy && on_call.level >= level);
    let first = found.iter().map(|on_call| on_call.level).min()?;
    let mut users = Vec::new();
    for on_call in found.into_iter().filter(|on_call| on_call.level == first) {
        if !users.contains(&on_call.user) {
            users.push(on_call.user);
        }
    }
    Some((first, users))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::on_calls;
    use crate::pagerduty::account::{Account, Policy, Target};
    use crate::pagerduty::render::Range;
    use crate::pagerduty::schedule::{Schedule, Shift};

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour)
    }

    #[test]
    fn a_person_returns_once_per_policy_and_level_and_only_when_overlapping() {
        let schedule = Schedule::layers("PSCH001", "Primary")
            .with(Shift::new("ana", at(0), at(8)))
            .with(Shift::new("bo", at(8), at(16)));
        let primary = || Target::schedule("PSCH001");
        let account = Account {
            schedules: vec![schedule],
            policies: vec![
                Policy::new("PEP1", "One", vec![vec![primary()], vec![primary(), Target::user("cem")]]),
                Policy::new("PEP2", "Two", vec![vec![primary()]]),
            ],
            ..Account::default()
        };
        let count =
            |since, until| on_calls(&account, at(0), Range { since: at(since), until: at(until) }).len();

        assert_eq!(count(1, 1), 3 + 1);
        assert_eq!(count(8, 8), 3 + 1, "an end is not part of its shift");
        assert_eq!(count(1, 9), 6 + 1);
        assert_eq!(count(0, 8), 3 + 1, "a shift that starts at the end of the range is outside");
        assert_eq!(count(16, 20), 1);
    }
}
