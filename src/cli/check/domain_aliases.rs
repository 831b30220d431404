//! What `accounts.domain_aliases` means for everybody in PagerDuty, on call or not.

use std::collections::BTreeSet;

use crate::{
    config::Config,
    model::{Email, Finding, FindingKind, UserId},
    pagerduty::Client,
    reconcile::plan::{Namesakes, namesakes_in_words},
};

/// Of a larger account, only those on call are looked at.
const MOST_PAGES: u64 = 100;

/// People whom the domains lead to one account, beside those of whom `told` tells, and domains that nobody has.
pub(super) async fn findings(config: &Config, client: &Client, told: &[Finding]) -> Vec<Finding> {
    let aliases = &config.aliases;
    if aliases.domains().is_empty() {
        return Vec::new();
    }
    // That users cannot be read is told elsewhere.
    let Ok(Some(users)) = client.users(MOST_PAGES).await else { return Vec::new() };
    let people: Vec<(&UserId, &str)> =
        users.iter().filter_map(|user| Some((&user.id, user.email.as_deref()?))).collect();
    let namesakes = Namesakes::among(aliases, people.iter().copied());
    let known: BTreeSet<&str> = told
        .iter()
        .filter(|finding| finding.kind == FindingKind::AmbiguousAccount)
        .map(|finding| finding.subject.as_str())
        .collect();
    let doubled = people.iter().filter(|(_, raw)| !known.contains(raw)).filter_map(|(user, raw)| {
        let rivals = namesakes.rivals_of(aliases, user, raw);
        let (words, remedy) = (!rivals.is_empty()).then(|| namesakes_in_words(aliases, raw, &rivals))?;
        Some(Finding::warning(FindingKind::AmbiguousAccount, raw, words).mended_by(remedy))
    });
    let mut findings: Vec<Finding> = doubled.collect();
    for (from, to) in aliases.domains() {
        let has = |(_, raw): &(&UserId, &str)| {
            raw.parse().is_ok_and(|email: Email| {
                aliases.maps_by_domain(&email) && email.as_str().ends_with(&format!("@{from}"))
            })
        };
        if !people.iter().any(has) {
            let message = format!(
                "maps {from} to {to}, but nobody in PagerDuty has an address of {from} that is not mapped by itself"
            );
            findings.push(
                Finding::warning(FindingKind::DomainAliasUnused, "accounts.domain_aliases", message)
                    .mended_by(
                        "correct the domain, as it stands behind the @ in PagerDuty, or remove the line",
                    ),
            );
        }
    }
    findings
}
