//! What is going to break within the horizon, from what a pass saw and decided. Pure.

mod incidents;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        Email, FOREVER, Finding, FindingKind, Observed, OnCall, PeopleSelector, ResourceSelector, Rule,
        SkipReason, Skipped, Source, Subject, Window, Windows,
        instant::{span, to_second},
        later,
    },
    reconcile::{
        plan::{Namesakes, Plan, Settings, namesakes_in_words},
        world::{ResourceMatch, World},
    },
};

/// A filter that matches more resources than this is probably not what its author meant.
const MANY: usize = 50;
/// So many stretches are told of each rule; more would be noise.
const TOLD: usize = 3;
/// What mends a gap.
pub(crate) const FILL: &str = "fill the schedule in PagerDuty, unless that is meant";

/// What the rules do not reach, beside people, resources and filters that are left out of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Until when it was looked.
    pub(crate) until: DateTime<Utc>,
    /// By rule, the stretches for which it has nobody.
    pub(crate) gaps: BTreeMap<String, Vec<Window>>,
    /// By rule, what else an operator should know.
    pub(crate) others: Vec<(String, Finding)>,
}

/// Looks at the rules whose schedules and policies were seen.
pub(crate) fn ahead(now: DateTime<Utc>, settings: &Settings, world: &World) -> Ahead {
    let until = later(now, settings.horizon);
    let mut ahead = Ahead { until, gaps: BTreeMap::new(), others: Vec::new() };
    for rule in &settings.rules {
        let name = &rule.name;
        let absent = absent_levels(rule, world);
        let horizon = Window::new(now, until);
        let gaps = horizon.map(|horizon| gaps(rule, world, horizon)).unwrap_or_default();
        // A level that nobody has is no gap in a schedule.
        if !gaps.is_empty() && (absent.is_empty() || gaps != horizon.as_slice()) {
            ahead.gaps.insert(name.clone(), gaps);
        }
        let others = filters(rule, world).into_iter().chain(absent).chain(always_on_call(rule, world));
        let others = others.chain(incidents::paged_in_vain(rule, world));
        ahead.others.extend(others.map(|finding| (name.clone(), finding)));
    }
    ahead
}

/// Everyone who is going to be on call without access, every resource that a rule does not find, and every stretch
/// for which a rule has nobody.
pub(crate) fn preflight(
    now: DateTime<Utc>,
    settings: &Settings,
    world: &World,
    plan: &Plan,
    ahead: &Ahead,
) -> Vec<Finding> {
    let others = plan.skipped.iter().filter(|skipped| !incidents::tells_of(skipped.reason));
    let mut findings: Vec<Finding> = others.map(|skipped| left_out(now, settings, skipped, world)).collect();
    findings.extend(incidents::left_out(now, settings, world));
    let Ahead { until, gaps, others } = ahead;
    let is_told = |one: &Finding, findings: &[Finding]| {
        findings.iter().any(|told| told.kind == one.kind && told.subject == one.subject)
    };
    for (_, finding) in others {
        if !is_told(finding, &findings) {
            findings.push(finding.clone());
        }
    }
    let horizon = Window::new(now, *until);
    for rule in &settings.rules {
        let gaps = gaps.get(&rule.name).cloned();
        findings.extend(horizon.zip(gaps).map(|(horizon, gaps)| nobody(rule, horizon, gaps)));
    }
    findings.sort_by_key(|finding| (finding.severity, finding.kind));
    findings.dedup();
    findings
}

