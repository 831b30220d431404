//! Whether every schedule, policy and level of the rules exists.

use std::collections::BTreeSet;

use super::{
    pagerduty_rights::Right,
    trials::{Trials, Unreadable},
};
use crate::{
    cli::counted,
    clock,
    config::Config,
    model::{Finding, FindingKind, PeopleSelector, PolicyId, Rule, Source, Window, later},
    pagerduty::{Client, Error, PolicyInfo},
};

pub(super) async fn try_out(config: &Config, client: &Client, results: &mut Trials) {
    let now = clock::now();
    let window = Window::new(now, later(now, config.sync.horizon)).expect("the horizon is not empty");
    let all: BTreeSet<Source> = config.rules.iter().flat_map(Rule::sources).collect();
    for source in all {
        let found = match &source {
            Source::Schedule(id) => client.schedule(id, window).await.map(drop),
            Source::Service(id) => client.service(id).await.map(drop),
            Source::Policy(id) => client.policy(id).await.map(|policy| {
                results.findings.extend(missing_levels(&config.rules, id, &policy));
            }),
        };
        let finding = match found {
            Err(Error::NotFound(_)) => not_found(&config.rules, &source),
            Err(Error::Forbidden(refusal)) => Right::Source(&source).missing(&refusal),
            // What failed otherwise, the survey asks again and tells.
            Ok(()) | Err(_) => continue,
        };
        results.findings.push(finding);
        results.unreadable.insert(Unreadable::Source(source));
    }
}

fn not_found(rules: &[Rule], source: &Source) -> Finding {
    let rules = rules.iter().filter(|rule| rule.names(source));
    let names: Vec<String> = rules.map(|rule| format!("rule {:?}", rule.name)).collect();
    let message = "does not exist, or the token's owner may not see it";
    Finding::problem(FindingKind::SourceNotFound, source, message)
        .mended_by(format!("correct the ID in {}", names.join(", ")))
}

/// Levels of rules that the policy does not have.
fn missing_levels(rules: &[Rule], id: &PolicyId, policy: &PolicyInfo) -> Vec<Finding> {
    let beyond = rules.iter().filter_map(|rule| {
        let PeopleSelector::Policies { ids, levels, .. } = &rule.people else { return None };
        let beyond = |level: &&u32| usize::try_from(**level).is_ok_and(|level| level > policy.levels.len());
        let missing: Vec<String> = levels.iter().filter(beyond).map(u32::to_string).collect();
        if missing.is_empty() || !ids.contains(id) {
            return None;
        }
        let message = format!(
            "escalation policy {id} has {}, so level {} never applies",
            counted(policy.levels.len(), "level"),
            missing.join(", "),
        );
        let finding =
            Finding::problem(FindingKind::LevelBeyondPolicy, format!("rule {:?}", rule.name), message);
        Some(finding.mended_by("correct escalation_levels in the rule"))
    });
    beyond.collect()
}
