//! Who is paged when an incident of a rule's service escalates, and has no strongDM account: whoever that is gets nothing at
//! the moment when it matters.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock,
    config::Config,
    model::{
        Email, Finding, FindingKind, OnCall, PeopleSelector, PolicyId, Rule, ServiceId, SkipReason, Source,
        Window, later,
    },
    wiring::Clients,
};

/// So many addresses are looked up.
const MOST: usize = 100;

/// What is not seen is left out: the other parts of `check` tell of it.
pub(super) async fn findings(config: &Config, clients: &Clients, known: &[Finding]) -> Vec<Finding> {
    let mut people: BTreeMap<Email, BTreeSet<String>> = BTreeMap::new();
    for (service, policy) in policies(&config.rules, clients).await {
        for on_call in on_calls(config, clients, &policy).await {
            let email = on_call.email.as_deref().and_then(|raw| config.aliases.account_email(raw).ok());
            let Some(email) = email else { continue };
            let level = on_call.level.map(|level| format!(" at level {level}")).unwrap_or_default();
            let whence = format!("escalation policy {policy}{level} (service {service})");
            people.entry(email).or_default().insert(whence);
        }
    }
    let is_told = |email: &Email| {
        known.iter().any(|one| one.kind == FindingKind::NoAccount && email.matches(&one.subject))
    };
    let mut findings = Vec::new();
    for (email, whence) in people.into_iter().filter(|(email, _)| !is_told(email)).take(MOST) {
        let Ok(accounts) = clients.strongdm.accounts_by_email(&email).await else { continue };
        if accounts.is_empty() {
            let whence: Vec<String> = whence.into_iter().collect();
            let message = format!(
                "{}; an incident pages this person within the horizon through {}",
                SkipReason::NoAccount,
                whence.join(", ")
            );
            let finding = Finding::warning(FindingKind::NoAccount, email, message);
            findings.push(finding.mended_by(SkipReason::NoAccount.remedy()));
        }
    }
    findings
}

/// The escalation policy of each service that rules about incidents name.
async fn policies(rules: &[Rule], clients: &Clients) -> Vec<(ServiceId, PolicyId)> {
    let services = rules.iter().filter_map(|rule| match &rule.people {
        PeopleSelector::Incidents(selector) => Some(&selector.services),
        PeopleSelector::Schedules(_) | PeopleSelector::Policies { .. } => None,
    });
    let services: BTreeSet<&ServiceId> = services.flatten().collect();
    let mut found = Vec::new();
    for service in services {
        if let Ok(Some(policy)) = clients.pagerduty.policy_of_service(service).await {
            found.push((service.clone(), policy));
        }
    }
    found
}

async fn on_calls(config: &Config, clients: &Clients, policy: &PolicyId) -> Vec<OnCall> {
    let now = clock::now();
    let window = Window::new(now, later(now, config.sync.horizon)).expect("the horizon is not empty");
    let source = Source::Policy(policy.clone());
    clients.pagerduty.on_calls(&[source], window).await.unwrap_or_default()
}
