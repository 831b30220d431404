//! One harmless question for every right that the service needs, so that a refusal can be named.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::{
    cli::{counted, patiently},
    clock,
    config::Config,
    metrics::{Health, Metrics},
    model::{Asked, Email, Finding, FindingKind, OnCallSelector, PolicyId, Source, UserId, Window, later},
    pagerduty, strongdm,
    wiring::Clients,
};

/// Looked for to try the right to look; `.invalid` belongs to nobody.
const NOBODY: &str = "check@oncall-grants.invalid";
/// Clocks that differ by more than this are wrong; answers take a while, and tell whole seconds.
const CLOCKS_MAY_DIFFER: TimeDelta = TimeDelta::seconds(30);

/// What the questions showed.
#[derive(Debug, Default)]
pub(super) struct Probed {
    pub(super) findings: Vec<Finding>,
    /// Whether it makes sense to ask PagerDuty more.
    pub(super) pagerduty_answers: bool,
    sources: BTreeSet<Source>,
    /// Which rights are known to be missing.
    missing: BTreeSet<&'static str>,
}

impl Probed {
    /// Whether a finding already says why this could not be seen.
    pub(super) fn explains(&self, about: &Asked) -> bool {
        match about {
            Asked::Schedule(_) | Asked::Policy(_) => {
                about.source().is_some_and(|source| self.sources.contains(&source))
            }
            Asked::User(_) => self.missing.contains("users.read"),
            Asked::Account(_) => self.missing.contains("user:list"),
            Asked::Resource(_) => self.missing.contains("datasource:list"),
            Asked::Write(_) | Asked::List(_) | Asked::Other(_) => false,
        }
    }
}

pub(super) async fn upstreams(config: &Config, clients: &Clients) -> Probed {
    let mut probed = Probed::default();
    patiently("strongDM", rights_at_strongdm(config, &clients.strongdm, &mut probed)).await;
    probed.pagerduty_answers =
        patiently("PagerDuty", rights_at_pagerduty(config, &clients.pagerduty, &mut probed)).await;
    if probed.pagerduty_answers {
        patiently("PagerDuty", sources(config, &clients.pagerduty, &mut probed)).await;
    }
    probed
}

async fn rights_at_strongdm(config: &Config, client: &strongdm::Client, probed: &mut Probed) {
    let nobody: Email = NOBODY.parse().expect("an address");
    let accounts = client.accounts_by_email(&nobody).await.map(drop);
    if let Err(error @ (strongdm::Error::Unauthenticated | strongdm::Error::Unavailable(_))) = &accounts {
        let host = config.strongdm.api_url.host_str().unwrap_or_default();
        let unreachable = matches!(error, strongdm::Error::Unavailable(_));
        let (kind, remedy) = if unreachable {
            (
                FindingKind::Unreachable,
                format!("see whether {host} can be reached from here, and strongdm.api_url"),
            )
        } else {
            let hint = "compare strongdm.access_key and secret_key with an API key of the control plane at";
            (FindingKind::KeyRefused, format!("{hint} {host}, and this machine's date"))
        };
        probed.findings.push(Finding::problem(kind, "strongDM", error).mended_by(remedy));
        probed.missing.extend(["user:list", "datasource:list"]);
        return;
    }
    let resources = client.resources_by_name(NOBODY).await.map(drop);
    let grants = client.all_grants().await.map(drop);
    for (right, purpose, outcome) in [
        ("user:list", "find the accounts of people on call", accounts),
        ("datasource:list", "find the resources of the rules", resources),
        ("grant:read", "compare what it granted with what is there", grants),
    ] {
        let Err(error) = outcome else { continue };
        probed.missing.insert(right);
        let subject = format!("strongDM right {right}");
        probed.findings.push(match error {
            strongdm::Error::PermissionDenied { operation } => {
                let message = format!("is missing: without it ({operation}) the service cannot {purpose}");
                Finding::problem(FindingKind::RightMissing, subject, message)
                    .mended_by(format!("tick {right} for the API key in strongDM"))
            }
            error => Finding::problem(FindingKind::Unobserved, subject, error).mended_by("ask again later"),
        });
    }
    let message = "cannot be tried without writing; without it no grant is made or removed";
    probed.findings.push(
        Finding::note(FindingKind::NotTried, "strongDM right grant:write", message)
            .mended_by("see that it is ticked for the API key in strongDM"),
    );
}

