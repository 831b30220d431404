//! What the newest passes saw, kept for people who look at the status page on any replica: who is on call without a
//! grant, what each source last answered, what waits, is held or was skipped, and what is amiss ahead. Nothing is ever
//! decided from it.
//!
//! It grows with the rules alone: of each list it has the first [`LISTED`] entries, and the number of the others.
//!
//! Older and newer versions read it as well: whatever is added later has a default, and an entry that cannot be read
//! is left out. The next full pass writes all of it anew.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::{PassReport, open_incidents::OpenIncident};
use crate::{
    model::{
        Asked, Certainty, Fault, Finding, Grant, IncidentId, Rule, SkipReason, Skipped, Source, Subject,
        Unknown,
    },
    reconcile::{plan::Wanted, scope::Scope},
    store::{DeliveryRow, Fact},
};

/// The newest one, under the name that it has had since the first version.
pub(crate) const STATUS_SNAPSHOT: Fact<StatusSnapshot> = Fact::named("picture");

/// The entries of a list that are kept; the most urgent, where some are more urgent than others.
const LISTED: usize = 200;
/// The stretches without anyone that are kept of a rule.
const GAPS: usize = 4;
/// The open incidents that are kept, and the people of each.
const INCIDENTS: usize = 50;
const PARTICIPANTS: usize = 10;
/// The rules that are kept of an entry.
const NAMED: usize = 20;

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
    /// Who is on call now, and has no grant of ours for it.
    #[serde(deserialize_with = "readable")]
    pub(crate) missing: Vec<Wanted>,
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
    /// The open incidents that rules are about, the newest first.
    #[serde(deserialize_with = "readable")]
    pub(crate) incidents: Vec<OpenIncident>,
    /// How many people have access because of an open incident.
    pub(crate) people_in_incidents: usize,
    /// How many entries the lists lack, as far as it was last counted.
    pub(crate) beyond: Beyond,
    /// What concerns each rule, in numbers; none of these, if the rule is not there.
    pub(crate) rules: BTreeMap<String, RuleCounts>,
    /// The newest webhook of our own subscription that none of our secrets had signed.
    pub(crate) wrong_secret: Option<WrongSecret>,
}

/// How many entries each list of a snapshot lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Beyond {
    pub(crate) missing: usize,
    pub(crate) held: usize,
    pub(crate) deferred: usize,
    pub(crate) skipped: usize,
    pub(crate) unknown: usize,
    pub(crate) failed: usize,
    pub(crate) findings: usize,
    pub(crate) incidents: usize,
}

/// How many entries concern a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RuleCounts {
    /// Revocations that are held.
    pub(crate) held: usize,
    /// Windows that wait.
    pub(crate) deferred: usize,
    /// Skipped records.
    pub(crate) skipped: usize,
    /// Stretches without anyone.
    pub(crate) gaps: usize,
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
    /// Whether it is known to come from PagerDuty. Earlier versions did not ask.
    #[serde(default)]
    pub(crate) certainty: Certainty,
}

impl WrongSecret {
    /// Whether one of these signed events of the subscription came after it.
    pub(crate) fn is_mended_by(&self, events: &[DeliveryRow]) -> bool {
        // Who left the name out may be anybody who knows our secret: that is us, in all likelihood.
        let names =
            |event: &DeliveryRow| event.subscription.as_ref().is_none_or(|id| *id == self.subscription);
        events.iter().any(|event| event.received_at > self.at && names(event))
    }
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
    /// Who is on call at `at` without a grant of ours, as far as the newest passes saw.
    pub(crate) fn missing_at(&self, at: DateTime<Utc>) -> impl Iterator<Item = &Wanted> {
        self.missing.iter().filter(move |wanted| wanted.start <= at && wanted.end.is_none_or(|end| end > at))
    }

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
        self.missing.retain(|wanted| named.contains(&wanted.source));
        self.sources = self.source_statuses(&named, &looked, report.finished_at);