/// A person, resource or filter that nothing can be done about.
fn left_out(now: DateTime<Utc>, settings: &Settings, skipped: &Skipped, world: &World) -> Finding {
    let Skipped { subject, name: _, reason, rules, first_shift } = skipped;
    let what = match subject {
        Subject::Filter(filter) => refusal(filter, world).unwrap_or_else(|| reason.to_string()),
        Subject::Email(_) | Subject::User(_) | Subject::Resource(_) | Subject::Other(_) => reason.to_string(),
    };
    let is_person = matches!(subject, Subject::Email(_) | Subject::User(_));
    let when = match first_shift {
        _ if !is_person => String::new(),
        Some(start) if incidents::are_all_about(rules, settings) => {
            format!("; in an incident since {}", to_second(*start))
        }
        Some(start) if *start > now => format!("; on call from {}", to_second(*start)),
        Some(start) => format!("; on call since {}", to_second(*start)),
        None => "; always on call".to_owned(),
    };
    let aliased = match (subject, reason) {
        (Subject::Email(email), SkipReason::NoAccount) => mapped_to(settings, email, world),
        _ => None,
    };
    let names: Vec<&str> = rules.iter().map(String::as_str).collect();
    let (what, remedy) = match (shared_account(settings, skipped, world), aliased) {
        (Some(shared), _) => shared,
        (None, None) => (what, reason.remedy().to_owned()),
        (None, Some((from, key))) => (
            format!("{what}, to which accounts.{key} maps {from}"),
            format!(
                "correct the alias of {from} in accounts.{key}, or make a strongDM user account of {subject}"
            ),
        ),
    };
    let message = format!("{what}{when} (rules: {})", names.join(", "));
    Finding::problem((*reason).into(), subject, message).mended_by(remedy)
}

/// That several people would be one account, and what to do about it; none if that is not why this person is left out.
fn shared_account(settings: &Settings, skipped: &Skipped, world: &World) -> Option<(String, String)> {
    let (Subject::Email(address), SkipReason::AmbiguousAccount) = (&skipped.subject, skipped.reason) else {
        return None;
    };
    let (user, raw) = world.people.iter().find_map(|(user, told)| match told {
        Observed::Known(Some(raw)) if raw == address => Some((user, raw)),
        Observed::Known(_) | Observed::Unknown(_) => None,
    })?;
    let rivals = Namesakes::of(&settings.aliases, world).rivals_of(&settings.aliases, user, raw);
    (!rivals.is_empty()).then(|| namesakes_in_words(&settings.aliases, raw, &rivals))
}

/// The PagerDuty addresses that are mapped to this strongDM address, and the key that does it.
fn mapped_to(settings: &Settings, email: &str, world: &World) -> Option<(String, &'static str)> {
    let exact = settings.aliases.leading_to(email);
    if !exact.is_empty() {
        return Some((exact.join(", "), "aliases"));
    }
    let by_domain = world.people.values().find_map(|told| match told {
        Observed::Known(Some(raw)) => {
            let address: Email =
                raw.parse().ok().filter(|address| settings.aliases.maps_by_domain(address))?;
            settings.aliases.to_strongdm(&address).matches(email).then_some(address)
        }
        Observed::Known(None) | Observed::Unknown(_) => None,
    })?;
    Some((by_domain.to_string(), "domain_aliases"))
}

fn refusal(filter: &str, world: &World) -> Option<String> {
    match world.resources.get(&ResourceSelector::Filter(filter.to_owned())) {
        Some(Observed::Known(ResourceMatch::Refused(words))) => Some(words.clone()),
        _ => None,
    }
}

/// Filters that match nothing or surprisingly much.
fn filters(rule: &Rule, world: &World) -> Vec<Finding> {
    let judged = rule.resources.iter().filter_map(|selector| {
        let (ResourceSelector::Filter(_), Some(Observed::Known(ResourceMatch::Found(found)))) =
            (selector, world.resources.get(selector))
        else {
            return None;
        };
        let name = &rule.name;
        match found.len() {
            0 => Some(
                Finding::warning(
                    FindingKind::FilterWithoutMatch,
                    selector,
                    format!("matches no resource now (rule {name:?})"),
                )
                .mended_by("correct the expression, or tag the resources that it should find"),
            ),
            count if count > MANY => Some(
                Finding::warning(
                    FindingKind::FilterWithManyMatches,
                    selector,
                    format!("matches {count} resources (rule {name:?})"),
                )
                .mended_by("narrow it, unless everyone on call shall have all of them"),
            ),
            _ => None,
        }
    });
    judged.collect()
}

/// The stretches of the horizon in which nobody is on call for a rule; none if some of it could not be seen.
fn gaps(rule: &Rule, world: &World, horizon: Window) -> Vec<Window> {
    let mut covered: Vec<Window> = Vec::new();
    for source in rule.sources() {
        let Some(Observed::Known(on_calls)) = world.on_calls.get(&source) else { return Vec::new() };
        covered.extend(on_calls.iter().filter(|on_call| rule.selects(on_call)).filter_map(shift));
    }
    covered.into_iter().collect::<Windows>().missing_from(horizon)
}

