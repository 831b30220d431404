//! Whom rules about incidents leave out now, and why.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::{
    model::{Finding, FindingKind, Group, IncidentSelector, PeopleSelector, Rule, SkipReason},
    reconcile::{
        plan::{Entitlement, Seat, Settings, seats},
        world::{PagedInVain, World},
    },
};

/// So many incidents of one person are named.
const NAMED: usize = 3;

/// Whether people who were skipped for this reason are told of here.
pub(super) fn tells_of(reason: SkipReason) -> bool {
    matches!(reason, SkipReason::NotEligible | SkipReason::TooManyPeople)
}

/// Whether all rules of these names are about incidents.
pub(super) fn are_all_about(names: &BTreeSet<String>, settings: &Settings) -> bool {
    let is_about = |rule: &&Rule| matches!(rule.people, PeopleSelector::Incidents(_));
    let about: BTreeSet<&String> = settings.rules.iter().filter(is_about).map(|rule| &rule.name).collect();
    names.iter().all(|name| about.contains(name))
}

/// Everyone in an open incident whom a rule leaves out because of how they came into it.
pub(super) fn left_out(now: DateTime<Utc>, settings: &Settings, world: &World) -> Vec<Finding> {
    let mut found: BTreeMap<(String, SkipReason), Vec<String>> = BTreeMap::new();
    for rule in &settings.rules {
        let PeopleSelector::Incidents(selector) = &rule.people else { continue };
        for seat in seats(now, settings, rule, world) {
            let Some((reason, why)) = why(selector, &seat) else { continue };
            let part = &seat.standing.part;
            let text = format!("{} of {} (rule {:?}): {why}", part.role.as_str(), part.incident, rule.name);
            found.entry((seat.who.to_string(), reason)).or_default().push(text);
        }
    }
    let finding = |((subject, reason), texts): ((String, SkipReason), Vec<String>)| {
        let more = texts.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named: Vec<String> = texts.into_iter().take(NAMED).collect();
        let kind = FindingKind::from(reason);
        Finding::warning(kind, subject, format!("{}{more}", named.join("; "))).mended_by(reason.remedy())
    };
    found.into_iter().map(finding).collect()
}

/// Everyone whom an incident of a rule's service would page in vain.
pub(super) fn paged_in_vain(rule: &Rule, world: &World) -> Vec<Finding> {
    let PeopleSelector::Incidents(selector) = &rule.people else { return Vec::new() };
    let finding = |PagedInVain { email, reason, through }: &PagedInVain| {
        let here = through.iter().filter(|one| selector.services.contains(&one.service));
        let whence: Vec<String> = here.map(ToString::to_string).collect();
        let more = whence.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = whence.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let message =
            format!("{reason}; an incident pages this person within the horizon through {named}{more}");
        (!whence.is_empty())
            .then(|| Finding::warning((*reason).into(), email, message).mended_by(reason.remedy()))
    };
    world.paged_in_vain.iter().filter_map(finding).collect()
}

fn why(selector: &IncidentSelector, seat: &Seat) -> Option<(SkipReason, String)> {
    match seat.standing.entitlement {
        Entitlement::NotEligible if selector.eligible.is_empty() => {
            Some((SkipReason::NotEligible, "chosen by hand, and the rule has no eligible group".to_owned()))
        }
        Entitlement::NotEligible => {
            let groups: Vec<String> = selector.eligible.iter().map(Group::to_string).collect();
            let why = format!("chosen by hand, and no member of {}", groups.join(" or "));
            Some((SkipReason::NotEligible, why))
        }
        Entitlement::TooMany => {
            let why = format!("max_people ({}) came first", selector.max_people);
            Some((SkipReason::TooManyPeople, why))
        }
        Entitlement::Until(_) | Entitlement::Unclear(_) | Entitlement::Over => None,
    }
}
