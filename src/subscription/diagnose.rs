//! Diagnoses what is wrong with the subscription that should deliver to us. Pure.

use std::collections::BTreeSet;

use url::Url;

use crate::{
    model::{Finding, FindingKind},
    pagerduty::{Error, Subscription},
};

/// What PagerDuty shows of our subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It delivers.
    Active,
    /// Its owner disabled it.
    Inactive,
    /// PagerDuty disabled it, because too many deliveries failed.
    TemporarilyDisabled,
    /// No subscription delivers to our URL.
    Missing,
    /// The token may not read subscriptions.
    Forbidden,
    /// PagerDuty did not answer.
    Unknown,
}

/// What it takes to read subscriptions.
pub(crate) const READ_RIGHT: &str = "use a REST API key of the account (read-only is enough), or a token with \
                                 webhook_subscriptions.read";

/// What it takes to change them.
pub(crate) const WRITE_RIGHT: &str = "use a REST API key of the account that is not read-only, or a token with \
                                   webhook_subscriptions.write";

impl State {
    /// Every state.
    pub(crate) const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::TemporarilyDisabled,
        Self::Missing,
        Self::Forbidden,
        Self::Unknown,
    ];

    /// The state of a subscription that PagerDuty lists.
    pub(crate) fn of(subscription: &Subscription) -> Self {
        match (subscription.active, subscription.temporarily_disabled) {
            (false, _) => Self::Inactive,
            (true, true) => Self::TemporarilyDisabled,
            (true, false) => Self::Active,
        }
    }

    /// The word for it in metrics and on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::TemporarilyDisabled => "temporarily_disabled",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
        }
    }
}

/// The subscriptions that deliver to this URL.
pub(crate) fn delivering_to<'s>(listed: &'s [Subscription], url: &Url) -> Vec<&'s Subscription> {
    listed.iter().filter(|subscription| subscription.url.as_ref() == Some(url)).collect()
}

/// Whether the service knows any webhook secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretStatus {
    /// It knows one, though perhaps not that of our subscription.
    Configured,
    /// It knows none, and answers every webhook 503.
    Missing,
}

/// What is wrong with the subscription that should deliver these events to `url`, by what PagerDuty listed.
pub(crate) fn diagnose(
    listed: &Result<Vec<Subscription>, Error>,
    url: &Url,
    events: &[&str],
    secret: SecretStatus,
) -> Vec<Finding> {
    let listed = match listed {
        Ok(listed) => listed,
        Err(Error::Forbidden(_)) => {
            let message = "cannot be looked at: the token may not read webhook subscriptions";
            return vec![
                Finding::note(FindingKind::SubscriptionNotReadable, "webhook subscription", message)
                    .mended_by(format!("look at it in PagerDuty, or {READ_RIGHT}")),
            ];
        }
        Err(error) => {
            return vec![
                Finding::warning(FindingKind::SubscriptionNotReadable, "webhook subscription", error)
                    .mended_by("ask again later"),
            ];
        }
    };
    let ours = delivering_to(listed, url);
    let mut findings: Vec<Finding> = ours.iter().flat_map(|one| faults(one, events)).collect();
    match ours.as_slice() {
        [] => findings.push(missing(listed, url)),
        [_] => {}
        [..] => {
            let ids: Vec<&str> = ours.iter().map(|one| one.id.as_str()).collect();
            let message = format!("{} all deliver to {url}", ids.join(", "));
            findings.push(
                Finding::warning(FindingKind::SubscriptionDoubled, "webhook subscription", message)
                    .mended_by("unless they differ by filter or a rotation is under way, delete all but one"),
            );
        }
    }
    if secret == SecretStatus::Missing && !ours.is_empty() {
        let message = "delivers, but no webhook secret is configured, so every delivery is answered 503";
        findings.push(
            Finding::problem(FindingKind::SubscriptionWithoutSecret, name(ours[0]), message).mended_by(
                "configure its secret; if it is lost, oncall-grants webhook rotate makes a new one",
            ),
        );
    }
    findings
}

/// The active subscriptions of which no signed event arrived lately; `seen` are those of which one did.
pub(crate) fn without_events(listed: &[Subscription], url: &Url, seen: &BTreeSet<String>) -> Vec<Finding> {
    let silent = delivering_to(listed, url).into_iter();
    let silent = silent.filter(|one| State::of(one) == State::Active && !seen.contains(&one.id));
    let finding = |one: &Subscription| {
        let message =
            "no signed event of it has arrived lately, so it is not known whether its secret is configured";
        Finding::note(FindingKind::SubscriptionUnheard, name(one), message)
            .mended_by(format!("try it, while the service runs: oncall-grants webhook ping {}", one.id))
    };
    silent.map(finding).collect()
}

fn name(subscription: &Subscription) -> String {
    format!("webhook subscription {}", subscription.id)
}

/// No subscription delivers to `url`; names one that delivers to almost the same URL, if there is one.
fn missing(listed: &[Subscription], url: &Url) -> Finding {
    let near = listed.iter().find_map(|one| {
        let theirs = one.url.as_ref()?;
        let near = theirs.host_str() == url.host_str() || theirs.path() == url.path();
        near.then(|| format!("; {} delivers to {theirs}", one.id))
    });
    let message = format!("none delivers to {url}{}", near.unwrap_or_default());
    Finding::problem(FindingKind::SubscriptionMissing, "webhook subscription", message)
        .mended_by("make one with oncall-grants webhook create, or correct server.public_url")
}

/// The events of these that it does not deliver.
pub(crate) fn missing_events<'e>(subscription: &Subscription, wanted: &[&'e str]) -> Vec<&'e str> {
    let has = |event: &str| subscription.events.iter().any(|has| has == event);
    wanted.iter().copied().filter(|event| !has(event)).collect()
}

fn faults(subscription: &Subscription, events: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = name(subscription);
    match State::of(subscription) {
        State::Inactive => findings.push(
            Finding::problem(FindingKind::SubscriptionInactive, &name, "is switched off by its owner")
                .mended_by("switch it on in PagerDuty"),
        ),
        State::TemporarilyDisabled => {
            let message = "was switched off by PagerDuty for up to a day, because deliveries were refused";
            findings.push(
                Finding::problem(FindingKind::SubscriptionDisabled, &name, message)
                    .mended_by("see that its secret is configured, then: oncall-grants webhook enable"),
            );
        }
        State::Active | State::Missing | State::Forbidden | State::Unknown => {}
    }
    let missing = missing_events(subscription, events);
    let add = format!("add them: oncall-grants webhook enable {}", subscription.id);
    if !subscription.events.iter().any(|event| event.starts_with("incident.")) {
        let message = "delivers no incident.* event, so nobody is looked at when an incident begins";
        findings.push(Finding::problem(FindingKind::SubscriptionEvents, &name, message).mended_by(add));
    } else if !missing.is_empty() {
        let message = format!("does not deliver {}", missing.join(", "));
        findings.push(
            Finding::warning(FindingKind::SubscriptionEvents, &name, message)
                .mended_by(format!("{add}; or do without, if the timer finds such changes soon enough")),
        );
    }
    findings
}

#[cfg(test)]
mod tests;
