//! What the newest passes saw, kept for people who look at the status page on any replica: what is wanted, what each
//! source last answered, what waits, is held or was skipped, and what is amiss ahead. Nothing is ever decided from it.
//!
//! Older and newer versions read it as well: whatever is added later has a default.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::{PassReport, SkippedEntry, UnknownEntry, preflight::remedy};
use crate::{
    model::{self, FOREVER, Grant, Rule, Severity, Source},
    reconcile::plan::{Asked, Wanted},
    store::Fact,
};

/// The newest one, under the name that it has had since the first version.
pub const STATUS_SNAPSHOT: Fact<StatusSnapshot> = Fact::named("picture");

/// The view of the newest passes, put together: a pass that looked at some rules only changes only their part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusSnapshot {
    /// When the newest pass of all rules ended.
    pub full_at: Option<DateTime<Utc>>,
    /// When anything changes next by itself.
    pub next_change: Option<DateTime<Utc>>,
    /// Schedules and escalation policies with what they last answered.
    pub sources: Vec<Sight>,
    /// Who should have which access when.
    pub wanted: Vec<Want>,
    /// Grants that the guard keeps from being revoked.
    pub held: Vec<Stretch>,
    /// Windows that wait for the grant in their way.
    pub deferred: Vec<Stretch>,
    /// People, resources and filters that nothing could be done about.
    pub skipped: Vec<Finding>,
    /// What else could not be observed, in words.
    pub unknown: Vec<String>,
    /// Writes that failed, in words.
    pub failed: Vec<String>,
    /// Until when it was looked for gaps; none before the first look.
    pub looked_until: Option<DateTime<Utc>>,
    /// Stretches for which a rule has nobody.
    pub gaps: Vec<Gap>,
    /// What else an operator should know of the rules.
    pub others: Vec<Other>,
    /// The newest webhook of our own subscription that none of our secrets had signed.
    pub wrong_secret: Option<WrongSecret>,
}

/// When a source was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The schedule or escalation policy.
    pub source: Source,
    /// When it last answered.
    pub seen_at: Option<DateTime<Utc>>,
    /// Why it did not answer the last time, if it did not.
    pub error: Option<String>,
}

/// A stretch of a shift for which a rule wants access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The person.
    pub email: String,
    /// The resource's name.
    pub resource: String,
    /// From when.
    pub start: DateTime<Utc>,
    /// Until when; none for an on-call without an end.
    pub end: Option<DateTime<Utc>>,
    /// The rule.
    pub rule: String,
    /// Through which schedule or policy.
    pub source: Source,
}

/// A grant or window in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// strongDM's identifier, if it is there.
    pub id: Option<String>,
    /// The person.
    pub email: String,
    /// The resource's name.
    pub resource: String,
    /// From when.
    pub start: DateTime<Utc>,
    /// Until when.
    pub end: DateTime<Utc>,
    /// The rules that want it.
    pub rules: Vec<String>,
}

/// Something that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The person, resource or filter.
    pub about: String,
    /// Why, in words.
    pub reason: String,
    /// The rules that name it.
    pub rules: Vec<String>,
    /// When the first shift that it concerns starts, if it is a person.
    pub first_shift: Option<DateTime<Utc>>,
    /// What to do about it.
    #[serde(default)]
    pub remedy: String,
}

/// A stretch for which a rule has nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The rule.
    pub rule: String,
    /// From when: if it has begun, since when it was seen.
    pub start: DateTime<Utc>,
    /// Until when; none if it reaches as far as was looked.
    pub end: Option<DateTime<Utc>>,
}

/// Something else about a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// How bad it is.
    pub severity: Severity,
    /// One of a few fixed words.
    pub kind: String,
    /// What it is about.
    pub about: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The rule.
    pub rule: String,
}

/// A webhook that came in the name of our subscription with a signature that none of our secrets made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongSecret {
    /// The subscription's ID.
    pub subscription: String,
    /// When it came.
    pub at: DateTime<Utc>,
}

