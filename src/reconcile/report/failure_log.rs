//! What passes could not see or do, told in the log: once when it starts or changes, then ever more rarely. Pure, apart
//! from the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Failure, PassReport};
use crate::{
    model::{Fault, Names, Unknown},
    reconcile::scope::Scope,
};

/// A failure that lasts is told again after this, and after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_mins(10);
/// Nobody is reminded more rarely than four times a day.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// So many things with the same failure are named in a line.
const NAMED: usize = 3;

/// What was told, by what failed in which way.
#[derive(Debug, Default)]
pub(super) struct FailureLog(BTreeMap<Kind, Told>);

/// Failures of one kind are told in one line. Words with digits do not count: they are instants, seconds, numbers of
/// requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    attempt: &'static str,
    error: String,
}

#[derive(Debug)]
struct Told {
    about: BTreeSet<String>,
    at: Instant,
    pause: Duration,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// Nothing gets better until somebody does something.
    is_error: bool,
}

impl FailureLog {
    /// Tells what is new or due again in `report`. Only a pass of all rules shows that something is over.
    pub(super) fn tell(&mut self, report: &PassReport, scope: &Scope, names: &Names) {
        let was_told = !self.0.is_empty();
        for Line { text, is_error } in self.lines(report, scope, Instant::now()) {
            let text = names.tell(&text);
            if is_error {
                tracing::error!("{text}");
            } else {
                tracing::warn!("{text}");
            }
        }
        if *scope == Scope::All && was_told && report.is_complete() {
            tracing::info!("everything is seen and done again");
        }
    }

    fn lines(&mut self, report: &PassReport, scope: &Scope, now: Instant) -> Vec<Line> {
        let mut found: BTreeMap<Kind, (Fault, BTreeSet<String>)> = BTreeMap::new();
        for (attempt, subject, fault) in failures_of(report) {
            let error = without_numbers(&fault.error);
            let kind = Kind { attempt, error };
            found.entry(kind).or_insert_with(|| (fault.clone(), BTreeSet::new())).1.insert(subject);
        }
        if *scope == Scope::All {
            self.0.retain(|kind, told| {
                let still = found.get(kind).map(|(_, about)| about);
                // What is well again is news when it fails again.
                told.about.retain(|subject| still.is_some_and(|about| about.contains(subject)));
                still.is_some()
            });
        }
        let mut lines = Vec::new();
        for (kind, (fault, about)) in found {
            let pause = match self.0.get(&kind) {
                None => FIRST_PAUSE,
                Some(told) if !about.is_subset(&told.about) => told.pause,
                Some(told) if now - told.at >= told.pause => (told.pause * 2).min(LONGEST_PAUSE),
                Some(_) => continue,
            };
            lines.push(Line { text: line(&kind, &about, &fault), is_error: !fault.remedy.is_empty() });
            let known = self.0.remove(&kind).map(|told| told.about).unwrap_or_default();
            self.0.insert(kind, Told { about: known.into_iter().chain(about).collect(), at: now, pause });
        }
        lines
    }
}

fn without_numbers(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

fn failures_of(report: &PassReport) -> Vec<(&'static str, String, Fault)> {
    let unobserved = report
        .unknown
        .iter()
        .map(|Unknown { about, error, .. }| ("observe", about.to_string(), error.clone()));
    let undone = report.failed.iter().map(|Failure { action, grant, error }| {
        let subject = format!("access of {} to {}", grant.email, grant.resource);
        (action.as_str(), subject, error.clone())
    });
    unobserved.chain(undone).collect()
}

fn line(kind: &Kind, about: &BTreeSet<String>, fault: &Fault) -> String {
    let named: Vec<&str> = about.iter().take(NAMED).map(String::as_str).collect();
    let more = about.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (attempt, named) = (kind.attempt, named.join(", "));
    let stays = if attempt == "observe" { "; grants that depend on it stay until their end" } else { "" };
    format!("could not {attempt} {named}{more}: {fault}{stays}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{model::Asked, reconcile::report::Trigger};

    fn report(unknown: &[(&str, &str)]) -> PassReport {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut report = PassReport::begin("p".to_owned(), Trigger::Interval, at);
        report.unknown = unknown
            .iter()
            .map(|(schedule, error)| {
                let about = Asked::Schedule((*schedule).into());
                let error = Fault { error: (*error).to_owned(), remedy: "turn the key".to_owned() };
                Unknown::new(about, error)
            })
            .collect();
        report
    }

    #[test]
    fn a_failure_that_lasts_is_told_once_for_all_it_hits_and_again_after_growing_pauses() {
        let mut log = FailureLog::default();
        let refused = report(&[("P1", "refused"), ("P2", "refused"), ("P3", "refused"), ("P4", "refused")]);
        let began = Instant::now();
        let mut told = Vec::new();
        for minute in 0..=24 * 60 {
            let lines = log.lines(&refused, &Scope::All, began + Duration::from_mins(minute));
            told.extend(lines.into_iter().map(|line| (minute, line)));
        }
        let minutes: Vec<u64> = told.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes, [0, 10, 30, 70, 150, 310, 630, 990, 1350]);
        let text = "could not observe schedule P1, schedule P2, schedule P3 and 1 more: refused; turn the key; grants \
                    that depend on it stay until their end";
        assert_eq!(told[0].1, Line { text: text.to_owned(), is_error: true });
    }

    #[test]
    fn what_is_new_or_comes_back_is_told_at_once_and_changing_numbers_are_no_news() {
        let mut log = FailureLog::default();
        let now = Instant::now();
        let mut count = |unknown: &[(&str, &str)], scope| log.lines(&report(unknown), scope, now).len();
        assert_eq!(count(&[("P1", "free again in 3 s")], &Scope::All), 1);
        assert_eq!(count(&[("P1", "free again in 12 s")], &Scope::All), 0);
        assert_eq!(count(&[("P1", "down (request 3fa9-bc)")], &Scope::All), 1);
        assert_eq!(count(&[("P1", "down (request c04d-ee)")], &Scope::All), 0);
        assert_eq!(count(&[("P1", "refused")], &Scope::All), 1, "another failure");
        assert_eq!(count(&[("P1", "refused"), ("P2", "refused")], &Scope::All), 1, "another schedule");
        assert_eq!(count(&[("P2", "refused")], &Scope::All), 0);
        let narrow = Scope::of([]);
        assert_eq!(count(&[], &narrow), 0);
        assert_eq!(count(&[("P2", "refused")], &Scope::All), 0, "a narrow pass saw nothing of it");
        assert_eq!(count(&[], &Scope::All), 0);
        assert_eq!(count(&[("P2", "refused")], &Scope::All), 1, "it was over in between");
    }
}
