//! Rules about incidents: who can cause access by them, and whether what they name exists and may be read.

use std::collections::BTreeSet;

use super::{
    pagerduty_rights::Right,
    trials::{Trials, Unreadable},
};
use crate::{
    config::Config,
    model::{
        Finding, FindingKind, Group, IncidentSelector, PeopleSelector, PriorityId, Rule, ServiceId, Source,
        instant::span,
    },
    pagerduty::{Client, Error},
};

/// The rules about incidents.
fn selectors(rules: &[Rule]) -> impl Iterator<Item = (&Rule, &IncidentSelector)> {
    rules.iter().filter_map(|rule| match &rule.people {
        PeopleSelector::Incidents(selector) => Some((rule, selector)),
        PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } => None,
    })
}

/// For each rule about incidents, whose doing in PagerDuty gives access by it, and what limits that.
pub(super) fn who_can_cause(rules: &[Rule]) -> Vec<Finding> {
    selectors(rules).map(|(rule, selector)| who_can_cause_by(rule, selector)).collect()
}

fn who_can_cause_by(rule: &Rule, selector: &IncidentSelector) -> Finding {
    let IncidentSelector { services, eligible, max_duration, max_people, .. } = selector;
    let services: Vec<&str> = services.iter().map(ServiceId::as_str).collect();
    let groups: Vec<String> = eligible.iter().map(Group::to_string).collect();
    let by_hand = if groups.is_empty() {
        "whom they choose by hand gets nothing (eligible is not set)".to_owned()
    } else {
        format!("whom they choose by hand gets it only as a member of {}", groups.join(" or "))
    };
    let message = format!(
        "anyone with an integration key of service {} (it opens incidents), and any PagerDuty user who can act on an \
         incident of it, can cause this access: it goes to whomever an escalation policy assigns, and an incident can be \
         delegated to another policy; {by_hand}; at most {max_people} people of one incident, each for {} at most",
        services.join(", "),
        span(*max_duration),
    );
    Finding::note(FindingKind::WhoCanCause, format!("rule {:?}", rule.name), message)
        .mended_by("if that is too wide: narrow eligible, max_people and max_duration of the rule, or who may respond in PagerDuty")
}

/// Tries what only rules about incidents need: the list of incidents, the members of the groups, and the priorities.
pub(super) async fn try_out(config: &Config, client: &Client, results: &mut Trials) {
    let services: BTreeSet<&ServiceId> =
        selectors(&config.rules).flat_map(|(_, selector)| &selector.services).collect();
    if let Some(service) = services.first() {
        // Whatever else fails, the survey asks again and tells.
        if let Err(Error::Forbidden(refusal)) = client.open_incidents(&[(*service).clone()]).await {
            results.findings.push(Right::Incidents.missing(&refusal));
            let unreadable = services.iter().map(|id| Unreadable::Source(Source::Service((*id).clone())));
            results.unreadable.extend(unreadable);
        }
    }
    try_groups(config, client, results).await;
    try_priorities(config, client, results).await;
}

async fn try_groups(config: &Config, client: &Client, results: &mut Trials) {
    let groups: BTreeSet<&Group> =
        selectors(&config.rules).flat_map(|(_, selector)| &selector.eligible).collect();
    for group in groups {
        let rules = naming(&config.rules, |selector| selector.eligible.contains(group));
        let finding = match client.members(group).await {
            Ok(members) if members.is_empty() => Finding::warning(
                FindingKind::SourceNotFound,
                group,
                "has no members, so it makes nobody eligible",
            )
            .mended_by(format!("add members in PagerDuty, or another group to eligible in {rules}")),
            Ok(_) => continue,
            Err(Error::NotFound(_)) => not_found(group, &rules),
            Err(Error::Forbidden(refusal)) => Right::Members(group).missing(&refusal),
            Err(error) => {
                let message = format!("its members cannot be seen: {error}");
                Finding::problem(FindingKind::Unobserved, group, message).mended_by(
                    "nobody gets access as a member of it meanwhile; ask again, or name another group in eligible",
                )
            }
        };
        results.findings.push(finding);
    }
}

async fn try_priorities(config: &Config, client: &Client, results: &mut Trials) {
    let wanted: BTreeSet<&PriorityId> =
        selectors(&config.rules).flat_map(|(_, selector)| &selector.priorities).collect();
    if wanted.is_empty() {
        return;
    }
    let subject = "priorities";
    let finding = match client.priorities().await {
        Ok(known) => {
            let missing = wanted.into_iter().filter(|id| !known.contains(*id)).map(|id| {
                let rules = naming(&config.rules, |selector| selector.priorities.contains(id));
                not_found(format!("priority {id}"), &rules)
            });
            results.findings.extend(missing);
            return;
        }
        Err(Error::Forbidden(refusal)) => Right::Priorities.missing(&refusal),
        Err(Error::BadRequest(refusal)) => {
            let message = format!("this PagerDuty account has no priorities, it seems ({refusal})");
            Finding::problem(FindingKind::SourceNotFound, subject, message).mended_by(
                "switch incident priorities on in PagerDuty, or take priorities out of the rules: no incident has one",
            )
        }
        Err(error) => Finding::problem(FindingKind::Unobserved, subject, error).mended_by("ask again later"),
    };
    results.findings.push(finding);
}

/// The rules about incidents of which this holds, by name.
fn naming(rules: &[Rule], holds: impl Fn(&IncidentSelector) -> bool) -> String {
    let names = selectors(rules).filter(|(_, selector)| holds(selector));
    names.map(|(rule, _)| format!("rule {:?}", rule.name)).collect::<Vec<_>>().join(", ")
}

fn not_found(what: impl ToString, rules: &str) -> Finding {
    let message = "does not exist, or the token's owner may not see it";
    Finding::problem(FindingKind::SourceNotFound, what, message)
        .mended_by(format!("correct the ID in {rules}"))
}