impl Gap {
    /// Whether nobody is on call at `at`.
    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

impl From<&Grant> for Stretch {
    fn from(grant: &Grant) -> Self {
        let Grant { id, email, account_id: _, resource, resource_id: _, window, rules } = grant;
        Self {
            id: id.as_ref().map(ToString::to_string),
            email: email.to_string(),
            resource: resource.clone(),
            start: window.start(),
            end: window.end(),
            rules: rules.clone(),
        }
    }
}

impl From<&Wanted> for Want {
    fn from(wanted: &Wanted) -> Self {
        let Wanted { email, resource, window, cause } = wanted;
        // The planner cuts what is past; people want to see when the shift began.
        let start = cause.shift_start.map_or(window.start(), |start| start.min(window.start()));
        Self {
            email: email.to_string(),
            resource: resource.clone(),
            start,
            end: (window.end() < FOREVER).then(|| window.end()),
            rule: cause.rule.clone(),
            source: cause.source.clone(),
        }
    }
}

impl Other {
    fn new(rule: &str, finding: &model::Finding) -> Self {
        let model::Finding { severity, kind, subject, message, remedy, stretches: _ } = finding;
        Self {
            severity: *severity,
            kind: (*kind).to_owned(),
            about: subject.clone(),
            message: message.clone(),
            remedy: remedy.clone(),
            rule: rule.to_owned(),
        }
    }
}

impl StatusSnapshot {
    /// What is known after a pass with this report.
    #[must_use]
    pub fn after(mut self, report: &PassReport, full: bool, rules: &[Rule]) -> Self {
        let errors = report.unknown.iter().filter_map(|UnknownEntry(unknown)| match &unknown.about {
            Asked::OnCalls(source) => Some((source.clone(), unknown.error.to_string())),
            _ => None,
        });
        let errors: Vec<(Source, String)> = errors.collect();
        let looked_at: BTreeSet<&Source> =
            report.asked.iter().chain(errors.iter().map(|(source, _)| source)).collect();
        let concerned: BTreeSet<&str> = rules
            .iter()
            .filter(|rule| rule.sources().iter().any(|source| looked_at.contains(source)))
            .map(|rule| rule.name.as_str())
            .collect();
        let named: BTreeSet<Source> = rules.iter().flat_map(Rule::sources).collect();

        // What a source without an answer wanted last is still the best guess.
        let failed = |source: &Source| errors.iter().any(|(unseen, _)| unseen == source);
        self.wanted.retain(|want| {
            named.contains(&want.source) && (failed(&want.source) || !looked_at.contains(&want.source))
        });
        self.wanted.extend(report.wanted.iter().map(Want::from));
        self.sources = self.sights(&named, &looked_at, &errors, report.finished_at);
        let elsewhere =
            |names: &[String]| !full && !names.iter().any(|name| concerned.contains(name.as_str()));
        self.held.retain(|held| elsewhere(&held.rules));
        self.held.extend(report.held.iter().map(Stretch::from));
        self.deferred.retain(|deferred| elsewhere(&deferred.rules));
        self.deferred.extend(report.deferred.iter().map(Stretch::from));
        let others = report.unknown.iter().filter(|entry| !matches!(entry.0.about, Asked::OnCalls(_)));
        self.unknown = others.map(|entry| entry.0.to_string()).collect();
        let unseen = |rule: &&Rule| !rule.sources().iter().all(|it| looked_at.contains(it) && !failed(it));
        let unseen: BTreeSet<&str> = rules.iter().filter(unseen).map(|rule| rule.name.as_str()).collect();
        self.skip(report, rules, &unseen);
        self.look_ahead(report, &unseen);
        let failures = report.failed.iter();
        self.failed = failures.map(|it| format!("{} {}: {}", it.action, it.grant, it.error)).collect();
        self.next_change = report.next_wake;
        if full {
            self.full_at = Some(report.finished_at);
        }
        self
    }

