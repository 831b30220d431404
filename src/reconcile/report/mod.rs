//! The report of a pass: what was seen, decided and done. It is the answer of `POST /sync`, what `sync` prints, and
//! what the store keeps of a pass.

mod failure_log;
mod finding_log;
pub(super) mod pass_log;
pub mod preflight;
pub mod snapshot;
pub mod snapshot_store;

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use self::preflight::Ahead;
use super::plan::{Action, Asked, Plan, SkipReason, Skipped, Subject, Unknown, Wanted};
use crate::model::{Grant, Source};

/// What one pass did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PassReport {
    /// Unique; later passes have larger IDs.
    pub pass_id: String,
    /// Why it ran.
    pub trigger: Trigger,
    /// Whether it only looked.
    pub dry_run: bool,
    /// When it started, in UTC.
    pub started_at: DateTime<Utc>,
    /// When it ended, in UTC.
    pub finished_at: DateTime<Utc>,
    /// How many on-calls the rules selected.
    pub oncalls: usize,
    /// Grants made; in a dry run, those that would be.
    pub created: Vec<Grant>,
    /// Grants taken back; in a dry run, those that would be.
    pub revoked: Vec<Grant>,
    /// How many grants stayed as they were.
    pub unchanged: usize,
    /// Grants that the guard kept from being revoked.
    pub held: Vec<Grant>,
    /// Windows that wait for the grant in their way.
    pub deferred: Vec<Grant>,
    /// People, resources and filters that nothing could be done about.
    #[schema(value_type = Vec<SkippedView<'_>>)]
    pub skipped: Vec<SkippedEntry>,
    /// What could not be observed.
    #[schema(value_type = Vec<UnknownView<'_>>)]
    pub unknown: Vec<UnknownEntry>,
    /// Writes that were tried and failed.
    pub failed: Vec<Failure>,
    /// The last plan in words, for people.
    #[serde(skip)]
    pub words: String,
    /// The next instant at which anything changes by itself.
    #[serde(skip)]
    pub next_wake: Option<DateTime<Utc>>,
    /// What PagerDuty was asked about.
    #[serde(skip)]
    pub asked: BTreeSet<Source>,
    /// Who is entitled to what, as far as it was seen.
    #[serde(skip)]
    pub wanted: Vec<Wanted>,
    /// What the rules do not reach; none if nothing was seen.
    #[serde(skip)]
    pub ahead: Option<Ahead>,
}

/// Why a pass ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The service started.
    Start,
    /// `sync.interval` went by.
    Interval,
    /// A shift boundary, a renewal or the end of a deferral.
    Boundary,
    /// An earlier pass failed.
    Retry,
    /// A webhook.
    Webhook,
    /// The webhook subscription was off for a while.
    Subscription,
    /// `POST /sync`.
    Manual,
    /// The `sync` command.
    Command,
}

impl Trigger {
    /// The word for it in reports, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Interval => "interval",
            Self::Boundary => "boundary",
            Self::Retry => "retry",
            Self::Webhook => "webhook",
            Self::Subscription => "subscription",
            Self::Manual => "manual",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A skipped record in a report; carries `email`, `resource`, `filter` or `user`, whichever it is about.
#[derive(Clone, Debug)]
pub struct SkippedEntry(pub Skipped);

/// A skipped record as it is written.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Skipped)]
struct SkippedView<'a> {
    /// A person, by the e-mail address in strongDM or, if that is unusable, as PagerDuty has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    /// A person without an e-mail address, by PagerDuty user ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// A resource name.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    /// A resource filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    /// What is wrong with it.
    #[schema(value_type = SkipReason)]
    reason: Option<SkipReason>,
    /// The rules that name it.
    rules: Vec<&'a str>,
    /// When the first shift that it concerns starts, if it is about a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_shift: Option<DateTime<Utc>>,
}

impl Serialize for SkippedEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Skipped { subject, reason, rules, first_shift } = &self.0;
        let mut view = SkippedView {
            reason: Some(*reason),
            rules: rules.iter().map(String::as_str).collect(),
            first_shift: *first_shift,
            ..SkippedView::default()
        };
        match subject {
            Subject::Email(email) => view.email = Some(email),
            Subject::User(user) => view.user = Some(user),
            Subject::Resource(name) => view.resource = Some(name),
            Subject::Filter(filter) => view.filter = Some(filter),
        }
        view.serialize(serializer)
    }
}

/// Something unobserved in a report; carries `schedule`, `escalation_policy`, `user`, `account` or `resource`.
#[derive(Clone, Debug)]
pub struct UnknownEntry(pub Unknown);