/// Tries the rights of the token that do not depend on the rules; whether there is any use in asking more.
async fn rights_at_pagerduty(config: &Config, client: &pagerduty::Client, probed: &mut Probed) -> bool {
    let sources: Vec<Source> = config.rules.iter().flat_map(crate::model::Rule::sources).take(1).collect();
    let now = clock::now();
    let window = Window::new(now, now + TimeDelta::hours(1)).expect("an hour is long enough");
    match client.on_calls(&sources, window).await {
        Err(error @ pagerduty::Error::Server(_)) => {
            let remedy = "see PagerDuty's status page; nothing is revoked meanwhile";
            probed
                .findings
                .push(Finding::problem(FindingKind::Unreachable, "PagerDuty", error).mended_by(remedy));
            return false;
        }
        Err(error @ (pagerduty::Error::Unauthorized(_) | pagerduty::Error::Unavailable(_))) => {
            let unreachable = matches!(error, pagerduty::Error::Unavailable(_));
            let host = config.pagerduty.api_url.host_str().unwrap_or_default();
            let (kind, remedy) = if unreachable {
                (
                    FindingKind::Unreachable,
                    format!("see whether {host} can be reached from here, and pagerduty.api_url"),
                )
            } else {
                let hint =
                    "make a new REST API key and give it as pagerduty.token; accounts of the EU region need";
                (
                    FindingKind::KeyRefused,
                    format!("{hint} api_url = \"https://api.eu.pagerduty.com\" (now: {host})"),
                )
            };
            probed.findings.push(Finding::problem(kind, "PagerDuty", error).mended_by(remedy));
            return false;
        }
        Err(pagerduty::Error::Forbidden(words)) => {
            probed.sources.extend(config.rules.iter().flat_map(crate::model::Rule::sources));
            probed.findings.push(right_missing("oncalls.read", "see who is on call", &words));
        }
        Ok(_) | Err(_) => {}
    }
    // No such user: the right is tried, and nothing else.
    if let Err(pagerduty::Error::Forbidden(words)) = client.user(&UserId::from("PNOBODY")).await {
        probed.missing.insert("users.read");
        let finding = right_missing("users.read", "look up addresses that a schedule does not tell", &words);
        probed.findings.push(finding);
    }
    true
}

fn right_missing(right: &str, purpose: &str, words: &str) -> Finding {
    let message = format!("is missing: without it the service cannot {purpose} ({words})");
    Finding::problem(FindingKind::RightMissing, format!("PagerDuty right {right}"), message)
        .mended_by("use a read-only REST API key of the account, or grant the right to the token's owner")
}

/// Whether every schedule, policy and level of the rules exists.
async fn sources(config: &Config, client: &pagerduty::Client, probed: &mut Probed) {
    let now = clock::now();
    let window = Window::new(now, later(now, config.sync.horizon)).expect("the horizon is not empty");
    let all: BTreeSet<Source> = config.rules.iter().flat_map(crate::model::Rule::sources).collect();
    for source in all {
        let answer = match &source {
            Source::Schedule(id) => client.schedule(id, window).await.map(|_| None),
            Source::Policy(id) => client.policy(id).await.map(Some),
        };
        let right = match &source {
            Source::Schedule(_) => "schedules.read",
            Source::Policy(_) => "escalation_policies.read",
        };
        match (answer, &source) {
            (Ok(Some(info)), Source::Policy(id)) => probed.findings.extend(levels(config, id, &info)),
            (Err(pagerduty::Error::NotFound(_)), _) => {
                let message = "does not exist, or the token's owner may not see it";
                let finding = Finding::problem(FindingKind::SourceNotFound, &source, message);
                let names = naming(config, &source);
                probed.findings.push(finding.mended_by(format!("correct the ID in {names}")));
                probed.sources.insert(source);
            }
            (Err(pagerduty::Error::Forbidden(words)), _) => {
                let purpose = format!("tell whether {source} is empty or gone");
                probed.findings.push(right_missing(right, &purpose, &words));
                probed.sources.insert(source);
            }
            // What failed otherwise, the survey asks again and tells.
            (Ok(_) | Err(_), _) => {}
        }
    }
}

fn naming(config: &Config, source: &Source) -> String {
    let rules = config.rules.iter().filter(|rule| rule.sources().contains(source));
    let names: Vec<String> = rules.map(|rule| format!("rule {:?}", rule.name)).collect();
    names.join(", ")
}

/// Levels of rules that the policy does not have.
fn levels(config: &Config, id: &PolicyId, info: &pagerduty::PolicyInfo) -> Vec<Finding> {
    let beyond = config.rules.iter().filter_map(|rule| {
        let OnCallSelector::Policies { ids, levels, .. } = &rule.on_calls else { return None };
        let beyond = |level: &&u32| usize::try_from(**level).is_ok_and(|level| level > info.levels);
        let missing: Vec<String> = levels.iter().filter(beyond).map(u32::to_string).collect();
        if missing.is_empty() || !ids.contains(id) {
            return None;
        }
        let message = format!(
            "escalation policy {id} has {}, so level {} never applies",
            counted(info.levels, "level"),
            missing.join(", "),
        );
        let finding =
            Finding::problem(FindingKind::LevelBeyondPolicy, format!("rule {:?}", rule.name), message);
        Some(finding.mended_by("correct escalation_levels in the rule"))
    });
    beyond.collect()
}

/// Whether our clock agrees with the upstreams'.
pub(super) fn clocks(metrics: &Metrics) -> Vec<Finding> {
    let judged = [("PagerDuty", &metrics.pagerduty), ("strongDM", &metrics.strongdm)];
    judged.into_iter().filter_map(|(name, health)| clock_of(name, health)).collect()
}

fn clock_of(name: &str, health: &Health) -> Option<Finding> {
    let clocks = health.clocks()?;
    let ahead = clocks.ours - clocks.theirs;
    if ahead.abs() <= CLOCKS_MAY_DIFFER {
        return None;
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    let amount =
        humantime::format_duration(std::time::Duration::from_secs(ahead.num_seconds().unsigned_abs()));
    let message = format!("is {amount} {direction} {name}'s, so access starts and ends at the wrong time");
    let finding = if clocks.ours.date_naive() == clocks.theirs.date_naive() {
        Finding::warning(FindingKind::ClockSkew, "this machine's clock", message)
    } else {
        let message =
            format!("{message}; the UTC day differs, and strongDM refuses signatures of another day");
        Finding::problem(FindingKind::ClockSkew, "this machine's clock", message)
    };
    Some(finding.mended_by("set the clock, and keep it right with NTP"))
}
