//! Whether webhooks reach us: our subscription at PagerDuty, and the secrets that it signs with.

use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, distance, time},
    notice::Notice,
};
use crate::{
    model::{Certainty, Finding, FindingKind, Severity},
    reconcile::report::snapshot::WrongSecret,
    subscription::State,
};

/// The finding that says the same as the notice about no secret at all.
const WITHOUT_SECRET: FindingKind = FindingKind::SubscriptionWithoutSecret;

/// The card beside the upstreams.
pub(super) fn card(facts: &Facts<'_>) -> Markup {
    let (now, webhooks) = (facts.now, &facts.webhooks);
    let (tone, word) = state(facts);
    html! {
        li.card {
            h3 { "Webhooks " (chip(tone, word)) }
            @match &webhooks.url {
                Some(url) => { p { "PagerDuty should deliver to " code { (url) } "." } }
                None => { p { "Whether PagerDuty delivers is not watched, because " code { "server.public_url" } " is not set." } }
            }
            @if let Some(at) = webhooks.looked_at { p { "The subscription was last looked at " (distance(now, at)) "." } }
            p {
                "Last signed webhook: "
                @match facts.events.first() {
                    Some(event) => { (time(now, event.received_at)) " (" (distance(now, event.received_at)) ")" }
                    None => { "none yet" }
                }
            }
            @if let Some(wrong) = claimed(facts) {
                p {
                    "A webhook in the name of " code { (wrong.subscription) } " was refused " (distance(now, wrong.at))
                    ": its secret is not configured, or somebody else sent it. "
                    code { "oncall-grants webhook ping " (wrong.subscription) } " tells."
                }
            }
            @if !webhooks.has_secrets { p { "No webhook secret is configured, so webhooks are answered 503." } }
            @for finding in webhooks.findings.iter() {
                p {
                    (chip(tone_of(finding), word_of(finding))) " " (capital(&finding.subject)) ": " (finding.message)
                    @if !finding.remedy.is_empty() { ". " strong { "What mends it: " } (finding.remedy) "." }
                }
            }
        }
    }
}

fn state(facts: &Facts<'_>) -> (Tone, &'static str) {
    match facts.wrong_secret.as_ref().map(|wrong| wrong.certainty) {
        Some(Certainty::Proved) => return (Tone::Bad, "wrong secret"),
        Some(Certainty::Claimed) => return (Tone::Warn, "wrong secret?"),
        None => {}
    }
    match (&facts.webhooks.url, facts.webhooks.state) {
        (None, _) if !facts.webhooks.has_secrets => (Tone::Warn, "refused"),
        (None, _) => (Tone::Quiet, "not watched"),
        (Some(_), None) => (Tone::Quiet, "not looked at yet"),
        (_, Some(State::Active)) => (Tone::Good, "active"),
        (_, Some(State::Inactive)) => (Tone::Bad, "inactive"),
        (_, Some(State::TemporarilyDisabled)) => (Tone::Bad, "temporarily disabled"),
        (_, Some(State::Missing)) => (Tone::Bad, "missing"),
        (_, Some(State::Forbidden)) => (Tone::Quiet, "forbidden to look"),
        (_, Some(State::Unknown)) => (Tone::Warn, "unknown"),
    }
}

fn tone_of(finding: &Finding) -> Tone {
    match finding.severity {
        Severity::Problem => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Note => Tone::Info,
    }
}

fn word_of(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Problem => "problem",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// The text as the beginning of a sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What of this belongs at the top of the page.
pub(super) fn notices(facts: &Facts<'_>) -> Vec<Notice> {
    let webhooks = &facts.webhooks;
    let proved = facts.wrong_secret.iter().filter(|wrong| wrong.certainty == Certainty::Proved);
    let mut notices: Vec<Notice> = proved.map(|wrong| refused(facts, wrong)).collect();
    if !webhooks.has_secrets {
        let delivers = webhooks.findings.iter().any(|finding| finding.kind == WITHOUT_SECRET);
        notices.push(Notice {
            tone: if delivers { Tone::Bad } else { Tone::Warn },
            title: "Webhooks are answered 503".to_owned(),
            text: html! {
                "No webhook secret is configured, so changes in PagerDuty are found by the timer only. Set "
                code { "pagerduty.webhook_secrets" } "; if the secret is lost, "
                code { "oncall-grants webhook rotate" } " makes a new one."
            },
        });
    }
    let problems = webhooks
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Problem && finding.kind != WITHOUT_SECRET);
    notices.extend(problems.map(|finding| Notice {
        tone: Tone::Bad,
        title: format!("{}: {}", capital(&finding.subject), finding.message),
        text: html! {
            "Until that is mended, changes in PagerDuty may be found by the timer only. "
            @if !finding.remedy.is_empty() { "What mends it: " (finding.remedy) "." }
        },
    }));
    notices
}

/// What may come from anybody: it is told beside the subscription, and raises no notice.
fn claimed<'f>(facts: &'f Facts<'_>) -> Option<&'f WrongSecret> {
    facts.wrong_secret.as_ref().filter(|wrong| wrong.certainty == Certainty::Claimed)
}

fn refused(facts: &Facts<'_>, wrong: &WrongSecret) -> Notice {
    let WrongSecret { subscription, at, certainty: _ } = wrong;
    Notice {
        tone: Tone::Bad,
        title: "Webhooks of our own subscription are refused".to_owned(),
        text: html! {
            "Subscription " code { (subscription) } " signs with a secret that is not configured; last seen "
            (distance(facts.now, *at)) ", at " (time(facts.now, *at)) ", and no webhook of it was accepted since. Put its secret into "
            code { "pagerduty.webhook_secrets" } "; if it is lost, " code { "oncall-grants webhook rotate" }
            " makes a new one. After three refusals in a row PagerDuty switches the subscription off for a day."
        },
    }
}
