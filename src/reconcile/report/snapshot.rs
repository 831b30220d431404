//! What the newest passes saw, kept for people who look at the status page on any replica: what is wanted, what each
//! source last answered, what waits, is held or was skipped, and what is amiss ahead. Nothing is ever decided from it.
//!
//! Older and newer versions read it as well: whatever is added later has a default, and an entry that cannot be read
//! is left out. The next full pass writes all of it anew.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::PassReport;
use crate::{
    model::{Asked, Fault, Finding, Grant, Rule, SkipReason, Skipped, Source, Subject, Unknown},
    reconcile::{plan::Wanted, scope::Scope},
    store::Fact,
};

/// The newest one, under the name that it has had since the first version.
pub(crate) const STATUS_SNAPSHOT: Fact<StatusSnapshot> = Fact::named("picture");

/// The view of the newest passes, put together: a pass that looked at some rules only changes only their part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StatusSnapshot {
    /// When the newest pass of all rules ended.
    pub(crate) full_at: Option<DateTime<Utc>>,
    /// When anything changes next by itself.
    pub(crate) next_change: Option<DateTime<Utc>>,
    /// Schedules and escalation policies with what they last answered.
    #[serde(deserialize_with = "readable")]
    pub(crate) sources: Vec<SourceStatus>,
    /// Who should have which access when.
    #[serde(deserialize_with = "readable")]
    pub(crate) wanted: Vec<Wanted>,
    /// Grants that the guard keeps from being revoked.
    #[serde(deserialize_with = "readable")]
    pub(crate) held: Vec<Grant>,
    /// Windows that wait for the grant in their way.
    #[serde(deserialize_with = "readable")]
    pub(crate) deferred: Vec<Grant>,
    /// People, resources and filters that nothing could be done about. Earlier versions wrote words under `skipped`,
    /// and would refuse a snapshot that has anything else there.
    #[serde(rename = "left_out", alias = "skipped", deserialize_with = "readable")]
    pub(crate) skipped: Vec<Skipped>,
    /// What else could not be observed, in words.
    pub(crate) unknown: Vec<String>,
    /// Writes that failed, in words.
    pub(crate) failed: Vec<String>,
    /// Until when it was looked for gaps; none before the first look.
    pub(crate) looked_until: Option<DateTime<Utc>>,
    /// Stretches for which a rule has nobody.
    #[serde(deserialize_with = "readable")]
    pub(crate) gaps: Vec<Gap>,
    /// What else an operator should know of the rules.
    #[serde(deserialize_with = "readable")]
    pub(crate) findings: Vec<RuleFinding>,
    /// The newest webhook of our own subscription that none of our secrets had signed.
    pub(crate) wrong_secret: Option<WrongSecret>,
}

/// How a source answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceStatus {
    /// The schedule or escalation policy.
    pub(crate) source: Source,
    /// When it last answered.
    pub(crate) seen_at: Option<DateTime<Utc>>,
    /// Why it did not answer the last time, if it did not.
    pub(crate) error: Option<String>,
}

/// A stretch for which a rule has nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// The rule.
    pub(crate) rule: String,
    /// From when: if it has begun, since when it was seen.
    pub(crate) start: DateTime<Utc>,
    /// Until when; none if it reaches as far as was looked.
    pub(crate) end: Option<DateTime<Utc>>,
}

/// Something that an operator should know of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleFinding {
    /// The rule.
    pub(crate) rule: String,
    /// What.
    #[serde(flatten)]
    pub(crate) finding: Finding,
}

/// A webhook that came in the name of our subscription with a signature that none of our secrets made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrongSecret {
    /// The subscription's ID.
    pub(crate) subscription: String,
    /// When it came.
    pub(crate) at: DateTime<Utc>,
}

impl Gap {
    /// Whether nobody is on call at `at`.
    pub(crate) fn holds(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

/// Those entries of a list that this version understands.
fn readable<'de, T: DeserializeOwned, D: Deserializer<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    let entries = Vec::<serde_json::Value>::deserialize(list)?;
    Ok(entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect())
}

impl StatusSnapshot {
    /// What is known after a pass with this report, which looked at `scope`.
    #[must_use]
    pub(crate) fn after(mut self, report: &PassReport, scope: &Scope, rules: &[Rule]) -> Self {
        let full = *scope == Scope::All;
        let looked = Looked::of(report);
        let concerned: BTreeSet<&str> = rules
            .iter()
            .filter(|rule| rule.sources().iter().any(|source| looked.at(source)))
            .map(|rule| rule.name.as_str())
            .collect();
        let elsewhere =
            |names: &[String]| !full && !names.iter().any(|name| concerned.contains(name.as_str()));
        self.held.retain(|held| elsewhere(&held.rules));
        self.held.extend(report.held.iter().cloned());
        self.deferred.retain(|deferred| elsewhere(&deferred.rules));
        self.deferred.extend(report.deferred.iter().cloned());

        let named: BTreeSet<Source> = rules.iter().flat_map(Rule::sources).collect();
        // What a source without an answer wanted last is still the best guess.
        self.wanted.retain(|wanted| named.contains(&wanted.source) && !looked.saw(&wanted.source));
        self.wanted.extend(report.unreported.wanted.iter().cloned());
        self.sources = self.source_statuses(&named, &looked, report.finished_at);

        let unseen = |rule: &&Rule| !rule.sources().iter().all(|source| looked.saw(source));
        let unseen: BTreeSet<&str> = rules.iter().filter(unseen).map(|rule| rule.name.as_str()).collect();
        self.take_skipped(report, rules, &unseen);
        self.take_ahead(report, &unseen);
        let others = report.unknown.iter().filter(|unknown| unknown.about.source().is_none());
        self.unknown = others.map(ToString::to_string).collect();
        self.failed = report.failed.iter().map(ToString::to_string).collect();
        self.next_change = report.unreported.next_wake;
        if full {
            self.full_at = Some(report.finished_at);
        }
        self
    }