    /// Takes over what was skipped. What an unanswered question hides is still known.
    fn skip(&mut self, report: &PassReport, rules: &[Rule], unseen: &BTreeSet<&str>) {
        let asked = report.unknown.iter().map(|UnknownEntry(unknown)| &unknown.about);
        let is_look_up = |about: &Asked| match about {
            Asked::User(_) | Asked::Account(_) | Asked::Resource(_) => true,
            Asked::OnCalls(_) | Asked::Write(..) | Asked::GrantList => false,
        };
        let all_looked_up = !asked.into_iter().any(is_look_up);
        let mut skipped: Vec<Finding> = report.skipped.iter().map(finding).collect();
        for mut before in std::mem::take(&mut self.skipped) {
            before.rules.retain(|name| {
                let is_there = rules.iter().any(|rule| rule.name == *name);
                is_there && (!all_looked_up || unseen.contains(name.as_str()))
            });
            let same = |now: &&mut Finding| (&now.about, &now.reason) == (&before.about, &before.reason);
            match skipped.iter_mut().find(same) {
                Some(now) => {
                    now.rules.append(&mut before.rules);
                    now.rules.sort();
                    now.rules.dedup();
                }
                None if before.rules.is_empty() => {}
                None => skipped.push(before),
            }
        }
        self.skipped = skipped;
    }

    /// Takes over what lies ahead of the rules that were seen; of the others, what was known stays.
    fn look_ahead(&mut self, report: &PassReport, unseen: &BTreeSet<&str>) {
        let Some(ahead) = &report.ahead else { return };
        // A new look at the rest of a gap that goes on.
        let goes_on = |before: &&Gap, rule: &String, start: DateTime<Utc>| {
            before.rule == *rule && before.start <= start && before.end.is_none_or(|end| start <= end)
        };
        let found = ahead.gaps.iter().flat_map(|(rule, gaps)| gaps.iter().map(move |gap| (rule, gap)));
        let found = found.map(|(rule, gap)| {
            let before = self.gaps.iter().find(|before| goes_on(before, rule, gap.start()));
            Gap {
                rule: rule.clone(),
                start: before.map_or(gap.start(), |before| before.start),
                end: (gap.end() < ahead.until.trunc_subsecs(0)).then(|| gap.end()),
            }
        });
        let found: Vec<Gap> = found.collect();
        let is_over = |gap: &Gap| gap.end.is_some_and(|end| end <= report.finished_at);
        self.gaps.retain(|gap| unseen.contains(gap.rule.as_str()) && !is_over(gap));
        self.gaps.extend(found);
        self.others.retain(|other| unseen.contains(other.rule.as_str()));
        for (rule, finding) in &ahead.others {
            let other = Other::new(rule, finding);
            if !self.others.contains(&other) {
                self.others.push(other);
            }
        }
        self.looked_until = Some(ahead.until);
    }

    fn sights(
        &self,
        named: &BTreeSet<Source>,
        looked_at: &BTreeSet<&Source>,
        errors: &[(Source, String)],
        at: DateTime<Utc>,
    ) -> Vec<Sight> {
        let sight = |source: &Source| {
            let before = self.sources.iter().find(|sight| sight.source == *source);
            let seen_before = before.and_then(|sight| sight.seen_at);
            let error = errors.iter().find(|(unseen, _)| unseen == source).map(|(_, error)| error.clone());
            match (looked_at.contains(source), error) {
                (true, None) => Sight { source: source.clone(), seen_at: Some(at), error: None },
                (true, error) => Sight { source: source.clone(), seen_at: seen_before, error },
                (false, _) => Sight {
                    source: source.clone(),
                    seen_at: seen_before,
                    error: before.and_then(|sight| sight.error.clone()),
                },
            }
        };
        named.iter().map(sight).collect()
    }
}

fn finding(SkippedEntry(skipped): &SkippedEntry) -> Finding {
    Finding {
        about: skipped.subject.to_string(),
        reason: skipped.reason.to_string(),
        rules: skipped.rules.iter().cloned().collect(),
        first_shift: skipped.first_shift,
        remedy: remedy(skipped.reason).to_owned(),
    }
}

#[cfg(test)]
mod tests;
