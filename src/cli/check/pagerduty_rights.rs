//! One harmless question for every right that the service needs of PagerDuty, so that a refusal can be named.

use std::borrow::Cow;

use chrono::TimeDelta;

use super::trials::{Trials, Unreadable};
use crate::{
    clock,
    config::{Config, Credentials},
    model::{Finding, FindingKind, Group, Rule, Source, UserId, Window},
    pagerduty::{Client, Error},
};

/// A right that the service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right<'s> {
    OnCalls,
    Users,
    /// To read schedules, policies or services, such as this one.
    Source(&'s Source),
    Incidents,
    /// To read who belongs to such a group.
    Members(&'s Group),
    Priorities,
}

impl Right<'_> {
    /// As the scopes of PagerDuty's OAuth tokens call it.
    fn name(self) -> &'static str {
        match self {
            Self::OnCalls => "oncalls.read",
            Self::Users => "users.read",
            Self::Source(Source::Schedule(_)) | Self::Members(Group::Schedule(_)) => "schedules.read",
            Self::Source(Source::Policy(_)) | Self::Members(Group::Policy(_)) => "escalation_policies.read",
            Self::Source(Source::Service(_)) => "services.read",
            Self::Incidents => "incidents.read",
            Self::Members(Group::Team(_)) => "teams.read",
            Self::Priorities => "priorities.read",
        }
    }

    fn purpose(self) -> Cow<'static, str> {
        match self {
            Self::OnCalls => "see who is on call".into(),
            Self::Users => "look up addresses that a schedule does not tell".into(),
            Self::Source(source) => format!("tell whether {source} is empty or gone").into(),
            Self::Incidents => "see who works on incidents".into(),
            Self::Members(group) => format!("tell who is eligible as a member of {group}").into(),
            Self::Priorities => "tell whether the priorities of the rules exist".into(),
        }
    }

    /// That it is missing, where PagerDuty refused with this text.
    pub(super) fn missing(self, refusal: &str) -> Finding {
        let (name, purpose) = (self.name(), self.purpose());
        let message = format!("is missing: without it the service cannot {purpose} ({refusal})");
        Finding::problem(FindingKind::RightMissing, format!("PagerDuty right {name}"), message)
            .mended_by("use a read-only REST API key of the account, or grant the right to the token's owner")
    }
}

/// Tries the rights that do not depend on the rules. Fails with why there is no use in asking PagerDuty more.
pub(super) async fn try_out(config: &Config, client: &Client, results: &mut Trials) -> Result<(), Finding> {
    let sources = || config.rules.iter().flat_map(Rule::sources);
    let one: Vec<Source> = sources().filter(|source| !matches!(source, Source::Service(_))).take(1).collect();
    let now = clock::now();
    let window = Window::new(now, now + TimeDelta::hours(1)).expect("an hour is long enough");
    // Rules about incidents alone do without who is on call.
    if !one.is_empty()
        && let Err(error) = client.on_calls(&one, window).await
    {
        if let Some(finding) = unusable(config, &error) {
            return Err(finding);
        }
        if let Error::Forbidden(refusal) = &error {
            results.findings.push(Right::OnCalls.missing(refusal));
            let on_calls = sources().filter(|source| !matches!(source, Source::Service(_)));
            results.unreadable.extend(on_calls.map(Unreadable::Source));
        }
    }
    // No such user: the right is tried, and nothing else.
    let user = client.user(&UserId::from("PNOBODY")).await;
    let first_error = user.as_ref().err().filter(|_| one.is_empty());
    if let Some(finding) = first_error.and_then(|error| unusable(config, error)) {
        return Err(finding);
    }
    if let Err(Error::Forbidden(refusal)) = user {
        results.findings.push(Right::Users.missing(&refusal));
        results.unreadable.insert(Unreadable::Users);
    }
    Ok(())
}

/// Why there is no use in asking PagerDuty more, if this error says so.
fn unusable(config: &Config, error: &Error) -> Option<Finding> {
    let host = config.pagerduty.api_url.host_str().unwrap_or_default();
    let (kind, remedy) = match error {
        Error::Server(_) => {
            (FindingKind::Unreachable, "see PagerDuty's status page; nothing is revoked meanwhile".to_owned())
        }
        Error::Unavailable(_) => (
            FindingKind::Unreachable,
            format!("see whether {host} can be reached from here, and pagerduty.api_url"),
        ),
        Error::Unauthorized(_) => (
            FindingKind::KeyRefused,
            format!(
                "{}; accounts of the EU region need api_url = \"https://api.eu.pagerduty.com\" (now: {host})",
                match config.pagerduty.credentials {
                    Credentials::Key(_) => "make a new REST API key and give it as pagerduty.token",
                    Credentials::App(_) => "see the OAuth app, and pagerduty.subdomain",
                }
            ),
        ),
        Error::AppRefused(_) => (FindingKind::KeyRefused, error.remedy("")),
        Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::BadRequest(_)
        | Error::RateLimited { .. }
        | Error::Invalid(_) => return None,
    };
    Some(Finding::problem(kind, "PagerDuty", error).mended_by(remedy))
}