    /// Takes over what was skipped. What an unanswered question hides is still known.
    fn take_skipped(&mut self, report: &PassReport, rules: &[Rule], unseen: &BTreeSet<&str>) {
        let is_look_up = |unknown: &Unknown| match unknown.about {
            Asked::User(_) | Asked::Account(_) | Asked::Resource(_) | Asked::Other(_) => true,
            Asked::Schedule(_) | Asked::Policy(_) | Asked::Write(_) | Asked::List(_) => false,
        };
        let all_looked_up = !report.unknown.iter().any(is_look_up);
        let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        let mut skipped = report.skipped.clone();
        let places =
            skipped.iter().enumerate().map(|(place, now)| ((now.subject.clone(), now.reason), place));
        let places: BTreeMap<(Subject, SkipReason), usize> = places.collect();
        for mut before in std::mem::take(&mut self.skipped) {
            before.rules.retain(|name| {
                names.contains(name.as_str()) && (!all_looked_up || unseen.contains(name.as_str()))
            });
            match places.get(&(before.subject.clone(), before.reason)) {
                Some(place) => skipped[*place].rules.append(&mut before.rules),
                None if before.rules.is_empty() => {}
                None => skipped.push(before),
            }
        }
        self.skipped = skipped;
    }

    /// Takes over what lies ahead of the rules that were seen; of the others, what was known stays.
    fn take_ahead(&mut self, report: &PassReport, unseen: &BTreeSet<&str>) {
        let Some(ahead) = &report.unreported.ahead else { return };
        // A new look at the rest of a gap that goes on.
        let known: BTreeMap<(&str, DateTime<Utc>), &Gap> =
            self.gaps.iter().map(|gap| ((gap.rule.as_str(), gap.start), gap)).collect();
        let goes_on = |rule: &str, start: DateTime<Utc>| {
            let newest = known.range((rule, DateTime::<Utc>::MIN_UTC)..=(rule, start)).next_back();
            newest.map(|(_, gap)| gap).filter(|before| before.end.is_none_or(|end| start <= end))
        };
        let found = ahead.gaps.iter().flat_map(|(rule, gaps)| gaps.iter().map(move |gap| (rule, gap)));
        let found = found.map(|(rule, gap)| {
            let before = goes_on(rule, gap.start());
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
        self.findings.retain(|known| unseen.contains(known.rule.as_str()));
        let found = ahead
            .others
            .iter()
            .map(|(rule, finding)| RuleFinding { rule: rule.clone(), finding: finding.clone() });
        self.findings.extend(found);
        let mut told: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        self.findings.retain(|RuleFinding { rule, finding }| {
            let of_rule = told.entry(rule.clone()).or_default();
            let is_new = !of_rule.contains(finding);
            of_rule.extend(is_new.then(|| finding.clone()));
            is_new
        });
        self.looked_until = Some(ahead.until);
    }

    fn source_statuses(
        &self,
        named: &BTreeSet<Source>,
        looked: &Looked<'_>,
        at: DateTime<Utc>,
    ) -> Vec<SourceStatus> {
        let before: BTreeMap<&Source, &SourceStatus> =
            self.sources.iter().map(|status| (&status.source, status)).collect();
        let status = |source: &Source| {
            let before = before.get(source);
            let (seen_before, error_before) =
                before.map_or((None, None), |before| (before.seen_at, before.error.clone()));
            let (seen_at, error) = match looked.errors.get(source) {
                Some(error) => (seen_before, Some(error.to_string())),
                None if looked.at(source) => (Some(at), None),
                None => (seen_before, error_before),
            };
            SourceStatus { source: source.clone(), seen_at, error }
        };
        named.iter().map(status).collect()
    }
}

/// Which schedules and policies a pass looked at.
struct Looked<'r> {
    asked: &'r BTreeSet<Source>,
    /// Those that did not answer.
    errors: BTreeMap<Source, &'r Fault>,
}

impl<'r> Looked<'r> {
    fn of(report: &'r PassReport) -> Self {
        let errors =
            report.unknown.iter().filter_map(|Unknown { about, error }| Some((about.source()?, error)));
        Self { asked: &report.unreported.asked, errors: errors.collect() }
    }

    fn at(&self, source: &Source) -> bool {
        self.asked.contains(source) || self.errors.contains_key(source)
    }

    /// Whether it was looked at and answered.
    fn saw(&self, source: &Source) -> bool {
        self.at(source) && !self.errors.contains_key(source)
    }
}

#[cfg(test)]
mod tests;
