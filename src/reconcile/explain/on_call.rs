//! The link from a schedule or policy to a person: whether the person is on call, as the rule counts it.

use chrono::{DateTime, Utc};

use super::{
    link::{Link, LinkKind, stretch},
    person::Person,
    question::Known,
};
use crate::model::{
    FOREVER, Observed, OnCall, PeopleSelector, Rule, Source, Window, instant::to_second, later,
};

/// Whether the person is on call for `source` as `rule` counts it, and the shift.
pub(super) fn link<'o>(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    rule: &Rule,
    source: &Source,
    on_calls: &'o [OnCall],
) -> (Link, Option<&'o OnCall>) {
    let kind = LinkKind::OnCall;
    let mine = || on_calls.iter().filter(|on_call| person.users.contains(&on_call.user));
    let covers = |on_call: &&OnCall| margins(rule, on_call).is_some_and(|window| window.contains(at));
    if let Some(shift) = mine().filter(|shift| rule.selects(shift)).find(covers) {
        let message = format!("on call for {source}{} {}", level(shift), stretch(shift_alone(shift)));
        return (Link::holds(kind, message), Some(shift));
    }
    if let Some(shift) = mine().find(covers) {
        return (not_counted(rule, source, shift), None);
    }
    if !known.asked.contains(at) {
        let message = format!("PagerDuty was not asked for that time, only {}", stretch(Some(known.asked)));
        return (Link::unknown(kind, message), None);
    }
    let without_name = on_calls.iter().filter(|shift| rule.selects(shift)).filter(covers).find_map(|shift| {
        match known.world.people.get(&shift.user) {
            Some(Observed::Unknown(error)) => {
                let what =
                    format!("user {} is on call then, but PagerDuty did not tell who that is", shift.user);
                Some(Link::faulty(kind, &what, error))
            }
            Some(Observed::Known(_)) | None => None,
        }
    });
    if let Some(link) = without_name {
        return (link, None);
    }
    let next = mine().filter(|shift| rule.selects(shift) && shift.start.is_some_and(|start| start > at));
    let next = next.min_by_key(|shift| shift.start);
    let next = match next {
        Some(next) => format!("the next shift is {}", stretch(shift_alone(next))),
        None => format!("no shift is known {}", stretch(known.asked.from(at))),
    };
    let message = format!("not on call for {source} at {}; {next}", to_second(at));
    let remedy = alias_missing(at, known, person, rule, on_calls).unwrap_or_else(|| {
        let never_on_call = person.users.is_empty() && known.world.people.values().all(Observed::is_known);
        let spelling = if never_on_call {
            format!(
                "; no on-call {} carries the address {}, so check its spelling first",
                stretch(Some(known.asked)),
                person.asked
            )
        } else {
            String::new()
        };
        format!("put this person on call in PagerDuty, by an override for example{spelling}")
    });
    (Link::missing(kind, message, &remedy), None)
}

/// The person is on call, but not in a way that the rule counts.
fn not_counted(rule: &Rule, source: &Source, shift: &OnCall) -> Link {
    let PeopleSelector::Policies { levels, .. } = &rule.people else {
        return Link::missing(LinkKind::OnCall, format!("not on call for {source}"), "");
    };
    let at_level = level(shift);
    if shift.start.is_none() && shift.end.is_none() {
        let message = format!(
            "always on call for {source}{at_level}, as a direct target, which the rule does not count"
        );
        return Link::missing(LinkKind::OnCall, message, "set include_always_on_call = true in the rule");
    }
    let levels: Vec<String> = levels.iter().map(u32::to_string).collect();
    let message =
        format!("on call for {source}{at_level}, but the rule counts level {} only", levels.join(", "));
    Link::missing(LinkKind::OnCall, message, "add the level to escalation_levels of the rule")
}

/// What to do if somebody is on call then under an address that looks like this person's.
fn alias_missing(
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    rule: &Rule,
    on_calls: &[OnCall],
) -> Option<String> {
    let user_of = |email: &str| email.split('@').next().unwrap_or_default().to_lowercase();
    let wanted = user_of(person.account_email.as_str());
    let then = on_calls.iter().filter(|shift| margins(rule, shift).is_some_and(|window| window.contains(at)));
    then.filter(|shift| !person.users.contains(&shift.user)).find_map(|shift| {
        let Some(Observed::Known(Some(raw))) = known.world.people.get(&shift.user) else { return None };
        let alias = format!("accounts.aliases = {{ {raw:?} = {:?} }}", person.account_email.as_str());
        (user_of(raw) == wanted)
            .then(|| format!("{raw} is on call then; if that is the same person, set {alias}"))
    })
}

fn level(shift: &OnCall) -> String {
    shift.level.map(|level| format!(" at level {level}")).unwrap_or_default()
}

/// The shift alone.
fn shift_alone(shift: &OnCall) -> Option<Window> {
    let start = shift.start.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    Window::new(start, shift.end.unwrap_or(FOREVER))
}

/// The shift with the margins of the rule.
pub(super) fn margins(rule: &Rule, shift: &OnCall) -> Option<Window> {
    let shift = shift_alone(shift)?;
    Window::new(later(shift.start(), -rule.start_early), later(shift.end(), rule.end_late).min(FOREVER))
}