        let unseen = |rule: &&Rule| !rule.sources().iter().all(|source| looked.saw(source));
        let unseen: BTreeSet<&str> = rules.iter().filter(unseen).map(|rule| rule.name.as_str()).collect();
        self.take_incidents(report, &named, &looked);
        self.take_skipped(report, rules, &unseen);
        self.take_ahead(report, &unseen);
        let others = report.unknown.iter().filter(|unknown| unknown.about.source().is_none());
        self.unknown = others.map(ToString::to_string).collect();
        self.failed = report.failed.iter().map(ToString::to_string).collect();
        self.next_change = report.unreported.next_wake;
        self.count(rules, |name| full || concerned.contains(name));
        self.cut(full);
        if full {
            self.full_at = Some(report.finished_at);
        }
        self
    }

    /// Takes over who is on call without a grant after a pass with this report. What a source without an answer lacked last
    /// is still the best guess.
    pub(crate) fn take_missing(&mut self, report: &PassReport, missing: Vec<Wanted>) {
        let looked = Looked::of(report);
        self.missing.retain(|wanted| !looked.saw(&wanted.source));
        self.missing.extend(missing);
    }

    /// Takes over the open incidents of the services that answered; of the others, what was known stays.
    fn take_incidents(&mut self, report: &PassReport, named: &BTreeSet<Source>, looked: &Looked<'_>) {
        let found = &report.unreported.incidents;
        let ids: BTreeSet<&IncidentId> = found.iter().map(|incident| &incident.about.id).collect();
        self.incidents.retain(|known| {
            let service = Source::Service(known.service.clone());
            named.contains(&service) && !looked.saw(&service) && !ids.contains(&known.about.id)
        });
        self.incidents.extend(found.iter().cloned());
        self.incidents.sort_by(|a, b| (b.about.number, &b.about.id).cmp(&(a.about.number, &a.about.id)));
        let people: BTreeSet<&str> = self.incidents.iter().flat_map(OpenIncident::people_in).collect();
        self.people_in_incidents = people.len();
    }

    /// Counts what concerns the rules that were `looked_at`; of the others, what was counted before stays.
    fn count(&mut self, rules: &[Rule], looked_at: impl Fn(&str) -> bool) {
        let mut counts: BTreeMap<&str, RuleCounts> = BTreeMap::new();
        for name in self.held.iter().flat_map(|held| &held.rules) {
            counts.entry(name).or_default().held += 1;
        }
        for name in self.deferred.iter().flat_map(|deferred| &deferred.rules) {
            counts.entry(name).or_default().deferred += 1;
        }
        for name in self.skipped.iter().flat_map(|skipped| &skipped.rules) {
            counts.entry(name).or_default().skipped += 1;
        }
        for gap in &self.gaps {
            counts.entry(&gap.rule).or_default().gaps += 1;
        }
        let now = rules.iter().filter_map(|rule| {
            let name = rule.name.as_str();
            let of_rule = if looked_at(name) { counts.get(name) } else { self.rules.get(name) };
            Some((rule.name.clone(), *of_rule?))
        });
        self.rules = now.collect();
    }

    /// Leaves the first entries of each list and the number of the others. A pass that looked at some rules only does not
    /// know how many there are of the others; there are at least as many as it cuts.
    fn cut(&mut self, full: bool) {
        fn cut<T>(list: &mut Vec<T>, beyond: &mut usize, full: bool) {
            let before = if full { 0 } else { *beyond };
            *beyond = before.max(list.len().saturating_sub(LISTED));
            list.truncate(LISTED);
        }
        // Nobody knows of a shift: it is wrong now.
        self.skipped.sort_by_key(|skipped| skipped.first_shift);
        self.findings.sort_by_key(|known| known.finding.severity);
        let Beyond { missing, held, deferred, skipped, unknown, failed, findings, incidents } =
            &mut self.beyond;
        // Those of services that were not looked at are in the list, as far as it went.
        *incidents = if full { 0 } else { *incidents }.max(self.incidents.len().saturating_sub(INCIDENTS));
        self.incidents.truncate(INCIDENTS);
        for incident in &mut self.incidents {
            incident.cut(PARTICIPANTS);
            incident.rules = std::mem::take(&mut incident.rules).into_iter().take(NAMED).collect();
        }
        cut(&mut self.missing, missing, full);
        cut(&mut self.held, held, full);
        cut(&mut self.deferred, deferred, full);
        cut(&mut self.skipped, skipped, full);
        cut(&mut self.unknown, unknown, full);
        cut(&mut self.failed, failed, full);
        cut(&mut self.findings, findings, full);
        for grant in self.held.iter_mut().chain(&mut self.deferred) {
            grant.rules.truncate(NAMED);
        }
        for skipped in &mut self.skipped {
            skipped.rules = std::mem::take(&mut skipped.rules).into_iter().take(NAMED).collect();
        }
        let mut of_rule: BTreeMap<String, usize> = BTreeMap::new();
        self.gaps.sort_by_key(|gap| gap.start);
        self.gaps.retain(|gap| {
            let number = of_rule.entry(gap.rule.clone()).or_default();
            *number += 1;
            *number <= GAPS
        });
    }

    /// Takes over what was skipped. What an unanswered question hides is still known.
    fn take_skipped(&mut self, report: &PassReport, rules: &[Rule], unseen: &BTreeSet<&str>) {
        let is_look_up = |unknown: &Unknown| match unknown.about {
            Asked::User(_) | Asked::Account(_) | Asked::Resource(_) | Asked::Other(_) => true,
            Asked::Schedule(_)
            | Asked::Policy(_)
            | Asked::Service(_)
            | Asked::Incident(_)
            | Asked::Write(_)
            | Asked::List(_) => false,
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
        let found = ahead.gaps.iter().flat_map(|(rule, gaps)| gaps.iter().map(move |gap| (rule, gap)));
        let found = found.map(|(rule, gap)| {
            let since_ever = (rule.as_str(), DateTime::<Utc>::MIN_UTC);
            let newest = known.range(since_ever..=(rule.as_str(), gap.start())).next_back();
            let before = newest.filter(|(_, before)| before.end.is_none_or(|end| gap.start() <= end));
            Gap {
                rule: rule.clone(),
                start: before.map_or(gap.start(), |(_, before)| before.start),
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
            report.unknown.iter().filter_map(|Unknown { about, error, .. }| Some((about.source()?, error)));
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
