//! The report of a pass: what was seen, decided and done. It is the answer of `POST /sync`, what `sync` prints, and
//! what the store keeps of a pass.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::plan::{Asked, Plan, SkipReason, Skipped, Step, Subject, Unknown};
use crate::model::{Grant, Source};

/// What one pass did.
#[derive(Clone, Debug, Serialize)]
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
    pub skipped: Vec<SkippedEntry>,
    /// What could not be observed.
    pub unknown: Vec<UnknownEntry>,
    /// Writes that were tried and failed.
    pub failed: Vec<Failure>,
    /// The last plan in words, for people.
    #[serde(skip)]
    pub words: String,
    /// The next instant at which anything changes by itself.
    #[serde(skip)]
    pub next_wake: Option<DateTime<Utc>>,
}

/// Why a pass ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

impl Serialize for SkippedEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Skipped { subject, reason, rules, first_shift } = &self.0;
        let mut map = serializer.serialize_map(None)?;
        match subject {
            Subject::Email(email) => map.serialize_entry("email", email)?,
            Subject::User(user) => map.serialize_entry("user", user)?,
            Subject::Resource(name) => map.serialize_entry("resource", name)?,
            Subject::Filter(filter) => map.serialize_entry("filter", filter)?,
        }
        map.serialize_entry::<_, SkipReason>("reason", reason)?;
        map.serialize_entry("rules", rules)?;
        if let Some(start) = first_shift {
            map.serialize_entry("first_shift", start)?;
        }
        map.end()
    }
}

/// Something unobserved in a report; carries `schedule`, `escalation_policy`, `user`, `account` or `resource`.
#[derive(Clone, Debug)]
pub struct UnknownEntry(pub Unknown);

impl Serialize for UnknownEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Unknown { about, error } = &self.0;
        let mut map = serializer.serialize_map(Some(2))?;
        match about {
            Asked::OnCalls(Source::Schedule(id)) => map.serialize_entry("schedule", id)?,
            Asked::OnCalls(Source::Policy(id)) => map.serialize_entry("escalation_policy", id)?,
            Asked::User(user) => map.serialize_entry("user", user)?,
            Asked::Account(email) => map.serialize_entry("account", email)?,
            Asked::Resource(selector) => map.serialize_entry("resource", selector)?,
            Asked::Write(account, resource) => {
                map.serialize_entry("grant", &format!("{account} on {resource}"))?;
            }
            Asked::GrantList => map.serialize_entry("strongdm", "grants")?,
        }
        map.serialize_entry("error", error)?;
        map.end()
    }
}

/// A write that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// `create` or `revoke`.
    pub action: &'static str,
    /// The grant it was about.
    pub grant: Grant,
    /// What went wrong.
    pub error: String,
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
        }
    }

    /// Takes over what `plan` decided, beside its writes.
    pub fn take_decisions(&mut self, plan: &Plan) {
        self.words = plan.to_string();
        let Plan { pairs: _, held, deferred, skipped, unknown, unsettled, relabelled: _, .. } = plan;
        self.held.clone_from(held);
        self.deferred = deferred.iter().map(|deferred| deferred.grant.clone()).collect();
        self.skipped = skipped.iter().cloned().map(SkippedEntry).collect();
        let unsettled = unsettled.iter().map(|(account, resource)| Unknown {
            about: Asked::Write(account.clone(), resource.clone()),
            error: "strongDM has not said what became of an earlier write".to_owned(),
        });
        self.unknown = unknown.iter().cloned().chain(unsettled).map(UnknownEntry).collect();
        self.oncalls = plan.on_calls;
        self.next_wake = plan.next_wake;
    }

    /// Takes over the writes of `plan` as if they had been done.
    pub fn take_steps(&mut self, plan: &Plan) {
        for step in plan.pairs.iter().flat_map(|pair| &pair.steps) {
            match step {
                Step::Create(new) => self.created.push(new.grant.clone()),
                Step::Revoke(revocation) => self.revoked.push(revocation.grant.clone()),
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
        for Failure { action, grant, error } in &self.failed {
            writeln!(f, "failed    {action} {grant}: {error}")?;
        }
        if !self.dry_run {
            let (created, revoked, failed) = (self.created.len(), self.revoked.len(), self.failed.len());
            writeln!(f, "done: {created} granted, {revoked} revoked, {failed} failed")?;
        }
        Ok(())
    }
}
