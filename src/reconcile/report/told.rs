//! What a pass found that others are to be told of once: what failed, what is held, who has no account.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Failure, PassReport};
use crate::{
    model::{Grant, Names, NewNotice, NoticeKind, SkipReason, Subject, instant::to_second},
    reconcile::scope::Scope,
    store::{Findings, Told},
};

/// What is to be told of a pass. Only one that looked at everything can say what is over.
pub(crate) fn findings(report: &PassReport, scope: &Scope, names: &Names) -> Vec<Findings> {
    let all = [
        (NoticeKind::Failed, failed(report, names)),
        (NoticeKind::Held, held(report, names)),
        (NoticeKind::WithoutAccount, without_account(report, names)),
    ];
    let says_what_is_over = *scope == Scope::All && report.unknown.is_empty();
    let with_rest = |(kind, told): (NoticeKind, Vec<Told>)| {
        let subjects = told.iter().flat_map(|told| told.subjects.iter().cloned());
        let lasting = says_what_is_over.then(|| subjects.collect());
        Findings { kind, told, lasting }
    };
    let has_something = |findings: &Findings| !findings.told.is_empty() || findings.lasting.is_some();
    all.into_iter().map(with_rest).filter(has_something).collect()
}

fn person(names: &Names, email: &str) -> String {
    names.person(email).map_or_else(|| email.to_owned(), ToString::to_string)
}

fn resource((grant, error): (&Grant, Option<String>)) -> serde_json::Value {
    let (start, end) = (to_second(grant.window.start()), to_second(grant.window.end()));
    match error {
        Some(error) => json!({"resource": grant.resource, "start": start, "end": end, "error": error}),
        None => json!({"resource": grant.resource, "start": start, "end": end}),
    }
}

/// One for each person and what was tried.
fn failed(report: &PassReport, names: &Names) -> Vec<Told> {
    let mut by_person: BTreeMap<(&str, &'static str), Vec<&Failure>> = BTreeMap::new();
    // What was not tried is tried soon.
    for failure in report.failed.iter().filter(|failure| !failure.is_out_of_time()) {
        let key = (failure.grant.email.as_str(), failure.action.as_str());
        by_person.entry(key).or_default().push(failure);
    }
    let told = |((email, action), failures): ((&str, &'static str), Vec<&Failure>)| {
        let subject = |failure: &&Failure| format!("{action} {email} on {}", failure.grant.resource);
        let mut resources: Vec<&str> =
            failures.iter().map(|failure| failure.grant.resource.as_str()).collect();
        resources.sort_unstable();
        resources.dedup();
        let error = names.tell(&failures[0].error.to_string());
        let tried = if action == "create" { "could not be given to" } else { "could not be taken from" };
        let text = format!("Access to {} {tried} {}: {error}", resources.join(", "), person(names, email));
        let list = failures.iter().map(|failure| resource((&failure.grant, Some(failure.error.to_string()))));
        let data = json!({
            "email": email,
            "name": names.person(email),
            "action": action,
            "resources": list.collect::<Vec<_>>(),
            "error": error,
            "trigger": report.trigger.as_str(),
            "pass_id": report.pass_id,
        });
        let notice = NewNotice { kind: NoticeKind::Failed, at: report.finished_at, data, text };
        Told { subjects: failures.iter().map(subject).collect(), notice }
    };
    by_person.into_iter().map(told).collect()
}

/// One for all that is held: it waits for one confirmation.
fn held(report: &PassReport, names: &Names) -> Vec<Told> {
    if report.held.is_empty() {
        return Vec::new();
    }
    let people: BTreeSet<&str> = report.held.iter().map(|grant| grant.email.as_str()).collect();
    let shown: Vec<String> = people.iter().take(10).map(|email| person(names, email)).collect();
    let more = people.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more people") } else { String::new() };
    let text = format!(
        "The access of {}{more} would be taken away ({} grants), which is more at once than is allowed without asking. Nobody \
         loses access before somebody confirms it on the status page or with POST /sync; first check that the schedules in \
         PagerDuty are right.",
        shown.join(", "),
        report.held.len(),
    );
    let list: Vec<_> = report
        .held
        .iter()
        .take(100)
        .map(|grant| {
            let mut value = resource((grant, None));
            value["email"] = json!(grant.email);
            value
        })
        .collect();
    let data = json!({
        "held": report.held.len(),
        "people": people.len(),
        "resources": list,
        "trigger": report.trigger.as_str(),
        "pass_id": report.pass_id,
    });
    let notice = NewNotice { kind: NoticeKind::Held, at: report.finished_at, data, text };
    vec![Told { subjects: BTreeSet::from(["held".to_owned()]), notice }]
}

fn without_account(report: &PassReport, names: &Names) -> Vec<Told> {
    let mut people: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for skipped in report.skipped.iter().filter(|skipped| skipped.reason == SkipReason::NoAccount) {
        if let Subject::Email(email) = &skipped.subject {
            people.entry(email).or_default().extend(&skipped.rules);
        }
    }
    let told = |(email, rules): (&str, BTreeSet<&String>)| {
        let text = format!(
            "{} is on call but gets no access, because strongDM has no account with the address {email}. {}.",
            person(names, email),
            capital(SkipReason::NoAccount.remedy()),
        );
        let data = json!({
            "email": email,
            "name": names.person(email),
            "rules": rules,
            "trigger": report.trigger.as_str(),
            "pass_id": report.pass_id,
        });
        let notice = NewNotice { kind: NoticeKind::WithoutAccount, at: report.finished_at, data, text };
        Told { subjects: BTreeSet::from([email.to_owned()]), notice }
    };
    people.into_iter().map(told).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