/// The finding that tells of a rule's gaps.
fn nobody(rule: &Rule, horizon: Window, gaps: Vec<Window>) -> Finding {
    let days = horizon.end() - horizon.start();
    let message = match gaps.as_slice() {
        [all] if *all == horizon => format!("nobody is on call within the horizon of {}", span(days)),
        gaps => {
            let told: Vec<String> = gaps.iter().take(TOLD).map(|gap| stretch(gap, horizon)).collect();
            let more = gaps.len().saturating_sub(TOLD);
            let more = if more > 0 {
                format!(" and {more} more time{}", if more == 1 { "" } else { "s" })
            } else {
                String::new()
            };
            format!("nobody is on call {}{more}", told.join(", "))
        }
    };
    let sources: Vec<String> = rule.sources().iter().map(Source::to_string).collect();
    let subject = format!("rule {:?}", rule.name);
    let finding = Finding::warning(FindingKind::Gap, subject, format!("{message} ({})", sources.join(", ")));
    Finding { stretches: gaps, ..finding.mended_by(FILL) }
}

/// Levels of a rule at which a policy shows nobody, although it shows others.
fn absent_levels(rule: &Rule, world: &World) -> Vec<Finding> {
    let PeopleSelector::Policies { levels, .. } = &rule.people else { return Vec::new() };
    let words = |levels: &mut dyn Iterator<Item = u32>| -> String {
        levels.map(|level| level.to_string()).collect::<Vec<_>>().join(", ")
    };
    let absent = rule.sources().into_iter().filter_map(|source| {
        let Some(Observed::Known(on_calls)) = world.on_calls.get(&source) else { return None };
        let seen: BTreeSet<u32> = on_calls.iter().filter_map(|on_call| on_call.level).collect();
        let absent = words(&mut levels.iter().copied().filter(|level| !seen.contains(level)));
        if seen.is_empty() || absent.is_empty() {
            return None;
        }
        let seen = words(&mut seen.into_iter());
        let message = format!("no on-call of {source} is at level {absent} (seen: {seen})");
        let finding = Finding::warning(FindingKind::LevelNotSeen, format!("rule {:?}", rule.name), message);
        Some(
            finding.mended_by(
                "correct escalation_levels in the rule, or put somebody at that level in PagerDuty",
            ),
        )
    });
    absent.collect()
}

fn shift(on_call: &OnCall) -> Option<Window> {
    let start = on_call.start.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    Window::new(start, on_call.end.unwrap_or(FOREVER))
}

/// People who are always on call for a rule's policy, and get nothing for it.
fn always_on_call(rule: &Rule, world: &World) -> Option<Finding> {
    let PeopleSelector::Policies { include_always_on_call: false, levels, .. } = &rule.people else {
        return None;
    };
    let in_levels =
        |on_call: &&OnCall| levels.is_empty() || on_call.level.is_some_and(|level| levels.contains(&level));
    let mut users: Vec<&str> = Vec::new();
    for source in rule.sources() {
        let Some(Observed::Known(on_calls)) = world.on_calls.get(&source) else { continue };
        let always = on_calls.iter().filter(|on_call| on_call.start.is_none() && on_call.end.is_none());
        users.extend(
            always.filter(in_levels).map(|on_call| on_call.email.as_deref().unwrap_or(on_call.user.as_str())),
        );
    }
    users.sort_unstable();
    users.dedup();
    if users.is_empty() {
        return None;
    }
    let (are, get) = if users.len() == 1 { ("is", "gets") } else { ("are", "get") };
    let message = format!("{} {are} always on call there and {get} no access from it", users.join(", "));
    let finding = Finding::note(FindingKind::AlwaysOnCall, format!("rule {:?}", rule.name), message);
    Some(finding.mended_by("set include_always_on_call = true in the rule, if they should"))
}

fn stretch(gap: &Window, horizon: Window) -> String {
    let end = if gap.end() == horizon.end() { "the horizon".to_owned() } else { to_second(gap.end()) };
    if gap.start() == horizon.start() {
        return format!("now and until {end}");
    }
    format!("from {} until {end}", to_second(gap.start()))
}

#[cfg(test)]
mod tests;