/// Something unobserved as it is written.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Unknown)]
struct UnknownView<'a> {
    /// A schedule, by ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
    /// An escalation policy, by ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    escalation_policy: Option<&'a str>,
    /// A PagerDuty user, by ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// The strongDM account of an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    /// The resources of a name or filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    /// What became of an earlier write, by account and resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// A list of strongDM: `grants`.
    #[serde(skip_serializing_if = "Option::is_none")]
    strongdm: Option<&'static str>,
    /// What went wrong, and what mends it where somebody must.
    error: String,
}

impl Serialize for UnknownEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Unknown { about, error } = &self.0;
        let mut view = UnknownView { error: error.to_string(), ..UnknownView::default() };
        match about {
            Asked::OnCalls(Source::Schedule(id)) => view.schedule = Some(id.as_str()),
            Asked::OnCalls(Source::Policy(id)) => view.escalation_policy = Some(id.as_str()),
            Asked::User(user) => view.user = Some(user),
            Asked::Account(email) => view.account = Some(email.as_str()),
            Asked::Resource(selector) => view.resource = Some(selector),
            Asked::Write(pair) => view.grant = Some(pair.to_string()),
            Asked::GrantList => view.strongdm = Some("grants"),
        }
        view.serialize(serializer)
    }
}

/// A write that failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Failure {
    /// `create` or `revoke`.
    pub action: &'static str,
    /// The grant it was about.
    pub grant: Grant,
    /// What went wrong.
    pub error: String,
    /// What somebody must do about it; empty if it may well pass by itself.
    #[serde(skip)]
    pub remedy: String,
}

impl PassReport {
    /// A report of a pass that has just begun.
    pub fn begin(pass_id: String, trigger: Trigger, dry_run: bool, started_at: DateTime<Utc>) -> Self {
        Self {
            pass_id,
            trigger,
            dry_run,
            started_at,
            finished_at: started_at,
            oncalls: 0,
            created: Vec::new(),
            revoked: Vec::new(),
            unchanged: 0,
            held: Vec::new(),
            deferred: Vec::new(),
            skipped: Vec::new(),
            unknown: Vec::new(),
            failed: Vec::new(),
            words: String::new(),
            next_wake: None,
            asked: BTreeSet::new(),
            wanted: Vec::new(),
            ahead: None,
        }
    }

    /// Takes over what `plan` decided, beside its writes.
    pub fn take_decisions(&mut self, plan: &Plan) {
        self.words = plan.to_string();
        let Plan { pairs: _, held, deferred, skipped, unknown, unsettled, relabelled: _, .. } = plan;
        self.held.clone_from(held);
        self.deferred = deferred.iter().map(|deferred| deferred.grant.clone()).collect();
        self.skipped = skipped.iter().cloned().map(SkippedEntry).collect();
        let unsettled = unsettled.iter().map(|pair| Unknown {
            about: Asked::Write(pair.clone()),
            error: "strongDM has not said what became of an earlier write".into(),
        });
        self.unknown = unknown.iter().cloned().chain(unsettled).map(UnknownEntry).collect();
        self.oncalls = plan.on_calls;
        self.next_wake = plan.next_wake;
        self.wanted.clone_from(&plan.wanted);
    }

    /// Takes over the writes of `plan` as if they had been done.
    pub fn take_steps(&mut self, plan: &Plan) {
        for step in plan.pairs.iter().flat_map(|pair| &pair.steps) {
            match step {
                Action::Create(new) => self.created.push(new.grant.clone()),
                Action::Revoke(revocation) => self.revoked.push(revocation.grant.clone()),
            }
        }
    }

    /// Whether everything was seen and every write that was tried succeeded.
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty() && self.failed.is_empty()
    }

    /// Whether nothing was written and nothing is amiss.
    pub fn is_quiet(&self) -> bool {
        self.is_complete() && self.created.is_empty() && self.revoked.is_empty() && self.held.is_empty()
    }
}

impl fmt::Display for PassReport {
    /// For people: the plan in words; in a pass that wrote, what came of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.words)?;
        for Failure { action, grant, error, remedy } in &self.failed {
            let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
            writeln!(f, "failed    {action} {grant}: {error}{remedy}")?;
        }
        if !self.dry_run {
            let (created, revoked, failed) = (self.created.len(), self.revoked.len(), self.failed.len());
            writeln!(f, "done: {created} granted, {revoked} revoked, {failed} failed")?;
        }
        Ok(())
    }
}
